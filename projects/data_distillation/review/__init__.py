"""Saying how likely detections are right, and what a person should look at.

It may import `selection` and what that may import.
"""
