"""What a trial changes in the rows that a network learns from and is judged on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._networks import Described, without_pressure
from fadecast.cell.summaries import FIELDS
from fadecast.learn.batches import Batch, Rows
from fadecast.learn.fit import Prepared
from fadecast.network.encoder import CURVES, Encoder
from fadecast.network.forecaster import ForecasterConfig

AHEAD: Final = 50
"""Cycles after which the capacity is asked for, where it is not that of the cycle itself."""
BLIND: Final = 0.3
"""Share of cells that are met once more without a pressure sensor."""
NOISE: Final = 0.2
"""Of what a network is given, in the spreads of training."""


def begun(rows: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each cell's rows begin, and how many they are: a cell begins where the age falls."""
    age = rows.age[:, 0].numpy()
    first = np.flatnonzero(np.diff(age, prepend=np.inf) <= 0)
    return first, np.diff(first, append=len(age))


def without_averages(prepared: Prepared) -> Prepared:
    """The same, but every cycle is its own average."""
    features = Encoder(8, 0.0, 1).features
    return _everywhere(prepared, lambda x: _zero(x, torch.arange(features, x.shape[1])))


def without_reference(prepared: Prepared) -> Prepared:
    """The same, but nothing is told of how a cycle differs from the cell's first ones."""
    encoder = Encoder(8, 0.0, 0)
    scalars = len(FIELDS) - CURVES
    changes = torch.arange(scalars, encoder.fields)
    return _everywhere(prepared, lambda x: _zero(x, torch.cat([changes, _logs(encoder)])))


def without_curves(prepared: Prepared) -> Prepared:
    """The same, but of curves over voltage only what the scalars say."""
    encoder = Encoder(8, 0.0, 0)
    scalars = len(FIELDS) - CURVES
    shapes = torch.arange(scalars, encoder.fields - scalars)
    return _everywhere(prepared, lambda x: _zero(x, torch.cat([shapes, _logs(encoder)])))


def thinned(prepared: Prepared, part: float) -> Prepared:
    """A part of the training cells."""
    return prepared._replace(train=Rows.of(_some(prepared.train.batch, part)))


def with_blind(prepared: Prepared, network: ForecasterConfig) -> Prepared:
    """Beside all training cells, some of them once more without a pressure sensor."""
    blind = without_pressure(
        Described(prepared, prepared.train.batch.described[:0], torch.zeros(0), torch.zeros(0)),
        network,
    ).prepared.train.batch
    return _beside(prepared, _some(blind, BLIND))


def with_noise(prepared: Prepared) -> Prepared:
    """Beside all training rows, each once more with noise on what is observed."""
    rows = prepared.train.batch
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(rows.described.shape, generator=draw, dtype=torch.float32).half()
    noisy = rows.described + NOISE * noise * (rows.described != 0)
    return _beside(prepared, rows._replace(described=noisy))


def with_capacity_ahead(prepared: Prepared) -> Prepared:
    """The capacity that is asked for is that of the first row ``AHEAD`` or more cycles later."""

    def later(rows: Batch) -> Batch:
        age, (first, count) = rows.age[:, 0].numpy(), begun(rows)
        at = np.concatenate([
            start + np.searchsorted(own := age[start : start + n], own + AHEAD)
            for start, n in zip(first, count, strict=True)
        ])  # fmt: skip
        inside = at < np.repeat(first + count, count)
        place = torch.from_numpy(np.where(inside, at, 0))
        known = torch.from_numpy(inside) & (rows.soh_weight[place] > 0)
        return rows._replace(soh=rows.soh[place], soh_weight=rows.weight * known)

    return _replaced(prepared, later)


def _logs(encoder: Encoder) -> Tensor:
    """Columns of how far each curve has moved."""
    end = encoder.features - 1
    return torch.arange(end - encoder.curves.shape[1], end)


def _zero(described: Tensor, columns: Tensor) -> Tensor:
    return described.index_fill(1, columns, 0.0)


def _everywhere(prepared: Prepared, change: Callable[[Tensor], Tensor]) -> Prepared:
    return _replaced(prepared, lambda rows: rows._replace(described=change(rows.described)))


def _replaced(prepared: Prepared, change: Callable[[Batch], Batch]) -> Prepared:
    assert prepared.held is not None
    train, held, known = (
        Rows.of(change(rows.batch)) for rows in (prepared.train, prepared.held, prepared.known)
    )
    return Prepared(prepared.scales, train, held, known)


def _some(rows: Batch, part: float) -> Batch:
    """Rows of a part of the cells."""
    first, count = begun(rows)
    keep = np.random.default_rng(0).random(len(first)) < part
    return rows.take(torch.from_numpy(np.flatnonzero(np.repeat(keep, count))))


def _beside(prepared: Prepared, more: Batch) -> Prepared:
    both = (torch.cat(pair) for pair in zip(prepared.train.batch, more, strict=True))
    return prepared._replace(train=Rows.of(Batch(*both)))
