"""Processes of other commands, with their log and progress.

It may import `detections`, `files` and `text`, but knows no experiment.
"""
