"""A test run over the unlabeled images: dataset, sampler, hooks, progress."""
