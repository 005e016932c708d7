"""Checks: every kind of bad data is found and named; good data, at any scale, is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.checks import check, check_strict, spikes
from fadecast.cell.record import CellMetadata, CellRecord
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import CheckError
from tests.sources.cells import NOMINAL, columns, record, spec

GOOD = columns()


def found(one: CellRecord) -> dict[str, str]:
    return {finding.code: finding.severity for finding in check(one)}


def test_a_good_record_has_no_findings() -> None:
    assert check(record()) == []
    assert check_strict(record()) == []


@settings(deadline=None, max_examples=25)
@given(
    nominal=st.floats(-5, 2.5).map(lambda x: 10.0**x),
    low=st.floats(0.0, 3.0), width=st.floats(0.5, 2.0),
    rate=st.floats(0.05, 5.0),
)  # fmt: skip
def test_good_data_pass_at_any_scale(nominal: float, low: float, width: float, rate: float) -> None:
    data = columns(4)
    data["current_ampere"] = data["current_ampere"] / NOMINAL * nominal * rate
    data["test_time_second"] = data["test_time_second"] / rate
    data["voltage_volt"] = low + width * (data["voltage_volt"] - 2.8) / 1.4
    design = spec(nominal_capacity_ah=nominal, voltage_min_v=low, voltage_max_v=low + width)
    gaps = {"long_gap"}  # at C/20 a sample a minute becomes one in 20 minutes, never an hour
    one = CellRecord(CellMetadata(design, "made-up"), samples=data)
    assert set(found(one)) <= gaps


def with_value(name: str, row: int, value: float) -> np.ndarray:
    out = np.array(GOOD[name], float)
    out[row] = value
    return out


def swapped_rows(name: str, a: int, b: int) -> np.ndarray:
    out = np.array(GOOD[name])
    out[[a, b]] = out[[b, a]]
    return out


N = len(GOOD["voltage_volt"])
UNIX = 1.7e9 + GOOD["test_time_second"]
CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "mA": ({"current_ampere": 1e3 * GOOD["current_ampere"]}, "current_unit", "error", "mA"),
    "ms": ({"test_time_second": 1e3 * GOOD["test_time_second"]}, "time_unit", "error", "ms"),
    "min": (
        {"test_time_second": GOOD["test_time_second"] / 60},
        "charge_too_small", "error", "time in s",
    ),
    "min against the wall clock": (
        {"test_time_second": GOOD["test_time_second"] / 60, "unix_time_second": UNIX},
        "time_unit", "error", "min",
    ),
    "ms against the wall clock": (
        {"test_time_second": 1e3 * GOOD["test_time_second"], "unix_time_second": UNIX},
        "time_unit", "error", "ms",
    ),
    "mV": ({"voltage_volt": 1e3 * GOOD["voltage_volt"]}, "voltage_unit", "error", "mV"),
    "kA": ({"current_ampere": GOOD["current_ampere"] / 1e3}, "charge_too_small", "error", "mAh"),
    "sign": ({"current_ampere": -GOOD["current_ampere"]}, "sign_swapped", "error", "sign"),
    "time back": (
        {"test_time_second": swapped_rows("test_time_second", 40, 41)},
        "time_backwards", "error", "Sort",
    ),
    "time twice": (
        {"test_time_second": with_value("test_time_second", 41, GOOD["test_time_second"][40])},
        "time_duplicate", "warning", "first row",
    ),
    "wall clock back": (
        {"unix_time_second": np.where(np.arange(N) < 300, UNIX, UNIX - 3600)},
        "clock_backwards", "warning", "test time",
    ),
    "a gap": (
        {"test_time_second": GOOD["test_time_second"] + 1e5 * (np.arange(N) > 70)},
        "long_gap", "warning", "missing file",
    ),
    "a few NaN": (
        {"voltage_volt": with_value("voltage_volt", 7, np.nan)},
        "not_finite", "warning", "left out",
    ),
    "infinite current": (
        {"current_ampere": with_value("current_ampere", 7, np.inf)},
        "not_finite", "warning", "left out",
    ),
    "many NaN": (
        {"voltage_volt": np.where(np.arange(N) % 3, GOOD["voltage_volt"], np.nan)},
        "not_finite", "error", "export",
    ),
    "no reading at all": (
        {"surface_pressure_pa": np.full(N, np.nan)}, "empty_channel", "note", "Leave it out",
    ),
    "a wild sensor": (
        {"surface_temperature_celsius": with_value("surface_temperature_celsius", 3, -2500.0)},
        "out_of_range", "warning", "-60",
    ),
    "a wild voltage": (
        {"voltage_volt": with_value("voltage_volt", 3, 99.0)}, "out_of_range", "warning", "10 V",
    ),
    "a stuck sensor": (
        {"surface_pressure_pa": np.full(N, 5e6)}, "stuck_channel", "warning", "no sensor",
    ),
    "stuck voltage": (
        {"voltage_volt": np.full(N, 3.7)}, "stuck_channel", "error", "sense",
    ),
    "strain gauge off": (
        {"hoop_strain_dimensionless": np.linspace(0, 0.05, N)},
        "implausible_strain", "warning", "come off",
    ),
    "no current": (
        {"current_ampere": np.zeros(N)}, "no_current", "warning", "rests",
    ),
    "another window": (
        {"voltage_volt": GOOD["voltage_volt"] - 1.5}, "outside_window", "warning", "voltage_min_v",
    ),
    "cycle count back": (
        {"cycle_count": swapped_rows("cycle_count", 5, 500)},
        "cycle_count_backwards", "error", "continued",
    ),
    "step count back": (
        {"step_count": np.arange(N) % 50}, "step_count_backwards", "warning", "continued",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_data_are_found(case: str) -> None:
    changes, code, severity, word = CASES[case]
    findings = {finding.code: finding for finding in check(record(**changes))}
    assert code in findings, findings
    finding = findings[code]
    assert finding.severity == severity
    assert word in f"{finding.what} {finding.fix}"
    assert finding.where
    if severity == "error":
        with pytest.raises(CheckError) as caught:
            check_strict(record(**changes))
        assert code in {finding.code for finding in caught.value.findings}
        assert "cell-1" in str(caught.value)
        assert caught.value.fix
    else:
        assert all(one.severity != "error" for one in check_strict(record(**changes)))


def test_no_samples() -> None:
    empty = record(**{name: values[:0] for name, values in GOOD.items()})
    assert found(empty) == {"no_samples": "error"}


def test_a_single_sample_breaks_nothing() -> None:
    single = record(**{name: values[:1] for name, values in GOOD.items()})
    assert found(single)["single_cycle"] == "warning"


def test_only_nan_breaks_nothing() -> None:
    nothing = record(**{name: np.full(N, np.nan) for name in GOOD if name != "cycle_count"})
    assert found(nothing)["not_finite"] == "error"


def test_a_cell_with_one_cycle() -> None:
    assert found(record(cycles=1)) == {"single_cycle": "warning"}


def test_a_short_discharge_stands_out() -> None:
    half = columns(8)
    inside = (half["cycle_count"] == 5) & (half["current_ampere"] < 0)
    half["current_ampere"] = np.where(inside, 0.5, 1.0) * half["current_ampere"]
    findings = check(CellRecord(CellMetadata(spec(), "made-up"), samples=half))
    assert [(f.code, f.where) for f in findings] == [("capacity_outlier", "cycles 5")]


def test_a_cell_that_died_is_still_a_record() -> None:
    """Open circuit for the last third: voltage falls to 0, no charge moves; nothing is refused."""
    data = columns(12)
    dead = data["cycle_count"] > 8
    data["voltage_volt"] = np.where(dead, 0.01, data["voltage_volt"])
    data["current_ampere"] = np.where(dead, 0.0, data["current_ampere"])
    one = CellRecord(CellMetadata(spec(), "made-up"), samples=data)
    assert "error" not in found(one).values()


def summaries(throughput: list[float]) -> CellRecord:
    table = CycleSummaries.from_fields(
        np.arange(len(throughput)), {"discharge_throughput": throughput}
    )
    return CellRecord(CellMetadata(spec(), "made-up"), summaries=table)


@pytest.mark.parametrize(
    ("throughput", "expected"),
    [
        ([1.0, 0.99, 0.98, 0.97], {}),
        ([], {"no_cycles": "error"}),
        ([1.0], {"single_cycle": "warning"}),
        ([1000.0, 990.0, 980.0], {"capacity_unit": "error"}),
        ([0.001, 0.00099], {"capacity_unit": "error"}),
        ([float("nan")] * 3, {"no_capacity": "warning"}),
        ([1.0, 0.99, 0.98, 0.97, 28.0, 0.96], {"capacity_outlier": "warning"}),
    ],
)
def test_summaries(throughput: list[float], expected: dict[str, str]) -> None:
    assert found(summaries(throughput)) == expected


def test_spikes_are_found_and_a_new_level_is_accepted() -> None:
    fade = [1.0, 0.99, 0.98, 0.97]
    assert np.flatnonzero(spikes([*fade, 30.0, 0.96, 0.2, 0.95])).tolist() == [4, 6]
    assert np.flatnonzero(spikes([*fade, 0.8, 0.8, 0.8, 0.8])).tolist() == [4, 5]
    assert not spikes([np.nan] * 5).any()
    assert not spikes([]).any()


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 3.0) | st.just(float("nan")), max_size=40), st.integers(0, 40))
def test_spikes_look_only_back(values: list[float], cut: int) -> None:
    assert spikes(values)[:cut].tolist() == spikes(values[:cut]).tolist()


def test_a_slow_fade_is_no_spike() -> None:
    assert not spikes(np.linspace(1.0, 0.5, 800)).any()
