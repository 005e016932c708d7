"""The bundle that ships with the package: whole, small, and what commands take unless told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fadecast import PRETRAINED
from fadecast.cell.record import CellSpec
from fadecast.cell.store import Store
from fadecast.cli import app
from fadecast.forecast.forecast import CAUSES, HORIZONS, RISKS, VIRTUAL_SENSORS
from fadecast.runtime import Session
from tests.bundles import made_up_columns, made_up_record


@pytest.fixture(scope="module")
def shipped() -> Session:
    return Session.load(PRETRAINED)  # hashes checked, a whole life replayed


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in PRETRAINED.iterdir()) <= 1_000_000


def test_it_says_what_it_was_trained_on(shipped: Session) -> None:
    training = shipped.bundle.manifest["training"]
    assert training["config"]["data"]["sources"] == ["simulated"]
    assert "metrics" in training
    assert tuple(shipped.virtual_sensors) == tuple(VIRTUAL_SENSORS)
    assert "simulated" in (PRETRAINED / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_every_cause_was_met_in_training(shipped: Session) -> None:
    """A cause that no training cell died of has a risk of e⁻⁴⁰."""
    spec = CellSpec(
        "cell", 2.0, 2.5, 4.2, "nmc", "lithium", "sulfide", "spring", 3e6,
    )  # fmt: skip
    (forecast, *_) = shipped.stream(spec).push(made_up_columns(6))
    for cause in CAUSES:
        assert forecast.risk[0, RISKS.index(cause), HORIZONS.index(100)] > 1e-9


def test_score_and_stream_take_it_unless_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    store.write(made_up_record("cell", cycles=6))
    out = tmp_path / "scores.parquet"
    runner = CliRunner()
    scored = runner.invoke(app, ["score", str(store.path), "-o", str(out)])
    assert scored.exit_code == 0, scored.output
    streamed = runner.invoke(app, ["stream", str(store.path), "--json"])
    assert streamed.exit_code == 0, streamed.output
    lines = [json.loads(line) for line in streamed.stdout.splitlines() if line.startswith("{")]
    table = pq.read_table(out)
    median = next(name for name in table.column_names if name.startswith("rul") and "50" in name)
    assert np.isfinite(table[median].to_numpy()).all()
    assert len(lines) == table.num_rows > 0
