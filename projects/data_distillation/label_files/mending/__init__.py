"""Mendings of COCO files, done in the only way or as the user decides."""
