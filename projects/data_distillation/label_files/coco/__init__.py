"""COCO files: read, checked, compared."""
