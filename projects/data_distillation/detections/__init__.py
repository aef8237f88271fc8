"""The store of merged detections: Parquet shards that survive a kill.

It may import `coco` and what that may import.
"""
