"""A test run of a teacher over the unlabeled images.

Data set, sampler, hooks and progress; it may import `selection`,
`inference` and what they may import.
"""
