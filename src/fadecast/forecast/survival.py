"""Estimators and metrics for lives of which some are censored: pure functions of arrays.

Everywhere ``time (n,)`` is the cycle of failure or the last one known alive, ≥ 0, and
``failed (n,)`` says which; with competing causes ``cause (n,)`` holds the index of the cause, −1
for censored. A failure at a cycle comes before a censoring at that cycle: a cell censored at t has
lived through t, so whether it failed by t is known. Estimates are non-parametric and assume that
censoring is independent of the life to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.errors import CheckError
from fadecast.forecast.metrics import Floats, aligned

FOLLOWED: Final = 20
"""Cells that must still be followed for a life to be judged."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A right-continuous step function: ``value[i]`` from ``time[i]`` on, ``start`` before.

    Args:
        time: ``(m,)`` increasing, in cycles.
        value: ``(m,)`` or ``(m, k)`` for several curves.
        start: value before ``time[0]``.
    """

    time: Floats
    value: Floats
    start: float

    def _pick(self, index: NDArray[np.intp]) -> Floats:
        first = np.full((1, *self.value.shape[1:]), self.start)
        return np.asarray(np.concatenate([first, self.value])[index])

    def at(self, time: ArrayLike) -> Floats:
        """The value at each time."""
        return self._pick(np.searchsorted(self.time, np.asarray(time, np.float64), "right"))

    def before(self, time: ArrayLike) -> Floats:
        """The value just before each time (the limit from the left)."""
        return self._pick(np.searchsorted(self.time, np.asarray(time, np.float64), "left"))


def _counts(time: Floats, happened: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Distinct times, how many happen at each, how many are at risk there."""
    distinct, group = np.unique(time, return_inverse=True)
    count = np.bincount(group, minlength=len(distinct))
    at_risk = len(time) - np.concatenate([[0], np.cumsum(count)[:-1]])
    happening = np.bincount(group, happened, len(distinct)).astype(np.float64)
    return distinct, happening, at_risk.astype(np.float64)


def kaplan_meier(time: ArrayLike, failed: ArrayLike) -> Steps:
    """Survival ``S(t) = Π_{s ≤ t} (1 − d_s / n_s)`` with d failures among n cells at risk.

    Kaplan & Meier 1958, doi:10.1080/01621459.1958.10501452. After the last censored cell the
    curve keeps its last value, which the data no longer support.
    """
    time, failed = aligned(time=time, failed=failed)
    distinct, deaths, at_risk = _counts(time, failed > 0)
    return Steps(distinct, np.cumprod(1 - deaths / at_risk, dtype=np.float64), 1.0)


def censoring(time: ArrayLike, failed: ArrayLike) -> Steps:
    """Probability G(t) of not being censored by t, by Kaplan–Meier with the roles exchanged.

    Cells that fail at t have left before a censoring at t. ``before(t)`` is the probability that a
    cell is still followed at t; it is 0 beyond the longest follow-up of a censored cell that
    outlived all others, where nothing can be estimated.
    """
    time, failed = aligned(time=time, failed=failed)
    distinct, deaths, at_risk = _counts(time, failed > 0)
    lost = _counts(time, failed == 0)[1]
    staying = 1 - lost / np.maximum(at_risk - deaths, 1)
    return Steps(distinct, np.cumprod(staying, dtype=np.float64), 1.0)


def aalen_johansen(time: ArrayLike, cause: ArrayLike, causes: int) -> Steps:
    """Cumulative incidence by cause, ``F_k(t) = Σ_{s ≤ t} S(s⁻) d_{ks} / n_s``: ``(m, causes)``.

    Aalen & Johansen 1978, Scand. J. Statist. 5, 141–150 (jstor:4615704). With one cause it is
    1 − Kaplan–Meier; over all causes it sums to that.
    """
    time, cause = aligned(time=time, cause=cause)
    survival = kaplan_meier(time, cause >= 0)
    counts = [_counts(time, cause == k) for k in range(causes)]
    hazard = np.stack([deaths / at_risk for _, deaths, at_risk in counts], axis=1)
    before = survival.before(survival.time)
    return Steps(survival.time, np.cumsum(before[:, None] * hazard, axis=0), 0.0)


