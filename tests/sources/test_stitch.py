"""Stitching: cutting a cell into files and joining them again changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.cycles import assign_cycles
from fadecast.errors import CheckError
from fadecast.sources.part import Part
from fadecast.sources.stitch import in_order, stitch
from tests.sources.cells import NOMINAL, columns

WHOLE = columns(5) | {"unix_time_second": 1.7e9 + columns(5)["test_time_second"]}
N = len(WHOLE["voltage_volt"])


def pieces(cuts: list[int], *, restart: bool, clock: bool, count: bool) -> list[Part]:
    """The whole cut at rows; with ``restart`` each file begins at time 0 and cycle 1."""
    out = []
    for rows in np.split(np.arange(N), sorted(set(cuts))):
        if not len(rows):
            continue
        part = {name: np.asarray(values)[rows] for name, values in WHOLE.items()}
        if restart:
            part["test_time_second"] = part["test_time_second"] - part["test_time_second"][0]
            part["cycle_count"] = part["cycle_count"] - part["cycle_count"][0] + 1
        if not clock:
            del part["unix_time_second"]
        if not count:
            del part["cycle_count"]
        out.append(Part(part))
    return out


@settings(deadline=None)
@given(
    st.lists(st.integers(1, N - 1), max_size=4), st.booleans(), st.booleans(), st.randoms()
)  # fmt: skip
def test_cut_and_joined_is_whole(cuts: list[int], restart: bool, count: bool, random) -> None:
    parts = pieces(cuts, restart=restart, clock=True, count=count)
    shuffled = [(f"file {i}", part) for i, part in enumerate(parts)]
    random.shuffle(shuffled)
    one = stitch([part for _, part in in_order(shuffled)])
    for name in set(WHOLE) - {"cycle_count"}:
        np.testing.assert_allclose(one.columns[name], WHOLE[name], atol=1e-6, err_msg=name)
    if count and not restart:
        np.testing.assert_array_equal(one.columns["cycle_count"], WHOLE["cycle_count"])
    assert ("cycle_count" in one.columns) == count


@given(st.lists(st.integers(1, N - 1), max_size=4))
def test_counts_that_start_over_are_continued(cuts: list[int]) -> None:
    one = stitch(pieces(cuts, restart=True, clock=True, count=True))
    count = one.columns["cycle_count"]
    assert (np.diff(count) >= 0).all()
    assert (np.diff(count) <= 1).all()


def test_files_cut_between_cycles_give_back_every_cycle() -> None:
    cuts = np.flatnonzero(np.diff(WHOLE["cycle_count"])) + 1
    one = stitch(pieces(list(cuts), restart=True, clock=True, count=True))
    np.testing.assert_array_equal(one.columns["cycle_count"], WHOLE["cycle_count"])


def test_without_a_clock_time_runs_on_without_a_pause() -> None:
    one = stitch(pieces([300], restart=True, clock=False, count=False))
    step = np.diff(one.columns["test_time_second"])
    assert (step >= 0).all()
    assert step[299] == 0  # the pause is not known, so none is made up
    cycles = assign_cycles(one.columns, NOMINAL)
    uncounted = {k: v for k, v in WHOLE.items() if k != "cycle_count"}
    assert cycles[-1] == assign_cycles(uncounted, NOMINAL)[-1]


def test_a_pause_between_files_is_seen_by_the_clock() -> None:
    first, second = pieces([300], restart=True, clock=True, count=True)
    later = dict(second.columns) | {"unix_time_second": second.columns["unix_time_second"] + 1e5}
    one = stitch([first, Part(later)])
    assert np.diff(one.columns["test_time_second"])[299] == pytest.approx(1e5 + 60)


def test_files_that_overlap_are_refused() -> None:
    first, second = pieces([300], restart=True, clock=True, count=True)
    with pytest.raises(CheckError, match="overlap by"):
        stitch([second, first])
    with pytest.raises(CheckError, match="overlap by"):
        stitch([first, first])


def test_a_channel_only_one_file_has_is_missing_in_the_other() -> None:
    first, second = pieces([300], restart=False, clock=True, count=True)
    bare = {k: v for k, v in second.columns.items() if k != "surface_pressure_pa"}
    one = stitch([first, Part(bare)])
    seen = np.isfinite(one.columns["surface_pressure_pa"])
    assert seen[:300].all()
    assert not seen[300:].any()


def test_a_count_only_one_file_has_is_dropped_and_told() -> None:
    first, second = pieces([300], restart=False, clock=True, count=True)
    bare = {k: v for k, v in second.columns.items() if k != "cycle_count"}
    one = stitch([first, Part(bare)])
    assert "cycle_count" not in one.columns
    assert [finding.code for finding in one.findings] == ["count_dropped"]


def test_names_are_ordered_by_their_numbers() -> None:
    bare = Part({name: np.zeros(1) for name in ("test_time_second",)})
    named = [(name, bare) for name in ("c10.csv", "c9.csv", "c1.csv")]
    assert [name for name, _ in in_order(named)] == ["c1.csv", "c9.csv", "c10.csv"]
