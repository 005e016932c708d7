"""Recorded data → ``CellRecord``: one small table per format, all of them in ``READERS``."""

from __future__ import annotations

from fadecast.sources.readers import READERS, Reader, detect, read

__all__ = ["READERS", "Reader", "detect", "read"]
