"""Chooses views and a merger by what they find on validation images."""
