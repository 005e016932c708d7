"""How what is said at the judged cycles is judged: pure functions of rows and of what was said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._cells import HORIZON, LANDMARKS, Array, Ints, Rows
from benchmarks._said import HIGH, Said
from fadecast.forecast import metrics, survival
from fadecast.forecast.forecast import LONGEST, QUANTILES

STAGES: Final = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
DRAWS: Final = 500
MORE_DRAWS: Final = 2000
"""Of what is cheap to judge."""
RISK: Final = f"risk{HORIZON}"
PROTOCOLS: Final = ("laboratory", "vehicle")
KINDS: Final = (*(f"stage{last:.2f}" for _, last in STAGES),
                "lithium", "anode_free", "silver_carbon", "silicon")  # fmt: skip
CALIBRATED: Final = {
    f"{RISK}.calibration_error": (0.0, 0.02), "coverage90.overall": (0.88, 0.92),
    **{f"coverage90.{kind}": (0.85, 0.95) for kind in KINDS},
}  # fmt: skip
"""What is wanted of a calibrated network: figures and the bounds they lie within."""

Figures = dict[str, float]


def over(said: Sequence[Said], judge: Callable[[Said], Figures]) -> Figures:
    """Figures of a model; of several trainings the mean, and the standard deviation as ``.std``."""
    found = [judge(one) for one in said]
    figures: Figures = {}
    for key in sorted(set.intersection(*(set(one) for one in found))):
        values = [one[key] for one in found]
        figures[key] = float(np.mean(values))
        if len(values) > 1:
            figures[f"{key}.std"] = float(np.std(values, ddof=1))
    return figures


def verdicts(
    figures: Figures, bounds: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, str], dict[str, bool]]:
    """What was wanted of figures, in words, and whether it is so; what is missing is not."""
    targets = {key: f"{low:g} … {high:g}" for key, (low, high) in bounds.items()}
    nan = float("nan")
    return targets, {k: bool(a <= figures.get(k, nan) <= b) for k, (a, b) in bounds.items()}


def mean_of(many: Sequence[Said]) -> Said:
    """The mean risk and the mean median of several models."""
    risk, left = (np.mean([getattr(one, name) for one in many], 0) for name in ("risk", "left"))
    return Said(risk, left)


def ranking(name: str, said: Said, rows: Rows) -> Figures:
    """AUROC and average precision: pooled, with cells alike, at landmarks and by protocol."""
    figures: Figures = {}
    label, alike = rows.label, rows.alike
    known = label >= 0
    parts = {"": known, ".cells": known}
    parts |= {f".{part}": known & chosen for part, chosen in parts_of(rows).items()}
    for part, chosen in parts.items():
        weight = alike[chosen] if part == ".cells" else None
        for figure, metric in (("auroc", metrics.auroc), ("ap", metrics.average_precision)):
            value = metric(label[chosen], said.risk[chosen], weight)
            figures[f"{RISK}.{figure}{part}.{name}"] = value
    return figures


def parts_of(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """``(n,)`` rows of which models are compared apart: at a landmark, of a protocol."""
    parts = {f"cycle{n}": rows.cycle == n for n in LANDMARKS}
    return parts | {name: (rows.protocol == name)[rows.cell] for name in PROTOCOLS}


def counted(left: Array, rows: Rows) -> Array:
    """Cycles left ``(n,)``, as far as enough cells were followed to tell who is right."""
    return np.minimum(left, survival.horizon(rows.time, rows.failed) - rows.cycle)


def remaining_life(name: str, said: Said, rows: Rows) -> Figures:
    """Errors of the cycles left, and concordance at landmarks.

    The median relative error is that of cells seen to fail. The mean absolute one is that of all,
    freed of the censoring, of lives that are ``counted``: where half of the like cells outlive the
    follow-up, a model that says so is not further off than one that cannot say more than that.
    """
    left, failed = rows.left, rows.failed[rows.cell]
    said_left, true = counted(said.left, rows), counted(left, rows)
    judged = {"cycle100": rows.cycle == 100, "last50": left <= HORIZON}
    figures: Figures = {}
    for part, chosen in judged.items():
        use = chosen & failed & (left > 0)
        error = metrics.median_ape(said.left[use], left[use])
        figures[f"rul.mdape.{part}.{name}"] = error
    time, end = rows.time[rows.cell], survival.horizon(rows.time, rows.failed)
    followed = survival.censoring(rows.time, rows.failed)
    weight = survival.ipcw(time, failed, end, followed, rows.cycle)
    weight = np.where((rows.cycle == 100) & (true > 0), weight, 0.0)
    figures[f"rul.mae.cycle100.{name}"] = metrics.mean(np.abs(said_left - true), weight)
    for landmark in LANDMARKS:
        at = np.flatnonzero((rows.cycle == landmark) & (left > 0))
        cell = rows.cell[at]
        figures[f"concordance.cycle{landmark}.{name}"] = survival.concordance(
            -said.left[at], rows.time[cell], rows.failed[cell]
        )
    return figures


def covered(said: Said, rows: Rows, cells: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
    """``(n,)`` whether the 90 % interval held, and the weight with which that is known.

    Args:
        cells: ``(m,)`` which cells are judged, by what is known of their follow-up; all when
            ``None``. The others weigh nothing.
    """
    assert said.low is not None
    assert said.high is not None
    cell, time, failed = rows.cell, rows.time, rows.failed
    own = np.ones(len(time), bool) if cells is None else cells
    held, weight = survival.interval_outcome(
        said.low + rows.cycle, np.where(said.high < LONGEST, said.high + rows.cycle, np.inf),
        time[cell], failed[cell], survival.censoring(time[own], failed[own]), rows.cycle,
        after=rows.after[cell], until=survival.horizon(time[own], failed[own]),
        tail=1 - QUANTILES[HIGH],
    )  # fmt: skip
    return held, weight * own[cell]


def calibration(said: Said, rows: Rows) -> Figures:
    """Coverage of the 90 % intervals and the error of the risk.

    Overall, by anode, tier and protocol it is freed of the censoring, and cycles count alike: were
    it cells, the weight of a cycle would tell how short a life is, and right intervals would seem
    to be outlived too rarely. By stage it is of cells alike that were seen to fail, and tells how
    the others fare only where all did.
    """
    cell = rows.cell
    parts = {"": np.ones(len(rows), bool)} | {f".cycle{n}": rows.cycle == n for n in LANDMARKS}
    parts |= {f".{name}": rows.anode[cell] == name for name in np.unique(rows.anode)}
    figures = {}
    for part, chosen in parts.items():
        known = chosen & (rows.label >= 0)
        error = metrics.calibration_error(rows.label[known], said.risk[known])
        figures[f"{RISK}.calibration_error{part}"] = error
    held, weight = covered(said, rows)
    figures["coverage90.overall"] = metrics.mean(held, weight)
    share = rows.cycle / rows.time[cell]
    for first, last in STAGES:
        part = rows.failed[cell] & (share > first) & (share <= last)
        alike = 1 / np.bincount(cell[part], minlength=len(rows.cause))[cell[part]]
        figures[f"coverage90.stage{last:.2f}"] = metrics.mean(held[part] > 0, alike)
    for kind in (rows.anode, rows.tier, rows.protocol):
        for name in np.unique(kind):
            held, weight = covered(said, rows, kind == name)
            figures[f"coverage90.{name}"] = metrics.mean(held, weight)
    return figures


def ratio(part: float, whole: float) -> float:
    """NaN where a small population leaves nothing to divide by."""
    return part / whole if whole else float("nan")


class Ranked:
    """A score sorted once, to be judged under many weights."""

    def __init__(self, label: Ints, score: Array) -> None:
        self.label = label
        _, self.group = np.unique(-score, return_inverse=True)

    def __call__(self, weight: Array) -> NDArray[np.float64]:
        """AUROC and average precision, as ``metrics.auroc`` and ``average_precision``."""
        positive = np.bincount(self.group, weight * self.label)
        every = np.bincount(self.group, weight)
        negative = every - positive
        hits, called = np.cumsum(positive), np.cumsum(every)
        if not 0 < hits[-1] < called[-1]:
            return np.full(2, np.nan)
        auroc = (hits - positive / 2) @ negative / (hits[-1] * negative.sum())
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return np.array([auroc, positive @ precision / hits[-1]])


def gains(
    own: Sequence[Said],
    others: Mapping[str, Said],
    rows: Rows,
    design: Ints,
    part: NDArray[np.bool_] | None = None,
    *,
    alike: bool = False,
    draws: int = MORE_DRAWS,
) -> dict[str, Array]:
    """Ours minus each other's AUROC and average precision under designs drawn with replacement.

    Args:
        design: ``(m,)`` which design each cell is of: those of one fail alike.
        part: ``(n,)`` which rows are judged; all when ``None``.
        alike: cells count alike, in place of rows.

    Returns:
        By name ``(2, 2)``: of either figure the 2.5 % and the 97.5 % quantile over the draws; NaN
        where most draws decide nothing.
    """
    known = (rows.label >= 0) & (True if part is None else part)
    label, cell = rows.label[known], rows.cell[known]
    each = rows.alike[known] if alike else np.ones(len(cell))
    ours = [Ranked(label, said.risk[known]) for said in own]
    theirs = {name: Ranked(label, said.risk[known]) for name, said in others.items()}
    unit = design[cell]
    draw, units = np.random.default_rng(0), np.unique(unit)
    found: dict[str, list[Array]] = {name: [] for name in others}
    for _ in range(draws):
        chosen = draw.choice(units, len(units))
        weight = np.bincount(chosen, minlength=units.max() + 1)[unit] * each
        mean = np.mean([ranked(weight) for ranked in ours], axis=0)
        for name, ranked in theirs.items():
            found[name].append(mean - ranked(weight))
    quantiles = {}
    for name, differences in found.items():
        some = np.array([d for d in differences if np.isfinite(d).all()])
        enough = len(some) > draws / 2
        quantiles[name] = (
            np.quantile(some, (0.025, 0.975), axis=0).T if enough else np.full((2, 2), np.nan)
        )
    return quantiles


def life_gain(own: Said, other: Said, rows: Rows, design: Ints, draws: int = MORE_DRAWS) -> Array:
    """Ours minus the other's median relative error of the cycles left at cycle 100, of cells that
    were seen to fail: ``(2,)`` the 2.5 % and the 97.5 % quantile, designs drawn with replacement.

    Args:
        design: ``(m,)`` which design each cell is of.
    """
    use = np.flatnonzero((rows.cycle == 100) & rows.failed[rows.cell] & (rows.left > 0))
    if not len(use):
        return np.full(2, np.nan)
    left, units = rows.left[use], np.unique(design[rows.cell[use]], return_inverse=True)[1]
    errors = [np.abs(said.left[use] - left) / left for said in (own, other)]
    draw, count = np.random.default_rng(0), int(units.max()) + 1
    found = []
    for _ in range(draws):
        times = np.bincount(draw.integers(0, count, count), minlength=count)[units]
        ours, theirs = (np.median(np.repeat(error, times)) for error in errors)
        found.append(ours - theirs)
    return np.asarray(np.quantile(found, (0.025, 0.975)))
