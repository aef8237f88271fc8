"""Pascal VOC and YOLO folders to COCO files and back.

It may import `coco` and `files`.
"""
