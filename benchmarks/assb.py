"""Simulated solid-state cells: the network beside its opponents, on designs that trained nothing.

Full: the population of training/populations/assb.yaml is simulated (once; it is kept), the network
is trained by training/configs/assb.yaml and the opponents are fitted to the same designs; the test
designs are judged. All cells are held in memory at once. Quick: the same with a small population
and a few epochs, which says that the line works and nothing of how well.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import _common
from benchmarks._alarms import lead_times
from benchmarks._opponents import (
    EVERY,
    HORIZON,
    Rows,
    boosted,
    by_kind,
    hidden_truth,
    judged_rows,
    stacked,
)
from fadecast.cell.store import Store
from fadecast.cli.simulation import summarise
from fadecast.forecast import metrics, survival
from fadecast.forecast.forecast import HORIZONS, QUANTILES, RISKS, Forecasts
from fadecast.learn.config import TrainConfig
from fadecast.learn.dataset import CellSequence, load_sequences
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells
from fadecast.learn.split import PARTS, split_cells
from fadecast.physics.generate import generate
from fadecast.physics.population import Population

CONFIG = _common.ROOT / "training" / "populations" / "assb.yaml"
TRAINING = _common.ROOT / "training" / "configs" / "assb.yaml"
KEPT = _common.ROOT / "mlruns" / "populations" / "assb"
LANDMARKS = (20, 50, 100, 200)
QUICK_CELLS = 192
DRAWS = 500
_PRESSURE = RISKS.index("pressure")
_WITHIN = HORIZONS.index(HORIZON)
_LOW, _MEDIAN, _HIGH = 0, QUANTILES.index(0.5), len(QUANTILES) - 1
STAGES = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))

Array = NDArray[np.float64]
Figures = dict[str, float]


def main() -> None:
    """Judge, print, close."""
    quick = _common.options(__doc__).quick
    config = TrainConfig.from_yaml(TRAINING)
    with tempfile.TemporaryDirectory() as name:
        population = Population.from_yaml(CONFIG)
        if quick:
            changes = {"cells": QUICK_CELLS, "shard": 4, "seed": population.seed + 1000}
            population = population.model_copy(update=changes)
        store = simulate(population, Path(name) / "fresh" if quick else KEPT)
        cells = load_sequences(store, config.data.end_of_life)
        split = split_cells([cell.metadata for cell in cells], config.data.split)
        by_id = {cell.cell_id: cell for cell in cells}
        train, held, test = ([by_id[c] for c in getattr(split, part)] for part in PARTS)
        rows = judged_rows(test)
        print(f"{len(train) + len(held)} cells to learn from, {len(test)} to be judged on at")
        print(f"{len(rows)} cycles")
        scores = {"kind": by_kind([*train, *held], test, rows)}
        scores |= fitted(store.path, [*train, *held], test, rows)
        changes = {"epochs": 3, "batch_cells": 8} if quick else {}
        training = config.training.model_copy(update=changes)
        network = fit(train, held, config.network, training, folder=Path(name))
        forecasts = forecast_cells(network, test)
    scores["network"] = risk_at(forecasts, test, rows)
    figures = ranking(scores, rows)
    figures |= remaining_life(forecasts, test) | calibration(forecasts, test, rows, scores)
    figures |= lead_times(forecasts, test)
    figures = {key: value for key, value in figures.items() if np.isfinite(value)}
    targets, met = verdicts(figures, quick)
    _common.close("assb", figures, targets, met, ("numpy", "scikit-learn", "torch"))


def simulate(config: Population, out: Path) -> Store:
    """The population in ``out``, simulated as far as it is not there yet."""
    for done, total in generate(config, out, summarise=summarise, workers=os.cpu_count() or 1):
        if done % 32 == 0 and sys.stderr.isatty():
            print(f"{done} of {total} shards", file=sys.stderr, flush=True)
    return Store(out)


def fitted(
    store: Path, train: Sequence[CellSequence], test: Sequence[CellSequence], rows: Rows
) -> dict[str, Array]:
    """Gradient boosting on ever more, up to the hidden truth."""
    known = judged_rows(train, 2 * EVERY)  # neighbours say nearly the same
    out = {}
    for what in ("design", "current", "history"):
        x, fresh = stacked(train, known, what), stacked(test, rows, what)
        out[f"trees_{what}"] = boosted(x, known.label, fresh, 0)
        print(f"fitted trees_{what}", file=sys.stderr, flush=True)
    hidden = hidden_truth(store, [*train, *test])
    x, fresh = (stacked(c, r, "history", hidden) for c, r in ((train, known), (test, rows)))
    out["ceiling"] = boosted(x, known.label, fresh, 0)
    return out


def risk_at(forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence], rows: Rows) -> Array:
    """The network's risk of a pressure-related failure within the horizon, row by row."""
    out = np.zeros(len(rows))
    for index, cell in enumerate(cells):
        chosen = rows.cell == index
        forecast = forecasts[cell.cell_id]
        place = np.searchsorted(forecast.cycle_count, rows.cycle[chosen])
        out[chosen] = forecast.risk[place, _PRESSURE, _WITHIN]
    return out


