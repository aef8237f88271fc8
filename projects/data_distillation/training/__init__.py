"""What a student's training needs beyond MMDetection.

These are checked data sets, the ratio sampler, exact resuming and regions to
ignore; they may import `coco` and `files`.
"""
