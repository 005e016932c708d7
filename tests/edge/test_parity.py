"""What the benchmark of parity calls a difference, and that it finds one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import _lives, parity, parity_all
from benchmarks._lives import Columns, difference
from fadecast.cell.cycles import assign_cycles
from fadecast.cell.record import CellMetadata, CellRecord
from fadecast.cell.store import Store
from fadecast.cli.simulation import summarise
from fadecast.errors import TrainingError
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard
from fadecast.runtime import Session
from tests.bundles import made_up_columns, made_up_cycles, made_up_spec, tiny_network
from tests.edge.program import Program


def life(**changes: object) -> dict[str, np.ndarray]:
    """Made-up answers after two cycles."""
    columns = {
        "cycle_count": [1, 2], "soh": [1.0, 0.9], "novelty": [0.5, 40.0], "valid": [True, False],
        "incidence": np.full((2, 4, 25), 0.5), "rul": [[1.0, 500.0], [2.0, 100.0]],
    }  # fmt: skip
    return {name: np.array(column) for name, column in (columns | changes).items()}


def test_a_difference_is_beside_one_the_number_or_the_last_quantile() -> None:
    assert difference(life(), life())[0] == 0
    for changes, size, name in (
        ({"soh": [1.0, 0.9 + 1e-3]}, 1e-3, "soh"),
        ({"novelty": [0.5, 40.4]}, 1e-2, "novelty"),
        ({"rul": [[1.5, 500.0], [2.0, 100.0]]}, 1e-3, "rul"),
        ({"rul": [[1.0, 500.0], [2.5, 100.0]], "soh": [1.001, 0.9]}, 5e-3, "rul"),
        ({"valid": [True, True]}, 1.0, "valid"),
    ):
        found, what = difference(life(**changes), life())
        assert (found, what) == (pytest.approx(size), name)


def test_what_is_missing_is_infinitely_wrong_but_for_the_incidence() -> None:
    told = life()
    without = {name: told[name] for name in told if name != "incidence"}
    assert difference(without, told)[0] == 0
    assert difference(life(incidence=np.zeros((2, 4, 25))), told) == (0.5, "incidence")
    assert difference({n: c for n, c in told.items() if n != "soh"}, told) == (np.inf, "soh")
    assert difference(life(soh=[1.0, np.nan]), told) == (np.inf, "soh")
    assert difference({name: column[:1] for name, column in told.items()}, told)[0] == np.inf


def test_the_table_tells_the_worst_cell_of_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    off = life(soh=[1.0, 0.9 + 3e-5])
    told = {"torch float64": [life()] * 3, "C++ x86_64": [life(), off, off], "Python": [life()] * 2}
    figures = parity.show(told)
    assert figures == {"cpp_x86_64": pytest.approx(30), "python": 0}
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    rows = {" ".join(words[:-5]): words[-5:] for words in lines}
    assert rows["C++ x86_64"] == ["3", "6", "3.0e-05", "soh", "2"]
    assert rows["Python"] == ["2", "4", "0.0e+00", "cycle_count", "0"]


@pytest.fixture(scope="module")
def records() -> list[CellRecord]:
    """Two made-up cells, one without pressure."""
    found = []
    for number in range(2):
        columns = made_up_columns(5 + number, seed=number)
        columns["cycle_count"] = assign_cycles(columns, made_up_spec().nominal_capacity_ah)
        if number:
            del columns["surface_pressure_pa"]
        found.append(CellRecord(CellMetadata(made_up_spec(f"cell-{number}"), "made-up"), columns))
    return found


def test_every_way_that_is_there_agrees(
    program: Program,
    bundle: Path,
    records: list[CellRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    told = {way: ask(records, tmp_path) for way, ask in parity.ways_here(bundle).items()}
    said = capsys.readouterr().out
    assert "torch computes the graph" in said
    assert "no run 'none'" in said
    assert [way.split()[0] for way in told] == ["torch", "torch", "Python", "C++"]
    for name, dtype in parity.PRECISIONS.items():
        network = parity.of_torch(
            tiny_network(0)[1], Session.load(bundle).virtual_sensors, dtype, records, tmp_path
        )
        for graph, trained in zip(told[name], network, strict=True):
            assert set(graph) == set(trained)
            assert difference(graph, trained)[0] <= (1e-7 if dtype is torch.float64 else 1e-5)
    assert [len(one["soh"]) for one in told[f"C++ {parity.HERE}"]] == [5, 6]
    assert all(value <= parity.ALLOWED for value in parity.show(told).values())


def test_all_cells_that_were_set_aside_are_compared(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lives = [made_up_cycles(f"cell-{number}", 12, seed=number) for number in range(3)]
    info = SimpleNamespace(store="here")
    monkeypatch.setattr(parity, "load_run", lambda *_: (tiny_network(0)[1], info))
    monkeypatch.setattr(parity, "Store", lambda path: path)
    monkeypatch.setattr(parity, "held_out_cells", lambda *_: lives)
    figures = parity.set_aside(session)
    assert 0 < figures[f"python_{parity.HERE}.set_aside"] <= parity.ALLOWED
    assert "3 cells set aside, 36 cycles" in capsys.readouterr().out
    monkeypatch.setattr(parity, "load_run", lambda *_: (tiny_network(1)[1], info))
    assert parity.set_aside(session) == {}
    assert "set aside are left out" in capsys.readouterr().out


def test_without_its_system_aarch64_is_left_out(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(parity, "ARM", tmp_path)
    monkeypatch.setattr(parity, "absent", lambda *_: "")
    assert parity.ways_elsewhere(bundle) == {}
    assert "aarch64 is left out: no system, which `make test-edge`" in capsys.readouterr().out


def test_the_test_cells_of_a_shard_are_compared(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Population.from_yaml(parity.POPULATION)
    small = {"cells": 6, "shard": 6, "cycles": 10, "seed": 2}
    config = config.model_copy(update=parity_all.QUICK | small)
    store = Store(tmp_path / "store", create=True)
    shard = Shard(config, 0)
    lives, _ = shard.run()
    logged = [shard.record(lives, i) for i in range(shard.count)]
    tests = [record for record in logged if record.metadata.split == "test"]
    assert 3 < len(tests) < len(logged)
    for number, record in enumerate(tests[:-1]):  # the last one is not kept
        summaries, metadata = summarise(record), record.metadata
        if number == 0:
            summaries = replace(summaries, values=summaries.values + 1)
        if number == 1:
            metadata = replace(metadata, notes={})
        store.write(CellRecord(metadata, summaries=summaries))
    way = partial(parity.of_python, Session.load(bundle))

    def off(records: Sequence[CellRecord], folder: Path) -> list[Columns]:
        first, *others = way(records, folder)
        return [first | {"soh": first["soh"] + 1e-3}, *others]

    given = {"Python": way, "C++": off}, config, store, tmp_path
    monkeypatch.setattr(parity_all, "_given", given, raising=False)
    parity_all.compare(0)
    rows = json.loads(parity_all.shard_file(tmp_path, 0).read_text())
    assert [row["cell_id"] for row in rows] == [record.spec.cell_id for record in tests]
    assert [row["kept"] for row in rows] == [False, False, *[True] * (len(tests) - 3), False]
    figures = parity_all.show(list(given[0]), rows)
    assert figures["cpp"] == pytest.approx(1000, rel=1e-3)
    assert (figures["cells"], figures["cpp.beyond"], figures["cells.other"]) == (len(tests), 1, 3)
    unknown = [row | {"kept": None} for row in rows]
    assert "cells.other" not in parity_all.show(list(given[0]), unknown)


def test_a_shard_is_kept_under_all_that_decides_it(bundle: Path, tmp_path: Path) -> None:
    config = Population.from_yaml(parity.POPULATION)
    Store(tmp_path, create=True)
    names = {
        parity_all.key(bundle, one, ways, tmp_path)
        for one in (config, config.model_copy(update={"seed": 9}))
        for ways in (["torch float64", "Python"], ["Python"])
    }
    assert len(names) == 4


def test_a_worker_without_the_ways_of_the_others_ends(bundle: Path, tmp_path: Path) -> None:
    config = Population.from_yaml(parity.POPULATION).model_copy(update=parity_all.QUICK)
    with pytest.raises(BrokenProcessPool):
        parity_all.compare_all(bundle, config, ["torch float64", "another"], None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_the_bundles_is_left_out(session: Session) -> None:
    parity.require_same(tiny_network(0)[1], session)
    with pytest.raises(TrainingError, match="off the answers that the bundle keeps"):
        parity.require_same(tiny_network(1)[1], session)


def test_another_process_is_given_the_same_lives(
    bundle: Path, session: Session, records: list[CellRecord], tmp_path: Path
) -> None:
    lives = [parity.as_sent(record) for record in records]
    files = tmp_path / "lives.npz", tmp_path / "told.npz"
    _lives.dump_lives(files[0], lives)
    command = [sys.executable, "-m", "benchmarks._lives", bundle, *files]
    places = [str(parity._common.ROOT), *sys.path]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": ":".join(places)})
    here: list[Columns] = _lives.of_runtime(session, lives)
    for ours, theirs in zip(_lives.load(files[1]), here, strict=True):
        assert difference(ours, theirs)[0] <= 1e-6
        assert set(ours) == set(theirs)
