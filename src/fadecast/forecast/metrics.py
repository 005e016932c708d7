"""Metrics of forecasts whose outcome is known or weighted: pure functions of arrays.

Every function takes arrays of the same length and returns a float. A metric that nothing decides
(no pair, one class only, all weights 0) is NaN; an array with NaN in it, or of another length, is
an error. ``weight`` is ≥ 0 and need not sum to one: ``fadecast.forecast.survival.ipcw`` makes the
weights with which right-censored cells enter (Blanche et al. 2015, doi:10.1111/biom.12232).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.errors import CheckError

Floats = NDArray[np.float64]


def aligned(**columns: ArrayLike | None) -> tuple[Floats, ...]:
    """The columns as float64 ``(n,)`` arrays; an absent one (``None``) is all ones.

    Raises:
        CheckError: lengths differ, a column is not one-dimensional, or a value is NaN.
    """
    given = {name: np.asarray(c, np.float64) for name, c in columns.items() if c is not None}
    shapes = {name: column.shape for name, column in given.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise CheckError(f"columns differ in shape: {shapes}", fix="Give one value per forecast")
    for name, column in given.items():
        if np.isnan(column).any():
            raise CheckError(f"{name} is NaN at row {int(np.isnan(column).argmax())}")
    length = next(iter(shapes.values()))[0]
    return tuple(given.get(name, np.ones(length)) for name in columns)


def mean(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """``Σ w x / Σ w``; NaN where no weight is left."""
    value, weight = aligned(value=value, weight=weight)
    total = weight.sum()
    return float(weight @ value / total) if total > 0 else float("nan")


def cell_means(value: ArrayLike, cell: NDArray[np.integer[Any]], cells: int) -> Floats:
    """Mean of ``value (n,)`` within each of ``cells`` cells: ``(cells,)``, NaN for one without any.

    Averaging these is the cell average: a cell with many cycles counts no more than one with few.
    """
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, np.asarray(value, np.float64), cells)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def rmse(predicted: ArrayLike, true: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Root mean square error ``√(Σ w (ŷ − y)² / Σ w)``, in the unit of its arguments (cycles)."""
    predicted, true = aligned(predicted=predicted, true=true)
    return float(np.sqrt(mean((predicted - true) ** 2, weight)))


def _relative_error(predicted: ArrayLike, true: ArrayLike) -> Floats:
    predicted, true = aligned(predicted=predicted, true=true)
    if np.any(true <= 0):
        raise CheckError(f"a true life is {true.min()}", fix="A relative error needs lives above 0")
    return np.asarray(np.abs(predicted - true) / true)


