"""What the training of a student needs beyond MMDetection.

These are checked data sets, the ratio sampler, exact resuming and regions to
ignore. It may import `coco` and `files`.
"""
