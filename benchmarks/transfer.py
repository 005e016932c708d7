"""What a network that learnt from simulated cells is worth where a few recorded cells are at hand.

On HUST and XJTU: the network of a tracked run (`--run ID`; by default the one of the pretrained
bundle) as it is, and trained on, at a low rate, on 3, 6 or 12 recorded cells; one trained from
scratch on the same cells; one trained on them and on simulated cells together; and the mean of
their lives. All networks have the same size and take the same number of steps. The few cells are
drawn several times; all are judged on failed cells that none of them learnt from. In XJTU four
cells in five never fail, so a draw may hold hardly a failure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fadecast
from benchmarks import _common
from benchmarks.recorded import sequences, side_by_side, summarised, text
from benchmarks.shift import POPULATIONS, TRAINING, simulate
from fadecast.cell.life import EndOfLife
from fadecast.cell.store import Store
from fadecast.forecast.forecast import QUANTILES, Forecasts
from fadecast.learn.baselines import PopulationMean
from fadecast.learn.batches import EARLY
from fadecast.learn.config import TrackingConfig, TrainConfig
from fadecast.learn.dataset import CellSequence, load_sequences
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells
from fadecast.learn.run import load_run
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.physics.population import Population
from fadecast.runtime.bundle import read_bundle
from fadecast.sources import pinn4soh

METHODS = ("mean", "scratch", "joint", "pretrained", "finetuned")
MEANING = {"any": "at any cycle", "cycle100": "at cycle 100"}
FINE = 5e-4
"""Learning rate of going on; that of beginning is the one of training/configs/assb.yaml."""
SEED = 8001
_MEDIAN = QUANTILES.index(0.5)

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How much is done: cells to learn from, draws, steps, cells to be judged on, cycles read."""

    few: tuple[int, ...]
    draws: int
    steps: int
    tested: int
    cycles: int
    simulated: int


FULL = Size((3, 6, 12), 3, 600, 22, 10_000, 96)
QUICK = Size((3,), 1, 20, 4, 250, 24)


@dataclass(frozen=True)
class Task:
    """One training, and where its inputs lie; small, for it goes to another process."""

    table: Path
    simulated: Path
    weights: Path
    network: ForecasterConfig
    size: Size
    method: str
    few: int
    draw: int


