"""Multi-view inference: views of an image, a detector on each, one merger."""
