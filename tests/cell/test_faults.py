"""Every fault of a sensor or clock: what becomes of the rows, how it is counted, in any chunks."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from fadecast.cell.faults import GAP_SECOND, JUMP, LEAP_SECOND, ROW_FAULTS, STUCK_SECOND
from fadecast.cell.samples import BEGIN, OBSERVED, Samples, to_samples

PRESSURE = OBSERVED.index("surface_pressure_pa")


def columns(n: int = 40, step: float = 10.0, **changes: object) -> dict[str, np.ndarray]:
    wave = 0.01 * np.sin(np.arange(n))
    out = {
        "test_time_second": np.arange(n) * step,
        "voltage_volt": 3.7 + wave,
        "current_ampere": np.full(n, -1.0),
        "surface_temperature_celsius": 25 + wave,
        "surface_pressure_pa": 5e6 * (1 + wave),
    }
    return out | {name: np.asarray(value, float) for name, value in changes.items()}


def faults(samples: Samples) -> dict[str, int]:
    return {k: v for k, v in zip(ROW_FAULTS, samples.screen.dropped, strict=True) if v}


def test_a_sound_record_has_none() -> None:
    samples = to_samples(columns())
    assert faults(samples) == {}
    assert samples.screen.masked == (0, 0, 0)
    assert samples.screen.gaps == 0


def test_a_voltage_spike_costs_itself_and_the_way_back() -> None:
    rows = columns()
    rows["voltage_volt"][20] += 1.5 * JUMP[0]
    samples = to_samples(rows)
    assert faults(samples) == {"spiking": 2}
    assert np.flatnonzero(~samples.kept).tolist() == [20, 21]
    assert samples.values[20, 0] == 30.0  # the time across it is kept


def test_a_step_of_the_pressure_costs_one_reading_and_a_slow_rise_none() -> None:
    rows = columns()
    rows["surface_pressure_pa"][20:] += 2 * JUMP[2]
    assert to_samples(rows).screen.masked == (0, 1, 0)
    assert to_samples(rows | {"test_time_second": np.arange(40) * 60.0}).screen.masked == (0, 0, 0)


def test_a_pressure_sensor_that_dies_is_masked_until_it_moves() -> None:
    step = 600.0
    dead = columns(120, step)
    dead["surface_pressure_pa"][10:100] = 4.2e6
    samples = to_samples(dead)
    masked = np.flatnonzero(samples.observed[:, PRESSURE] == 0)
    assert masked.tolist() == list(range(10 + round(STUCK_SECOND / step), 100))
    assert samples.screen.masked == (0, len(masked), 0)
    assert len(samples) == 120


def test_a_pressure_sensor_that_goes_silent_or_is_missing() -> None:
    rows = columns()
    rows["surface_pressure_pa"][15:] = np.nan
    assert to_samples(rows).screen.masked == (0, 25, 0)
    del rows["surface_pressure_pa"]
    samples = to_samples(rows)
    assert samples.screen.masked == (0, 0, 0)
    assert not samples.observed[:, PRESSURE].any()


def test_a_stuck_voltage_drops_rows_but_a_rest_or_a_hold_does_not() -> None:
    stuck = columns(120, 600.0, voltage_volt=np.full(120, 3.7))
    assert faults(to_samples(stuck)) == {"stuck": 120 - round(STUCK_SECOND / 600.0)}
    for current in (0.0, 1.0):
        assert faults(to_samples(stuck | {"current_ampere": np.full(120, current)})) == {}


def test_a_gap_of_hours_is_counted_and_holds_nothing() -> None:
    rows = columns()
    rows["test_time_second"][20:] += 2 * GAP_SECOND
    samples = to_samples(rows)
    assert samples.screen.gaps == 1
    assert samples.screen.discharged_second == 380.0
    assert faults(samples) == {}


def test_a_clock_set_back_drops_rows_until_it_has_caught_up() -> None:
    rows = columns()
    rows["test_time_second"][20:] -= 100.0
    samples = to_samples(rows)
    assert faults(samples) == {"late": 10}
    assert (samples.values[1:, 0] > 0).all()


def test_a_true_rest_of_two_months_costs_one_row() -> None:
    rows = columns()
    rows["test_time_second"][20:] += 60 * 86400.0
    samples = to_samples(rows)
    assert faults(samples) == {"leaping": 1}
    assert np.flatnonzero(~samples.kept).tolist() == [20]
    assert samples.values[20, 0] == np.float32(60 * 86400.0 + 20.0)  # the next spans it
    assert samples.screen.gaps == 1


def test_a_rest_of_a_month_costs_none() -> None:
    rows = columns()
    rows["test_time_second"][20:] += LEAP_SECOND - 10.0
    assert faults(to_samples(rows)) == {}


def test_a_first_time_that_is_wrong_costs_the_row_after_it() -> None:
    rows = columns()
    rows["test_time_second"][0] = 3e9
    samples = to_samples(rows)
    assert faults(samples) == {"leaping": 1}
    assert samples.values[:4, 0].tolist() == [0.0, 0.0, 10.0, 10.0]
    assert samples.screen.latest_second == 390.0


@given(
    place=st.integers(1, 39),
    bad=st.one_of(
        st.floats(1e6 + 391 + LEAP_SECOND, 3.2e9), st.floats(0, 1e6 - 1), st.just(float("nan"))
    ),
    begin=st.sampled_from([0.0, 1e6]),
)
@example(place=39, bad=3e9, begin=0.0)
def test_one_bad_time_costs_its_row_and_nothing_else(place: int, bad: float, begin: float) -> None:
    rows = columns(test_time_second=columns()["test_time_second"] + begin)
    expected = to_samples({name: np.delete(column, place) for name, column in rows.items()})
    bad = -1.0 if begin == 0 and bad < 1e6 else bad  # nothing lies before 0
    rows["test_time_second"][place] = bad
    found = to_samples(rows)
    assert sum(found.screen.dropped) == 1
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.observed, expected.observed)
    assert found.screen.latest_second == expected.screen.latest_second


def test_not_finite_and_out_of_range() -> None:
    rows = columns()
    rows["voltage_volt"][3], rows["current_ampere"][5] = np.nan, np.inf
    rows["test_time_second"][7], rows["surface_temperature_celsius"][9] = -1.0, 999.0
    samples = to_samples(rows)
    assert faults(samples) == {"unusable": 3}
    assert samples.screen.masked == (1, 0, 0)


def in_chunks(rows: dict[str, np.ndarray], cuts: list[int]) -> Samples:
    """The samples of the whole, after those of its chunks were found to be the same."""
    n = len(rows["test_time_second"])
    whole, screen, parts = to_samples(rows), BEGIN, []
    for low, high in pairwise([0, *sorted(min(cut, n) for cut in cuts), n]):
        parts.append(to_samples({k: v[low:high] for k, v in rows.items()}, screen=screen))
        screen = parts[-1].screen
    for name in ("values", "observed", "kept"):
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, name))
    np.testing.assert_equal(asdict(screen), asdict(whole.screen))
    return whole


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_chunks_equal_the_whole_whatever_is_wrong(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    n = 300
    rows = columns(n, 900.0)
    rows["current_ampere"] = rng.choice([-1.0, 0.0, 1.0], n)
    rows["test_time_second"] += rng.choice([0.0, 0.0, 0.0, -2000.0, 5000.0], n).cumsum()
    rows["test_time_second"][rng.integers(0, n, 30)] *= rng.choice([1.0, 0.5])
    for name, jump in zip(list(rows)[1:2] + list(rows)[3:], JUMP, strict=False):
        rows[name] = np.repeat(rows[name][::10], 10)
        rows[name][rng.integers(0, n, 10)] += 2 * jump
        rows[name][rng.integers(0, n, 10)] = np.nan
    rows["test_time_second"][::2] = rows["test_time_second"][::2] - 890.0
    in_chunks(rows, cuts)


_STEPS = st.sampled_from(
    [10.0, 10.0, 60.0, 0.0, -30.0, -2 * LEAP_SECOND, LEAP_SECOND, LEAP_SECOND + 1, 3 * LEAP_SECOND]
)


@given(
    steps=st.lists(_STEPS, max_size=40),
    begin=st.sampled_from([0.0, 1e9]),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_leaps_in_any_chunks_and_as_a_plain_loop(
    steps: list[float], begin: float, cuts: list[int]
) -> None:
    """The oracle judges one time after the other, as on a vehicle."""
    time = begin + np.cumsum([0.0, *steps])
    n = len(time)
    rows = columns(n, test_time_second=time)
    whole = in_chunks(rows, cuts)

    latest: list[float] = []
    leapt, good = None, []
    for now in time.tolist():
        before, leapt = leapt, None
        if not 0 <= now <= 3.2e9:
            good.append(False)
            leapt = before
            continue
        agrees = before is not None and 0 < now - before <= LEAP_SECOND
        far = bool(latest) and (
            now - latest[-1] > LEAP_SECOND or (len(latest) == 1 and latest[-1] - now > LEAP_SECOND)
        )
        leapt = now if far and not agrees else None
        good.append(agrees or not latest or (not far and now > latest[-1]))
        latest += [now] * good[-1]
    assert whole.kept.tolist() == good
    assert (whole.values[:, 0] >= 0).all()
