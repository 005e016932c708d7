"""What is done to fresh simulated cells before a bundle is asked about them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from fadecast.cell.life import EndOfLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, CycleSummaries
from fadecast.cli.simulation import summarise
from fadecast.learn.dataset import CellSequence, load_sequences
from fadecast.physics.generate import generate
from fadecast.physics.population import Population

_NOISES = tuple(f"{sensor}_noise" for sensor in ("voltage", "current", "temperature", "pressure"))
_NOISES += ("pressure_drift",)
_PRESSURE = np.array([name.startswith("pressure.") for name in FIELDS])
_ALONE = 96
"""Cells up to which one process simulates: starting more takes seconds."""


def simulate(config: Population, out: Path) -> list[CellSequence]:
    """Cells of a population, made anew."""
    workers = (os.cpu_count() or 1) if config.cells > _ALONE else 1
    for done, total in generate(config, out, summarise=summarise, workers=workers):
        if sys.stderr.isatty():
            print(f"{done} of {total} shards", end="\r", file=sys.stderr, flush=True)
    return list(load_sequences(Store(out), EndOfLife()))


def noisier(config: Population) -> Population:
    """The same cells under sensors twice as noisy, pressure ones that drift twice as much."""
    sensors = config.sensors
    noisy = {name: _doubled(getattr(sensors, name)) for name in _NOISES}
    return config.model_copy(update={"sensors": replace(sensors, **noisy)})


def without_pressure(cell: CellSequence, share: float) -> CellSequence:
    """The cell without measured pressure after this share of its record."""
    s = cell.summaries
    dead = (np.arange(len(s)) >= share * len(s))[:, None] & _PRESSURE
    summaries = CycleSummaries(s.cycle_count, s.values, s.observed & ~dead)
    return CellSequence(cell.metadata, summaries, cell.life)


def undeclared(cell: CellSequence) -> CellSequence:
    """The cell of which neither the fixture nor any pressure is stated."""
    spec = replace(cell.spec, fixture="unknown", applied_pressure_pa=None, pressure_limit_pa=None)
    return CellSequence(replace(cell.metadata, spec=spec), cell.summaries, cell.life)


def _doubled(size: float | tuple[float, float]) -> float | tuple[float, ...]:
    """Twice a size, or both ends of its range."""
    return tuple(2 * end for end in size) if isinstance(size, tuple) else 2 * size
