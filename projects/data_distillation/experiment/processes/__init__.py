"""Processes of other commands, with their log and progress."""
