"""From unlabeled images to a COCO file of pseudo labels, and its quality."""