def mape(predicted: ArrayLike, true: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean absolute percentage error as a fraction, ``Σ w |ŷ − y| / y / Σ w``, for ``y > 0``.

    de Myttenaere et al. 2016, doi:10.1016/j.neucom.2015.12.114.
    """
    return mean(_relative_error(predicted, true), weight)


def median_ape(predicted: ArrayLike, true: ArrayLike) -> float:
    """Median absolute percentage error as a fraction, ``median |ŷ − y| / y``, for ``y > 0``.

    One cell predicted wildly wrong does not decide it, as it does RMSE and MAPE.
    """
    error = _relative_error(predicted, true)
    return float(np.median(error)) if len(error) else float("nan")


def alpha_accuracy(
    predicted: ArrayLike, true: ArrayLike, weight: ArrayLike | None = None, *, alpha: float = 0.15
) -> float:
    """Share of predictions within ``alpha`` of the truth, ``|ŷ − y| / y ≤ α``, in 0…1.

    The α-accuracy of Saxena et al. 2008, doi:10.1109/PHM.2008.4711436, taken of the whole life as
    the BatteryLife benchmark does with α = 0.15 (Tan et al. 2025, arXiv:2502.18807).
    """
    return mean(_relative_error(predicted, true) <= alpha, weight)


def any_cycle_error(
    predicted: ArrayLike,
    true: ArrayLike,
    life: ArrayLike,
    cell: NDArray[np.integer[Any]],
) -> float:
    """Relative error of the remaining life at any cycle, ``mean_cells mean_cycles |R̂ − R| / L``.

    Args:
        predicted: ``(n,)`` predicted remaining life R̂ after a cycle, in cycles.
        true: ``(n,)`` true remaining life R, in cycles.
        life: ``(n,)`` life L of the cell the row belongs to, in cycles, > 0.
        cell: ``(n,)`` integer label of that cell, ≥ 0.

    As Ma et al. 2022 report it, doi:10.1039/d2ee01676a: the error is divided by the cell's whole
    life, not by what is left of it, and averaged over the cycles of a cell, then over the cells.
    """
    predicted, true, life = aligned(predicted=predicted, true=true, life=life)
    if not len(life):
        return float("nan")
    means = cell_means(np.abs(predicted - true) / life, cell, int(cell.max()) + 1)
    return float(np.nanmean(means))


def brier(label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Brier score ``Σ w (p − y)² / Σ w`` of a probability; 0 is perfect, 1 always surely wrong.

    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    label, probability = aligned(label=label, probability=probability)
    return mean((probability - label) ** 2, weight)


def _by_threshold(
    label: ArrayLike, score: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives at each distinct score, from the highest down."""
    label, score, weight = aligned(label=label, score=score, weight=weight)
    _, group = np.unique(-score, return_inverse=True)
    positive, negative = (
        np.bincount(group, weight * label),
        np.bincount(group, weight * (1 - label)),
    )
    return positive.astype(np.float64), negative.astype(np.float64)


def auroc(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the probability that a positive outscores a negative, ties half.

    With ``label`` "fails within H" and the weights of ``ipcw`` this is the cumulative/dynamic AUC
    at the horizon H of Uno et al. 2007, doi:10.1198/016214507000000149, and for one cause among
    competing ones that of Blanche et al. 2013, doi:10.1002/sim.5958, whose controls are all cells
    that have not failed by this cause. 0.5 is chance. NaN with one class only.
    """
    positive, negative = _by_threshold(label, score, weight)
    pairs = positive.sum() * negative.sum()
    above = np.cumsum(positive) - positive / 2
    return float(above @ negative / pairs) if pairs > 0 else float("nan")


def average_precision(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under precision over recall as the step sum ``Σ (R_k − R_{k−1}) P_k``, ties as one step.

    Chance is the share of positives. Davis & Goadrich 2006, doi:10.1145/1143844.1143874. NaN
    without a positive.
    """
    positive, negative = _by_threshold(label, score, weight)
    total = positive.sum()
    hits, called = np.cumsum(positive), np.cumsum(positive + negative)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return float(positive @ precision / total) if total > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: one entry per bin that holds any weight, in order of probability.

    Args:
        probability: ``(m,)`` mean predicted probability.
        frequency: ``(m,)`` observed frequency.
        share: ``(m,)`` share of the weight, sums to 1.
    """

    probability: Floats
    frequency: Floats
    share: Floats


def reliability(
    label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None, bins: int = 10
) -> Reliability:
    """Predicted probability against observed frequency in ``bins`` bins of equal width on 0…1."""
    label, probability, weight = aligned(label=label, probability=probability, weight=weight)
    group = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    total = np.bincount(group, weight, bins)
    held = total > 0
    total = total[held]
    predicted = np.bincount(group, weight * probability, bins)[held] / total
    observed = np.bincount(group, weight * label, bins)[held] / total
    return Reliability(predicted, observed, total / total.sum())


def calibration_error(
    label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None, bins: int = 10
) -> float:
    """Expected calibration error ``Σ_bins share |predicted − observed|``, in 0…1.

    Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602. NaN where no weight is left.
    """
    curve = reliability(label, probability, weight, bins)
    if not len(curve.share):
        return float("nan")
    return float(curve.share @ np.abs(curve.probability - curve.frequency))
