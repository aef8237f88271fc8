"""Mergers: the boxes of many views become one set of boxes.

It may import no other package.
"""
