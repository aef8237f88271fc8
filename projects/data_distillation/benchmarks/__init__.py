"""Measuring the speed and the memory of annotation and selection.

It may import every package but `experiment`, `report` and `scaffold`.
"""
