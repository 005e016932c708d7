"""Forecasts for many cells at once, as one Parquet table."""
