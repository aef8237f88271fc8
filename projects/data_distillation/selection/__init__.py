"""The detections that become pseudo labels, and their file.

It may import `detections`, `coco` and `files`.
"""
