"""What a cycle summary holds: its fields, their units, and the table of a cell's cycles.

A summary is one row of ``N_FIELDS`` numbers per cycle with a mask of the same shape. Charge is in
units of the nominal capacity, voltage in units of the operating window (0 at its lower end, 1 at
its upper), so cells of different formats share one feature space. A field that was not measured
is masked (``observed`` is False, value 0), never filled in. The arithmetic that turns samples into
these fields stands once, in ``fadecast.network.summary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.errors import CheckError

BINS: Final = 28
"""Voltage nodes of the hat functions, evenly spaced over the window, ends included."""

DIRECTIONS: Final = ("charge", "discharge")
SENSORS: Final = ("temperature", "pressure", "strain")
"""Slow channels beside voltage and current: °C, MPa, 1e-3 of strain."""

_CURVE_UNITS: Final = {
    "capacity": "nominal capacities", "energy": "nominal capacity × voltage_max", "time": "h",
    "temperature": "°C", "pressure": "MPa", "strain": "1e-3",
}  # fmt: skip

_SCALARS: Final = {
    "charge_throughput": "nominal capacities",
    "discharge_throughput": "nominal capacities",
    "charge_energy": "nominal capacity × voltage_max",
    "discharge_energy": "nominal capacity × voltage_max",
    "coulombic_efficiency": "1",
    "energy_efficiency": "1",
    "charge_time": "h",
    "discharge_time": "h",
    "rest_time": "h",
    "gap_time": "h",
    "resistance": "window per C",
    "voltage_lowest": "window",
    "voltage_highest": "window",
    "charge_rate_highest": "C",
    "discharge_rate_highest": "C",
    "top_capacity": "nominal capacities",
    "top_time": "h",
    "top_voltage_mean": "window",
    "top_voltage_std": "window",
    "hold_capacity": "nominal capacities",
    "hold_time": "h",
    "hold_rate_mean": "C",
    "hold_rate_std": "C",
    "relaxation_low": "window",
    "relaxation_high": "window",
    "dip_charge": "window²",
    "dip_discharge": "window²",
}
_SENSOR_SCALARS: Final = ("mean", "lowest", "highest", "swing", "first", "last", "loop")

FIELDS: Final[dict[str, str]] = (
    {
        f"{quantity}.{direction}.{node:02d}": unit
        for quantity, unit in _CURVE_UNITS.items()
        for direction in DIRECTIONS
        for node in range(BINS)
    }
    | _SCALARS
    | {
        f"{sensor}.{what}": _CURVE_UNITS[sensor] + (" × nominal capacity" * (what == "loop"))
        for sensor in SENSORS
        for what in _SENSOR_SCALARS
    }
)
"""Unit of every field, in the order of a summary's columns."""

N_FIELDS: Final = len(FIELDS)
INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(FIELDS)}
"""Column of every field."""


@dataclass(frozen=True, slots=True)
class CycleSummaries:
    """The cycles of one cell, one row each.

    Args:
        cycle_count: ``(n,)`` int64, strictly increasing, ≥ 0; gaps are allowed.
        values: ``(n, N_FIELDS)`` float32, finite, 0 where not observed.
        observed: ``(n, N_FIELDS)`` bool.

    Raises:
        CheckError: shapes differ, the count does not increase, or an observed value is not finite.
    """

    cycle_count: NDArray[np.int64]
    values: NDArray[np.float32]
    observed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = np.asarray(self.cycle_count, np.int64)
        observed = np.asarray(self.observed, bool)
        values = np.asarray(self.values, np.float32)
        shape = (len(count), N_FIELDS)
        if values.shape != shape or observed.shape != shape:
            raise CheckError(
                f"summaries have shapes {values.shape} and {observed.shape}, expected {shape}"
            )
        if len(count) and (count[0] < 0 or np.any(np.diff(count) <= 0)):
            at = int(np.argmax(np.diff(count, prepend=-1) <= 0))
            raise CheckError(
                f"cycle_count does not increase at row {at} ({count[at]})",
                fix="Sort by cycle and remove duplicates",
            )
        bad = observed & ~np.isfinite(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise CheckError(
                f"{list(FIELDS)[column]} is not finite at cycle {count[row]}",
                fix="Mask what was not measured",
            )
        values = np.where(observed, values, np.float32(0))
        for name, array in (("cycle_count", count), ("values", values), ("observed", observed)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_fields(cls, cycle_count: ArrayLike, fields: Mapping[str, ArrayLike]) -> CycleSummaries:
        """From the fields that were measured, each ``(n,)``; NaN or an absent field is masked."""
        unknown = sorted(set(fields) - set(FIELDS))
        if unknown:
            raise CheckError(f"unknown summary fields {unknown[:5]}", fix="See summaries.FIELDS")
        count = np.asarray(cycle_count, np.int64)
        values = np.full((len(count), N_FIELDS), np.nan, np.float32)
        for name, column in fields.items():
            values[:, INDEX[name]] = column
        observed = np.isfinite(values)
        return cls(count, np.where(observed, values, 0), observed)

    def field(self, name: str) -> NDArray[np.float32]:
        """``(n,)`` one field, NaN where it was not observed."""
        column = INDEX[name]
        return np.where(self.observed[:, column], self.values[:, column], np.float32(np.nan))

    def __len__(self) -> int:
        return len(self.cycle_count)

    def __getitem__(self, rows: Any) -> CycleSummaries:
        """The given rows (a slice or a boolean mask)."""
        return CycleSummaries(self.cycle_count[rows], self.values[rows], self.observed[rows])
