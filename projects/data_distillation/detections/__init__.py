"""The store of merged detections, which survives a kill.

Parquet shards on disk; it may import `coco` and `files`.
"""
