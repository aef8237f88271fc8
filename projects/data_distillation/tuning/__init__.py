"""Chooses views and a merger by what they find on validation images.

It may import everything below `experiment`, which runs it as a stage.
"""
