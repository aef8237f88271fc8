"""Teachers that are given: trained already, by whoever and on whatever.

It may import `inference`, `base_configs` and what is below them.
"""
