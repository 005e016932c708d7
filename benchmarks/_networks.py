"""Where the judged network comes from, and what it says at the judged cycles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks._cells import Array, Cells, Rows
from benchmarks._said import told
from fadecast.forecast.forecast import Forecasts
from fadecast.learn.config import TrainConfig
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells
from fadecast.network.forecaster import Forecaster
from fadecast.runtime import Session
from fadecast.runtime.fleet import Fleet

_AT_ONCE: Final = 256
"""Test cells whose whole forecasts are held."""

Forecast = Callable[[Sequence[CellSequence]], Mapping[str, Forecasts]]


def trained(train: Cells, held: Cells, config: TrainConfig) -> Forecast:
    """The network of a configuration, all its cells in memory while it trains."""
    with tempfile.TemporaryDirectory() as folder:
        network = fit(list(train), list(held), config.network, config.training, folder=Path(folder))
    return of(network)


def of(network: Forecaster) -> Forecast:
    """Forecasts of a trained network."""
    return lambda cells: forecast_cells(network, cells)


def bundled(session: Session) -> Forecast:
    """Forecasts of an exported bundle, through the runtime."""

    def forecast(cells: Sequence[CellSequence]) -> dict[str, Forecasts]:
        fleet = Fleet(session)
        for cell in cells:
            s, lane = cell.summaries, fleet.add(cell.spec)
            lanes = np.full(len(s), lane)
            fleet.push_summaries(lanes, s.cycle_count, s.values, s.observed)
        lanes, forecasts = fleet.forecasts()
        return {cell.cell_id: forecasts[lanes == i] for i, cell in enumerate(cells)}

    return forecast


def heard(forecast: Forecast, cells: Cells, rows: Rows) -> dict[str, Array]:
    """What a network says at the judged ``rows`` of ``cells``."""
    parts, cycles = [], np.split(rows.cycle, rows.bounds[1:-1])
    for start in range(0, len(cells), _AT_ONCE):
        some = list(cells.some(slice(start, start + _AT_ONCE)))
        forecasts = forecast(some)
        parts += [told(forecasts[c.cell_id], cycles[i]) for i, c in enumerate(some, start)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
