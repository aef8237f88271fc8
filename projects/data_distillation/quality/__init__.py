"""How many pseudo labels are right, against true labels.

It may import `selection` and what that may import.
"""
