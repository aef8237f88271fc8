"""COCO files: read, checked, repaired, split, compared.

It may import `files`.
"""
