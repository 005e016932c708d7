"""The one causal rule that says where a cycle ends.

Where the data carry ``cycle_count`` it is used as it is, but for one that leaps: more than
``LEAP_CYCLES`` above the present cycle it counts as missing, until the next number agrees, that is
lies not below it and within ``LEAP_CYCLES`` of it. Where they do not (a vehicle), a cycle has run
once one nominal capacity has been discharged since it began, and the next charge begins the next
one. The rule looks only backwards, so a stream and a whole record are cut at the same samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.faults import GAP_SECOND, LEAP_CYCLES, Screen
from fadecast.cell.samples import CHANNELS, Samples, to_numbers, to_samples
from fadecast.errors import CheckError

CHARGE_RATE: Final = 0.01
"""Charging current that counts as a charge, in C (nominal capacities per hour)."""

FIRST_CYCLE: Final = 1
"""Number of the first cycle where the data do not number theirs."""

Bools = NDArray[np.bool_]

_DURATION, _CURRENT = CHANNELS.index("duration_second"), CHANNELS.index("current_ampere")


@dataclass(slots=True)
class CycleCounter:
    """Turns the rows of one cell into numbered samples, chunk by chunk; chunked equals whole.

    All of its state is in its fields, plain numbers that can be saved and given back.

    Args:
        nominal_capacity_ah: what one cycle discharges.
        recorded: whether the data number their cycles; settled by the first rows.
        count: cycle of the last sample.
        discharged_ah: discharged since the very first sample.
        began_ah: ``discharged_ah`` when the present cycle began.
        current_ampere: current of the last sample.
        screen: what is remembered of the rows, and which were not used.
        given: whether a recorded count was ever read; the first one is believed.
        leapt: the recorded count before, if it leapt and waits to be confirmed; else 0.
        went_back: samples so far whose recorded count was below one before them.
    """

    nominal_capacity_ah: float
    recorded: bool | None = None
    count: int = 0
    discharged_ah: float = 0.0
    began_ah: float = 0.0
    current_ampere: float = 0.0
    screen: Screen = field(default_factory=Screen)
    given: bool = False
    leapt: int = 0
    went_back: int = 0

    def number(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Samples, NDArray[np.int64]]:
        """The usable samples among the next rows, and ``(n_samples,)`` the cycle of each.

        Args:
            columns: time-series columns by name, each ``(n_rows,)``, ``n_rows ≥ 0``.

        Raises:
            CheckError: as ``to_samples``; or ``cycle_count`` is not numeric, has another length, or
                comes and goes between chunks. The counter is as it was before.
        """
        samples = to_samples(columns, screen=self.screen)
        numbers = None
        if "cycle_count" in columns:
            numbers = to_numbers("cycle_count", columns["cycle_count"])
        if numbers is not None and numbers.shape != samples.kept.shape:
            raise CheckError(
                f"cycle_count has shape {numbers.shape}, expected {samples.kept.shape}"
            )
        if len(samples.kept):
            self._settle(numbers is not None)
        self.screen = samples.screen
        if not len(samples):
            return samples, np.zeros(0, np.int64)
        if numbers is None:
            return samples, self._by_throughput(samples)
        return samples, self._as_recorded(numbers[samples.kept])

    @property
    def dropped(self) -> int:
        """Rows that were not used so far."""
        return sum(self.screen.dropped)

    def close(self, count: int | None = None) -> None:
        """End the present cycle (or the one given, from elsewhere): what follows is a later one."""
        self.count = (self.count if count is None else count) + 1
        self.began_ah = self.discharged_ah

    def _settle(self, recorded: bool) -> None:
        if self.recorded is None:
            self.recorded = recorded
            self.count = max(self.count, 0 if recorded else FIRST_CYCLE)
        elif self.recorded != recorded:
            raise CheckError(
                "cycle_count is in some chunks of a cell and not in others",
                fix="Give it everywhere or nowhere",
            )

    def _by_throughput(self, samples: Samples) -> NDArray[np.int64]:
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
            full = np.searchsorted(discharged, self.began_ah + self.nominal_capacity_ah)
            next_charge = int(np.searchsorted(charges, full))
            if next_charge == len(charges):
                break
            begins[charges[next_charge]] = 1
            self.began_ah = float(discharged[charges[next_charge]])
        count = self.count + np.cumsum(begins)
        self.count, self.discharged_ah = int(count[-1]), float(discharged[-1])
        self.current_ampere = float(current[-1])
        return count

    def _as_recorded(self, recorded: NDArray[np.float64]) -> NDArray[np.int64]:
        """Never going back; a number that is missing (NaN), impossible or leaps takes the one
        before it."""
        column = COLUMNS["cycle_count"]
        known = (recorded >= column.low) & (recorded <= column.high)
        whole = np.where(known, recorded, 0.0).astype(np.int64)
        known[known] = self._believed(whole[known])
        count = np.maximum(np.where(known, whole, 0), self.count)
        count = np.maximum.accumulate(count)
        self.count = int(count[-1])
        self.went_back += int(np.sum(recorded[known] < count[known]))
        return count

    def _believed(self, recorded: NDArray[np.int64]) -> Bools:
        """``(n,)`` which of the next numbers do not leap, or confirm the leap before them."""
        believed = np.ones(len(recorded), np.bool_)
        if not len(recorded):
            return believed
        start = self.count if self.given else max(self.count, int(recorded[0]))
        self.given = True
        steps = np.diff(np.maximum.accumulate(np.concatenate([[start], recorded])))
        if not self.leapt and (steps <= LEAP_CYCLES).all():
            return believed
        for place, count in enumerate(recorded.tolist()):  # seldom: one by one
            agrees = 0 < self.leapt <= count <= self.leapt + LEAP_CYCLES
            believed[place] = agrees or count <= start + LEAP_CYCLES
            self.leapt = 0 if believed[place] else count
            start = max(start, count) if believed[place] else start
        return believed


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
        CheckError: as ``CycleCounter.number``.
    """
    samples, count = CycleCounter(nominal_capacity_ah).number(columns)
    first = count[:1] if len(count) else [0]
    return np.concatenate([first, count])[np.cumsum(samples.kept)]


def elapsed_cycles(cycle_count: NDArray[np.int64], previous: int | None = None) -> NDArray[Any]:
    """``(n,)`` float32, cycles since the summary before; the very first: its count, at least 1.

    Args:
        cycle_count: ``(n,)`` strictly increasing.
        previous: the last count before these, ``None`` at the start of the cell.
    """
    if previous is not None:
        return np.diff(cycle_count, prepend=previous).astype(np.float32)
    return np.maximum(np.diff(cycle_count, prepend=0), 1).astype(np.float32)


__all__ = [
    "CHARGE_RATE", "FIRST_CYCLE", "GAP_SECOND", "CycleCounter", "assign_cycles", "elapsed_cycles",
]  # fmt: skip
