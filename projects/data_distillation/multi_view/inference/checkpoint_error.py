"""What is wrong with a checkpoint."""


class CheckpointError(ValueError):
    """A checkpoint that must not be used; the message says why."""
