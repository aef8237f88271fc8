"""A test run over the unlabeled images: data set, sampler, hooks, progress.

It may import `selection`, `inference` and what they may import.
"""
