"""Writing the stage configs of a new experiment, for any detector."""
