"""Measuring the quality of pseudo labels where the truth is known."""
