"""Baselines in scikit-learn, judged as the network is: they return ``Forecasts``.

Early models foretell a life once, at cycle 100; any-cycle models foretell the remaining life at
every cycle. Cells that were censored are left out of the fit: a baseline cannot use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fadecast.cell.life import CAUSES
from fadecast.errors import TrainingError
from fadecast.forecast.forecast import EDGES, HORIZONS, LONGEST, QUANTILES, RISKS, Forecasts
from fadecast.learn.dataset import CellSequence
from fadecast.learn.features import (
    EARLY_CYCLES,
    cycle_features,
    discharge_difference,
    observed_soh,
)
from fadecast.learn.regressors import ANY_CYCLE, EARLY, FOLDS, Array
from fadecast.network.forecaster import valid_cycles

_ROWS_PER_CELL: Final = 60
_SPREAD: Final = 99


class Baseline(Protocol):
    """A model of remaining life without a network."""

    def fit(self, train: Sequence[CellSequence], held_out: Sequence[CellSequence]) -> Baseline:
        """Fit to the failed cells of ``train``; the errors on ``held_out`` become its spread."""

    def forecast(self, sequence: CellSequence) -> Forecasts:
        """Forecasts at every cycle at which the model can make one; perhaps none."""


@dataclass
class PopulationMean:
    """Every cell lives as long as the cells of its source did on average (mean of log life)."""

    lives: dict[str, float] = field(default_factory=dict)
    errors: Array = field(default_factory=lambda: np.zeros(1))

    def fit(self, train: Sequence[CellSequence], held_out: Sequence[CellSequence]) -> Baseline:
        """See ``Baseline``."""
        failed = _failed(train, 1)
        groups: dict[str, list[float]] = {"": [s.life.cycle for s in failed]}
        for s in failed:
            groups.setdefault(s.metadata.source, []).append(s.life.cycle)
        self.lives = {name: float(10 ** np.log10(x).mean()) for name, x in groups.items()}
        self.errors = _relative_errors(self._remaining, held_out, failed)
        return self

    def _remaining(self, sequence: CellSequence) -> tuple[NDArray[np.int64], Array]:
        count = sequence.summaries.cycle_count
        life = self.lives.get(sequence.metadata.source, self.lives[""])
        return np.arange(len(count)), np.maximum(life - count, 0.0)

    def forecast(self, sequence: CellSequence) -> Forecasts:
        """See ``Baseline``."""
        return _spread(sequence, *self._remaining(sequence), self.errors)


@dataclass
class EarlyLife:
    """An ``EARLY`` model: one life per cell, foretold at cycle 100 and held to from then on."""

    name: str
    seed: int = 0
    estimator: Any = None
    errors: Array = field(default_factory=lambda: np.zeros(1))
    longest: float = LONGEST

    def fit(self, train: Sequence[CellSequence], held_out: Sequence[CellSequence]) -> Baseline:
        """See ``Baseline``."""
        differences = [(s, discharge_difference(s)) for s in train]
        usable = [s for s, difference in differences if difference is not None]
        usable = _failed(usable, 2 * FOLDS)
        life = np.array([s.life.cycle for s in usable])
        transform, build = EARLY[self.name]
        x = transform(np.stack([d for s, d in differences if d is not None and s.life.failed]))
        self.longest = 2 * float(life.max())
        self.estimator = build(x, np.log10(life), self.seed)
        self.errors = _relative_errors(self._remaining, held_out, usable)
        return self

    def life(self, sequence: CellSequence) -> float | None:
        """The foretold life in cycles, at most twice the longest seen; ``None`` without ΔQ(V)."""
        difference = discharge_difference(sequence)
        if difference is None:
            return None
        log_life = self.estimator.predict(EARLY[self.name][0](difference[None])).item()
        return float(10 ** min(log_life, np.log10(self.longest)))

    def _remaining(self, sequence: CellSequence) -> tuple[NDArray[np.int64], Array]:
        life, count = self.life(sequence), sequence.summaries.cycle_count
        rows = np.flatnonzero(count >= EARLY_CYCLES[1]) if life is not None else np.arange(0)
        return rows, np.maximum((life or 0.0) - count[rows], 0.0)

    def forecast(self, sequence: CellSequence) -> Forecasts:
        """See ``Baseline``."""
        return _spread(sequence, *self._remaining(sequence), self.errors)


@dataclass
class AnyCycle:
    """An ``ANY_CYCLE`` model: the remaining life at every cycle from it and its history."""

    name: str
    seed: int = 0
    estimator: Any = None
    columns: NDArray[np.int64] = field(default_factory=lambda: np.arange(0))
    errors: Array = field(default_factory=lambda: np.zeros(1))
    longest: float = LONGEST

    def fit(self, train: Sequence[CellSequence], held_out: Sequence[CellSequence]) -> Baseline:
        """See ``Baseline``."""
        failed = _failed(train, 2 * FOLDS)
        x, remaining = zip(*(_sampled_rows(s.alive()) for s in failed), strict=True)
        stacked, target = np.concatenate(x), np.concatenate(remaining)
        seen = np.isfinite(stacked)
        varies = np.nanmax(stacked, 0, initial=-np.inf, where=seen) > np.nanmin(
            stacked, 0, initial=np.inf, where=seen
        )
        self.columns = np.flatnonzero(varies & (seen.mean(0) > 0.02))
        self.longest = float(target.max())
        self.estimator = ANY_CYCLE[self.name](stacked[:, self.columns], np.sqrt(target), self.seed)
        self.errors = _relative_errors(self._remaining, held_out, failed)
        return self

    def _remaining(self, sequence: CellSequence) -> tuple[NDArray[np.int64], Array]:
        x = cycle_features(sequence)[:, self.columns]
        root = np.clip(self.estimator.predict(x).ravel(), 0.0, np.sqrt(self.longest))
        return np.arange(len(x)), np.asarray(root, np.float64) ** 2

    def forecast(self, sequence: CellSequence) -> Forecasts:
        """See ``Baseline``."""
        return _spread(sequence, *self._remaining(sequence), self.errors)


def all_baselines(train: Sequence[CellSequence], seed: int) -> dict[str, Baseline]:
    """Unfitted baselines by name; the early ones only where enough cells carry their curves."""
    out: dict[str, Baseline] = {"population_mean": PopulationMean()}
    with_curves = [s for s in train if s.life.failed and discharge_difference(s) is not None]
    if len(with_curves) >= 2 * FOLDS:
        out |= {f"early_{name}": EarlyLife(name, seed) for name in EARLY}
    if sum(s.life.failed for s in train) >= 2 * FOLDS:
        out |= {name: AnyCycle(name, seed) for name in ANY_CYCLE}
    return out


def _failed(sequences: Sequence[CellSequence], least: int) -> list[CellSequence]:
    failed = [s for s in sequences if s.life.failed and len(s.alive().summaries)]
    if len(failed) < least:
        raise TrainingError(
            f"{len(failed)} usable cells that failed, a baseline needs {least}",
            fix="Add cells, or loosen the end-of-life definition",
        )
    return failed


def _sampled_rows(sequence: CellSequence) -> tuple[Array, Array]:
    """Evenly spaced rows of one cell, so that long-lived cells do not outvote the others."""
    remaining = sequence.life.cycle - sequence.summaries.cycle_count
    rows = np.unique(np.linspace(0, len(remaining) - 1, _ROWS_PER_CELL).round().astype(int))
    return cycle_features(sequence)[rows].astype(np.float64), remaining[rows]


def _relative_errors(
    remaining: Callable[[CellSequence], tuple[NDArray[np.int64], Array]],
    held_out: Sequence[CellSequence],
    train: Sequence[CellSequence],
) -> Array:
    """Symmetric quantiles of the error of the remaining life over the foretold life.

    On the held-out cells; where none of them failed and can be forecast, on the training cells.
    """
    for sequences in (held_out, train):
        errors = [np.zeros(0)]
        for s in sequences:
            alive = s.alive()
            if s.life.failed and len(alive.summaries):
                rows, foretold = remaining(alive)
                count = s.summaries.cycle_count[rows]
                errors.append((s.life.cycle - count - foretold) / np.maximum(foretold + count, 1.0))
        if any(map(len, errors)):
            break
    seen = np.abs(np.concatenate([np.zeros(1), *errors]))
    size = np.quantile(seen, np.linspace(0, 0.98, _SPREAD // 2 + 1))
    return np.concatenate([-size[:0:-1], size])


def _spread(
    sequence: CellSequence, rows: NDArray[np.int64], remaining: Array, errors: Array
) -> Forecasts:
    """Point forecasts and their errors as distributions, all of the failures by capacity fade.

    They are valid where the network's are, so that both are judged at the same cycles.
    """
    summaries = sequence.summaries[rows]
    count = summaries.cycle_count
    moved = valid_cycles(*(torch.tensor(x).float() for x in (summaries.values, summaries.observed)))
    draws = remaining[:, None] + errors * (remaining + count)[:, None]
    draws = np.clip(draws, 0.0, LONGEST)
    rul = np.quantile(draws, QUANTILES, axis=1).T.reshape(len(rows), len(QUANTILES))
    incidence = np.zeros((len(rows), len(CAUSES), len(EDGES) - 1), np.float32)
    incidence[:, 0] = _within(draws, EDGES[1:])
    risk = np.zeros((len(rows), len(RISKS), len(HORIZONS)), np.float32)
    risk[:, 0] = risk[:, RISKS.index("any")] = _within(draws, HORIZONS)
    return Forecasts(
        cycle_count=count,
        rul=rul.astype(np.float32),
        risk=risk,
        incidence=incidence,
        soh=observed_soh(sequence)[rows],
        novelty=np.zeros(len(rows), np.float32),
        valid=moved[:, 0].numpy() > 0,
        virtual=np.zeros((len(rows), 0), np.float32),
        virtual_spread=np.zeros((len(rows), 0), np.float32),
    )


def _within(draws: Array, horizons: Sequence[int]) -> NDArray[np.float32]:
    """``(n, len(horizons))`` share of the draws that end within each horizon."""
    shares = [(draws <= horizon).mean(axis=1) for horizon in horizons]
    return np.stack(shares, axis=1).astype(np.float32).reshape(len(draws), len(horizons))
