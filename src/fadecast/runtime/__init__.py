"""Bundles at work: needs numpy and onnxruntime, and nothing of what trained them."""

from fadecast.runtime.session import Session
from fadecast.runtime.stream import Stream

__all__ = ["Session", "Stream"]
