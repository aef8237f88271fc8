"""Speed and memory of annotation and of selection.

It may import every package but `experiment`, `report` and `scaffold`.
"""
