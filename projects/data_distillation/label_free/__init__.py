"""Experiments without any labeled image, whose teacher is given."""
