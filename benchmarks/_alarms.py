"""Alarms: how long before a pressure-related failure one comes, at a bounded rate of false ones.

An alarm is looked at after every cycle, as on a vehicle. It begins when the risk of a
pressure-related failure within ``AHEAD`` cycles reaches the threshold, and stands until that risk
is below ``RELEASE`` of it: one that ended at the threshold itself would begin anew with every
waver of the risk, and be false every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._cells import Array, Rows
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES

RATE: Final = 1 / 5000
"""False alarms per cell-cycle."""
LEAD: Final = 20
"""Cycles before the failure by which an alarm must have come."""
FAR: Final = 200
"""An alarm longer than this before the failure is a false one."""
AHEAD: Final = 100
RELEASE: Final = 0.5
"""Both chosen on validation designs, of an earlier network: ``python -m benchmarks.assb`` shows by
what, of the one that is judged."""
THRESHOLDS: Final = np.geomspace(0.01, 0.99, 400)


@dataclass(frozen=True)
class Curve:
    """Alarms over the ``THRESHOLDS``.

    Args:
        false: ``(t,)`` false alarms per cell-cycle.
        standing: ``(t,)`` share of the cycles at which an alarm stands, and no pressure-related
            failure follows within ``FAR`` cycles.
        told: ``(t,)`` share of the failures announced in time: of all, by cause and by anode.
        failures: how many there were.
    """

    false: Array
    standing: Array
    told: dict[str, Array]
    failures: dict[str, int]

    def quiet(self) -> int | None:
        """Index of the lowest threshold from which on all are quiet enough, if one is."""
        loud = np.flatnonzero(~(self.false <= RATE))
        at = int(loud[-1]) + 1 if len(loud) else 0
        return at if at < len(self.false) else None


@dataclass(frozen=True)
class Alarms:
    """The same cell by cell, of ``m`` cells over the ``THRESHOLDS``.

    Args:
        false: ``(t, m)`` false alarms. standing: ``(t, m)`` cycles at which one stands for nothing.
        told: ``(t, m)`` whether the failure is announced in time.
        cycles: ``(m,)`` at which the cell is known alive.
        groups: ``(m,)`` whose failures count: all, by cause and by anode.
    """

    false: Array
    standing: Array
    told: NDArray[np.bool_]
    cycles: Array
    groups: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, rows: Rows, risk: Array, release: float = RELEASE) -> Alarms:
        """Whose failures are announced, and how often there is a false alarm.

        An alarm is false if it begins where no pressure-related failure follows within ``FAR``
        cycles. A failure is announced in time by an alarm that begins ``LEAD`` to ``FAR`` cycles
        before it; of one between two check-ups, ``LEAD`` before the first cycle that it may have
        been. All failures count, also those too early to be announced.

        Args:
            rows: all cycles at which a cell is known alive.
            risk: ``(n,)`` of a pressure-related failure within ``AHEAD`` cycles.
            release: share of the threshold below which an alarm ends.
        """
        first = np.diff(rows.cell, prepend=-1) != 0
        concerned = rows.by_pressure
        groups = {"all": np.ones(len(concerned), bool)}
        groups |= {cause: rows.cause == CAUSES.index(cause) for cause in PRESSURE_CAUSES}
        groups |= {str(anode): rows.anode == anode for anode in np.unique(rows.anode)}
        groups = {
            name: concerned & group for name, group in groups.items() if (concerned & group).any()
        }
        nothing = (rows.left > FAR) | ~concerned[rows.cell]
        in_time = (rows.after[rows.cell] + 1 - rows.cycle >= LEAD) & (rows.left <= FAR)
        false, standing, told = [], [], []
        for threshold in THRESHOLDS:
            on = stands(risk, first, threshold, release)
            begins = on & (first | ~np.roll(on, 1))
            false.append(_number(rows, begins & nothing))
            standing.append(_number(rows, on & nothing))
            told.append(_number(rows, begins & in_time) > 0)
        cycles = _number(rows, np.ones(len(rows), bool))
        return cls(np.array(false), np.array(standing), np.array(told), cycles, groups)

    def curve(self, weight: Array | None = None) -> Curve:
        """Rates and shares with ``m`` cells of this weight; NaN where nothing weighs."""
        weight = np.ones(len(self.cycles)) if weight is None else weight
        with np.errstate(invalid="ignore"):
            return Curve(
                self.false @ weight / (self.cycles @ weight),
                self.standing @ weight / (self.cycles @ weight),
                {n: self.told[:, g] @ weight[g] / weight[g].sum() for n, g in self.groups.items()},
                {name: int(group.sum()) for name, group in self.groups.items()},
            )


def stands(
    risk: Array, first: NDArray[np.bool_], threshold: float, release: float
) -> NDArray[np.bool_]:
    """``(n,)`` whether an alarm stands after each cycle.

    Args:
        risk: ``(n,)``. first: ``(n,)`` the first cycle of each cell, before which none stands.
    """
    above = risk >= threshold
    decided = above | first | (risk < release * threshold)
    last = np.maximum.accumulate(np.where(decided, np.arange(len(risk)), 0))
    return above[last]


def lead(curve: Curve) -> dict[str, float]:
    """Figures at the lowest threshold that is quiet enough; none where none is."""
    at = curve.quiet()
    return {} if at is None else lead_at(curve, at)


def lead_at(curve: Curve, at: int) -> dict[str, float]:
    """Figures at a threshold, by its index."""
    figures = {"lead.threshold": THRESHOLDS[at], "lead.false_per_cycle": curve.false[at],
               "lead.standing": curve.standing[at]}  # fmt: skip
    figures |= {f"lead.{name}": share[at] for name, share in curve.told.items()}
    return {key: float(value) for key, value in figures.items()}


def _number(rows: Rows, hit: NDArray[np.bool_]) -> Array:
    """``(m,)`` rows of each cell that are hit."""
    return np.bincount(rows.cell[hit], minlength=len(rows.cause)).astype(np.float64)
