"""Battery Data Format: every label of the ontology, the legacy ones, every way to write a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.columns import COLUMNS
from fadecast.sources import bdf, read
from tests.sources.cells import spec, write_csv, write_parquet
from tests.sources.made_up import GOOD, N, assert_good, part_of


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("voltage_volt", ("voltage_volt", "V")),
        ("Voltage / V", ("voltage_volt", "V")),
        ("Voltage / mV", ("voltage_volt", "mV")),
        ("voltage_v", ("voltage_volt", "V")),
        ("current_a", ("current_ampere", "A")),
        ("test_time_s", ("test_time_second", "s")),
        ("Test Time / h", ("test_time_second", "h")),
        ("test_time_millisecond", ("test_time_second", "ms")),
        ("unix_time_millisecond", ("unix_time_second", "ms")),
        ("date_time_millisecond", ("unix_time_second", "ms")),
        ("cycle_dimensionless", ("cycle_count", "1")),
        ("cycle_count", ("cycle_count", "1")),
        ("Cycle Count / 1", ("cycle_count", "1")),
        ("step_count", ("step_count", "1")),
        ("Ambient Temperature / degC", ("ambient_temperature_celsius", "°C")),
        ("temperature_t1_celsius", ("surface_temperature_celsius", "°C")),
        ("Surface Pressure / Pa", ("surface_pressure_pa", "Pa")),
        ("applied_pressure_pa", ("applied_pressure_pa", "Pa")),
        ("Cycle Discharging Capacity / Ah", ("discharge", "Ah")),
        ("step_charge_capacity_ah", ("charge", "Ah")),
        ("ambient_pressure_pa", None),
        ("step_index", None),
        ("Voltage / A", None),
        ("Voltage", None),
        ("", None),
    ],
)
def test_labels(label: str, expected: tuple[str, str] | None) -> None:
    assert bdf.parse_label(label) == expected


def test_every_column_is_understood_under_its_own_name() -> None:
    for name in COLUMNS:
        parsed = bdf.parse_label(name)
        assert parsed is not None
        assert parsed[0] == name


@pytest.mark.slow
def test_the_released_library_agrees_on_required_labels() -> None:
    specification = pytest.importorskip("bdf.normalize.spec")
    for label in specification.required_labels():
        assert bdf.parse_label(label) is not None, label
    for name in ("test_time_second", "voltage_volt", "current_ampere", "unix_time_second"):
        assert name in specification.COLUMNS


LEGACY = {
    "Test Time / ms": 1e3 * GOOD["test_time_second"],
    "Voltage / mV": 1e3 * GOOD["voltage_volt"],
    "Current / mA": 1e3 * GOOD["current_ampere"],
    "Cycle Count / 1": GOOD["cycle_count"],
    "Surface Pressure / MPa": GOOD["surface_pressure_pa"] / 1e6,
}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize("table", [GOOD, LEGACY], ids=["names", "labels"])
def test_bdf(tmp_path: Path, write: Any, table: dict[str, Any]) -> None:
    path = tmp_path / ("x.bdf.csv" if write is write_csv else "x.bdf.parquet")
    write(path, table)
    one = part_of(path, "bdf")
    assert_good(one)
    np.testing.assert_allclose(one.columns["surface_pressure_pa"], GOOD["surface_pressure_pa"])
    np.testing.assert_array_equal(one.columns["cycle_count"], GOOD["cycle_count"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_bdf_with_semicolons_and_decimal_commas(tmp_path: Path, encoding: str) -> None:
    rows = zip(GOOD["test_time_second"], GOOD["voltage_volt"], GOOD["current_ampere"], strict=True)
    text = "\n".join(";".join(f"{x:.6f}".replace(".", ",") for x in row) + ";1" for row in rows)
    text = text.replace("0,000000;2,900000;2,000000", "0;2,9;2", 1)
    path = tmp_path / "x.csv"
    path.write_text(f"Test Time / s;Voltage / V;Current / A;Temp / °\n{text}\n", encoding=encoding)
    assert_good(part_of(path, "bdf"))


def test_bdf_of_many_cells(tmp_path: Path) -> None:
    names = np.where(np.arange(N) % 2, "b", "a")
    write_parquet(tmp_path / "fleet.parquet", {"cell_id": names, **GOOD})
    records = read(tmp_path / "fleet.parquet", {c: spec(c) for c in "ab"})
    assert [one.spec.cell_id for one in records] == ["a", "b"]
    assert records[1].samples is not None
    np.testing.assert_allclose(records[1].samples["voltage_volt"], GOOD["voltage_volt"][1::2])


def test_bdf_with_missing_values_and_unknown_columns(tmp_path: Path) -> None:
    pressure = [None, *GOOD["surface_pressure_pa"][1:].tolist()]
    cycles = [*GOOD["cycle_count"][:-1].tolist(), None]
    table = GOOD | {"surface_pressure_pa": pa.array(pressure), "cycle_count": pa.array(cycles)}
    write_parquet(tmp_path / "x.parquet", table | {"colour": ["red"] * N})
    one = part_of(tmp_path / "x.parquet", "bdf")
    assert np.isnan(one.columns["surface_pressure_pa"][0])
    assert one.columns["cycle_count"][-1] == GOOD["cycle_count"][-1]
    assert [f.code for f in one.findings] == ["ignored_columns"]
    assert "colour" in one.findings[0].where


@given(st.text(max_size=40))
def test_any_label_is_parsed_or_not_but_never_breaks(label: str) -> None:
    bdf.parse_label(label)


def test_counters_that_disagree_are_told(tmp_path: Path) -> None:
    hours = np.diff(GOOD["test_time_second"], prepend=0) / 3600
    counted = np.cumsum(np.maximum(GOOD["current_ampere"], 0) * hours)
    for factor, severity in ((1.0, None), (1.2, "warning"), (1e3, "error")):
        write_csv(tmp_path / "x.csv", GOOD | {"charging_capacity_ah": factor * counted})
        found = [f.severity for f in part_of(tmp_path / "x.csv", "bdf").findings]
        assert found == ([severity] if severity else [])
