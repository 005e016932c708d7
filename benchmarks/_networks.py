"""Where the judged network comes from, and what it says at the judged cycles.

Networks that are trained here meet cells that are described once for all seeds, the blind one too:
without a pressure sensor, nothing but its own features changes. Bundles and tracked runs are asked
cycle by cycle, as on a vehicle.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._cells import Array, Cells, Ints, Rows
from benchmarks._said import HIGH, LOW, MEDIAN, PRESSURE, WITHIN, told
from benchmarks._stages import Arrays
from fadecast.cell.design import encode_design
from fadecast.cell.summaries import FIELDS
from fadecast.forecast.forecast import Forecasts
from fadecast.learn import batches, dataset
from fadecast.learn.config import TrainConfig, TrainingConfig
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import Prepared, fit_prepared, prepare
from fadecast.learn.predict import forecast_cells
from fadecast.network.encoder import CURVES, LEAST_CHANGE
from fadecast.network.forecaster import Features, Forecaster, ForecasterConfig
from fadecast.runtime import Session
from fadecast.runtime.fleet import Fleet

_AT_ONCE: Final = 256
"""Test cells whose whole forecasts are held."""
_READ: Final = 20_000

Forecast = Callable[[Sequence[CellSequence]], Mapping[str, Forecasts]]


class Described(NamedTuple):
    """Cells prepared for trainings, and the judged ``n`` rows: features ``(n, ·)`` in half
    precision, designs and ages."""

    prepared: Prepared
    described: Tensor
    design: Tensor
    age: Tensor


def described(
    train: Cells, held: Cells, test: Cells, rows: Rows, config: TrainConfig
) -> dict[str, NDArray[Any]]:
    """``Described`` as arrays by name."""
    store, end_of_life = train.store, train.end_of_life
    one, other = (
        dataset.read_cells(store, end_of_life, [store.metadata(c) for c in part.ids])
        for part in (train, held)
    )
    prepared = prepare(one, other, config.network, config.training)
    forecaster = Forecaster(config.network).eval()
    forecaster.load_state_dict({**forecaster.state_dict(), **prepared.scales})
    parts = [
        _at(forecaster, cell, rows.row[start:end])
        for cell, start, end in zip(test, rows.bounds[:-1], rows.bounds[1:], strict=True)
        if end > start
    ]
    columns = zip(("described", "design", "age"), zip(*parts, strict=True), strict=True)
    asked = {f"asked.{name}": torch.cat(pieces) for name, pieces in columns}
    scales = {f"scales.{name}": value for name, value in prepared.scales.items()}
    learnt = {
        f"{part}.{name}": column
        for part in ("train", "held", "known")
        if (own := getattr(prepared, part)) is not None
        for name, column in own.batch._asdict().items()
    }
    return {name: value.numpy() for name, value in (asked | scales | learnt).items()}


def restored(arrays: Arrays) -> Described:
    """``Described`` again, all of it in memory."""

    def of(head: str) -> dict[str, Tensor]:
        names = [name for name in arrays if name.startswith(f"{head}.")]
        return {name.partition(".")[2]: torch.from_numpy(arrays[name]) for name in names}

    parts = [
        batches.Rows.of(batches.Batch(**own)) if (own := of(part)) else None
        for part in ("train", "held", "known")
    ]
    train, held, known = parts
    assert train is not None
    assert known is not None
    return Described(Prepared(of("scales"), train, held, known), **of("asked"))


def without_pressure(given: Described, network: ForecasterConfig) -> Described:
    """As if no cell had ever had a pressure sensor."""
    gone, logs = _of_pressure(network)
    none = float(np.log(LEAST_CHANGE))
    return _changed(given, lambda x: x.index_fill(1, gone, 0.0).index_fill_(1, logs, none))


def fewer_averages(
    given: Described, network: ForecasterConfig, averages: Sequence[float]
) -> Described:
    """As a network describes cycles that has but some of the ``averages`` of ``network``."""
    encoder = Forecaster(network).encoder
    own, width = encoder.features, len(encoder.tracked)
    starts = [own + network.averages.index(length) * width for length in averages]
    columns = torch.cat([torch.arange(own), *(torch.arange(s, s + width) for s in starts)])
    return _changed(given, lambda x: x.index_select(1, columns))


def learnt(given: Described, network: ForecasterConfig, training: TrainingConfig) -> Forecaster:
    """The network of a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        return fit_prepared(given.prepared, network, training, folder=Path(folder))


