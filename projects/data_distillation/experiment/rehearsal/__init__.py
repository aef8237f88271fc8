"""Tries each stage of an experiment on one batch, before hours of compute."""
