"""What a `segmentation` of COCO is, and masks as polygons.

It may import no other package.
"""
