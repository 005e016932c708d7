"""Alarms: how long before a pressure-related failure one comes, at a bounded rate of false ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._cells import EVERY, Array, Rows
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES

RATE: Final = 1 / 5000
"""False alarms per cell-cycle."""
LEAD: Final = 20
"""Cycles before the failure by which an alarm must have come."""
FAR: Final = 200
"""An alarm longer than this before the failure is a false one."""
THRESHOLDS: Final = np.geomspace(1e-3, 0.99, 60)


@dataclass(frozen=True)
class Curve:
    """Alarms over the ``THRESHOLDS``.

    Args:
        false: ``(t,)`` false alarms per cell-cycle.
        told: ``(t,)`` share of the failures announced in time, by cause and by anode.
        failures: how many there were, by cause and by anode.
    """

    false: Array
    told: dict[str, Array]
    failures: dict[str, int]

    def quiet(self) -> int | None:
        """Index of the lowest threshold that is quiet enough, if one is."""
        found = np.flatnonzero(self.false <= RATE)
        return int(found[0]) if len(found) else None


@dataclass(frozen=True)
class Alarms:
    """The same cell by cell, of ``m`` cells over the ``THRESHOLDS``.

    Args:
        false: ``(t, m)`` false alarms. told: ``(t, m)`` whether the failure is announced in time.
        judged: ``(m,)`` cycles that are judged, or that judged ones stand for.
        groups: ``(m,)`` whose failures count, by cause and by anode.
    """

    false: Array
    told: NDArray[np.bool_]
    judged: Array
    groups: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, rows: Rows, risk: Array, every: int = EVERY) -> Alarms:
        """Whose failures are announced, and how often there is a false alarm.

        An alarm begins at the first judged cycle at which the risk has reached the threshold. It is
        false where no pressure-related failure follows within ``FAR`` cycles. A failure is
        announced in time by an alarm that begins ``LEAD`` to ``FAR`` cycles before it.

        Args:
            rows: judged cycles. risk: ``(n,)`` of a pressure-related failure within 50 cycles.
            every: cycles of which one is judged: how often an alarm is looked at.
        """
        first = np.diff(rows.cell, prepend=-1) != 0
        concerned = rows.by_pressure
        counted = concerned & (rows.time > LEAD)
        groups = {cause: rows.cause == CAUSES.index(cause) for cause in PRESSURE_CAUSES}
        groups |= {str(anode): rows.anode == anode for anode in np.unique(rows.anode)}
        groups = {
            name: counted & group for name, group in groups.items() if (counted & group).any()
        }
        far, in_time = rows.left > FAR, (rows.left >= LEAD) & (rows.left <= FAR)
        false, told = [], []
        for threshold in THRESHOLDS:
            above = risk >= threshold
            begins = above & (first | ~np.roll(above, 1))
            false.append(_number(rows, begins & (far | ~concerned[rows.cell])))
            told.append(_number(rows, begins & in_time) > 0)
        judged = every * _number(rows, np.ones(len(rows), bool))
        return cls(np.array(false), np.array(told), judged, groups)

    def curve(self, weight: Array | None = None) -> Curve:
        """Rates and shares with ``m`` cells of this weight; NaN where nothing weighs."""
        weight = np.ones(len(self.judged)) if weight is None else weight
        with np.errstate(invalid="ignore"):
            return Curve(
                self.false @ weight / (self.judged @ weight),
                {n: self.told[:, g] @ weight[g] / weight[g].sum() for n, g in self.groups.items()},
                {name: int(group.sum()) for name, group in self.groups.items()},
            )


def alarms(rows: Rows, risk: Array) -> Curve:
    """``Alarms`` with cells alike."""
    return Alarms.of(rows, risk).curve()


def lead(curve: Curve) -> dict[str, float]:
    """Figures at the lowest threshold that is quiet enough; none where none is."""
    at = curve.quiet()
    if at is None:
        return {}
    figures = {"lead.threshold": THRESHOLDS[at], "lead.false_per_cycle": curve.false[at]}
    figures |= {f"lead.{name}": share[at] for name, share in curve.told.items()}
    return {key: float(value) for key, value in figures.items()}


def _number(rows: Rows, hit: NDArray[np.bool_]) -> Array:
    """``(m,)`` rows of each cell that are hit."""
    return np.bincount(rows.cell[hit], minlength=len(rows.cause)).astype(np.float64)
