"""Kinds never seen: networks trained without an anode, a fixture or vehicles, and judged on them.

Each of training/configs/held-out-*.yaml is trained as training/configs/assb.yaml is, on the first
cells of the population of training/populations/assb.yaml, without the kind that it names, and
judged on that kind and on test designs of the others. Wanted: 90 % intervals that hold four lives
in five wherever no novelty above 1 says that they may not, and that this is not said of the kinds
that were seen. Cells that declare no fixture are not judged: they may or may not be of the kind.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import _common
from benchmarks._judge import Judged, intervals
from benchmarks._judging import Figures
from benchmarks._stages import say
from benchmarks.assb import CONFIG, KEPT, QUICK_CELLS, simulate
from fadecast.cell.store import Store
from fadecast.learn.config import TrainConfig
from fadecast.learn.dataset import read_cells
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells
from fadecast.learn.split import is_of, split_cells
from fadecast.physics.population import Population

CELLS = 4000
UNKNOWN = "unknown"
SHOWN = (
    "auroc", "ap", "rul.mdape.cycle100", "coverage90", "novelty", "coverage90.flagged",
    "coverage90.unflagged",
)  # fmt: skip
LEAST = 0.8
"""Coverage below which forecasts should be flagged."""
MOST = 0.1
"""Share of forecasts of kinds that were seen, of which more should not be."""


def main() -> None:
    """Train, judge, print, close."""
    quick = _common.options(__doc__).quick
    population = Population.from_yaml(CONFIG)
    configs = sorted((_common.ROOT / "training" / "configs").glob("held-out-*.yaml"))
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if quick:
            changes = {"cells": 2 * QUICK_CELLS, "cycles": 150, "latent": False}
            population = population.model_copy(update=changes)
        store = simulate(population, folder / "population" if quick else KEPT)
        for path in configs:
            figures |= judged(TrainConfig.from_yaml(path), store, folder / path.stem, quick)
    bounds = {}
    for path in configs:
        bounds[f"{path.stem}.held_out.coverage90.unflagged"] = (LEAST, 1.0)
        bounds[f"{path.stem}.seen.novelty"] = (0.0, MOST)
    flagged = dict.fromkeys((k for k in bounds if k.endswith("unflagged")), ", or all are flagged")
    targets = {k: f"{low:g} … {high:g}{flagged.get(k, '')}" for k, (low, high) in bounds.items()}
    met = {}
    for key, (low, high) in bounds.items():
        none_left = key.endswith("unflagged") and np.isnan(figures[key])  # all are flagged
        met[key] = bool(none_left or low <= figures[key] <= high)
    figures = {key: value for key, value in figures.items() if np.isfinite(value)}
    _common.close("held_out", figures, {} if quick else targets, {} if quick else met,
                  ("numpy", "torch", "lightning"))  # fmt: skip


def judged(config: TrainConfig, store: Store, folder: Path, quick: bool) -> Figures:
    """Train by a configuration; judge on test cells of the kinds held out, and of those seen."""
    metadata = [store.metadata(cell_id) for cell_id in store.cell_ids()[:CELLS]]
    split = split_cells(metadata, config.data.split)
    train, held, test = (
        read_cells(store, config.data.end_of_life, [m for m in metadata if m.spec.cell_id in part])
        for part in map(set, (split.train, split.validation, split.test))
    )
    training = config.training.model_copy(update={"epochs": 1} if quick else {})
    network = fit(train, held, config.network, training, folder=folder)
    say(f"{config.name}: trained on {len(train)} cells")
    kinds = config.data.split.held_out_kinds
    figures: Figures = {}
    rows = []
    for part, inside in (("held_out", True), ("seen", False)):
        declared = (cell for cell in test if cell.spec.fixture != UNKNOWN)
        cells = [cell for cell in declared if is_of(cell.metadata, kinds) is inside]
        one = Judged.of(forecast_cells(network, cells), cells)
        found, ends = one.figures(), intervals(one)
        head = f"{config.name}.{part}"
        figures |= {f"{head}.{key}": value for key, value in found.items()}
        for key, (low, high) in ends.items():
            figures |= {f"{head}.{key}.low": low, f"{head}.{key}.high": high}
        rows.append([f"{part} ({len(cells)})", *(span(found, ends, key) for key in SHOWN)])
    print(f"\n{config.name}: {len(train)} cells to learn from; test cells of kinds held out and of")
    print("others, 95 % over designs; novelty: share of forecasts above 1")
    _common.table(["", *SHOWN], rows)
    return figures


def span(found: Figures, ends: dict[str, tuple[float, float]], key: str) -> str:
    """A figure and the ends of its interval, where it has any."""
    if key not in ends:
        return "–"
    low, high = ends[key]
    return f"{found[key]:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
