"""Cells that every test of the benchmark may read."""

from __future__ import annotations

import pytest

from benchmarks._cells import Cells
from fadecast.cell.life import EndOfLife
from fadecast.cell.record import PublishedLife
from tests.assb.made_up import made_up_cells


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    lives = [PublishedLife(60 + 12 * i, "contact_loss", "made up", None) for i in range(11)]
    lives.append(PublishedLife(150, None, "made up"))
    store = made_up_cells(tmp_path_factory.mktemp("cells"), lives)
    return Cells(store, tuple(store.cell_ids()), EndOfLife())
