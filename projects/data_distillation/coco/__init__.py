"""COCO files: read, checked, compared.

It may import `files` and `matching`.
"""
