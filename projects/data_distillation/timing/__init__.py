"""What is left of an experiment, and how long it will take.

It may import `experiment` and what it may import.
"""
