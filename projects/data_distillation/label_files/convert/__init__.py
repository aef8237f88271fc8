"""Pascal VOC and YOLO folders to COCO files and back."""