def ipcw(
    time: ArrayLike, failed: ArrayLike, until: ArrayLike, followed: Steps, entry: ArrayLike = 0.0
) -> Floats:
    """Weights ``(n,)`` of outcomes that are settled once a cell has failed or lived to ``until``.

    ``w = G(entry⁻) / G(min(time, until)⁻)`` where the outcome was seen, 0 where the cell was
    censored first: each seen outcome also stands for the like ones that were not. A mean with
    these weights estimates what it would be without censoring; that of "failed by t" is
    1 − Kaplan–Meier exactly (Satten & Datta 2001, doi:10.1198/000313001317098185). 0 for all where
    nobody was followed to ``until``.

    Args:
        time, failed: of the cell, see the module.
        until: ``(n,)`` or a number: when the outcome is settled at the latest, in cycles.
        followed: ``censoring`` of the population.
        entry: ``(n,)`` or a number: the cycle at which the question is asked (a landmark); the
            cell was alive and followed then.
    """
    time, failed = aligned(time=time, failed=failed)
    until = np.broadcast_to(np.asarray(until, np.float64), time.shape)
    seen = (time >= until) | (failed > 0)
    estimable = followed.before(until) > 0
    probability = followed.before(np.minimum(time, until)) / followed.before(entry)
    usable = seen & estimable & (probability > 0)
    return np.asarray(np.divide(1.0, probability, out=np.zeros(len(time)), where=usable))


def concordance(
    risk: ArrayLike,
    time: ArrayLike,
    failed: ArrayLike,
    *,
    followed: Steps | None = None,
    before: float = np.inf,
) -> float:
    """Probability that of two cells the one failing first has the higher risk; ties count half.

    A pair is judged when the earlier of the two failed and the other was known alive at that time.

    Args:
        risk: ``(n,)`` higher means sooner (such as minus the predicted life): Harrell et al. 1982,
            doi:10.1001/jama.1982.03320430047030. Or ``(n, n)``, ``risk[i, j]`` the risk of cell j
            by the time i failed: the time-dependent concordance of Antolini et al. 2005,
            doi:10.1002/sim.2427.
        time, failed: see the module.
        followed: ``censoring`` of the cells; with it a pair counts ``1 / G(t_i⁻)²``, which frees
            the result from the censoring: Uno et al. 2011, doi:10.1002/sim.4154.
        before: only failures before this cycle count (τ of Uno et al.).

    Returns:
        A share of 0…1, 0.5 is chance; NaN without a pair to judge.
    """
    time, failed = aligned(time=time, failed=failed)
    risk = np.asarray(risk, np.float64)
    if risk.shape not in ((len(time),), (len(time), len(time))) or np.isnan(risk).any():
        raise CheckError(f"risk has shape {risk.shape} or holds NaN, expected one per cell or pair")
    weight = np.ones(len(time)) if followed is None else followed.before(time) ** -2.0
    won = total = 0.0
    for i in np.flatnonzero((failed > 0) & (time < before)):
        outlived = (time > time[i]) | ((time == time[i]) & (failed == 0))
        row = risk if risk.ndim == 1 else risk[i]
        won += weight[i] * ((row[i] > row) + 0.5 * (row[i] == row))[outlived].sum()
        total += weight[i] * outlived.sum()
    return float(won / total) if total > 0 else float("nan")


def brier_curve(
    probability: ArrayLike,
    time: ArrayLike,
    cause: ArrayLike,
    at: ArrayLike,
    *,
    of: int | None = None,
    followed: Steps | None = None,
) -> Floats:
    """Brier score ``(m,)`` of predicted incidences at times ``at (m,)``, weighted for censoring.

    ``mean_i w_i(t) ([failed by t] − F_i(t))²`` of Graf et al. 1999,
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5; for one cause
    ``[failed by t of this cause]`` against its cumulative incidence, Gerds et al. 2012,
    doi:10.1002/sim.5459.

    Args:
        probability: ``(n, m)`` predicted probability of having failed (of the cause) by ``at``.
        time, cause: see the module.
        at: ``(m,)`` cycles.
        of: the cause to judge; any when ``None``.
        followed: ``censoring`` of the population; of these cells when ``None``.

    Returns:
        ``(m,)`` in 0…1; NaN at times to which nobody was followed.
    """
    time, cause = aligned(time=time, cause=cause)
    probability, at = np.asarray(probability, np.float64), np.asarray(at, np.float64)
    if probability.shape != (len(time), len(at)):
        raise CheckError(f"probability has shape {probability.shape}, not {(len(time), len(at))}")
    hit = cause >= 0 if of is None else cause == of
    followed = followed or censoring(time, cause >= 0)
    out = np.full(len(at), np.nan)
    for j, t in enumerate(at):
        weight = ipcw(time, cause >= 0, t, followed)
        if weight.any():
            error = (hit & (time <= t)) - probability[:, j]
            out[j] = weight @ error**2 / weight.sum()
    return out


