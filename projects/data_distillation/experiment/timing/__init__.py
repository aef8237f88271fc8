"""What is left of an experiment, and how long it will take."""
