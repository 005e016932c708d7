"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fadecast", deadline=None, derandomize=True)  # the same on every machine
settings.load_profile("fadecast")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data: ``FADECAST_DATA``, or ``../shared/data`` beside the project.

    Skips where there is none; with ``FADECAST_REQUIRE_DATA=1`` that is a failure instead, so that
    a continuous-integration run cannot be green without having looked at a real cell.
    """
    folder = Path(os.environ.get("FADECAST_DATA") or ROOT.parent / "shared" / "data")
    if folder.is_dir():
        return folder
    reason = f"recorded data are not at {folder}; set FADECAST_DATA to the folder that holds them"
    if os.environ.get("FADECAST_REQUIRE_DATA") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