def integrated_brier(curve: ArrayLike, at: ArrayLike) -> float:
    """Mean of a Brier curve over time, ``∫ BS(t) dt / (t_m − t_1)`` by trapezoids.

    Times at the end to which nobody was followed (NaN) are left out; NaN with fewer than two.
    """
    scores, times = np.asarray(curve, np.float64), np.asarray(at, np.float64)
    scores, times = scores[np.isfinite(scores)], times[np.isfinite(scores)]
    if len(times) < 2:
        return float("nan")
    return float(np.trapezoid(scores, times) / (times[-1] - times[0]))


def horizon(time: ArrayLike, failed: ArrayLike) -> float:
    """Cycle τ until which lives can be judged: the first censoring after which fewer than
    ``FOLLOWED`` cells (a tenth of them, if there are fewer) are still followed; infinity if there
    is none.

    Beyond it, what became of cells is known of too few to stand for the others.
    """
    time, failed = aligned(time=time, failed=failed)
    enough = min(FOLLOWED, len(time) / 10)
    lost = np.unique(time[failed == 0])
    beyond = len(time) - np.searchsorted(np.sort(time), lost, "right")
    return float(lost[beyond < enough].min(initial=np.inf))


def interval_outcome(
    lower: ArrayLike,
    upper: ArrayLike,
    time: ArrayLike,
    failed: ArrayLike,
    followed: Steps,
    entry: ArrayLike = 0.0,
    *,
    after: ArrayLike | None = None,
    until: float = np.inf,
    tail: float = 0.0,
) -> tuple[Floats, Floats]:
    """Whether each predicted interval holds the life, and the weight with which that is known.

    What can be known of a life is min(life, τ) (the restricted life: Royston & Parmar 2013,
    doi:10.1186/1471-2288-13-152), which is held against [min(lower, τ), min(upper, τ)]. It is
    settled once the cell has failed or lived to ``upper``; of an interval that is open at τ, once
    it has lived to ``lower`` or τ. Of an open interval only the lower end can be missed. So that it
    promises what a closed one does, the misses of the upper end that are due are taken off: an open
    interval that held counts as ``1 − tail``, one that did not as ``−tail``. Where ``lower`` lies
    beyond τ as well, this still counts up to ``tail`` too much. What is asked from τ on weighs
    nothing.

    Args:
        lower, upper: ``(n,)`` ends of the interval in cycles of life, ``lower ≤ upper``; infinity
            is an open end.
        time, failed, followed, entry: as in ``ipcw``.
        after: ``(n,)`` cycle at which a failed cell was last known alive, if not ``time``.
        until: τ, in cycles of life (see ``horizon``).
        tail: probability beyond the upper end.

    Returns:
        ``held (n,)`` and ``weight (n,)``; their ``metrics.mean`` is the coverage.
    """
    lower, upper, time, failed = aligned(lower=lower, upper=upper, time=time, failed=failed)
    alive = time if after is None else np.asarray(after, np.float64)
    open_end = upper >= until
    lower = np.minimum(lower, until)
    ends_after = (lower <= np.minimum(time, until)) | (failed == 0)
    # A censored cell decides only once it has outlived the upper end: of an open interval, a hit.
    ends_before = np.where(failed > 0, np.minimum(alive, until) <= upper, open_end)
    held = (ends_after & ends_before).astype(np.float64)
    entry = np.broadcast_to(np.asarray(entry, np.float64), time.shape)
    asked, settled, weight = entry < until, np.where(open_end, lower, upper), np.zeros(len(time))
    weight[asked] = ipcw(time[asked], failed[asked], settled[asked], followed, entry[asked])
    return held - tail * open_end, weight


__all__ = [
    "Steps", "aalen_johansen", "brier_curve", "censoring", "concordance", "horizon",
    "integrated_brier", "interval_outcome", "ipcw", "kaplan_meier",
]  # fmt: skip
