"""How long a new experiment will take on a machine without a GPU.

It may import `experiment` and what it may import.
"""
