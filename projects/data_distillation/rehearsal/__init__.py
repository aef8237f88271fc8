"""Tries each stage of an experiment on one batch, before hours of compute.

It may import `experiment`, `mmdet_tools` and what these may import.
"""
