"""Views: transforms of an image, each with its exact inverse.

It may import no other package.
"""
