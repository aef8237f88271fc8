"""Pascal VOC and YOLO folders to COCO files and back.

It may import `segmentations`, `coco` and `files`.
"""
