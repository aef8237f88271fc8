"""Matching of detections with true objects, as NumPy columns.

It may import no other package.
"""
