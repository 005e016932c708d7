"""Likelihoods: of competing risks, exact under interval censoring; of a failure by pressure within
a horizon; of the virtual sensors."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, LONGEST, PRESSURE_CAUSES

_PRESSURE: Final = [CAUSES.index(cause) for cause in PRESSURE_CAUSES]


def competing_risks_nll(log_hazards: Tensor, after: Tensor, until: Tensor, cause: Tensor) -> Tensor:
    """Negative log-likelihood of each row's remaining life.

    The probability of failing by cause k in ``(after, until]`` is the sum over hazard intervals of
    survival to where the two overlap, times the probability of leaving within the overlap, times
    the cause's share of the interval's hazard (constant cause-specific hazards within an interval;
    Prentice et al., Biometrics 34, 541, 1978, 10.2307/2530374, eq. 3, in discrete time). A failure
    seen at cycle r has ``after = r − 1, until = r``.

    Args:
        log_hazards: ``(…, J, K + 1)`` log-probabilities of each cause, then of survival.
        after: ``(…)`` cycles ahead until which the cell is known to live, ≥ 0.
        until: ``(…)`` cycles ahead by which it had failed, > ``after``; ignored if censored.
        cause: ``(…)`` long, −1 if censored at ``after``.

    Returns:
        ``(…)``. A failure that may lie beyond the longest horizon counts as censored there.
    """
    log_survive = log_hazards[..., -1].clamp(max=-1e-9)
    censored = (cause < 0) | (until > LONGEST)
    log_alive = (log_survive * _lived(after)).sum(-1)

    # Rows that are censored take the first interval here, only to keep the gradients finite.
    entered = _lived(torch.where(censored, 0.0, after))
    share = _lived(torch.where(censored, 1.0, until)) - entered
    overlaps = share > 0
    leaves = _log1mexp(log_survive * torch.where(overlaps, share, 1.0))
    causes = log_hazards[..., :-1]
    index = cause.clamp(min=0)[..., None, None].expand(*causes.shape[:-1], 1)
    of_cause = causes.gather(-1, index).squeeze(-1) - torch.logsumexp(causes, -1)
    log_before = log_survive.cumsum(-1) - log_survive
    terms = log_before + log_survive * entered + leaves + of_cause
    log_failed = torch.logsumexp(torch.where(overlaps, terms, -torch.inf), -1)
    return -torch.where(censored, log_alive, log_failed)


def pressure_nll(risk: Tensor, until: Tensor, cause: Tensor) -> Tensor:
    """Negative log-likelihood of whether each row fails by a pressure-related cause in time.

    Beside the likelihood of the lives, it pulls where risks are told and ranked. What it says of a
    row whose outcome is not settled means nothing; ``Batch.settled`` weighs it.

    Args:
        risk: ``(…, H)`` predicted, within each of ``HORIZONS``, in [0, 1].
        until, cause: ``(…)`` as in ``competing_risks_nll``.

    Returns:
        ``(…, H)``.
    """
    horizons = torch.tensor(HORIZONS, dtype=until.dtype, device=until.device)
    by_pressure = torch.isin(cause, torch.tensor(_PRESSURE, device=cause.device))
    fails = by_pressure.unsqueeze(-1) & (until.unsqueeze(-1) <= horizons)
    near = torch.finfo(risk.dtype).eps
    return nn.functional.binary_cross_entropy(
        risk.clamp(near, 1 - near), fails.to(risk.dtype), reduction="none"
    )


def sensor_nll(mean: Tensor, spread: Tensor, truth: Tensor) -> Tensor:
    """Gaussian negative log-likelihood times the spread, which passes no gradient there.

    Without that factor what is already known well takes all of the gradient, and a mean that is
    still far off is excused by a wide spread (β-NLL with β = 0.5; Seitzer et al. 2022, arXiv
    2203.09168).

    Args:
        mean, spread, truth: ``(…)``, spread > 0.

    Returns:
        ``(…)``, without the constant of the density.
    """
    loss = nn.functional.gaussian_nll_loss(mean, truth, spread.square(), reduction="none")
    return spread.detach() * loss


def cumulative_hazard(log_hazards: Tensor, ahead: Tensor) -> Tensor:
    """``(…)`` hazard of all causes until ``ahead`` cycles, of ``(…, J, K + 1)`` as above."""
    return -(log_hazards[..., -1] * _lived(ahead)).sum(-1)


def _lived(ahead: Tensor) -> Tensor:
    """``(…, J)`` the share of each interval that lies before ``ahead``."""
    edges = torch.tensor(EDGES, dtype=ahead.dtype, device=ahead.device)
    return ((ahead.unsqueeze(-1) - edges[:-1]) / edges.diff()).clamp(0.0, 1.0)


def _log1mexp(x: Tensor) -> Tensor:
    """``log(1 − exp(x))`` for x < 0, accurate at both ends (M. Mächler, 2012)."""
    near = x > -0.6931
    small = torch.log(-torch.expm1(torch.where(near, x, -1.0)))
    large = torch.log1p(-torch.exp(torch.where(near, -1.0, x)))
    return torch.where(near, small, large)
