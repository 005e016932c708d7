"""Forecasts of whole lives by a trained network, through the step that is deployed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fadecast.cell.design import encode_design
from fadecast.forecast.forecast import Forecasts
from fadecast.learn.dataset import Cells, CellSequence
from fadecast.network.forecaster import Forecaster, ForecastTensors

_CELLS = 64


def forecast_cells(
    forecaster: Forecaster, sequences: Sequence[CellSequence]
) -> dict[str, Forecasts]:
    """Forecasts after every cycle of every cell, by cell id; cells run side by side."""
    forecaster.eval()
    cells = Cells.of(sequences)
    ordered = cells.sorted(lambda head: head.cycles)
    out: dict[str, Forecasts] = {}
    for start in range(0, len(ordered), _CELLS):
        out |= _forecast(forecaster, list(ordered[start : start + _CELLS]))
    return {head.cell_id: out[head.cell_id] for head in cells.heads}


def known_truth(
    forecaster: Forecaster, sequences: Sequence[CellSequence]
) -> dict[str, NDArray[np.float64]]:
    """The hidden states of simulated cells, by cell id: what ``evaluate`` holds the virtual sensors
    against. NaN for the sensors that the network was not taught."""
    taught = forecaster.virtual.supervised.numpy() > 0
    known = {s.cell_id: s.truth for s in sequences if s.truth is not None}
    return {name: np.where(taught, truth, np.nan) for name, truth in known.items()}


@torch.no_grad()
def _forecast(forecaster: Forecaster, cells: Sequence[CellSequence]) -> dict[str, Forecasts]:
    values, observed, elapsed = (
        pad_sequence(list(column), batch_first=True)
        for column in zip(*(_inputs(s) for s in cells), strict=True)
    )
    design = torch.from_numpy(np.stack([encode_design(s.spec) for s in cells]))
    tensors = forecaster.forecast_sequence(values, observed, design, elapsed)
    return {s.cell_id: _rows(tensors, row, s.summaries.cycle_count) for row, s in enumerate(cells)}


def _inputs(sequence: CellSequence) -> tuple[Tensor, Tensor, Tensor]:
    s = sequence.summaries
    return (
        torch.tensor(s.values),
        torch.tensor(s.observed, dtype=torch.float32),
        torch.tensor(sequence.elapsed()),
    )


def _rows(tensors: ForecastTensors, row: int, cycle_count: NDArray[np.int64]) -> Forecasts:
    arrays = {name: x[row, : len(cycle_count)].numpy() for name, x in tensors._asdict().items()}
    return Forecasts(cycle_count, **arrays | {"valid": arrays["valid"] > 0})
