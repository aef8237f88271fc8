"""Makes an experiment of a command line, with or without labeled images."""
