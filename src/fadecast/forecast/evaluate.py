"""Evaluation: forecasts against lives, the same for a network, a baseline and a point estimate.

A forecast is judged only if it was valid and the cell was still known alive at its cycle: a
forecast made after the failure is no forecast. The point estimate is the median remaining life.
Errors count cells alike however many cycles they have; where intervals and risks are judged, cycles
do. Censored cells are neither dropped nor called dead: they enter with the weights of
``survival.ipcw``; errors of a life need the life and are taken over the failed cells. Models whose
forecasts begin at different cycles are compared on the cycles that they share: slice the
``Forecasts`` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.cell.life import CAUSES, Life
from fadecast.errors import CheckError
from fadecast.forecast import metrics, survival
from fadecast.forecast.forecast import (
    EDGES,
    HORIZONS,
    LONGEST,
    QUANTILES,
    RISKS,
    VIRTUAL_SENSORS,
    Forecasts,
)
from fadecast.forecast.metrics import Floats
from fadecast.forecast.questions import Asked, ask, followed, outcome
from fadecast.forecast.scorecard import CellScore, Figure, Scorecard, decided

LANDMARKS: Final = (50, 100, 200, 500)
"""Cycles at which cells are compared by what was known by then."""

_MEDIAN: Final = QUANTILES.index(0.5)
_INTERVALS: Final = {"coverage_50": (1, 3), "coverage_90": (0, 4)}
Z_90: Final = 1.645
"""Spreads to both sides of the mean that hold 90 % of a normal distribution."""


def evaluate(
    forecasts: Mapping[str, Forecasts],
    lives: Mapping[str, Life],
    landmarks: Sequence[int] = LANDMARKS,
    *,
    truth: Mapping[str, ArrayLike] | None = None,
) -> Scorecard:
    """Judge forecasts by what became of the cells.

    Args:
        forecasts: by cell, cycles increasing. An incidence without entries along its last axis (a
            table of scores does not hold it) leaves out the metrics that need it.
        lives: of at least these cells.
        landmarks: cycles at which cells are compared.
        truth: ``(n, len(VIRTUAL_SENSORS))`` hidden states at the forecasts' cycles, by cell, of
            those cells and (else NaN) those sensors that have any.

    Raises:
        ConfigError: there is no cell, or one has no life.
        CheckError: a valid forecast is not finite, or a truth has other cycles.
    """
    for name, forecast in forecasts.items():
        sound = np.isfinite(forecast.rul).all(axis=1) & np.isfinite(forecast.risk).all(axis=(1, 2))
        if (bad := forecast.valid & ~sound).any():
            cycle = int(forecast.cycle_count[bad.argmax()])
            raise CheckError(
                f"the forecast after cycle {cycle} is not finite", where=f"cell {name!r}"
            )
    cycles = {name: forecast.cycle_count for name, forecast in forecasts.items()}
    asked = ask(cycles, lives, {name: forecast.valid for name, forecast in forecasts.items()})
    parts = list(forecasts.values())
    rows = [asked.row[own] for own in asked.by_cell(len(parts))]
    rul = np.concatenate([f.rul[r] for f, r in zip(parts, rows, strict=True)]).astype(np.float64)
    risk = np.concatenate([f.risk[r] for f, r in zip(parts, rows, strict=True)]).astype(np.float64)
    sensed = [_sensed(name, f, (truth or {}).get(name)) for name, f in forecasts.items()]
    off, held = (
        np.concatenate([whole[r] for whole, r in zip(each, rows, strict=True)])
        for each in zip(*sensed, strict=True)
    )
    own = [lives[name] for name in forecasts]
    steps = followed(own)
    until = survival.horizon([life.cycle for life in own], [life.failed for life in own])
    found = [
        *_life(asked, rul[:, _MEDIAN], "any_cycle"),
        *_intervals(asked, rul, steps, until, "any_cycle"),
        *_risks(asked, risk, steps, "any_cycle"),
        *_sensors(asked, off, held, "any_cycle"),
    ]
    for landmark in landmarks:
        at, when = asked.at(landmark), f"at_{landmark}"
        here = asked[at]
        incidence = [parts[c].incidence[r] for c, r in zip(here.cell, here.row, strict=True)]
        found += [
            *_life(here, rul[at, _MEDIAN], when),
            *_intervals(here, rul[at], steps, until, when),
            *_ranking(here, rul[at, _MEDIAN], when),
            *_incidences(here, np.array(incidence, np.float64), when),
            *_risks(here, risk[at], steps, when),
            *_sensors(here, off[at], held[at], when),
        ]
    inside = _interval(asked, rul, steps, until, *_INTERVALS["coverage_90"])
    return Scorecard(tuple(found), _cells(list(forecasts), lives, asked, rul[:, _MEDIAN], inside))


def evaluate_points(
    predicted_life: Mapping[str, ArrayLike],
    lives: Mapping[str, Life],
    cycle_count: Mapping[str, ArrayLike] | int,
    landmarks: Sequence[int] = LANDMARKS,
) -> Scorecard:
    """Judge predictions of the life alone; metrics of a distribution or a risk are absent.

    Args:
        predicted_life: predicted cycle of failure by cell, a number or ``(n,)``.
        lives: of at least these cells.
        cycle_count: ``(n,)`` by cell: the cycles after which it was predicted. Or one number, if
            every life was predicted once, after that cycle: then it is the only landmark, and
            there is no any-cycle metric.
        landmarks: cycles at which cells are compared.

    Raises:
        ConfigError: there is no cell, or one has no life.
        CheckError: a prediction is not finite or has no cycle.
    """
    once = isinstance(cycle_count, int)
    if isinstance(cycle_count, int):
        landmarks, cycle_count = [cycle_count], dict.fromkeys(predicted_life, cycle_count)
    counts = {name: np.atleast_1d(cycle_count.get(name, ())) for name in predicted_life}
    asked = ask(counts, lives)
    parts = []
    for (name, life), own in zip(predicted_life.items(), asked.by_cell(len(counts)), strict=True):
        value, shape = np.atleast_1d(np.asarray(life, np.float64)), counts[name].shape
        if value.shape not in (shape, (1,)) or not shape[0] or not np.isfinite(value).all():
            raise CheckError(
                f"{value.size} predicted lives for {shape[0]} cycles, or one is not finite",
                where=f"cell {name!r}", fix="Give a finite life per cycle, or one for all",
            )  # fmt: skip
        parts.append(np.broadcast_to(value, shape)[asked.row[own]])
    rul = np.concatenate(parts) - asked.cycle
    found = [] if once else _life(asked, rul, "any_cycle")
    for landmark in landmarks:
        at, when = asked.at(landmark), f"at_{landmark}"
        found += [*_life(asked[at], rul[at], when), *_ranking(asked[at], rul[at], when)]
    return Scorecard(tuple(found), _cells(list(predicted_life), lives, asked, rul, None))


def _life(asked: Asked, rul: Floats, when: str) -> list[Figure]:
    """Errors of the point estimate ``rul (n,)``, over the cells whose failure was seen."""
    known = asked[asked.failed]
    if not len(known):
        return []
    life, predicted = known.time, known.cycle + rul[asked.failed]
    error = predicted - life
    found: dict[str, float] = {
        "rmse": metrics.rmse(predicted, life, known.weight),
        "mae": metrics.mean(np.abs(error), known.weight),
        "bias": metrics.mean(error / life, known.weight),
        "accuracy_15": metrics.alpha_accuracy(predicted, life, known.weight),
    }
    if when == "any_cycle":
        remaining = life - known.cycle
        error_ = metrics.any_cycle_error(rul[asked.failed], remaining, life, known.cell)
        found = {"rel_error": error_} | found
    else:
        found["mape"] = metrics.mape(predicted, life)
        found["median_ape"] = metrics.median_ape(predicted, life)
    return decided(when, "", len(np.unique(known.cell)), **found)


def _interval(
    asked: Asked, rul: Floats, steps: survival.Steps, until: float, low: int, high: int
) -> tuple[Floats, Floats]:
    """Whether the interval between two quantiles of ``rul (n, 5)`` held, and the weight of that."""
    life = asked.cycle[:, None] + np.where(rul >= LONGEST, np.inf, rul)
    return survival.interval_outcome(
        life[:, low], life[:, high], asked.time, asked.failed, steps, asked.cycle,
        after=asked.after, until=until, tail=1 - QUANTILES[high],
    )  # fmt: skip


def _intervals(
    asked: Asked, rul: Floats, steps: survival.Steps, until: float, when: str
) -> list[Figure]:
    """Coverage and width of the intervals between the quantiles ``rul (n, 5)``."""
    found: list[Figure] = []
    for name, (low, high) in _INTERVALS.items():
        held, weight = _interval(asked, rul, steps, until, low, high)
        cells = len(np.unique(asked.cell[weight > 0]))
        # Cycles alike: a weight that tells how long a cell lived would bias it.
        coverage = metrics.mean(held, weight)
        found += decided(when, "", cells, **{name: coverage})
    share = metrics.mean(weight > 0, asked.weight)
    width = metrics.mean(rul[:, -1] - rul[:, 0], asked.weight)
    cells = len(np.unique(asked.cell))
    return found + decided(when, "", cells, decided_90=share, width_90=width)


def _ranking(asked: Asked, rul: Floats, when: str) -> list[Figure]:
    """Whether cells fail in the order of ``rul (n,)``, one forecast a cell."""
    left = asked.time - asked.cycle
    steps = survival.censoring(left, asked.failed) if len(left) else None
    return decided(
        when, "", len(asked),
        concordance=survival.concordance(-rul, left, asked.failed),
        concordance_ipcw=survival.concordance(-rul, left, asked.failed, followed=steps),
    )  # fmt: skip


def _incidences(asked: Asked, incidence: Floats, when: str) -> list[Figure]:
    """Metrics of the incidence curves ``(n, causes, EDGES[1:])``, one forecast a cell."""
    if len(asked) < 2 or not incidence.shape[-1]:
        return []
    left = asked.time - asked.cycle
    edges = np.array(EDGES, np.float64)
    curves = np.concatenate([np.zeros((*incidence.shape[:2], 1)), incidence], axis=2)
    total = curves.sum(axis=1)
    by_then = np.stack([np.interp(left, edges, curve) for curve in total], axis=1)
    ordered = survival.concordance(by_then, left, asked.failed)
    found = decided(when, "", len(asked), concordance_td=ordered)
    within = edges <= left.max()
    for what, cause, curve in [
        ("", None, total),
        *((CAUSES[k], k, curves[:, k]) for k in np.unique(asked.cause[asked.failed])),
    ]:
        scores = survival.brier_curve(curve[:, within], left, asked.cause, edges[within], of=cause)
        ibs = survival.integrated_brier(scores, edges[within])
        found += decided(when, what, len(asked), ibs=ibs)
    return found


def _risks(asked: Asked, risk: Floats, steps: survival.Steps, when: str) -> list[Figure]:
    """Metrics of the risks ``(n, RISKS, HORIZONS)`` that came true at least once."""
    found: list[Figure] = []
    for i, name in enumerate(RISKS):
        for j, horizon in enumerate(HORIZONS):
            label, weight = outcome(asked, name, horizon, steps)
            if not (label & (weight > 0)).any():
                continue
            score, cells = risk[:, i, j], len(np.unique(asked.cell[weight > 0]))
            found += decided(
                when, f"{name}_{horizon}", cells,
                auroc=metrics.auroc(label, score, weight),
                average_precision=metrics.average_precision(label, score, weight),
                base_rate=metrics.mean(label, weight),
                brier=metrics.brier(label, score, weight),
                calibration_error=metrics.calibration_error(label, score, weight),
            )  # fmt: skip
    return found


def _sensed(
    name: str, forecast: Forecasts, truth: ArrayLike | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """``(n, V)`` absolute error of each virtual sensor, NaN where the truth is unknown, and whether
    that is within ``Z_90`` spreads."""
    shape = len(forecast), len(VIRTUAL_SENSORS)
    if truth is None or not forecast.virtual.shape[1]:
        return np.full(shape, np.nan), np.zeros(shape, bool)
    known = np.asarray(truth, np.float64)
    if known.shape != shape:
        raise CheckError(
            f"truth of shape {known.shape} for forecasts of {shape}", where=f"cell {name!r}",
            fix="Give a row a forecast and a column a sensor",
        )  # fmt: skip
    off = np.abs(forecast.virtual - known)
    return off, off <= Z_90 * forecast.virtual_spread


def _sensors(asked: Asked, off: Floats, held: NDArray[np.bool_], when: str) -> list[Figure]:
    """Error and coverage of every virtual sensor, from the ``(n, V)`` of ``_sensed``."""
    found: list[Figure] = []
    for column, name in enumerate(VIRTUAL_SENSORS):
        known = np.isfinite(off[:, column])
        here = asked[known]
        found += decided(
            when, name, len(np.unique(here.cell)),
            sensor_mae=metrics.mean(off[known, column], here.weight),
            sensor_coverage_90=metrics.mean(held[known, column], here.weight),
        )  # fmt: skip
    return found


def _cells(
    names: Sequence[str],
    lives: Mapping[str, Life],
    asked: Asked,
    rul: Floats,
    held: tuple[Floats, Floats] | None,
) -> tuple[CellScore, ...]:
    """One entry per cell; ``rul (n,)`` is the point estimate, ``held`` the 5–95 % interval's."""
    error = (asked.cycle + rul - asked.time) / np.maximum(asked.time, 1.0)
    out = []
    for name, own in zip(names, asked.by_cell(len(names)), strict=True):
        life, judged = lives[name], own.stop - own.start
        known = life.failed and judged > 0
        share = metrics.mean(held[0][own] > 0, held[1][own]) if held else float("nan")
        out.append(
            CellScore(
                name,
                life.cycle,
                life.cause,
                judged,
                rel_error=float(np.abs(error[own]).mean()) if known else None,
                bias=float(error[own].mean()) if known else None,
                coverage_90=None if np.isnan(share) else share,
            )
        )
    return tuple(sorted(out, key=lambda cell: cell.cell_id))
