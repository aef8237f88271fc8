"""Reading configs of detectors, of any kind that people have.

It may import `text`.
"""