def main() -> None:
    """Train, judge, print, close."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller version, under a minute")
    parser.add_argument("--run", help="tracked run of a network that learnt from simulated cells")
    options = parser.parse_args()
    data, size = _common.recorded_data(), QUICK if options.quick else FULL
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        changes = {"cells": size.simulated, "shard": 4, "seed": SEED, "latent": False}
        population = Population.from_yaml(POPULATIONS / "assb.yaml").model_copy(
            update=changes | ({"cycles": 100} if options.quick else {})
        )
        cells = simulate(population, folder / "simulated")
        network = pretrained(options.run, options.quick, cells, folder)
        for kind in ("hust", "xjtu"):
            table = data / kind / f"{kind}_cycles.parquet"
            tasks = [
                Task(table, folder / "simulated", folder / "weights.pt", network, size, m, k, d)
                for m in METHODS for k in size.few for d in range(size.draws)
                if m != "pretrained" or k == size.few[0]
            ]  # fmt: skip
            jobs = [(task,) for task in tasks]
            found = list(map(judged, tasks)) if options.quick else side_by_side(judged, jobs)
            figures |= shown(kind, tasks, found)
    figures = {key: value for key, value in figures.items() if np.isfinite(value)}
    _common.close("transfer", figures, {}, {}, ("numpy", "torch", "lightning"))


def pretrained(
    run: str | None, quick: bool, cells: Sequence[CellSequence], folder: Path
) -> ForecasterConfig:
    """Keep the weights of the network to begin with in ``folder``; its size."""
    bundle = fadecast.PRETRAINED
    if run is None and bundle.exists():
        run = str(read_bundle(bundle).manifest["training"]["run_id"])
    if run is not None:
        network, info = load_run(run, TrackingConfig())
        print(f"begins with run {run}, {info.config.name}")
    elif quick:
        config = TrainConfig.from_yaml(TRAINING)
        network = fit(cells, [], config.network, config.training, folder=folder)
    else:
        sys.exit("no pretrained bundle here: give --run, or --quick for one trained in seconds")
    torch.save(network.state_dict(), folder / "weights.pt")
    return network.config


def judged(task: Task) -> Figures:
    """Median error of the cycles left over their number, of a method with so many cells."""
    train, test = drawn(recorded(task.table, task.size.cycles), task)
    if task.method == "mean":
        if not any(cell.life.failed for cell in train):
            return dict.fromkeys(MEANING, float("nan"))  # no life to take the mean of
        mean = PopulationMean().fit(train, [])
        return errors({cell.cell_id: mean.forecast(cell) for cell in test}, test)
    if task.method == "pretrained":
        network = Forecaster(task.network)
        network.load_state_dict(torch.load(task.weights, weights_only=True))
    else:
        network = trained(train, task)
    return errors(forecast_cells(network, test), test)


def trained(train: list[CellSequence], task: Task) -> Forecaster:
    """A network that learnt from the few cells, after, beside or without simulated ones."""
    training = TrainConfig.from_yaml(TRAINING).training
    state = None
    changes: dict[str, Any] = {"seed": task.draw, "accelerator": "cpu"}
    if task.method == "finetuned":
        state = torch.load(task.weights, weights_only=True)
        changes["learning_rate"] = FINE
    elif task.method == "joint":
        made = load_sequences(Store(task.simulated), EndOfLife())
        wanted = rows(made, training.every) // 2  # a third of every epoch
        train = [*made, *(train * -(-wanted // rows(train, training.every)))]
    epochs = task.size.steps * training.batch_rows / rows(train, training.every)
    training = training.model_copy(update=changes | {"epochs": max(round(epochs), 1)})
    with tempfile.TemporaryDirectory() as folder:
        return fit(train, [], task.network, training, folder=Path(folder), initial=state)


def rows(cells: Sequence[CellSequence], every: int) -> int:
    """Of an epoch: those of the first cycles, and of one in ``every`` after them."""
    lived = [len(cell.alive().summaries) for cell in cells]
    return sum(min(n, EARLY) + len(range(EARLY, n, every)) for n in lived)


@lru_cache(maxsize=1)
def recorded(table: Path, cycles: int) -> list[CellSequence]:
    """Cells of a set, up to a cycle."""
    cells = sequences(pinn4soh.read(table), TrainConfig(name="transfer"))
    return [cell.until(cycles) for cell in cells]


def drawn(
    cells: Sequence[CellSequence], task: Task
) -> tuple[list[CellSequence], list[CellSequence]]:
    """The few cells of a draw, each draw of fewer a part of that of more, and the test cells."""
    order = np.random.default_rng(task.draw).permutation(len(cells))
    most = max(task.size.few)
    test = [cells[i] for i in order[most:] if cells[i].life.failed]
    return [cells[i] for i in order[: task.few]], test[: task.size.tested]


def errors(forecasts: dict[str, Forecasts], cells: Sequence[CellSequence]) -> Figures:
    """Median over cells: of a cell's median over its cycles, and at cycle 100; in percent."""
    whole, early = [], []
    for cell in cells:
        forecast = forecasts[cell.cell_id]
        count = forecast.cycle_count
        alive = (count <= cell.life.after) & forecast.valid
        left = cell.life.cycle - count[alive]
        error = 100 * np.abs(forecast.rul[alive, _MEDIAN] - left) / left
        whole.append(np.median(error))
        early += error[count[alive] == 100].tolist()
    return {"any": float(np.median(whole)), "cycle100": float(np.median(early or [np.nan]))}


def shown(kind: str, tasks: Sequence[Task], found: Sequence[Figures]) -> Figures:
    """Means over the draws, printed as curves."""
    size, figures = tasks[0].size, {}
    for when, meaning in MEANING.items():
        table = []
        for method in METHODS:
            row = [method]
            for few in size.few:
                values = [
                    errors_[when] for task, errors_ in zip(tasks, found, strict=True)
                    if task.method == method and (method == "pretrained" or task.few == few)
                ]  # fmt: skip
                row.append(text(values, 1))
                key = "0" if method == "pretrained" else str(few)
                figures |= summarised(f"{kind}.{key}.{method}.{when}", values)
            table.append(row)
        print(
            f"\n{kind.upper()}: median |error| of the cycles left over their number, {meaning}, %"
        )
        _common.table(["learnt from", *(f"{few} cells" for few in size.few)], table)
    return figures


if __name__ == "__main__":
    main()
