"""Writing the stage configs of a new experiment, for any detector.

It may import `experiment`, `convert` and what they may import.
"""
