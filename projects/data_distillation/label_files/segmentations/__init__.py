"""What a `segmentation` of COCO is, and masks as polygons."""
