"""The one causal rule that says where a cycle ends.

Where the data carry ``cycle_count`` it is used as it is. Where they do not (a vehicle), a cycle has
run once one nominal capacity has been discharged since it began, and the next charge begins the
next one. The rule looks only backwards, so a stream and a whole record are cut at the same samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.samples import CHANNELS, Samples, to_samples
from fadecast.errors import CheckError

CHARGE_RATE: Final = 0.01
"""Charging current that counts as a charge, in C (nominal capacities per hour)."""

GAP_SECOND: Final = 3600.0
"""An interval longer than this holds no known current: nothing is counted over it."""

FIRST_CYCLE: Final = 1

_DURATION, _CURRENT = CHANNELS.index("duration_second"), CHANNELS.index("current_ampere")


@dataclass(slots=True)
class CycleCounter:
    """Numbers the samples of one cell, chunk by chunk; all of its state is in its fields.

    Args:
        nominal_capacity_ah: what one cycle discharges.
        count: cycle of the last sample.
        discharged_ah: discharged since the very first sample.
        began_ah: ``discharged_ah`` when the present cycle began.
        current_ampere: current of the last sample.
    """

    nominal_capacity_ah: float
    count: int = FIRST_CYCLE
    discharged_ah: float = 0.0
    began_ah: float = 0.0
    current_ampere: float = 0.0

    def count_samples(self, samples: Samples) -> NDArray[np.int64]:
        """``(len(samples),)`` cycle of each sample, by throughput; chunked equals whole."""
        if not len(samples):
            return np.zeros(0, np.int64)
        current = samples.values[:, _CURRENT].astype(np.float64)
        duration = samples.values[:, _DURATION].astype(np.float64)
        drain = np.maximum(-np.concatenate([[self.current_ampere], current]), 0.0)
        charge_ah = 0.5 * (drain[1:] + drain[:-1]) * duration / 3600.0
        charge_ah[duration > GAP_SECOND] = 0.0
        # One running sum from the first sample on: the same additions in the same order however
        # the samples are chunked, so chunks cannot differ by rounding.
        discharged = np.cumsum(np.concatenate([[self.discharged_ah], charge_ah]))
        charges = np.flatnonzero(current > CHARGE_RATE * self.nominal_capacity_ah)
        begins = np.zeros(len(current), np.int64)
        while True:
            run_at = np.searchsorted(discharged, self.began_ah + self.nominal_capacity_ah)
            next_charge = int(np.searchsorted(charges, run_at))
            if next_charge == len(charges):
                break
            begins[charges[next_charge]] = 1
            self.began_ah = float(discharged[charges[next_charge]])
        count = self.count + np.cumsum(begins)
        self.count, self.discharged_ah = int(count[-1]), float(discharged[-1])
        self.current_ampere = float(current[-1])
        return count

    def follow(self, cycle_count: NDArray[Any]) -> NDArray[np.int64]:
        """``(n,)`` the recorded count of each kept sample, never going back.

        A missing (NaN) or impossible number takes the one before it.
        """
        recorded = np.asarray(cycle_count, np.float64)
        if not len(recorded):
            return np.zeros(0, np.int64)
        column = COLUMNS["cycle_count"]
        known = (recorded >= column.low) & (recorded <= column.high)
        recorded_count = np.where(known, recorded, 0.0).astype(np.int64)
        count = np.maximum.accumulate(np.maximum(recorded_count, self.count))
        self.count = int(count[-1])
        return count


def assign_cycles(
    columns: Mapping[str, NDArray[Any]], nominal_capacity_ah: float
) -> NDArray[np.int64]:
    """The cycle of each row of a whole record.

    Args:
        columns: time-series columns by name, each ``(n,)``.
        nominal_capacity_ah: rated capacity in Ah.

    Returns:
        ``(n,)`` int64, never decreasing; a row that ``to_samples`` drops has the count of the
        sample before it.

    Raises:
        CheckError: as ``to_samples``; or ``cycle_count`` has another length.
    """
    samples = to_samples(columns)
    recorded = columns.get("cycle_count")
    if recorded is None:
        counter = CycleCounter(nominal_capacity_ah)
        count = counter.count_samples(samples)
    else:
        if np.shape(recorded) != samples.kept.shape:
            raise CheckError(
                f"cycle_count has shape {np.shape(recorded)}, expected {samples.kept.shape}"
            )
        counter = CycleCounter(nominal_capacity_ah, count=0)
        count = counter.follow(np.asarray(recorded)[samples.kept])
    first = count[0] if len(count) else counter.count
    return np.concatenate([[first], count])[np.cumsum(samples.kept)]
