"""A test run over the unlabeled images: data set, sampler, hooks, progress."""
