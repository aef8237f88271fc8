"""The store of merged detections: Parquet shards that survive a kill."""
