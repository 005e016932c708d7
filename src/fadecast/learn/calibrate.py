"""What is fitted after training: recalibrated hazards and spreads, and the novelty score."""

from __future__ import annotations

from math import ceil, floor
from typing import Final

import torch
from torch import Tensor

from fadecast.errors import TrainingError
from fadecast.forecast.evaluate import Z_90
from fadecast.forecast.forecast import QUANTILES
from fadecast.forecast.survival import kaplan_meier
from fadecast.learn.losses import competing_risks_nll, cumulative_hazard
from fadecast.network.calibration import ANODE
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import log_hazards

SCALES: Final = (0.1, 10.0)
"""Bounds of the scale of a spread: farther than that, cells are too few or a network is no use."""

_ROUNDING: Final = 1e-9
"""A share that differs less is the same."""
ENOUGH: Final = 40
"""Failed cells from which an anode's intervals are its own: two of them lie below the first
quantile."""


def fit_recalibration(
    forecaster: Forecaster,
    logits: Tensor,
    after: Tensor,
    until: Tensor,
    cause: Tensor,
    weight: Tensor,
    *,
    prior: float = 1.0,
) -> None:
    """Fit slope and offsets of the hazards on cells that trained nothing.

    Args:
        logits: ``(N, J, K)`` uncalibrated, one row a cell and cycle.
        after, until, cause: ``(N,)`` as in ``competing_risks_nll``.
        weight: ``(N,)``, adding up to the number of cells.
        prior: strength, in cells, of a normal prior of width 1 around the identity; with a handful
            of calibration cells it is what keeps the map sane. A cause that never occurred among
            them keeps its offset.
    """
    recalibration = forecaster.recalibration
    occurred = torch.zeros(logits.shape[-1])
    occurred[cause[cause >= 0].unique()] = 1.0
    parameters = torch.zeros(1 + logits.shape[-1], requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        mapped = torch.exp(parameters[0]) * logits + parameters[1:] * occurred
        nll = competing_risks_nll(log_hazards(mapped), after, until, cause)
        total = (weight * nll).sum() + 0.5 * prior * parameters.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimiser.step(loss)
    with torch.no_grad():
        recalibration.log_slope.copy_(parameters[0])
        recalibration.offset.copy_(parameters[1:] * occurred)


@torch.no_grad()
def fit_intervals(
    forecaster: Forecaster,
    log_hazards: Tensor,
    after: Tensor,
    until: Tensor,
    failed: Tensor,
    design: Tensor,
    cell: Tensor,
) -> None:
    """Fit where the quantiles of the remaining life are read, on cells that trained nothing.

    Coverage is that of the average cycle. Rows of a cell are alike: what is corrected for is the
    number of cells that failed, n. As in split conformal prediction, quantiles below the median are
    those of ⌊(n + 1) q⌋ / n and above it of ⌈(n + 1) q⌉ / n; where there is no such one, nominal.

    Args:
        log_hazards: ``(N, J, K + 1)`` recalibrated, one row a cell and cycle.
        after, until: ``(N,)`` as in ``competing_risks_nll``.
        failed: ``(N,)`` bool; the others were censored at ``after``.
        design: ``(N, N_DESIGN)``. An anode with fewer than ``ENOUGH`` failed cells, or whose rows
            are censored before a quantile, is read as all of them together are.
        cell: ``(N,)`` number of the row's cell.
    """
    intervals = forecaster.intervals
    spent = cumulative_hazard(log_hazards, torch.where(failed, until, after))
    everyone = len(cell[failed].unique())
    found = _quantiles(spent, failed, everyone, intervals.common)
    intervals.common.copy_(found)
    intervals.by_anode.zero_()
    for column in ANODE:
        own = design[:, column] > 0
        cells = len(cell[own & failed].unique())
        if cells >= ENOUGH:
            levels = _quantiles(spent[own], failed[own], cells, found)
            intervals.by_anode[column] = levels - found


def _quantiles(spent: Tensor, failed: Tensor, cells: int, otherwise: Tensor) -> Tensor:
    """Kaplan–Meier quantiles, at ``QUANTILES``, of the hazard that lives have used up."""
    alive = kaplan_meier(spent.numpy(), failed.numpy())
    out = otherwise.clone()
    for i, quantile in enumerate(QUANTILES):
        share = _corrected(quantile, cells)
        place = int((alive.value > 1 - share + _ROUNDING).sum())
        if 0 < share <= 1 and place < len(alive.time):
            out[i] = max(float(alive.time[place]), 1e-3)
    # Where one falls back, it must not cross another.
    return out.cummax(0).values


def _corrected(quantile: float, cells: int) -> float:
    """The share of ``cells`` that stands for a quantile of all that are to come."""
    if quantile == 0.5 or not cells:
        return quantile
    rank = (cells + 1) * quantile
    return (floor(rank + _ROUNDING) if quantile < 0.5 else ceil(rank - _ROUNDING)) / cells


@torch.no_grad()
def fit_spreads(
    forecaster: Forecaster, memory: Tensor, truth: Tensor, known: Tensor, weight: Tensor
) -> None:
    """Fit the scale of each virtual sensor's spread on cells that trained nothing.

    Mean ± 1.645 spreads, the central 90 % of a normal distribution, comes to hold 90 % of the
    truth: locally weighted conformal prediction (Lei et al. 2018, 10.1080/01621459.2017.1307116).
    A likelihood would let a few far misses widen all of it.

    Args:
        memory: ``(N, width)``, one row a cell and cycle.
        truth, known: ``(N, N_SENSORS)`` hidden states, and 0/1 where there are any.
        weight: ``(N,)``.
    """
    sensors = forecaster.virtual
    sensors.scale.fill_(1.0)
    mean, spread = sensors(memory)
    off, known = (truth - mean).abs() / spread, known & (sensors.supervised > 0)
    for column in known.any(0).nonzero()[:, 0]:
        here = known[:, column]
        size, order = off[here, column].sort()
        share = weight[here][order].cumsum(0)
        row = torch.searchsorted(share, 0.9 * share[-1])
        sensors.scale[column] = (size[row] / Z_90).clamp(*SCALES)


def fit_novelty(forecaster: Forecaster, memory: Tensor) -> None:
    """Fit the novelty score to the memory ``(N, width)`` of training cells.

    Raises:
        TrainingError: it is all the same, so there is no scale for a distance.
    """
    try:
        forecaster.novelty.fit(memory)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise TrainingError(
            "the network encodes all training cycles alike",
            fix="Lower training.learning_rate, or train on more cells",
        ) from error
