"""Teachers that look at several views of each image: loading and running."""
