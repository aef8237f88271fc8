"""Files on disk: read safely, replaced as a whole, hashed.

It may import no other package.
"""
