"""Label files of COCO and other formats: read, checked, mended, converted."""
