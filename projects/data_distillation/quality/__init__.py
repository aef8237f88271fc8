"""Measuring the quality of pseudo labels where the truth is known.

It may import `selection` and what that may import.
"""
