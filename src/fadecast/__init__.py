"""Fadecast: forecasts how solid-state battery cells fade and fail."""

from pathlib import Path
from typing import Final

__version__ = "0.1.0"

PRETRAINED: Final = Path(__file__).parent / "pretrained"
"""The bundle that ships with the package, trained on simulated solid-state cells only."""
