"""What is read of cells, what is kept, and what the network says of them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fadecast
from benchmarks import _networks, assb
from benchmarks._cells import (
    EVERY,
    HORIZON,
    LANDMARKS,
    Cells,
    Rows,
    drawn_cycles,
    hidden_truth,
    judged_rows,
    sampled,
    standard,
    table,
)
from benchmarks._stages import Stages
from fadecast.cell.life import CAUSES
from fadecast.cell.store import Store
from fadecast.cell.summaries import INDEX
from fadecast.physics.protocol import laboratory
from fadecast.runtime import Session
from tests.assb.made_up import FADE, PRESSURE, rows_of
from tests.bundles import bundle, session, tiny_network  # noqa: F401


@given(
    after=st.integers(1, 300), width=st.integers(1, 80), cause=st.integers(-1, len(CAUSES) - 1),
    cycle=st.integers(1, 300),
)  # fmt: skip
def test_a_label_holds_for_every_moment_at_which_the_cell_may_have_failed(
    after: int, width: int, cause: int, cycle: int
) -> None:
    cycle = min(cycle, after)
    until = after + width if cause >= 0 else np.inf
    rows = replace(rows_of([(after, until, cause)]), cell=np.array([0]), row=np.array([0]),
                   cycle=np.array([cycle]))  # fmt: skip
    moments = range(after + 1, after + width + 1) if cause >= 0 else [after + 1, 10**6]
    within = {m <= cycle + HORIZON for m in moments}
    unsettled = len(within) > 1 and cause != FADE  # fading is no failure by pressure, ever
    wanted = -1 if unsettled else int(within == {True} and cause != FADE)
    assert rows.label[0] == wanted
    assert rows.left[0] == (until if cause >= 0 else after) - cycle


def test_beyond_the_follow_up_failures_do_not_count_either() -> None:
    """Whoever did not fail there is lost, so that those that did would stand for all."""
    lives = [(89, 90, PRESSURE), (44, 45, PRESSURE), (100, np.inf, -1), (100, np.inf, -1)]
    rows = rows_of(lives, every=1)
    label = {(int(i), int(n)): int(y) for i, n, y in zip(rows.cell, rows.cycle, rows.label,
             strict=True)}  # fmt: skip
    assert [label[0, n] for n in (39, 40, 50, 51, 80)] == [0, 1, 1, -1, -1]
    assert [label[2, n] for n in (39, 50, 51, 100)] == [0, 0, -1, -1]


def test_cells_are_read_with_their_rows_features_and_lives(cells: Cells) -> None:
    found = table(cells, 10)
    rows = Rows.of(found)
    assert len(rows) == len(found["history"]) == len(found["current"]) == len(found["design"])
    for index, cell in enumerate(cells):
        alive = [n for n in drawn_cycles(cells.ids[index], 1000, 10) if n <= cell.life.after]
        assert rows.cycle[rows.cell == index].tolist() == alive
    assert rows.cycle[rows.cell == 0].max() < 60  # when it fails
    np.testing.assert_array_equal(rows.row, rows.cycle - 1)
    assert rows.anode[:2].tolist() == ["lithium", "silicon"]
    assert rows.failed.sum() == 11
    np.testing.assert_array_equal(judged_rows(cells, 10).cycle, rows.cycle)
    np.testing.assert_allclose(np.bincount(rows.cell, rows.alike), 1.0)


@given(st.text(), st.integers(0, 400), st.sampled_from([5, 10, 25]))
def test_one_cycle_of_every_block_is_drawn(name: str, last: int, every: int) -> None:
    found = drawn_cycles(name, last, every)
    np.testing.assert_array_equal((found - 1) // every, np.arange(-(-last // every)))
    judged = drawn_cycles(name, last + every)
    assert set(found) <= set(judged)  # who is asked at all of these knows what was learnt from
    assert {mark for mark in LANDMARKS if mark <= last} <= set(judged)
    np.testing.assert_array_equal(found, drawn_cycles(name, 1000, every)[: len(found)])


def test_check_ups_are_judged_as_often_as_other_cycles(cells: Cells) -> None:
    programs = laboratory(1000, 0.3, 0.3, 25).schedule
    check_up = 1 + np.flatnonzero(programs == programs[7])
    assert check_up[:3].tolist() == [8, 33, 58]
    for every in (EVERY, 2 * EVERY):
        drawn = [np.isin(check_up, drawn_cycles(f"cell-{i}", 1000, every)) for i in range(1000)]
        assert np.mean(drawn) == pytest.approx(1 / every, rel=0.1)
        assert np.mean(drawn, axis=0)[check_up > max(LANDMARKS)].min() > 0.5 / every
    assert np.isin(judged_rows(cells).cycle, check_up).any()


def test_of_too_many_rows_some_are_drawn_in_order() -> None:
    chosen = np.arange(1000) % 2 == 1
    some = sampled(chosen, 100, np.random.default_rng(0))
    assert len(some) == 100
    assert (np.diff(some) > 0).all()
    assert chosen[some].all()
    assert some.mean() == pytest.approx(500, abs=100)
    every = sampled(chosen, 5000, np.random.default_rng(0))
    np.testing.assert_array_equal(every, np.flatnonzero(chosen))


def test_blind_cells_lose_the_measured_pressure_alone(cells: Cells) -> None:
    seen, blind = next(iter(cells)), next(iter(cells.without_pressure()))
    assert seen.summaries.observed[:, INDEX["pressure.mean"]].all()
    assert not blind.summaries.observed[:, INDEX["pressure.mean"]].any()
    assert blind.summaries.observed.sum() == seen.summaries.observed.sum() - len(seen.summaries)
    assert blind.spec == seen.spec


def test_the_hidden_truth_is_that_of_the_cycle_and_of_the_cell(
    cells: Cells, tmp_path: Path
) -> None:
    (tmp_path / "truth").mkdir()
    until = np.array([int(cell.life.cycle) for cell in cells])
    order = np.random.default_rng(0).permutation(len(cells))
    hidden = np.concatenate([
        np.column_stack([np.full(until[i], i), np.arange(1, until[i] + 1)]) for i in order
    ])  # fmt: skip
    own = np.array([(float(i), 2.0 * i) for i in order], [("a", "f8"), ("b", "f8")])
    names = np.array([cells.ids[i] for i in order] + ["other"])
    hidden = np.concatenate([hidden, np.full((5, 2), -1)]).astype(np.float32)
    np.savez(
        tmp_path / "truth" / "shard-00000.npz", cell_id=names, hidden=hidden,
        until=np.append(until[order], 5), cells=np.append(own, own[:1]),
    )  # fmt: skip
    rows = judged_rows(cells)
    shutil.copytree(cells.store.path, tmp_path, dirs_exist_ok=True)
    found = hidden_truth(replace(cells, store=Store(tmp_path)), rows)
    wanted = np.column_stack([rows.cell, rows.cycle, rows.cell, 2 * rows.cell])
    np.testing.assert_array_equal(found, wanted)


def test_standard_passes_over_what_is_missing() -> None:
    x = np.array([[1, np.nan, 5], [3, np.nan, 5], [np.nan, np.nan, 5]], np.float32)
    centre, scale = standard(x)
    np.testing.assert_allclose(centre, [2, 0, 5])
    np.testing.assert_allclose(scale, [1, 0, 0])


def test_a_bundle_says_what_its_network_says(cells: Cells, session: Session) -> None:  # noqa: F811
    rows = judged_rows(cells)
    mine = _networks.heard(_networks.of(tiny_network()[1]), cells, rows)
    its = _networks.heard(_networks.bundled(session), cells, rows)
    for name in mine:
        np.testing.assert_allclose(mine[name], its[name], rtol=1e-3, atol=1e-4)


def test_a_stage_is_made_once_and_again_for_other_data(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"x": np.array([len(made)])}

    code = ("benchmarks/_stages.py",)
    assert (
        Stages(tmp_path, "a")("s", code, make)["x"] == Stages(tmp_path, "a")("s", code, make)["x"]
    )
    assert len(made) == 1
    assert Stages(tmp_path, "b")("s", code, make)["x"] == 2
    assert Stages(tmp_path, "b")("s", code, make, given="other")["x"] == 3
    Stages(tmp_path, "b")("s", ("benchmarks/_said.py",), make, given="other")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="stop"):
        Stages(tmp_path, "c")("s", code, lambda: (_ for _ in ()).throw(ValueError("stop")))
    assert len(list(tmp_path.iterdir())) == 1


def test_the_judged_network_is_the_given_one_or_else_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(*arguments: str) -> tuple[Any, list[str]]:
        monkeypatch.setattr(sys, "argv", ["assb", *arguments])
        options = assb.parsed()
        return options.bundle, options.run

    monkeypatch.setattr(fadecast, "PRETRAINED", tmp_path / "shipped", raising=False)
    assert given("--quick") == (None, [])  # there is none yet
    (tmp_path / "shipped").mkdir()
    assert given("--quick") == (tmp_path / "shipped", [])
    assert given() == (tmp_path / "shipped", [])
    assert given("--quick", "--run", "a", "--run", "b") == (None, ["a", "b"])
    assert given("--bundle", "other") == (Path("other"), [])
    with pytest.raises(SystemExit):
        given("--bundle", "other", "--run", "a")
