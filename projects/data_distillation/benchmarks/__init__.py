"""Measuring the cost of annotation, selection, training, quality and scale."""
