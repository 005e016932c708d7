"""From time-series columns to the samples that enter a cycle summary.

This is the one place where a raw row is judged usable. Absolute time never goes further than this:
float32 could not hold it, so a sample carries the time that has passed since the sample before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.errors import CheckError

SENSOR_COLUMNS: Final = (
    "surface_temperature_celsius", "surface_pressure_pa", "hoop_strain_dimensionless",
)  # fmt: skip
CHANNELS: Final = ("duration_second", "voltage_volt", "current_ampere", *SENSOR_COLUMNS)
"""Columns of ``Samples.values``; ``duration_second`` is the time since the previous sample."""

OBSERVED: Final = ("sample", *SENSOR_COLUMNS)
"""Columns of ``Samples.observed``."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The usable samples of one cell, in time order.

    Args:
        values: ``(n, len(CHANNELS))`` float32, finite; 0 where a sensor was not observed.
        observed: ``(n, len(OBSERVED))`` float32 of 0 and 1; column 0 is 1 (padding would be 0).
        kept: ``(n_rows,)`` bool, which of the given rows the ``n`` samples are.
        last_second: time of the last sample so far, NaN if there was none; hand it to the next
            ``to_samples`` of the same cell.
    """

    values: NDArray[np.float32]
    observed: NDArray[np.float32]
    kept: NDArray[np.bool_]
    last_second: float

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dropped(self) -> int:
        """How many of the given rows were not usable."""
        return len(self.kept) - len(self.values)


def to_samples(
    columns: Mapping[str, NDArray[Any]], *, previous_second: float = float("nan")
) -> Samples:
    """The usable rows of ``columns`` as samples.

    A row is dropped if its time, voltage or current is not finite or out of the range of
    ``cell.columns.COLUMNS``, or if its time is not later than every row kept before it (a
    duplicate, or a clock that went back). A sensor reading that is not finite or out of range is
    masked and the row stays. Rows may come in any chunks: pass the previous chunk's
    ``last_second`` and the samples are those of the whole.

    Args:
        columns: time-series columns by name, each ``(n_rows,)``; others than time, voltage,
            current and ``SENSOR_COLUMNS`` are not looked at; a sensor may be absent.
        previous_second: ``Samples.last_second`` of the chunk before, NaN at the start. The very
            first sample of a cell has duration 0.

    Raises:
        CheckError: a required column is missing, not numeric, or lengths differ.
    """
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CheckError(
            f"columns {', '.join(missing)} are missing",
            fix=f"Every time series needs {', '.join(REQUIRED)}",
        )
    names = [*REQUIRED, *(name for name in SENSOR_COLUMNS if name in columns)]
    rows = {name: to_numbers(name, columns[name]) for name in names}
    if len({len(column) for column in rows.values()}) > 1:
        lengths = {name: len(column) for name, column in rows.items()}
        raise CheckError(f"columns differ in length: {lengths}")

    time, voltage, current = (rows[name] for name in REQUIRED)
    usable = _in_range(REQUIRED[0], time) & _in_range(REQUIRED[1], voltage)
    usable &= _in_range(REQUIRED[2], current)
    start = -np.inf if np.isnan(previous_second) else previous_second
    latest = np.maximum.accumulate(np.concatenate([[start], np.where(usable, time, -np.inf)]))
    kept = usable & (time > latest[:-1])

    time = time[kept]
    values = np.zeros((len(time), len(CHANNELS)), np.float32)
    observed = np.zeros((len(time), len(OBSERVED)), np.float32)
    observed[:, 0] = 1.0
    if len(time):
        before = time[0] if np.isnan(previous_second) else previous_second
        values[:, 0] = np.diff(time, prepend=before)
        values[:, 1], values[:, 2] = voltage[kept], current[kept]
    for name in names[len(REQUIRED) :]:
        reading = rows[name][kept]
        seen = _in_range(name, reading)
        values[:, CHANNELS.index(name)] = np.where(seen, reading, 0.0)
        observed[:, OBSERVED.index(name)] = seen
    last = float(time[-1]) if len(time) else previous_second
    return Samples(values, observed, kept, last)


def to_numbers(name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """``(n_rows,)`` float64 of a column.

    Raises:
        CheckError: it holds something else, or has another shape.
    """
    try:
        numbers = np.asarray(column, np.float64)
    except (TypeError, ValueError):
        raise CheckError(f"column {name} holds something that is not a number") from None
    if numbers.ndim != 1:
        raise CheckError(f"column {name} has shape {numbers.shape}, expected one dimension")
    return numbers


def _in_range(name: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    column = COLUMNS[name]
    return (values >= column.low) & (values <= column.high)  # False for NaN


__all__ = ["CHANNELS", "OBSERVED", "SENSOR_COLUMNS", "Samples", "to_numbers", "to_samples"]
