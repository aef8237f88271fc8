"""Saying how likely detections are right, and what a person should look at."""
