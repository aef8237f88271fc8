"""Notices when the images that results were made from have changed."""
