"""The one table of time-series columns: Battery Data Format names, units and valid ranges.

Names are the machine-readable labels of the Battery Data Format ontology 1.3.0
(https://battery-data-alliance.github.io/battery-data-format/). ``hoop_strain_dimensionless`` is
Fadecast's own: the ontology has no casing strain yet, and a strain must never travel as a pressure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Column:
    """One time-series column: its Battery Data Format name, unit, dtype and valid range."""

    name: str
    unit: str
    dtype: str
    low: float
    high: float
    required: bool
    meaning: str


_TABLE = (
    Column("test_time_second", "s", "float64", 0.0, 3.2e9, True, "time since the test began"),
    Column("voltage_volt", "V", "float32", -10.0, 10.0, True, "cell voltage"),
    Column("current_ampere", "A", "float32", -2000.0, 2000.0, True, "current, charge positive"),
    Column("unix_time_second", "s", "float64", 0.0, 4.2e9, False, "wall-clock time"),
    Column("cycle_count", "1", "int64", 0, 10_000_000, False, "number of the cycle"),
    Column("step_count", "1", "int64", 0, 1_000_000_000, False, "number of the protocol step"),
    Column("surface_temperature_celsius", "°C", "float32", -60.0, 250.0, False, "at the cell"),
    Column("ambient_temperature_celsius", "°C", "float32", -60.0, 250.0, False, "of the chamber"),
    Column("surface_pressure_pa", "Pa", "float32", 0.0, 1e9, False, "measured stack pressure"),
    Column("applied_pressure_pa", "Pa", "float32", 0.0, 1e9, False, "what the fixture is set to"),
    Column("hoop_strain_dimensionless", "1", "float32", -0.2, 0.2, False, "casing hoop strain"),
)

COLUMNS: Final[dict[str, Column]] = {column.name: column for column in _TABLE}
"""Every known time-series column by name."""

REQUIRED: Final[tuple[str, ...]] = tuple(c.name for c in _TABLE if c.required)
"""Columns without which a time series is refused."""
