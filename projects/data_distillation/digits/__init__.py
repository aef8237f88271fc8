"""The embedded example: scanned digits in cluttered images.

It may import no other package.
"""
