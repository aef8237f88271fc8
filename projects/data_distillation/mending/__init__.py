"""Mendings of COCO files that can be done in one way, or as the user decides.

It may import `segmentations`, `coco` and `files`.
"""
