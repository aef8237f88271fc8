"""Writing the page that shows the labels, the curves and the comparison.

It may import `experiment` and what that may import.
"""