@torch.no_grad()
def answers(network: Forecaster, given: Described) -> dict[str, Array]:
    """What a network says at the judged rows: ``Said`` by field."""
    parts = []
    for some in torch.arange(len(given.age)).split(_READ):
        design = given.design[some]
        features = Features(given.described[some].float(), torch.ones(len(some), 1))
        memory = network.recall(features, design, given.age[some]).memory
        rul, risk, _ = network.read(memory, design)
        parts.append(torch.cat([rul, risk[:, PRESSURE, WITHIN, None]], 1).double().numpy())
    *rul, risk = np.concatenate(parts).T
    return {"risk": risk, "left": rul[MEDIAN], "low": rul[LOW], "high": rul[HIGH]}


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


def heard_always(forecast: Forecast, cells: Cells, rows: Rows) -> dict[str, NDArray[np.float32]]:
    """``(n, HORIZONS)`` risk of a pressure-related failure, after the ``rows`` of ``cells``."""
    parts, cycles = [], np.split(rows.cycle, rows.bounds[1:-1])
    for start in range(0, len(cells), _AT_ONCE):
        some = list(cells.some(slice(start, start + _AT_ONCE)))
        said = forecast(some)
        for number, cell in enumerate(some, start):
            one = said[cell.cell_id]
            at = np.searchsorted(one.cycle_count, cycles[number])
            parts.append(one.risk[at, PRESSURE].astype(np.float32))
    return {"risk": np.concatenate(parts)}


def _changed(given: Described, change: Callable[[Tensor], Tensor]) -> Described:
    def rows(part: batches.Rows) -> batches.Rows:
        return batches.Rows.of(part.batch._replace(described=change(part.batch.described)))

    old = given.prepared
    held = None if old.held is None else rows(old.held)
    prepared = Prepared(old.scales, rows(old.train), held, rows(old.known))
    return given._replace(prepared=prepared, described=change(given.described))


@torch.no_grad()
def _at(forecaster: Forecaster, cell: CellSequence, row: Ints) -> tuple[Tensor, Tensor, Tensor]:
    """A cell described after some of its rows, each as after the last valid one until it."""
    values, observed, valid = batches.valid_rows(cell)
    last = (valid.long().cumsum(0) - 1)[row].clamp(min=0)
    design = torch.tensor(encode_design(cell.spec))[None]
    described = forecaster.describe(values[None], observed[None], design).described
    age = torch.tensor(cell.elapsed()).cumsum(0)[row, None]
    return described[0, last].half(), design.expand(len(row), -1), age


def _of_pressure(network: ForecasterConfig) -> tuple[Tensor, Tensor]:
    """Columns of what is described that come of the pressure: those that are 0 where there is no
    sensor, and the logarithms of how far its curves have moved."""
    encoder = Forecaster(network).encoder
    fields = torch.tensor([float(name.startswith("pressure.")) for name in FIELDS])
    groups, curves = (fields @ matrix > 0 for matrix in (encoder.groups, encoder.curves))
    scalars, shapes = fields[CURVES:] > 0, fields[:CURVES] @ encoder.cosines.abs() > 0
    single = torch.cat([scalars, shapes, scalars, groups])
    none = torch.zeros_like(curves)
    tracked = torch.cat([single, none])[encoder.tracked]
    room = torch.ones(1, dtype=torch.bool)
    gone = torch.cat([single, none, room, tracked.repeat(len(network.averages))])
    logs = torch.cat([torch.zeros_like(single), curves])
    return torch.nonzero(gone)[:, 0], torch.nonzero(logs)[:, 0]
