"""The stages of an experiment, one after the other.

It may import `annotation`, `quality` and what they may import, but not
`report`: `tools/distill.py` writes the page.
"""
