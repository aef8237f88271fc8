"""Views: transforms of an image, each with its exact inverse for boxes."""
