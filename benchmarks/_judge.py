"""What forecasts of some cells came to, as figures with cells weighed, and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._alarms import AHEAD, Alarms, lead
from benchmarks._cells import Array, Ints, Rows, judged_rows
from benchmarks._judging import DRAWS, Figures, Ranked, covered
from benchmarks._said import PRESSURE, Said, told
from fadecast.cell.life import PRESSURE_CAUSES
from fadecast.forecast import metrics
from fadecast.forecast.forecast import HORIZONS, Forecasts
from fadecast.learn.dataset import CellSequence
from fadecast.learn.split import design_of

LANDMARK: Final = 100
"""Cycle at which the remaining life is judged."""


@dataclass(frozen=True)
class Judged:
    """Judged forecasts of cells.

    Args:
        rows: the ``n`` judged cycles. said: what was said at them, with intervals.
        valid: ``(n,)`` whether the forecast counts in coverage and novelty.
        flagged: ``(n,)`` whether its novelty is above 1.
        every: all ``k`` cycles at which a cell is known alive, after which alarms are looked at.
        ahead: ``(k,)`` risk of a pressure-related failure that decides of an alarm.
        design: ``(m,)`` which design each cell is of.
    """

    rows: Rows
    said: Said
    valid: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    every: Rows
    ahead: Array
    design: Ints

    @classmethod
    def of(cls, forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence]) -> Judged:
        """Judge forecasts made while the cell was known alive."""
        rows, every = judged_rows(cells), judged_rows(cells, 1)
        parts, ahead = [], []
        both = (np.split(one.cycle, one.bounds[1:-1]) for one in (rows, every))
        for cell, cycle, all_ in zip(cells, *both, strict=True):
            forecast = forecasts[cell.cell_id]
            one = forecast[np.searchsorted(forecast.cycle_count, cycle)]
            own = {"valid": one.valid, "flagged": one.novelty > 1}
            parts.append(told(forecast, cycle) | own)
            at = np.searchsorted(forecast.cycle_count, all_)
            ahead.append(forecast.risk[at, PRESSURE, HORIZONS.index(AHEAD)])
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        risk = np.concatenate(ahead).astype(np.float64)
        names = [design_of(cell.metadata) for cell in cells]
        design = np.unique(names, return_inverse=True)[1]
        return cls(rows, Said.of(found), found["valid"], found["flagged"], every, risk, design)

    @cached_property
    def kinds(self) -> NDArray[np.str_]:
        """``(m,)`` anode, tier and protocol of each cell, as one text."""
        return np.array([" ".join(kind) for kind in self.rows.kinds()])

    @cached_property
    def _ranked(self) -> Ranked:
        known = self.rows.label >= 0
        return Ranked(self.rows.label[known], self.said.risk[known])

    @cached_property
    def _covered(self) -> tuple[Array, Array]:
        return covered(self.said, self.rows)

    @cached_property
    def _late(self) -> tuple[NDArray[np.bool_], Array]:
        """``(n,)`` rows of failed cells at the landmark, and their relative errors."""
        rows, true = self.rows, self.rows.left
        late = (rows.cycle == LANDMARK) & rows.failed[rows.cell] & (true > 0)
        return late, np.abs(self.said.left[late] / true[late] - 1)

    @cached_property
    def _alarms(self) -> Alarms:
        return Alarms.of(self.every, self.ahead)

    def figures(self, weight: Array | None = None) -> Figures:
        """All figures with ``m`` cells of this weight; what nothing decides is NaN.

        The alarm's threshold is the one that is quiet enough among these cells.
        """
        rows = self.rows
        weight = np.ones(len(self.kinds)) if weight is None else weight
        auroc, precision = self._ranked(weight[rows.cell[rows.label >= 0]])
        late, error = self._late
        count = np.bincount(rows.cell, self.valid, len(weight))
        among = (weight / np.maximum(count, 1))[rows.cell]
        held, known = self._covered  # cycles alike, see ``calibration``
        known = known * weight[rows.cell]
        told = dict.fromkeys((f"lead.{cause}" for cause in PRESSURE_CAUSES), float("nan"))
        told |= lead(self._alarms.curve(weight))
        parts = {"": self.valid, ".flagged": self.valid & self.flagged,
                 ".unflagged": self.valid & ~self.flagged}  # fmt: skip
        return {
            "auroc": float(auroc),
            "ap": float(precision),
            "rul.mdape.cycle100": _median(error, weight[rows.cell[late]]),
            **{f"coverage90{n}": metrics.mean(held[p], known[p]) for n, p in parts.items()},
            **told,
            "novelty": metrics.mean(self.flagged[self.valid], among[self.valid]),
        }


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


def differences(
    own: Judged, other: Judged, *, paired: bool, protocol: str | None = None
) -> dict[str, tuple[float, ...]]:
    """``other`` − ``own`` of every figure, with the ends of its 95 % interval over designs.

    Args:
        paired: whether both hold the same cells in the same order; else kinds are matched.
        protocol: of the cells that count; None for all.
    """
    weights = (np.ones(len(own.kinds)),) * 2 if paired else matched(own, other)
    if protocol is not None:
        weights = tuple(
            weight * (judged.rows.protocol == protocol)
            for weight, judged in zip(weights, (own, other), strict=True)
        )
    rng = np.random.default_rng(0)

    def both(first: Array, second: Array) -> Figures:
        before, after = own.figures(weights[0] * first), other.figures(weights[1] * second)
        return {n: after[n] - value for n, value in before.items() if n in after}

    found = both(np.ones(len(own.kinds)), np.ones(len(other.kinds)))
    draws = []
    for _ in range(DRAWS):
        first = _resampled(own, rng)
        draws.append(both(first, first if paired else _resampled(other, rng)))
    return {
        name: (value, *ends) for name, value in found.items()
        if np.isfinite(value) and (ends := _ends(name, draws)) is not None
    }  # fmt: skip


def intervals(own: Judged) -> dict[str, tuple[float, float]]:
    """95 % interval over designs of every figure that is decided."""
    rng = np.random.default_rng(0)
    draws = [own.figures(_resampled(own, rng)) for _ in range(DRAWS)]
    return {
        name: ends for name, value in own.figures().items()
        if np.isfinite(value) and (ends := _ends(name, draws)) is not None
    }  # fmt: skip


def _ends(name: str, draws: Sequence[Figures]) -> tuple[float, float] | None:
    """The 95 % interval of a figure over draws; none where most of them do not decide it."""
    values = np.array([draw.get(name, np.nan) for draw in draws])
    values = values[np.isfinite(values)]
    if len(values) <= len(draws) / 2:
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _resampled(judged: Judged, rng: np.random.Generator) -> Array:
    """``(m,)`` how often each cell's design is drawn, with replacement."""
    designs = int(judged.design.max()) + 1
    drawn = np.bincount(rng.integers(0, designs, designs), minlength=designs)
    return drawn[judged.design].astype(np.float64)


def _median(value: Array, weight: Array) -> float:
    """Weighted median; NaN where no weight is left."""
    order = np.argsort(value)
    below = np.cumsum(weight[order])
    if not len(value) or not below[-1]:
        return float("nan")
    return float(value[order][np.searchsorted(below, below[-1] / 2)])
