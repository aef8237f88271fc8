"""Mergers, which turn the boxes of many views into one set of boxes.

It may import no other package.
"""
