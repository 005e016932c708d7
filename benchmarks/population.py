"""A whole population from designs to cycle summaries on disk: time, memory, growth, and labels.

The configuration is training/populations/assb.yaml, here with 10⁴ cells, of up to 10³ cycles and
latent times. Wall-clock time is that of this machine under its load; CPU time over cores is what it
would be on an idle one.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import _common
from benchmarks._memory import watched
from fadecast.cell.life import CAUSES
from fadecast.cli.simulation import summarise
from fadecast.physics.datacard import read_truth
from fadecast.physics.generate import generate
from fadecast.physics.parameters import ANODES, FIXTURES
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard

CONFIG = _common.ROOT / "training" / "populations" / "assb.yaml"
CELLS, QUICK = 10_000, 480
CENSORED, LEAST, EXPLAINED = (0.10, 0.40), 0.05, 0.60
MINUTES, GIGABYTES = 10.0, 2.0


def main() -> None:
    quick = _common.options(__doc__).quick
    count = QUICK if quick else CELLS
    config = Population.from_yaml(CONFIG).model_copy(update={"cells": count})
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "population"
        warm = config.model_copy(update={"cells": config.shard, "cycles": 20})
        list(generate(warm, Path(name) / "warm", summarise=summarise))  # compile before the clock
        began, spent = time.perf_counter(), cpu_seconds()
        with watched() as memory:
            for done, total in generate(config, out, summarise=summarise, workers=cores):
                if done % 32 == 0 and sys.stderr.isatty():
                    print(f"{done} of {total} shards", file=sys.stderr, flush=True)
        wall, cpu = time.perf_counter() - began, cpu_seconds() - spent
        truth = read_truth(out)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    cycles = int(truth["until"].sum())
    figures = labels(config, truth)
    figures |= {
        "cells": len(truth["cause"]), "cell_cycles": cycles, "minutes": wall / 60,
        "cpu_minutes_per_core": cpu / 60 / cores, "microseconds_per_cell_cycle": 1e6 * cpu / cycles,
        "memory_gb": memory[0], "disk_gb": size / 1e9,
    }  # fmt: skip
    shown = {name: figures[name] for name in sorted(figures)}
    _common.table(["figure", "value"], [[name, f"{value:.4g}"] for name, value in shown.items()])
    targets, met = verdicts(figures, quick)
    _common.close("population", figures, targets, met, ("numpy", "numba", "torch", "pyarrow"))


def verdicts(figures: dict[str, float], quick: bool) -> tuple[dict[str, str], dict[str, bool]]:
    """What was wanted and whether it is so; a few hundred cells decide nothing about labels."""
    bounds = {"memory_gb": (0.0, GIGABYTES)}
    if not quick:
        bounds |= {"censored": CENSORED, **{f"share.{c}": (LEAST, 1.0) for c in CAUSES}}
        bounds |= {"design_r2": (0.0, EXPLAINED), "cpu_minutes_per_core": (0.0, MINUTES)}
    targets = {name: f"{low:g} … {high:g}" for name, (low, high) in bounds.items()}
    met = {name: bool(low <= figures[name] <= high) for name, (low, high) in bounds.items()}
    return targets, met


def labels(config: Population, truth: dict[str, NDArray[Any]]) -> dict[str, float]:
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
