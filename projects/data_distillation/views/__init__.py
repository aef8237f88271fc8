"""Views: transforms of an image, each with its exact inverse for boxes.

It may import no other package.
"""
