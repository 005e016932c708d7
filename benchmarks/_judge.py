"""What forecasts of some cells came to, as figures with cells weighed, and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from benchmarks._opponents import EVERY, judged_rows
from numpy.typing import NDArray

from benchmarks.assb import risk_at
from fadecast.forecast import metrics
from fadecast.forecast.forecast import QUANTILES, Forecasts
from fadecast.learn.dataset import CellSequence

LANDMARK: Final = 100
"""Cycle at which the remaining life is judged."""
DRAWS: Final = 300
_LOW, _MEDIAN, _HIGH = 0, QUANTILES.index(0.5), len(QUANTILES) - 1

Array = NDArray[np.float64]
Figures = dict[str, float]


@dataclass(frozen=True)
class Judged:
    """Judged forecasts of cells, by row; the first axis of each group is its own.

    Args:
        kinds: ``(cells,)`` anode, tier and protocol of each cell, as one text.
        risk_cell, label, risk: of a pressure-related failure within 50 cycles, where it is known.
        cell, flagged: of every forecast made alive; whether its novelty is above 1.
        decided, inside: whether its 90 % interval is decided, and held the life.
        late_cell, late_error: |error| of the cycles left over their number, at ``LANDMARK``.
    """

    kinds: NDArray[np.str_]
    risk_cell: NDArray[np.int64]
    label: NDArray[np.int64]
    risk: Array
    cell: NDArray[np.int64]
    flagged: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    late_cell: NDArray[np.int64]
    late_error: Array

    @classmethod
    def of(cls, forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence]) -> Judged:
        """Judge one forecast in ``EVERY``, made while the cell was known alive."""
        rows = judged_rows(cells)
        every, late = [], []
        for index, cell in enumerate(cells):
            forecast, life = forecasts[cell.cell_id], cell.life
            count = forecast.cycle_count
            alive = count <= life.after
            said = forecast[alive & forecast.valid & (count % EVERY == 0)]
            count = said.cycle_count
            low, high = said.rul[:, _LOW] + count, said.rul[:, _HIGH] + count
            inside = (life.until >= low) & (life.after <= high)  # the intervals may overlap
            decided = life.failed | (life.after > high)
            every.append((np.full(len(count), index), said.novelty > 1, decided, inside))
            if life.failed and life.after >= LANDMARK:
                left = life.cycle - LANDMARK
                at = forecast.rul[forecast.cycle_count == LANDMARK, _MEDIAN]
                late += [(index, abs(float(median) - left) / left) for median in at]
        errors = np.array(late, np.float64).reshape(-1, 2)
        return cls(
            np.array([kind(cell) for cell in cells]), rows.cell, rows.label,
            risk_at(forecasts, cells, rows),
            *(np.concatenate(column) for column in zip(*every, strict=True)),
            errors[:, 0].astype(np.int64), errors[:, 1],
        )  # fmt: skip

    def figures(self, weight: Array | None = None) -> Figures:
        """All figures with cells of this weight; what nothing decides is NaN."""
        weight = np.ones(len(self.kinds)) if weight is None else weight
        among = (weight / np.maximum(np.bincount(self.cell, minlength=len(weight)), 1))[self.cell]
        risk = self.label, self.risk, weight[self.risk_cell]
        parts = {"": self.decided, ".flagged": self.decided & self.flagged,
                 ".unflagged": self.decided & ~self.flagged}  # fmt: skip
        return {
            "auroc": metrics.auroc(*risk),
            "ap": metrics.average_precision(*risk),
            "rul.mdape.cycle100": _median(self.late_error, weight[self.late_cell]),
            **{f"coverage90{n}": metrics.mean(self.inside[p], among[p]) for n, p in parts.items()},
            "novelty": metrics.mean(self.flagged, among),
        }


def kind(cell: CellSequence) -> str:
    """Anode, tier and protocol, as declared."""
    notes = cell.metadata.notes
    return f"{cell.spec.anode} {notes['tier']} {notes['protocol'].split()[0]}"


def matched(own: Judged, other: Judged) -> tuple[Array, Array]:
    """Weights of both sets' cells so that every kind has its share of ``own`` in both.

    A kind that one of them lacks weighs nothing in the other.
    """
    common = np.intersect1d(own.kinds, other.kinds)
    kept = np.isin(own.kinds, common).astype(np.float64)
    there = np.zeros(len(other.kinds))
    for name in common:
        members = other.kinds == name
        there[members] = (own.kinds == name).sum() / members.sum()
    return kept, there


def differences(own: Judged, other: Judged, *, paired: bool) -> dict[str, tuple[float, ...]]:
    """``other`` − ``own`` of every figure, with the ends of its 95 % interval over cells.

    Args:
        paired: whether both hold the same cells in the same order; else kinds are matched.
    """
    weights = (np.ones(len(own.kinds)),) * 2 if paired else matched(own, other)
    rng = np.random.default_rng(0)

    def both(first: Array, second: Array) -> Figures:
        before, after = own.figures(weights[0] * first), other.figures(weights[1] * second)
        return {name: after[name] - value for name, value in before.items()}

    found = both(np.ones(len(own.kinds)), np.ones(len(other.kinds)))
    draws = []
    for _ in range(DRAWS):
        first = _resampled(len(own.kinds), rng)
        draws.append(both(first, first if paired else _resampled(len(other.kinds), rng)))
    ends = {name: np.nanquantile([d[name] for d in draws], (0.025, 0.975))
            for name, value in found.items() if np.isfinite(value)}  # fmt: skip
    return {name: (found[name], float(low), float(high)) for name, (low, high) in ends.items()}


def intervals(own: Judged) -> dict[str, tuple[float, float]]:
    """95 % interval over cells of every figure that is decided."""
    rng = np.random.default_rng(0)
    draws = [own.figures(_resampled(len(own.kinds), rng)) for _ in range(DRAWS)]
    found = {}
    for name, value in own.figures().items():
        if np.isfinite(value):
            low, high = np.nanquantile([draw[name] for draw in draws], (0.025, 0.975))
            found[name] = float(low), float(high)
    return found


def _resampled(cells: int, rng: np.random.Generator) -> Array:
    """How often each cell is drawn, with replacement."""
    return np.bincount(rng.integers(0, cells, cells), minlength=cells).astype(np.float64)


def _median(value: Array, weight: Array) -> float:
    """Weighted median; NaN where no weight is left."""
    order = np.argsort(value)
    below = np.cumsum(weight[order])
    if not len(value) or not below[-1]:
        return float("nan")
    return float(value[order][np.searchsorted(below, below[-1] / 2)])
