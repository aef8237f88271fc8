"""Splits of labeled COCO files into labeled and unlabeled images."""
