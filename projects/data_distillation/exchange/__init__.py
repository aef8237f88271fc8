"""Reading labels that people corrected in other tools, and merging them.

It may import `coco` and what that may import.
"""
