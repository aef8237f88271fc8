"""Reading configs of detectors, of any kind that people have."""
