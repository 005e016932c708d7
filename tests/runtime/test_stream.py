"""The laws of a stream: in any chunks, saved anywhere, alone or in a fleet, the same forecasts."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.summaries import N_FIELDS, CycleSummaries
from fadecast.errors import BundleError, CheckError, ReadError
from fadecast.forecast.forecast import Forecasts
from fadecast.runtime import Session, Stream
from fadecast.runtime.fleet import Fleet
from fadecast.runtime.golden import OUTPUTS, worst_error
from fadecast.runtime.npz import dump, load
from fadecast.runtime.summarise import summarise_samples
from tests.bundles import made_up_columns, made_up_spec

SPEC = made_up_spec()
COLUMNS = made_up_columns(8)
ROWS = len(COLUMNS["test_time_second"])


def rows(low: int, high: int) -> dict[str, np.ndarray]:
    return {name: column[low:high] for name, column in COLUMNS.items()}


def same(found: Sequence[Forecasts], expected: Sequence[Forecasts], tolerance: float) -> None:
    assert [f.cycle_count.tolist() for f in found] == [f.cycle_count.tolist() for f in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name in OUTPUTS:
            assert worst_error(getattr(ours, name), getattr(theirs, name)) <= tolerance, name


@pytest.fixture(scope="module")
def whole(session: Session) -> list[Forecasts]:
    stream = session.stream(SPEC)
    return stream.push(COLUMNS) + stream.close()


def test_one_forecast_a_cycle(whole: list[Forecasts]) -> None:
    assert [int(f.cycle_count[0]) for f in whole] == list(range(1, 9))
    for f in whole:
        assert len(f) == 1
        assert f.valid.all()
        assert (np.diff(f.rul, axis=1) >= 0).all()
        assert ((f.risk >= 0) & (f.risk <= 1)).all()
        assert 0.9 < f.soh[0] < 1.3


def test_a_forecast_comes_when_the_next_cycle_begins(session: Session) -> None:
    stream, closed = session.stream(SPEC), []
    for row in range(400):
        closed += [(row, f) for f in stream.push(rows(row, row + 1))]
    counter = Fleet(session)
    chunk = counter.number(counter.add(SPEC), rows(0, 400))
    assert chunk is not None
    changes = np.flatnonzero(np.diff(chunk.cycle_count)) + 1
    assert [row for row, _ in closed] == changes.tolist()
    assert len(closed) >= 2


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=12))
def test_chunks_equal_the_whole(session: Session, whole: list[Forecasts], cuts: list[int]) -> None:
    stream, found = session.stream(SPEC), []
    for low, high in pairwise([0, *sorted(cuts), ROWS]):
        found += stream.push(rows(low, high))
    same(found + stream.close(), whole, 1e-5)


@settings(max_examples=15, deadline=None)
@given(at=st.integers(0, ROWS))
def test_saved_and_restored_anywhere_it_goes_on_identically(session: Session, at: int) -> None:
    stream = session.stream(SPEC)
    stream.push(rows(0, at))
    restored = session.restore(stream.save())
    same(
        restored.push(rows(at, ROWS)) + restored.close(),
        stream.push(rows(at, ROWS)) + stream.close(),
        0.0,
    )
    assert restored.spec == stream.spec


@settings(max_examples=15, deadline=None)
@given(at=st.integers(1, ROWS))
def test_what_comes_later_changes_nothing(
    session: Session, whole: list[Forecasts], at: int
) -> None:
    found = session.stream(SPEC).push(rows(0, at))
    same(found, whole[: len(found)], 1e-5)


def test_summaries_give_the_forecasts_of_their_samples(
    session: Session, whole: list[Forecasts]
) -> None:
    summaries = summarise_samples(session, COLUMNS, SPEC)
    assert len(summaries) == len(whole)
    at_once = session.stream(SPEC).push_summary(summaries)
    same([at_once[i : i + 1] for i in range(len(whole))], whole, 1e-5)
    stream = session.stream(SPEC)
    one_by_one = [stream.push_summary(summaries[i : i + 1]) for i in range(len(whole))]
    same(one_by_one, whole, 1e-5)


def test_a_fleet_gives_each_cell_its_own_stream(session: Session) -> None:
    specs = [made_up_spec(f"cell-{i}", nominal_capacity_ah=1.0 + 0.2 * i) for i in range(7)]
    series = [
        made_up_columns(2 + i, nominal_capacity_ah=spec.nominal_capacity_ah, seed=i)
        for i, spec in enumerate(specs)
    ]
    fleet = Fleet(session)
    lanes = [fleet.add(spec) for spec in specs]
    rng, at = np.random.default_rng(0), [0] * 7
    found: dict[int, list[Forecasts]] = {lane: [] for lane in lanes}

    def collect() -> None:
        lane, forecasts = fleet.forecasts()
        assert (np.diff(lane) >= 0).all()
        for row, one in enumerate(lane):
            found[int(one)].append(forecasts[row : row + 1])

    while any(at[i] < len(series[i]["test_time_second"]) for i in range(7)):
        chunks = []
        for lane in rng.permutation(7)[: rng.integers(1, 8)]:
            step = int(rng.integers(1, 400))
            part = slice(at[lane], at[lane] + step)
            chunk = fleet.number(lane, {k: v[part] for k, v in series[lane].items()})
            at[lane] += step
            chunks += [chunk] if chunk else []
        fleet.push(chunks)
        if rng.random() < 0.3:
            collect()
    fleet.close()
    collect()
    for lane, spec in enumerate(specs):
        stream = session.stream(spec)
        same(found[lane], stream.push(series[lane]) + stream.close(), 1e-5)


def test_unusable_rows_are_dropped_and_counted(session: Session, whole: list[Forecasts]) -> None:
    dirty = {name: np.repeat(column, 2) for name, column in COLUMNS.items()}  # each time twice
    dirty["voltage_volt"][1::2] = np.nan
    stream = session.stream(SPEC)
    found = stream.push(dirty)
    found += stream.push(rows(0, 100)) + stream.close()  # and the first hundred once more
    same(found, whole, 1e-5)
    assert stream.dropped == ROWS + 100


def test_a_cycle_without_charge_is_not_valid_and_breaks_nothing(session: Session) -> None:
    columns = made_up_columns(6)
    count = np.arange(ROWS := len(columns["voltage_volt"])) * 6 // ROWS
    columns["current_ampere"][count == 2] = 0.0  # open circuit
    columns["cycle_count"] = count
    stream = session.stream(SPEC)
    found = stream.push(columns) + stream.close()
    assert [bool(f.valid[0]) for f in found] == [True, True, False, True, True, True]
    np.testing.assert_array_equal(found[2].rul, found[1].rul)
    assert all(np.isfinite(getattr(f, name)).all() for f in found for name in OUTPUTS)


def test_recorded_cycle_counts_with_gaps(session: Session) -> None:
    columns = made_up_columns(4)
    n = len(columns["voltage_volt"])
    columns["cycle_count"] = np.array([3, 4, 9, 10])[np.arange(n) * 4 // n]
    stream = session.stream(SPEC)
    found = stream.push(columns) + stream.close()
    assert [int(f.cycle_count[0]) for f in found] == [3, 4, 9, 10]


def test_samples_after_close_begin_a_later_cycle(session: Session) -> None:
    stream = session.stream(SPEC)
    stream.push(rows(0, 100))
    assert [int(f.cycle_count[0]) for f in stream.close()] == [1]
    assert stream.close() == []
    stream.push(rows(100, 150))
    assert [int(f.cycle_count[0]) for f in stream.close()] == [2]


def test_summaries_must_rise_and_not_cut_into_an_open_cycle(session: Session) -> None:
    summaries = summarise_samples(session, COLUMNS, SPEC)
    stream = session.stream(SPEC)
    stream.push_summary(summaries[:3])
    with pytest.raises(CheckError, match="cycle 3"):
        stream.push_summary(summaries[2:4])
    assert stream.push_summary(summaries[3:4]).cycle_count.tolist() == [4]
    assert len(stream.push_summary(summaries[:0])) == 0
    stream.push(rows(0, 10))
    with pytest.raises(CheckError, match="open"):
        stream.push_summary(summaries[4:5])
    assert stream.close()[0].cycle_count.tolist() == [5]


def test_nothing_at_all(session: Session) -> None:
    stream = session.stream(SPEC)
    assert stream.push(rows(0, 0)) == []
    assert stream.close() == []
    empty = CycleSummaries(np.zeros(0), np.zeros((0, N_FIELDS)), np.zeros((0, N_FIELDS)))
    assert len(stream.push_summary(empty)) == 0
    assert len(summarise_samples(session, rows(0, 0), SPEC)) == 0


def test_a_refused_push_leaves_the_stream_as_it_was(session: Session) -> None:
    stream = session.stream(SPEC)
    stream.push(rows(0, 50))
    before = stream.save()
    bad = rows(50, 60)
    del bad["current_ampere"]
    counts = np.arange(10), np.array(["one"] * 10)
    for columns in (bad, *(rows(50, 60) | {"cycle_count": count} for count in counts)):
        with pytest.raises(CheckError):
            stream.push(columns)
    assert stream.save() == before


def test_inputs_are_not_changed(session: Session) -> None:
    columns = copy.deepcopy(COLUMNS)
    session.stream(SPEC).push(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, COLUMNS[name])


def _saved(session: Session) -> bytes:
    stream = session.stream(SPEC)
    stream.push(rows(0, 200))
    return stream.save()


def test_a_state_of_another_bundle_is_refused(session: Session) -> None:
    arrays = load(_saved(session))
    header = arrays["header"].tobytes().replace(session.fingerprint.encode(), b"0" * 64)
    with pytest.raises(BundleError, match="000000000000"):
        session.restore(dump(arrays | {"header": np.frombuffer(header, np.uint8)}))


def test_a_state_of_another_version_is_refused_as_such(session: Session) -> None:
    arrays = load(_saved(session))
    header = json.loads(arrays["header"].tobytes())
    header["version"] -= 1
    del header["counter"]["leapt"]  # as older ones are
    altered = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with pytest.raises(ReadError, match="another format version"):
        session.restore(dump(arrays | {"header": altered}))


def test_saved_in_the_middle_of_a_leap(session: Session) -> None:
    columns = made_up_columns(5)
    n = len(columns["test_time_second"])
    columns["cycle_count"] = np.arange(n) * 5 // n + 1.0
    columns["cycle_count"][n // 2 :] += 3000
    columns["test_time_second"][n // 3 :] += 60 * 86400.0
    columns["test_time_second"][n // 4] = 3e9
    stream = session.stream(SPEC)
    whole = stream.push(columns) + stream.close()
    assert stream.faults.dropped == (0, 0, 2, 0, 0)
    stream, found = session.stream(SPEC), []
    cuts = sorted(at + k for at in (n // 2, n // 3, n // 4) for k in (0, 1, 2))
    for low, high in pairwise([0, *cuts, n]):
        stream = session.restore(stream.save())
        found += stream.push({name: column[low:high] for name, column in columns.items()})
    same(found + stream.close(), whole, 1e-5)
    assert stream.faults.dropped == (0, 0, 2, 0, 0)


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_damaged_state_is_refused_or_the_same(session: Session, where: float, bit: int) -> None:
    saved = _saved(session)
    data = bytearray(saved)
    data[int(where * (len(data) - 1))] ^= 1 << bit
    try:
        restored = session.restore(bytes(data))
    except (ReadError, BundleError):
        return
    assert load(restored.save()).keys() == load(saved).keys()
    for name, array in load(saved).items():  # a byte that says nothing, such as a file's date
        np.testing.assert_array_equal(load(restored.save())[name], array)


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x80\x04K\x01.", b"x" * 1000])
def test_bytes_that_are_no_state(session: Session, data: bytes) -> None:
    with pytest.raises(ReadError):
        session.restore(data)


def test_a_state_with_wrong_arrays(session: Session) -> None:
    arrays = load(_saved(session))
    memory = arrays["memory"]
    for wrong in (memory[:, 1:], memory.astype(float), memory * np.nan):
        with pytest.raises(ReadError, match="memory"):
            session.restore(dump(arrays | {"memory": wrong}))
    del arrays["last_cycle"]
    with pytest.raises(ReadError, match="last_cycle"):
        session.restore(dump(arrays))


def test_a_state_is_small(session: Session) -> None:
    assert len(_saved(session)) < 16_000
    assert isinstance(session.restore(_saved(session)), Stream)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": float("nan")}, {"count": 1.5}, {"count": -5}, {"count": 10**30},
        {"nominal_capacity_ah": -1.0}, {"discharged_ah": float("inf")}, {"recorded": 7},
        {"given": 1}, {"leapt": -1}, {"leapt": 10**8}, {"leapt": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_with_an_impossible_counter(session: Session, changes: dict[str, object]) -> None:
    arrays = load(_saved(session))
    header = json.loads(arrays["header"].tobytes())
    header["counter"] |= changes
    altered = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with pytest.raises(ReadError, match="counter"):
        session.restore(dump(arrays | {"header": altered}))


@pytest.mark.parametrize(
    "changes",
    [
        {"dropped": [-1, 0, 0, 0, 0]}, {"dropped": [0] * 4}, {"leapt_second": "far"},
        {"dropped": 3}, {"masked": [True, 0, 0]},
        {"gaps": None}, {"gaps": 0.5}, {"last_second": "soon"}, {"discharged_second": None},
        {"reading": [float("inf")] * 4}, {"changed_second": [None] * 4},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_with_an_impossible_screen(session: Session, changes: dict[str, object]) -> None:
    arrays = load(_saved(session))
    header = json.loads(arrays["header"].tobytes())
    header["counter"]["screen"] |= changes
    altered = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with pytest.raises(ReadError, match="counter"):
        session.restore(dump(arrays | {"header": altered}))
