"""Mergers, which turn the boxes of many views into one set of boxes."""
