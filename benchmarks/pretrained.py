"""From nothing to the bundle that ships, as `make pretrained` does: simulated, taught, exported.

The population of training/populations/assb.yaml goes from designs to cycle summaries on disk, the
job of training/configs/assb.yaml learns from it, judges itself and exports. Told are time, memory,
growth and labels, and whether the graphs are those of the shipped bundle, byte for byte. Wall-clock
time is that of this machine under its load; CPU time over cores is what it would be on an idle one.
The simulator is compiled before the clock runs; minutes per core are of 10 000 cells.
Quick: fewer cells, which live at most 120 cycles, and one epoch; compared to nothing.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import fadecast
from benchmarks import _common
from benchmarks._memory import watched
from fadecast.cell.life import CAUSES
from fadecast.cli.simulation import summarise
from fadecast.physics.datacard import read_truth
from fadecast.physics.generate import generate
from fadecast.physics.parameters import ANODES, FIXTURES
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard
from fadecast.runtime.bundle import read_bundle

POPULATION = _common.ROOT / "training" / "populations" / "assb.yaml"
TRAINING = _common.ROOT / "training" / "configs" / "assb.yaml"
QUICK = {"cells": 96, "cycles": 120}
CENSORED, LEAST, EXPLAINED = (0.10, 0.40), 0.05, 0.60
MINUTES, GIGABYTES, IN_ALL = 10.0, 2.0, 180.0
GRAPHS = ("forecast.onnx", "summarize.onnx")

Figures = dict[str, float]


def main() -> None:
    """Simulate, train, export, compare, print, close."""
    quick = _common.options(__doc__).quick
    config = Population.from_yaml(POPULATION)
    config = config.model_copy(update=QUICK) if quick else config
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = config.model_copy(update={"cells": config.shard, "cycles": 20})
        list(generate(warm, folder / "warm", summarise=summarise))  # compile before the clock
        with measured("simulated") as figures:
            simulate(config, folder / "population")
        truth = read_truth(folder / "population")
        with measured("taught") as taught:
            teach(folder, quick)
        size = sum(f.stat().st_size for f in (folder / "population").rglob("*") if f.is_file())
        figures |= taught | labels(config, truth)
        if not quick:
            figures["same_graphs"] = float(same(folder / "bundle", fadecast.PRETRAINED))
    cycles = int(truth["until"].sum())
    figures |= {
        "cells": len(truth["cause"]), "cell_cycles": cycles, "disk_gb": size / 1e9,
        "minutes": figures["simulated.minutes"] + figures["taught.minutes"],
        "microseconds_per_cell_cycle": 6e7 * figures["simulated.cpu_minutes"] / cycles,
        "simulated.cpu_minutes_per_core": (
            figures["simulated.cpu_minutes"] / (os.cpu_count() or 1) / (config.cells / 10_000)
        ),
    }  # fmt: skip
    shown = {name: figures[name] for name in sorted(figures)}
    _common.table(["figure", "value"], [[name, f"{value:.4g}"] for name, value in shown.items()])
    targets, met = verdicts(figures, quick)
    libraries = ("numpy", "numba", "torch", "lightning", "pyarrow", "onnx")
    _common.close("pretrained", figures, targets, met, libraries)


@contextmanager
def measured(what: str) -> Iterator[Figures]:
    """Yields a mapping that holds, once the block has ended, its time and memory."""
    figures: Figures = {}
    began, spent = time.perf_counter(), cpu_seconds()
    with watched() as memory:
        yield figures
    figures |= {
        f"{what}.minutes": (time.perf_counter() - began) / 60,
        f"{what}.cpu_minutes": (cpu_seconds() - spent) / 60, f"{what}.memory_gb": memory[0],
    }  # fmt: skip


def simulate(config: Population, out: Path) -> None:
    """The population, by one process a core."""
    for done, total in generate(config, out, summarise=summarise, workers=os.cpu_count() or 1):
        if done % 512 == 0:
            print(f"{done} of {total} shards", file=sys.stderr, flush=True)


def teach(folder: Path, quick: bool) -> None:
    """``folder/bundle``, by the command of ``make pretrained``; of a quick run nothing is kept."""
    job = TRAINING
    if quick:
        job = folder / "job.yaml"
        settings = yaml.safe_load(TRAINING.read_text("utf-8"))
        settings["training"]["epochs"] = 1
        job.write_text(yaml.safe_dump(settings), "utf-8")
    command = [
        sys.executable, "-m", "training.train", "--config", job,
        "--store", folder / "population", "--bundle", folder / "bundle",
    ]  # fmt: skip
    there = os.pathsep.join([str(_common.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(
        [str(part) for part in command], check=True, stdout=sys.stderr,
        cwd=folder if quick else _common.ROOT, env=os.environ | {"PYTHONPATH": there},
    )  # fmt: skip


def same(one: Path, other: Path) -> bool:
    """Whether two bundles have the same graphs, byte for byte."""
    files, others = (read_bundle(path).manifest["files"] for path in (one, other))
    return all(files[name] == others[name] for name in GRAPHS)


def verdicts(figures: Figures, quick: bool) -> tuple[dict[str, str], dict[str, bool]]:
    """What was wanted and whether it is so; a few hundred cells decide nothing about labels."""
    bounds = {"simulated.memory_gb": (0.0, GIGABYTES)}
    if not quick:
        bounds |= {"censored": CENSORED, **{f"share.{c}": (LEAST, 1.0) for c in CAUSES}}
        bounds |= {"design_r2": (0.0, EXPLAINED), "minutes": (0.0, IN_ALL)}
        bounds |= {"simulated.cpu_minutes_per_core": (0.0, MINUTES), "same_graphs": (1.0, 1.0)}
    targets = {name: f"{low:g} … {high:g}" for name, (low, high) in bounds.items()}
    met = {name: bool(low <= figures[name] <= high) for name, (low, high) in bounds.items()}
    return targets, met


def labels(config: Population, truth: dict[str, NDArray[Any]]) -> Figures:
    """Shares of outcomes among engineered cells, and what their designs alone tell of their lives.

    The linear model has every nominal constant (its logarithm), the anode, the fixture, the
    protocol and the discharge rate, and is judged on the cells it was fitted to: an upper bound.
    """
    cause, rows = [], []
    for number in range(config.shards):
        shard = Shard(config, number)
        group = shard.group
        if group.tier != "engineered":
            continue
        kinds = [group.anode == a for a in ANODES] + [group.fixture == f for f in FIXTURES]
        first = number * config.shard
        for i in range(shard.count):
            numbers = np.abs(np.array(shard.nominal[shard.designs[i]].tolist())) + 1e-9
            rows.append([
                np.log(truth["until"][first + i]), *np.log(numbers), *kinds,
                group.protocol == "vehicle", np.log(shard.rate),
            ])  # fmt: skip
            cause.append(int(truth["cause"][first + i]))
    data = np.array(rows, np.float64)
    y, x = data[:, 0], data[:, 1:]
    x = x[:, x.std(0) > 1e-9]
    x = np.column_stack([np.ones(len(x)), (x - x.mean(0)) / x.std(0)])
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    share = np.bincount(np.array(cause) + 1, minlength=len(CAUSES) + 1) / len(cause)
    return {
        "censored": share[0],
        **{f"share.{name}": value for name, value in zip(CAUSES, share[1:], strict=True)},
        "design_r2": 1 - residual.var() / y.var(),
    }


def cpu_seconds() -> float:
    """Of this process and of its finished workers."""
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in use)


if __name__ == "__main__":
    main()
