"""The deployed form of the forecaster: the same function in far fewer operators.

On a small network the time of a step is the number of operators, not the arithmetic. So weights are
multiplied together beforehand wherever one linear map follows another, constants (scales, design,
limits) are taken into them, and picking, tiling and summing are matrix products too. The state is
laid out anew, all in one tensor: what a step needs of it lies together.

This is derived from the trained modules, never trained; that it equals them is proven at every
export over whole lives. A network with a part of another kind is exported as it is.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from fadecast.cell.summaries import BINS, INDEX, N_FIELDS
from fadecast.export.lean_heads import LeanReadout, Linear
from fadecast.network.calibration import Novelty, Recalibration
from fadecast.network.encoder import CURVES, LEAST_CHANGE, Encoder
from fadecast.network.forecaster import LEAST_CHARGE, Forecaster
from fadecast.network.heads import HazardHead, Readout
from fadecast.network.memory import LeakyAverages
from fadecast.network.scaler import LIMIT, Scaler
from fadecast.network.virtual import VirtualSensors

_PARTS: Final = {
    "scaler": Scaler, "encoder": Encoder, "averages": LeakyAverages, "hazards": HazardHead,
    "recalibration": Recalibration, "novelty": Novelty, "readout": Readout,
    "virtual": VirtualSensors,
}  # fmt: skip
N_CURVES: Final = CURVES // BINS
N_SCALARS: Final = N_FIELDS - CURVES
_CHARGE, _DISCHARGE = INDEX["charge_throughput"], INDEX["discharge_throughput"]
_FIELDS: Final = [CURVES, N_SCALARS]
SHARP: Final = 1e5
"""Slope of the step from a cycle that says nothing to one that does, in squashed scaled charge."""
NONE: Final = 1e-30
"""A count of nothing: 0 beside any count, but not in a division."""


def lean_form(forecaster: Forecaster) -> tuple[nn.Module, int]:
    """A module that steps like ``forecaster``, and the size of its state."""
    if all(type(getattr(forecaster, name, None)) is kind for name, kind in _PARTS.items()):
        lean = LeanForecaster(forecaster)
        return lean, lean.state_size
    return forecaster, forecaster.state_size


class LeanForecaster(nn.Module):
    """``Forecaster.forward`` with the same inputs and outputs but for the layout of the state."""

    ageing: Tensor
    centre: Tensor
    inverse: Tensor
    masks: Tensor
    magnify: Tensor
    logs: Tensor
    logs_age: Tensor
    logs_bias: Tensor
    decay: Tensor
    spread: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        hidden, self._lengths = forecaster.config.hidden, len(forecaster.averages.lengths)
        self.limit = float(forecaster.scaler.reference_cycles)
        sums = self._lengths * (3 * N_SCALARS + 1)
        # counts, totals, averages with their weights last; novelty, age, capacity, memory
        self._sizes = [N_FIELDS, N_FIELDS, sums, 1, 1, 1, hidden]
        self.state_size = sum(self._sizes)
        self._tail = sum(self._sizes[3:])
        self._scale(forecaster.scaler)
        self._average(forecaster.averages)
        self._encode(forecaster.encoder, forecaster.scaler)
        self._whiten(forecaster.novelty, forecaster.encoder)
        self.readout = LeanReadout(forecaster, before=2)

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.detach().clone().contiguous())

    def _scale(self, scaler: Scaler) -> None:
        """Scaled values are in units of ``LIMIT``, so that squashing is ``softsign``. Which fields
        are known is left to the weights."""
        self._buffer("ageing", torch.eye(self.state_size)[None, -self._tail + 1])
        self._buffer("centre", scaler.centre)
        self._buffer("inverse", 1 / (scaler.scale * LIMIT))
        self._buffer("magnify", scaler.scale / scaler.change_scale)

    def _average(self, averages: LeakyAverages) -> None:
        """Their weights stand side by side behind them, and are spread over them by a product."""
        self._buffer(
            "decay", torch.cat([averages.decay.repeat_interleave(3 * N_SCALARS), averages.decay])
        )
        self._buffer("spread", torch.eye(self._lengths).repeat_interleave(3 * N_SCALARS, 1))

    def _encode(self, encoder: Encoder, scaler: Scaler) -> None:
        """First layer on: changes of curves; changes, levels and masks of scalars; masks of curves,
        logs of curves and age, ones; design, age; averages.

        Its last two outputs are far above 0 where a cycle's charge or discharge says something, 0
        elsewhere; the second layer's last is 1 for a valid cycle.
        """
        known, weight = scaler.known[:, None], encoder.first.weight.T
        sizes = [N_SCALARS, CURVES, N_SCALARS, encoder.groups.shape[1], encoder.curves.shape[1]]
        tracks = (encoder.groups.shape[1] - N_CURVES + 2 * N_SCALARS) * self._lengths
        level, curves, change, groups, logs, averages, design, log_age, age = weight.split(
            [*sizes, tracks, len(encoder.design_scale), 1, 1]
        )
        assert not encoder.groups[CURVES:, :N_CURVES].any()  # the groups of curves come first
        single = encoder.groups[CURVES:, N_CURVES:]

        def tracked(level: Tensor, change: Tensor, masks: Tensor) -> Tensor:
            parts = torch.stack([LIMIT * change, LIMIT * level, single @ masks])
            return (known[CURVES:] * parts).flatten(0, 1)

        differences = [
            tracked(*piece.split([N_SCALARS, N_SCALARS, len(piece) - 2 * N_SCALARS]))
            for piece in averages.chunk(self._lengths)
        ]
        scaled = encoder.design_scale[:, None] * design
        parts = [
            LIMIT * known[:CURVES] * curves,
            tracked(level, change, groups[N_CURVES:]) + torch.stack(differences).sum(0),
            groups[:N_CURVES], logs, log_age / 8, torch.zeros(self._lengths, len(weight[0])),
            scaled, age / 1000, -torch.cat(differences),
        ]  # fmt: skip
        alive = torch.zeros(sum(map(len, parts)), 2)
        least = nn.functional.softsign((LEAST_CHARGE - self.centre) * self.inverse)
        for column, field in enumerate((_CHARGE, _DISCHARGE)):
            alive[field + N_SCALARS, column] = SHARP
            alive[field + 2 * N_SCALARS, column] = -SHARP * least[field]
        bias = encoder.first.bias - encoder.design_centre @ scaled
        self.first = Linear(
            torch.cat([torch.cat(parts), alive], 1), nn.functional.pad(bias, (0, 2))
        )
        self.second = Linear(
            torch.block_diag(encoder.second.weight.T, torch.ones(2, 1)),
            nn.functional.pad(encoder.second.bias, (0, 1)),
        )
        self._buffer("masks", (known * encoder.groups)[:CURVES, :N_CURVES])
        squares = LIMIT**2 * (known * encoder.curves)[:CURVES]
        count = squares.shape[1]
        self._buffer("logs", nn.functional.pad(squares, (0, 1 + self._lengths)))
        self._buffer("logs_age", torch.eye(count + 1 + self._lengths)[None, count])
        ones = [1.0] + [math.e] * self._lengths
        self._buffer("logs_bias", torch.tensor([LEAST_CHANGE] * count + ones))

    def _whiten(self, novelty: Novelty, encoder: Encoder) -> None:
        """Of an encoding and the flag beside it, and of a design."""
        count = len(encoder.design_scale)
        self.whiten = Linear(nn.functional.pad(novelty.whiten, (0, count, 0, 1)))
        none, bias = encoder.strangeness(torch.zeros(1, count)), -novelty.mean @ novelty.whiten
        strange = encoder.strangeness(torch.eye(count)) - none
        strange = nn.functional.pad(strange, (len(bias), 0))
        self.strange = Linear(strange, torch.cat([bias, none[0]]))

    def forward(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ...]:
        """As ``Forecaster.forward``."""
        state = torch.addmm(state, elapsed, self.ageing)
        counts, totals, sums, _, age, capacity, _ = state.split(self._sizes, 1)

        scaled = (values - self.centre) * (observed * self.inverse)
        new_counts = (counts + observed).clamp(NONE, self.limit)
        totals = totals + scaled * (new_counts - counts)
        change = (scaled - totals / new_counts) * (observed * self.magnify)
        level, change = map(nn.functional.softsign, (scaled.split(_FIELDS, 1)[1], change))
        curves, change = change.split(_FIELDS, 1)
        nodes, others = observed.split(_FIELDS, 1)
        nodes = torch.matmul(nodes, self.masks)
        logs = torch.addmm(self.logs_bias, age, self.logs_age)
        logs = torch.log(torch.addmm(logs, curves * curves, self.logs))
        ones = logs.split([logs.shape[1] - self._lengths, self._lengths], 1)[1]

        tracked = torch.cat([change, level, others], 1)
        sums = sums * self.decay + torch.cat([*[tracked] * self._lengths, ones], 1)
        total, weights = sums.split([sums.shape[1] - self._lengths, self._lengths], 1)
        averages = total / torch.matmul(weights, self.spread)
        x = self.first(torch.cat([curves, tracked, nodes, logs, design, age, averages], 1))
        x = torch.tanh(self.second(x * torch.sigmoid(x)))
        novelty = self.whiten(x, self.strange(design))
        novelty = torch.linalg.vector_norm(novelty, dim=1, keepdim=True)
        memory, valid = x.split([x.shape[1] - 1, 1], 1)
        measured = observed[:, _DISCHARGE : _DISCHARGE + 1] > 0.5
        capacity = torch.where(measured, values[:, _DISCHARGE : _DISCHARGE + 1] - 1, capacity)

        parts = [new_counts, totals, sums, novelty, age, capacity, memory]
        state = torch.where(valid > 0.5, torch.cat(parts, 1), state)
        tail = state.split([self.state_size - self._tail, self._tail], 1)[1]
        rul, risk, incidence, soh, mean, spread = self.readout(tail)
        return state, rul, risk, incidence, soh, tail[:, 0], valid.squeeze(1), mean, spread
