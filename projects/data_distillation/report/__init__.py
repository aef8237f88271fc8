"""The page that shows labels, curves and the comparison.

It may import `experiment` and what that may import.
"""
