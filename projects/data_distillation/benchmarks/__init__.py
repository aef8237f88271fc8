"""Measuring the speed and memory of annotation, selection and training."""
