"""COCO files: read, checked, split, compared.

It may import `files` and `matching`.
"""
