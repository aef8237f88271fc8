"""Selecting the detections that become pseudo labels, and writing them."""
