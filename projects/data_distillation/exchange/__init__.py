"""Reading labels that people corrected in other tools, and taking them over.

It may import `coco` and what that may import.
"""
