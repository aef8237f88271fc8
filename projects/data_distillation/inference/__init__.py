"""Teachers that look at several views of each image, and merge what they find.

It may import `views`, `merging` and `files`.
"""
