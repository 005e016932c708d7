"""Batch scoring: many cells through a bundle, into one table."""
