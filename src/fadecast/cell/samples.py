"""From time-series columns to the samples that enter a cycle summary.

This is the one place where a raw row is judged usable. Absolute time never goes further than this:
float32 could not hold it, so a sample carries the time that has passed since the sample before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.cell.faults import GAP_SECOND, Screen
from fadecast.errors import CheckError

SENSOR_COLUMNS: Final = (
    "surface_temperature_celsius", "surface_pressure_pa", "hoop_strain_dimensionless",
)  # fmt: skip
CHANNELS: Final = ("duration_second", "voltage_volt", "current_ampere", *SENSOR_COLUMNS)
"""Columns of ``Samples.values``; ``duration_second`` is the time since the previous sample."""

OBSERVED: Final = ("sample", *SENSOR_COLUMNS)
"""Columns of ``Samples.observed``."""

BEGIN: Final = Screen()
"""Before the first row of a cell."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """The usable samples of one cell, in time order.

    Args:
        values: ``(n, len(CHANNELS))`` float32, finite; 0 where a sensor was not observed.
        observed: ``(n, len(OBSERVED))`` float32 of 0 and 1; column 0 is 1 (padding would be 0).
        kept: ``(n_rows,)`` bool, which of the given rows the ``n`` samples are.
        screen: what is remembered of these rows, and the faults so far; hand it to the next
            ``to_samples`` of the same cell.
    """

    values: NDArray[np.float32]
    observed: NDArray[np.float32]
    kept: NDArray[np.bool_]
    screen: Screen

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dropped(self) -> int:
        """How many of the given rows were not usable."""
        return len(self.kept) - len(self.values)


def to_samples(columns: Mapping[str, NDArray[Any]], *, screen: Screen = BEGIN) -> Samples:
    """The usable rows of ``columns`` as samples.

    A row is dropped if its time, voltage or current is not finite or out of the range of
    ``cell.columns.COLUMNS``, or if its time is not later than every row kept before it (a
    duplicate, or a clock that went back) or leaps, or if its voltage spikes or is stuck
    (``cell.faults``). A
    sensor reading that is not finite, out of range, spiking or stuck is masked and the row stays.
    Rows may come in any chunks: pass the previous chunk's ``screen`` and the samples are those of
    the whole.

    Args:
        columns: time-series columns by name, each ``(n_rows,)``; others than time, voltage,
            current and ``SENSOR_COLUMNS`` are not looked at; a sensor may be absent.
        screen: ``Samples.screen`` of the chunk before. The very first sample of a cell has
            duration 0.

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

    usable = np.logical_and.reduce([_in_range(name, rows[name]) for name in REQUIRED])
    now, late, leaping = screen.clock(rows[REQUIRED[0]][usable])
    clocked = usable.copy()
    clocked[usable] = ~(late | leaping)
    time, voltage, current = (rows[name][clocked] for name in REQUIRED)
    before = screen.latest_second
    interval = _passed(time, time[:1] if np.isnan(before) else before)
    drained = np.where((current < 0) & (interval <= GAP_SECOND), interval, 0.0)
    drained = np.cumsum(np.concatenate([[screen.discharged_second], drained]))[1:]
    now, spiking, stuck = now.watch(0, voltage, interval, drained)
    good = ~(spiking | stuck)
    kept = clocked.copy()
    kept[clocked] = good

    values = np.zeros((int(good.sum()), len(CHANNELS)), np.float32)
    observed = np.zeros((len(values), len(OBSERVED)), np.float32)
    observed[:, 0] = 1.0
    values[:, 1], values[:, 2] = voltage[good], current[good]
    kept_time = time[good]
    start = kept_time[:1] if np.isnan(screen.last_second) else screen.last_second
    duration = _passed(kept_time, start)
    values[:, 0] = duration
    masked = [0] * len(SENSOR_COLUMNS)
    for place, name in enumerate(SENSOR_COLUMNS):
        if name not in rows:
            continue
        reading = rows[name][kept]
        seen = _in_range(name, reading)
        now, *faulty = now.watch(
            place + 1, reading[seen], interval[good][seen], drained[good][seen]
        )
        seen[seen] = ~(faulty[0] | faulty[1])
        values[:, CHANNELS.index(name)] = np.where(seen, reading, 0.0)
        observed[:, OBSERVED.index(name)] = seen
        masked[place] = int(np.sum(~seen))
    if len(time):
        now = replace(
            now, discharged_second=float(drained[-1]),
            last_second=float(kept_time[-1]) if len(kept_time) else screen.last_second,
        )  # fmt: skip
    faults = ~usable, late, leaping, spiking, stuck & ~spiking
    counts = tuple(int(fault.sum()) for fault in faults)
    now = now.count(counts, tuple(masked), int(np.sum(duration > GAP_SECOND)))
    return Samples(values, observed, kept, now)


def _passed(time: Floats, start: Floats | float) -> Floats:
    """``(n,)`` s since the time before; 0 where a first time that was wrong is left."""
    return np.maximum(np.diff(time, prepend=start), 0.0)


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
