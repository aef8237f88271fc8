"""What a student's training needs beyond MMDetection.

Checked data sets, the ratio sampler, exact resuming, ignored regions; it
may import `coco` and `files`.
"""
