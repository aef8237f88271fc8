"""Files on disk: read safely, replaced as a whole, locked, hashed."""
