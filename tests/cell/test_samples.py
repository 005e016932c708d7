"""Which rows become samples, and that chunks give the samples of the whole."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.samples import BEGIN, CHANNELS, OBSERVED, to_samples
from fadecast.errors import CheckError


def _columns(n: int = 5, **changes: object) -> dict[str, np.ndarray]:
    columns: dict[str, object] = {
        "test_time_second": np.arange(n) * 10.0,
        "voltage_volt": np.full(n, 3.7),
        "current_ampere": np.full(n, -1.0),
    }
    return {name: np.asarray(column) for name, column in (columns | changes).items()}


def test_a_plain_series() -> None:
    samples = to_samples(_columns(3))
    assert samples.values.shape == (3, len(CHANNELS))
    assert samples.values.dtype == samples.observed.dtype == np.float32
    assert samples.values[:, 0].tolist() == [0.0, 10.0, 10.0]
    assert samples.observed.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 3
    assert samples.dropped == 0
    assert samples.screen.last_second == 20.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_time_second", np.nan), ("test_time_second", -1.0), ("test_time_second", 1e12),
        ("voltage_volt", np.nan), ("voltage_volt", 3700.0), ("voltage_volt", -np.inf),
        ("current_ampere", np.inf), ("current_ampere", 1e6),
    ],
)  # fmt: skip
def test_an_unusable_row_is_dropped_and_the_time_across_it_kept(name: str, value: float) -> None:
    columns = _columns(4)
    columns[name] = columns[name].astype(float)
    columns[name][1] = value
    samples = to_samples(columns)
    assert samples.kept.tolist() == [True, False, True, True]
    assert samples.dropped == 1
    assert samples.values[:, 0].tolist() == [0.0, 20.0, 10.0]


def test_duplicate_and_backward_times_are_dropped() -> None:
    samples = to_samples(_columns(6, test_time_second=[0.0, 10.0, 10.0, 5.0, 10.5, 11.0]))
    assert samples.kept.tolist() == [True, True, False, False, True, True]


def test_a_sensor_out_of_range_is_masked_and_the_row_stays() -> None:
    pressure = [1e6, np.nan, 2e12, -5.0, 0.0]
    samples = to_samples(_columns(surface_pressure_pa=pressure))
    column = OBSERVED.index("surface_pressure_pa")
    assert samples.observed[:, column].tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert samples.values[:, CHANNELS.index("surface_pressure_pa")].tolist() == [1e6, 0, 0, 0, 0]
    assert samples.dropped == 0


def test_late_times_keep_their_resolution() -> None:
    late = 1e9 + np.arange(5) * 0.125  # float32 would step by 64 s here
    assert to_samples(_columns(test_time_second=late)).values[1:, 0].tolist() == [0.125] * 4


@pytest.mark.parametrize("missing", ["test_time_second", "voltage_volt", "current_ampere"])
def test_a_missing_column_is_named(missing: str) -> None:
    columns = _columns()
    del columns[missing]
    with pytest.raises(CheckError, match=missing):
        to_samples(columns)


def test_lengths_text_and_shapes_are_refused() -> None:
    with pytest.raises(CheckError, match="length"):
        to_samples(_columns(voltage_volt=np.ones(4)))
    with pytest.raises(CheckError, match="voltage_volt"):
        to_samples(_columns(voltage_volt=["3,7"] * 5))
    with pytest.raises(CheckError, match="one dimension"):
        to_samples(_columns(voltage_volt=np.ones((5, 1))))


def test_nothing_in_nothing_out() -> None:
    before = to_samples(_columns(3)).screen
    samples = to_samples(_columns(0), screen=before)
    assert len(samples) == 0
    assert samples.screen == before


_TIMES = st.lists(st.one_of(st.integers(0, 60).map(float), st.just(float("nan"))), max_size=40)


@given(times=_TIMES, cuts=st.lists(st.integers(0, 40), max_size=6), seed=st.integers(0, 99))
def test_chunks_equal_the_whole(times: list[float], cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(times)
    columns = _columns(
        n,
        test_time_second=np.array(times, float),
        voltage_volt=rng.choice([3.5, 3.6, np.nan], n),
        surface_temperature_celsius=rng.choice([25.0, np.nan, 999.0], n),
    )
    whole = to_samples(columns)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    screen, parts = BEGIN, []
    for low, high in pairwise(edges):
        part = to_samples({k: v[low:high] for k, v in columns.items()}, screen=screen)
        screen = part.screen
        parts.append(part)
    for name in ("values", "observed", "kept"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name)
        )
    np.testing.assert_equal(asdict(screen), asdict(whole.screen))
