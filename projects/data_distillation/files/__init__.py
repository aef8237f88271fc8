"""Files on disk: read safely, replaced as a whole, locked, hashed.

It may import no other package.
"""
