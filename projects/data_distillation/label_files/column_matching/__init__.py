"""Matching of detections with true objects, as NumPy columns."""
