"""`fadecast simulate` as a user runs it: stopped at any moment, run again, seen through PyBaMM."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fadecast.cell.store import Store
from fadecast.cli import main
from fadecast.cli.simulation import simulate_population

SMALL = "name: small\ncells: 6\ncycles: 12\nshard: 2\ncells_per_design: 1\n"


def run(config: Path, out: Path, *options: str) -> None:
    main(["simulate", "-c", str(config), "-o", str(out), *options])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".partial" not in str(path)
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


def test_a_population_is_a_store_with_a_card(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(config, tmp_path / "out", "--workers", "1")
    assert not stop.value.code
    said = capsys.readouterr().out
    assert "how the cells ended" in said
    assert (tmp_path / "out" / "card" / "README.md").is_file()
    store = Store(tmp_path / "out")
    assert len(store) == 6
    for cell_id in store.cell_ids():
        summaries = store.read(cell_id).summaries
        assert summaries is not None
        assert np.isfinite(summaries.field("discharge_throughput")).all()


@pytest.mark.slow
def test_killed_at_any_moment_a_rerun_gives_the_same_bytes(config: Path, tmp_path: Path) -> None:
    config.write_text(SMALL.replace("cells: 6", "cells: 64").replace("cycles: 12", "cycles: 150"))
    simulate_population(config, tmp_path / "whole", None, 1, lambda *_: None)
    command = [sys.executable, "-m", "fadecast", "simulate", "-c", str(config), "-o"]
    draw, cells = np.random.default_rng(3), tmp_path / "out" / "cells"
    for wanted in (0, 1, 7, 20, 33, 50):  # cells that are there when the power fails
        process = subprocess.Popen(
            [*command, str(tmp_path / "out"), "--workers", "2"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while not (cells.is_dir() and len(list(cells.iterdir())) >= wanted):
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(float(draw.uniform(0.0, 0.05)))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    simulate_population(config, tmp_path / "out", None, 1, lambda *_: None)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_the_full_order_engine_tells_the_same_story(config: Path, tmp_path: Path) -> None:
    """Noise has the same seed in both, so capacities of the truth may be compared cell by cell."""
    config.write_text(SMALL.replace("cells: 6", "cells: 2"))
    for engine in ("kernel", "pybamm"):
        simulate_population(config, tmp_path / engine, engine, 1, lambda *_: None)
    stated = json.loads((tmp_path / "pybamm" / "population.json").read_text())
    assert stated["engine"] == "pybamm"
    fast, full = (np.load(tmp_path / e / "truth" / "shard-00000.npz") for e in ("kernel", "pybamm"))
    columns = fast["columns"].tolist()
    for name, tolerance in (
        ("capacity", 0.01), ("pressure_mean", 0.002), ("penetration", 0.01), ("resistance", 0.01),
    ):  # fmt: skip
        k = columns.index(name)
        assert full["hidden"][:, k] == pytest.approx(fast["hidden"][:, k], rel=tolerance), name
    cells = [Store(tmp_path / e).read("small-00000-00-000").summaries for e in ("kernel", "pybamm")]
    assert cells[0] is not None
    assert cells[1] is not None
    charge = [c.field("charge_throughput") for c in cells]
    assert charge[1] == pytest.approx(charge[0], rel=0.02)
