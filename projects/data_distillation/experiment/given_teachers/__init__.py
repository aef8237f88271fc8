"""Teachers that are given: trained already, by whoever and on whatever."""
