"""Fadecast: forecasts how solid-state battery cells fade and fail."""

__version__ = "0.1.0"
