"""The tiny bundle and what it says of the made-up cells, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fadecast.runtime import Session
from tests.bundles import TAUGHT, bundle, session
from tests.scoring.cells import SERIES, SPECS, write_cells

__all__ = ["bundle", "cells", "session", "streamed"]


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cells.csv")


@pytest.fixture(scope="session")
def streamed(session: Session) -> dict[str, dict[str, np.ndarray]]:
    """What a stream of each cell says, as columns."""
    out = {}
    for name, columns in SERIES.items():
        stream = session.stream(SPECS[name])
        parts = [f.columns(TAUGHT) for f in stream.push(columns) + stream.close()]
        out[name] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return out
