"""Recorded data: one small declarative table per file format, and the published sets."""
