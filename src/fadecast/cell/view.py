"""What the rules of ``cell.rules`` look at: a record cut into charges, discharges and cycles."""

from __future__ import annotations

from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.cell.columns import REQUIRED
from fadecast.cell.cycles import GAP_SECOND, assign_cycles
from fadecast.cell.record import CellRecord


def spikes(
    values: ArrayLike, *, tolerance: float = 0.05, window: int = 9, persist: int = 3
) -> NDArray[np.bool_]:
    """``(n,)`` which values stand out from those before them: a causal rule, no look ahead.

    A value is a spike if it is farther than ``tolerance`` (relative) from the median of the last
    ``window`` values that were none; the first ``persist`` values are taken as they are. Once
    ``persist`` values in a row stand out, the level has really changed and the values from there
    on are accepted. NaN is never a spike.
    """
    series = np.asarray(values, float)
    out = np.zeros(len(series), bool)
    accepted: list[float] = []
    run = 0
    for i, value in enumerate(series.tolist()):
        if value != value:  # NaN
            continue
        level = median(accepted) if len(accepted) >= persist else value
        if abs(value - level) <= tolerance * abs(level):
            run = 0
        else:
            run += 1
            if run < persist:
                out[i] = True
                continue
            accepted, run = [], 0
        accepted = [*accepted[1 - window :], value]
    return out


class RecordView:
    """A record with what several rules need, computed once."""

    def __init__(self, record: CellRecord) -> None:
        self.record, self.spec = record, record.spec
        self.width = self.spec.voltage_max_v - self.spec.voltage_min_v
        self.n = len(self.columns[REQUIRED[0]]) if record.samples else len(record.summaries or ())

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The time series by column; empty where the record holds summaries."""
        return dict(self.record.samples or {})

    @cached_property
    def finite(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Time, voltage and current of the rows where all three are finite."""
        time, volt, ampere = (np.asarray(self.columns[k], np.float64) for k in REQUIRED)
        keep = np.isfinite(time) & np.isfinite(volt) & np.isfinite(ampere)
        return time[keep], volt[keep], ampere[keep]

    @cached_property
    def runs(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Charge (nominal capacities) and voltage change of each charge or discharge.

        A run lasts until the current flows the other way; rests in between belong to it.
        """
        time, volt, ampere = self.finite
        size = np.abs(ampere)
        flows = size > 1e-3 * np.quantile(size, 0.99) if len(size) else size > 0
        if not flows.any():
            return np.zeros(0), np.zeros(0)
        sign = np.sign(ampere[flows])
        number = np.cumsum(np.diff(sign, prepend=sign[0]) != 0)
        hours = np.clip(np.diff(time, prepend=time[0]), 0, None) / 3600
        # A gap stands out from the other intervals; in ms taken for s every interval is long.
        hours[hours > max(GAP_SECOND / 3600, 20 * float(np.median(hours)))] = 0
        middle = 0.5 * (ampere + np.concatenate([ampere[:1], ampere[:-1]]))
        step = middle * hours
        step[np.sign(middle) != np.sign(ampere)] = 0  # the interval of a reversal has two owners
        charge = np.bincount(number, step[flows]) / self.spec.nominal_capacity_ah
        last = np.flatnonzero(np.diff(number, append=-1))
        first = np.concatenate([[0], last[:-1] + 1])
        return charge, volt[flows][last] - volt[flows][first]

    @cached_property
    def cycles(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Number and discharge throughput (nominal capacities) of every cycle."""
        if self.record.summaries is not None:
            table = self.record.summaries
            return table.cycle_count, table.field("discharge_throughput").astype(float)
        count = assign_cycles(self.columns, self.spec.nominal_capacity_ah)
        time, _, ampere = (np.asarray(self.columns[k], np.float64) for k in REQUIRED)
        hours = np.nan_to_num(np.clip(np.diff(time, prepend=time[0]), 0, GAP_SECOND)) / 3600
        drain = np.nan_to_num(np.maximum(-ampere, 0)) * hours / self.spec.nominal_capacity_ah
        numbers, place = np.unique(count, return_inverse=True)
        return numbers, np.bincount(place, drain)
