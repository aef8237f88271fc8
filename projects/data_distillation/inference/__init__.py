"""Teachers on the views of each image, up to merged detections.

It may import `views`, `merging` and `files`.
"""
