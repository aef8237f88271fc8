"""Selecting the detections that become pseudo labels, and writing them.

It may import `detections`, `segmentations`, `coco` and `files`.
"""
