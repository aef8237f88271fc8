"""The embedded example: scanned digits in cluttered images."""