def ranking(scores: Mapping[str, Array], rows: Rows) -> Figures:
    """Area under the ROC curve and average precision, pooled and at landmarks."""
    figures: Figures = {}
    table = []
    for name, values in scores.items():
        line = [name]
        for when in ("pooled", *LANDMARKS):
            chosen = np.ones(len(rows), bool) if when == "pooled" else rows.cycle == when
            label, said = rows.label[chosen], values[chosen]
            auroc, ap = metrics.auroc(label, said), metrics.average_precision(label, said)
            middle = "" if when == "pooled" else f".cycle{when}"
            figures[f"risk{HORIZON}.auroc{middle}.{name}"] = auroc
            figures[f"risk{HORIZON}.ap{middle}.{name}"] = ap
            line.append(f"{auroc:.3f} / {ap:.3f}")
        table.append(line)
    print(f"\nPressure-related failure within {HORIZON} cycles: AUROC / average precision")
    _common.table(["", "pooled", *(f"cycle {n}" for n in LANDMARKS)], table)
    if "ceiling" in scores:
        low, high = (figures[f"risk{HORIZON}.auroc.{n}"] for n in ("kind", "ceiling"))
        own = figures[f"risk{HORIZON}.auroc.network"]
        figures[f"risk{HORIZON}.ceiling_share"] = (own - low) / (high - low)
        low, high = bootstrap(scores["network"], scores["trees_history"], rows)
        figures[f"risk{HORIZON}.auroc.gain.low"] = low
        figures[f"risk{HORIZON}.auroc.gain.high"] = high
        print(f"network − trees_history, 95 % over cells: {low:+.4f} … {high:+.4f}")
    return figures


def bootstrap(own: Array, other: Array, rows: Rows) -> tuple[float, float]:
    """95 % interval of the difference in AUROC, cells drawn with replacement."""
    draw = np.random.default_rng(0)
    cells = np.unique(rows.cell)
    found = []
    for _ in range(DRAWS):
        weight = np.bincount(draw.choice(cells, len(cells)), minlength=cells.max() + 1)[rows.cell]
        found.append(
            metrics.auroc(rows.label, own, weight) - metrics.auroc(rows.label, other, weight)
        )
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def remaining_life(forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence]) -> Figures:
    """Median error of the cycles left over their number, for cells that were seen to fail."""
    late, at_100 = [], []
    for cell in cells:
        forecast = forecasts[cell.cell_id]
        left = cell.life.cycle - forecast.cycle_count
        error = np.abs(forecast.rul[:, _MEDIAN] - left) / np.maximum(left, 1)
        if cell.life.failed:
            late.append(error[(left > 0) & (left <= 50)])
            at_100.append(error[(forecast.cycle_count == 100) & (left > 0)])
    figures = {
        "rul.mdape.cycle100.network": float(np.median(np.concatenate(at_100))),
        "rul.mdape.last50.network": float(np.median(np.concatenate(late))),
    }
    for landmark in LANDMARKS:
        alive = [c for c in cells if c.life.after > landmark]
        said, time, failed = [], [], []
        for cell in alive:
            forecast = forecasts[cell.cell_id]
            row = np.searchsorted(forecast.cycle_count, landmark)
            said.append(-float(forecast.rul[min(row, len(forecast) - 1), _MEDIAN]))
            time.append(cell.life.cycle)
            failed.append(cell.life.failed)
        key = f"concordance.cycle{landmark}.network"
        figures[key] = survival.concordance(said, time, failed)
    print("\nRemaining life: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    return figures


def calibration(
    forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence], rows: Rows,
    scores: Mapping[str, Array],
) -> Figures:  # fmt: skip
    """Coverage of the 90 % intervals where it is decided, and the error of the risk."""
    key = f"risk{HORIZON}.calibration_error"
    figures = {key: metrics.calibration_error(rows.label, scores["network"])}
    parts: dict[str, list[NDArray[np.bool_]]] = {"overall": []}
    for cell in cells:
        forecast, life = forecasts[cell.cell_id], cell.life
        count = forecast.cycle_count
        low, high = forecast.rul[:, _LOW] + count, forecast.rul[:, _HIGH] + count
        inside = (life.until >= low) & (life.after <= high)  # the intervals may overlap
        decided = (count <= life.after) & (life.failed | (life.after > high))
        parts["overall"].append(inside[decided])
        parts.setdefault(cell.spec.anode, []).append(inside[decided])
        if life.failed:
            for first, last in STAGES:
                stage = decided & (count > first * life.cycle) & (count <= last * life.cycle)
                parts.setdefault(f"stage{last:.2f}", []).append(inside[stage])
    for name, found in parts.items():
        weight = np.concatenate([np.full(len(x), 1 / max(len(x), 1)) for x in found])
        figures[f"coverage90.{name}"] = metrics.mean(np.concatenate(found), weight)
    print("\nCalibration: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    return figures


def verdicts(figures: Figures, quick: bool) -> tuple[dict[str, str], dict[str, bool]]:
    """What was wanted of the figures and whether it is so; a small population decides nothing."""
    risk = f"risk{HORIZON}"
    bounds = {
        "rul.mdape.last50.network": (0.0, 0.6), f"{risk}.calibration_error": (0.0, 0.02),
        "coverage90.overall": (0.88, 0.92),
        "lead.contact_loss": (0.7, 1.0), "lead.lithium_penetration": (0.5, 1.0),
        f"{risk}.ceiling_share": (0.85, 9.0), f"{risk}.auroc.gain.low": (0.0, 1.0),
    }  # fmt: skip
    if quick:
        return {}, {}
    targets = {k: f"{low:g} … {high:g}" for k, (low, high) in bounds.items()}
    met = {k: bool(low <= figures.get(k, -1.0) <= high) for k, (low, high) in bounds.items()}
    return targets, met


if __name__ == "__main__":
    main()
