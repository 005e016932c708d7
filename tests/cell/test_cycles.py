"""The causal rule that closes a cycle."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.cycles import (
    CHARGE_RATE,
    GAP_SECOND,
    CycleCounter,
    assign_cycles,
    elapsed_cycles,
)
from fadecast.cell.faults import LEAP_CYCLES
from fadecast.errors import CheckError


def _columns(current: object, step: float = 60.0) -> dict[str, np.ndarray]:
    current = np.asarray(current, float)
    return {
        "test_time_second": np.arange(len(current)) * step,
        "voltage_volt": np.full(len(current), 3.7),
        "current_ampere": current,
    }


def test_full_cycles_are_counted() -> None:
    # One hour at 1.1 C down, one hour at 1.1 C up, five times over.
    current = np.tile(np.repeat([-1.1, 1.1], 60), 5)
    count = assign_cycles(_columns(current), 1.0)
    assert count[0] == 1
    assert np.flatnonzero(np.diff(count)).tolist() == [59, 179, 299, 419, 539]


def test_a_cycle_needs_a_nominal_capacity_and_then_a_charge() -> None:
    half = np.repeat([-1.1, 1.1], 30)
    count = assign_cycles(_columns(np.tile(half, 4)), 1.0)
    assert np.flatnonzero(np.diff(count)).tolist() == [89, 209]
    only_discharge = assign_cycles(_columns(np.full(500, -1.0)), 1.0)
    assert set(only_discharge) == {1}


def test_a_trickle_is_no_charge() -> None:
    tail = [CHARGE_RATE * 0.9] * 5 + [CHARGE_RATE * 1.1]
    count = assign_cycles(_columns([-2.0] * 60 + tail), 1.0)
    assert np.flatnonzero(np.diff(count)).tolist() == [64]


def test_nothing_is_counted_over_a_gap() -> None:
    columns = _columns([-1.0, -1.0, 1.0])
    columns["test_time_second"] = np.array([0.0, GAP_SECOND * 10, GAP_SECOND * 10 + 1])
    assert set(assign_cycles(columns, 1.0)) == {1}


def test_a_recorded_count_is_used_and_never_goes_back() -> None:
    columns = _columns(np.zeros(7)) | {"cycle_count": np.array([0, 0, 3, 2, np.nan, 4, -1.0])}
    assert assign_cycles(columns, 1.0).tolist() == [0, 0, 3, 3, 3, 4, 4]


def test_a_recorded_count_that_leaps_has_to_be_confirmed() -> None:
    for told, expected in (
        ([1, 2, 9000, 2, 3], [1, 2, 2, 2, 3]),
        ([1, 2, 9000, 9000, 9001], [1, 2, 2, 9000, 9001]),
        ([1, 2, 9000, np.nan, 9001], [1, 2, 2, 2, 9001]),
        ([1, 2, 9000, 8999, 3], [1, 2, 2, 2, 3]),
        ([1, 2, 9000, 90000, 90000], [1, 2, 2, 2, 90000]),
        ([7000, 7001, 8001, 8000, 8001], [7000, 7001, 8001, 8001, 8001]),  # the first is believed
        ([np.nan, 7000, 7001, 9.9e6, 7002], [0, 7000, 7001, 7001, 7002]),
    ):
        columns = _columns(np.zeros(5)) | {"cycle_count": np.array(told)}
        assert assign_cycles(columns, 1.0).tolist() == expected


_COUNTS = st.one_of(
    st.integers(0, 5).map(float), st.integers(1000, 1010).map(float),
    st.integers(2000, 2010).map(float), st.sampled_from([9e6, 9e6 + 1, float("nan"), 3.7, -1.0]),
)  # fmt: skip


@given(told=st.lists(_COUNTS, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_leaping_counts_in_any_chunks_and_as_a_plain_loop(
    told: list[float], cuts: list[int]
) -> None:
    n = len(told)
    columns = _columns(np.zeros(n)) | {"cycle_count": np.array(told)}
    counter, parts = CycleCounter(1.0), []
    for low, high in pairwise([0, *sorted(min(cut, n) for cut in cuts), n]):
        counter = replace(counter)
        parts.append(counter.number({k: v[low:high] for k, v in columns.items()})[1])
    whole = CycleCounter(1.0)
    np.testing.assert_array_equal(np.concatenate(parts), whole.number(columns)[1])
    assert (counter.went_back, counter.leapt) == (whole.went_back, whole.leapt)

    count, first, leapt, out = 0, True, None, []
    for number in told:
        if number >= 0:
            now = int(number)
            agrees = leapt is not None and leapt <= now <= leapt + LEAP_CYCLES
            leaps = not first and now > count + LEAP_CYCLES and not agrees
            leapt, first = now if leaps else None, False
            count = count if leaps else max(count, now)
        out.append(count)
    assert np.concatenate(parts).tolist() == out


@given(place=st.integers(1, 19), bad=st.integers(1200, 10_000_000))
def test_one_bad_count_changes_nothing(place: int, bad: int) -> None:
    columns = _columns(np.zeros(20)) | {"cycle_count": np.arange(20) // 5 + 100.0}
    columns["cycle_count"][place] = np.nan
    expected = assign_cycles(columns, 1.0)
    columns["cycle_count"][place] = bad
    np.testing.assert_array_equal(assign_cycles(columns, 1.0), expected)


def test_a_dropped_row_takes_the_count_before_it() -> None:
    columns = _columns(np.zeros(4)) | {"cycle_count": np.array([5, 9, 6, 7])}
    columns["voltage_volt"] = np.array([3.7, np.nan, 3.7, 3.7])
    assert assign_cycles(columns, 1.0).tolist() == [5, 5, 6, 7]


def test_empty_and_wrong_lengths() -> None:
    assert assign_cycles(_columns([]), 1.0).shape == (0,)
    with pytest.raises(CheckError, match="cycle_count"):
        assign_cycles(_columns(np.zeros(3)) | {"cycle_count": np.zeros(2)}, 1.0)


def test_a_count_that_comes_and_goes_is_refused() -> None:
    counter = CycleCounter(1.0)
    counter.number(_columns([]) | {"cycle_count": np.zeros(0)})  # says nothing yet
    counter.number(_columns([1.0]))
    with pytest.raises(CheckError, match="everywhere or nowhere"):
        counter.number(_columns([1.0]) | {"cycle_count": np.ones(1)})


def test_elapsed_cycles() -> None:
    assert elapsed_cycles(np.array([0, 1, 4])).tolist() == [1.0, 1.0, 3.0]
    assert elapsed_cycles(np.array([5, 6])).tolist() == [5.0, 1.0]
    assert elapsed_cycles(np.array([7, 9]), previous=4).tolist() == [3.0, 2.0]


@given(
    current=st.lists(st.floats(-3, 3, width=32), max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=8),
    nominal=st.floats(0.01, 0.5),
)
def test_chunks_equal_the_whole(current: list[float], cuts: list[int], nominal: float) -> None:
    columns = _columns(current)
    whole = assign_cycles(columns, nominal)
    n = len(current)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    counter, parts = CycleCounter(nominal), []
    for low, high in pairwise(edges):
        counter = replace(counter)  # as if saved and restored between any two chunks
        parts.append(counter.number({k: v[low:high] for k, v in columns.items()})[1])
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(
    current=st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=120),
    cut=st.integers(1, 119),
)
def test_what_comes_later_changes_nothing(current: list[float], cut: int) -> None:
    cut = min(cut, len(current) - 1)
    whole = assign_cycles(_columns(current), 0.05)
    np.testing.assert_array_equal(assign_cycles(_columns(current[:cut]), 0.05), whole[:cut])


@given(current=st.lists(st.floats(-3, 3, width=32), max_size=120))
def test_the_rule_as_a_plain_loop(current: list[float]) -> None:
    """The oracle: one sample after the other, as it would be written on a vehicle."""
    nominal, step = 0.08, 60.0
    count, total, began, before, out = 1, 0.0, 0.0, 0.0, []
    for i, now in enumerate(np.float64(np.float32(current))):
        if total >= began + nominal and now > CHARGE_RATE * nominal:
            count, began = count + 1, total
        total += 0.5 * (max(-now, 0.0) + max(-before, 0.0)) * (step if i else 0.0) / 3600.0
        before = now
        out.append(count)
    assert assign_cycles(_columns(current, step), nominal).tolist() == out


def test_a_count_that_is_no_number_is_refused_and_changes_nothing() -> None:
    counter = CycleCounter(1.0)
    before = repr(counter)
    with pytest.raises(CheckError, match="cycle_count"):
        counter.number(_columns(np.zeros(2)) | {"cycle_count": np.array(["one", "two"])})
    assert repr(counter) == before


def test_a_count_that_goes_back_is_noted() -> None:
    counter = CycleCounter(1.0)
    counter.number(_columns(np.zeros(5)) | {"cycle_count": np.array([1, 2, np.nan, 1, -1])})
    assert counter.went_back == 1
