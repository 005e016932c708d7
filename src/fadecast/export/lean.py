"""The deployed form of the forecaster: the same function in far fewer operators.

On a small network the time of a step is the number of operators, not the arithmetic. So weights are
multiplied together beforehand wherever one linear map follows another, constants (scales, design,
limits) are taken into them, and picking, tiling and summing are matrix products too. The state is
laid out anew, all in one tensor: what a step needs of it lies together.

This is derived from the trained modules, never trained; that it equals them is proven at every
export over whole lives. A network with a part of another kind is exported as it is.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.cell.design import N_DESIGN
from fadecast.cell.summaries import BINS, INDEX, N_FIELDS
from fadecast.export.lean_heads import SMALL, LeanReadout, Linear
from fadecast.network.calibration import Novelty, Recalibration
from fadecast.network.encoder import CURVES, LEAST_CHANGE, LIMITED, NEAR, PER_LIMIT, Encoder
from fadecast.network.forecaster import LEAST_CHARGE, Forecaster
from fadecast.network.heads import HazardHead, Readout
from fadecast.network.memory import LeakyAverages, RunningMedian
from fadecast.network.scaler import LIMIT, Scaler
from fadecast.network.virtual import VirtualSensors

_PARTS: Final = {
    "scaler": Scaler, "median": RunningMedian, "encoder": Encoder, "averages": LeakyAverages,
    "hazards": HazardHead, "recalibration": Recalibration, "novelty": Novelty,
    "readout": Readout, "virtual": VirtualSensors,
}  # fmt: skip
N_CURVES: Final = CURVES // BINS
N_SCALARS: Final = N_FIELDS - CURVES
_CHARGE, _DISCHARGE = INDEX["charge_throughput"], INDEX["discharge_throughput"]
_PRESSURE = INDEX["pressure.highest"]
SHARP: Final = 1e7
"""Slope of the step from a cycle that says nothing to one that does, in charge."""
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

    centre: Tensor
    squash: Tensor
    scalars: Tensor
    pressure: Tensor
    limits: Tensor
    over: Tensor
    ageing: Tensor
    masks: Tensor
    logs: Tensor
    logs_age: Tensor
    logs_bias: Tensor
    decay: Tensor
    spread: Tensor
    discharge: Tensor
    charges: Tensor
    design_centre: Tensor
    valid: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        hidden, self._lengths = forecaster.config.hidden, len(forecaster.averages.lengths)
        self.limit = float(forecaster.scaler.reference_cycles)
        tracked, cycle = self._lengths * 3 * N_SCALARS, 2 * N_FIELDS
        # counts, means, the last two cycles, averages and their weights, age; memory, valid,
        # capacity
        self._sizes = [N_FIELDS, N_FIELDS, cycle, cycle, tracked, self._lengths, 1, hidden, 1, 1]
        self.state_size = sum(self._sizes)
        self._tail = sum(self._sizes[7:])
        self._scale(forecaster.scaler, forecaster.encoder)
        self._average(forecaster.averages)
        self._encode(forecaster.encoder, forecaster.scaler)
        self.readout = LeanReadout(forecaster)
        self._buffer("ageing", torch.eye(self.state_size)[None, -self._tail - 1])
        self._buffer("discharge", torch.tensor([_DISCHARGE]))
        charges = torch.tensor([_CHARGE, _DISCHARGE])
        self._buffer("charges", torch.cat([charges, N_FIELDS + charges]))
        self._buffer("valid", torch.tensor([hidden]))

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.detach().clone().contiguous())

    def _scale(self, scaler: Scaler, encoder: Encoder) -> None:
        """Squashing is ``softsign`` in units of ``LIMIT``; of a mask it makes a half. Which fields
        are known is left to the weights."""
        self._buffer("centre", scaler.centre)
        self._buffer("scalars", torch.arange(CURVES, N_FIELDS))
        change, level = 1 / (LIMIT * scaler.change_scale), 1 / (LIMIT * scaler.scale[CURVES:])
        self._buffer(
            "squash", torch.cat([torch.tensor([NEAR / LIMIT]), change, level, 0 * level + 1])
        )
        # Highest pressure and its mask, times what the design makes of a limit, and added up: by
        # how much the one lies above the other.
        self._buffer("pressure", torch.tensor([_PRESSURE, N_FIELDS + _PRESSURE]))
        limits = torch.zeros(N_DESIGN, 2)
        limits[PER_LIMIT, 0], limits[PER_LIMIT, 1] = 1.0, scaler.centre[_PRESSURE]
        limits[LIMITED, 1] = -1.0
        self._buffer("limits", scaler.known[_PRESSURE] * encoder.limits * limits)
        self._buffer("over", torch.ones(2, 1))

    def _average(self, averages: LeakyAverages) -> None:
        """Their weights are spread over what is tracked by a product."""
        self._buffer("decay", averages.decay)
        self._buffer("spread", torch.eye(self._lengths).repeat_interleave(3 * N_SCALARS, 1))

    def _encode(self, encoder: Encoder, scaler: Scaler) -> None:
        """First layer on: the room up to the permitted pressure; changes; levels and masks of
        scalars; masks of curves, logs of curves and age; design, age; differences to
        averages; charge and discharge of this cycle alone, and whether they were measured;
        discharge; the capacity.

        Two more outputs are far above 0 where the cycle's charge or discharge says something, 0
        elsewhere; of them the second layer makes about 1 for a valid cycle. Four more are what
        becomes of the discharge, or of the one before where none was measured: SiLU(x) − SiLU(−x)
        is x, and so is tanh(x) where x is small.
        """
        known, weight = scaler.known[:, None], encoder.first.weight.T
        sizes = [N_SCALARS, encoder.cosines.shape[1], N_SCALARS]
        sizes += [encoder.groups.shape[1], encoder.curves.shape[1]]
        tracks = (encoder.groups.shape[1] - N_CURVES + 2 * N_SCALARS) * self._lengths
        level, shapes, change, groups, logs, room, averages, design, log_age, age = weight.split(
            [*sizes, 1, tracks, PER_LIMIT, 1, 1]
        )
        assert not encoder.groups[CURVES:, :N_CURVES].any()  # the groups of curves come first
        single = encoder.groups[CURVES:, N_CURVES:]

        def tracked(level: Tensor, change: Tensor, masks: Tensor) -> Tensor:
            parts = torch.stack([LIMIT * change, LIMIT * level, 2 * single @ masks])
            return (known[CURVES:] * parts).flatten(0, 1)

        differences = [
            tracked(*piece.split([N_SCALARS, N_SCALARS, len(piece) - 2 * N_SCALARS]))
            for piece in averages.chunk(self._lengths)
        ]
        scaled = encoder.design_scale[:, None] * nn.functional.pad(design, (0, 0, 0, 1))
        parts = [
            LIMIT * room, LIMIT * known[:CURVES] * (encoder.cosines @ shapes),
            tracked(level, change, groups[N_CURVES:]),
            groups[:N_CURVES], logs, log_age / 8, scaled, age / 1000,
            torch.cat(differences), weight.new_zeros(6, weight.shape[1]),
        ]  # fmt: skip
        alive = torch.zeros(sum(map(len, parts)), 6)
        for column, field in enumerate((_CHARGE, _DISCHARGE)):
            alive[-6 + column, column] = SHARP
            alive[-4 + column, column] = SHARP * (scaler.centre[field] - LEAST_CHARGE)
        measured, sign = 1 + _DISCHARGE + 2 * N_SCALARS, torch.tensor([1.0, -1.0])
        alive[-2, 2:4], alive[measured, 2:4] = sign, 2 * (scaler.centre[_DISCHARGE] - 1) * sign
        alive[-1, 4:6], alive[measured, 4:6] = sign / SMALL, -200.0
        self._buffer("design_centre", encoder.design_centre)
        self.first = Linear(
            torch.cat([torch.cat(parts), alive], 1), nn.functional.pad(encoder.first.bias, (0, 6))
        )
        last = torch.ones(2, 1), SMALL * torch.cat([sign, sign])[:, None]
        self.second = Linear(
            torch.block_diag(encoder.second.weight.T, *last),
            nn.functional.pad(encoder.second.bias, (0, 2)),
        )
        self._buffer("masks", (known * encoder.groups)[:, :N_CURVES])
        squares = LIMIT**2 * known * encoder.curves
        self._buffer("logs", nn.functional.pad(squares, (0, 1, 1, 2 * N_SCALARS)))
        self._buffer("logs_age", torch.eye(N_CURVES + 1)[None, N_CURVES])
        self._buffer("logs_bias", torch.tensor([LEAST_CHANGE] * N_CURVES + [1.0]))

    def forward(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ...]:
        """As ``Forecaster.forward``."""
        state = torch.addmm(state, elapsed, self.ageing)
        counts, means, last, older, averages, weights, age, _, begun, capacity = state.split(
            self._sizes, 1
        )

        cycle = torch.cat([(values - self.centre) * observed, observed], 1)
        old = begun > 0.5
        last, older = torch.where(old, last, cycle), torch.where(old, older, cycle)
        high, low = torch.maximum(cycle, last), torch.minimum(cycle, last)
        middle = torch.maximum(low, torch.minimum(high, older))
        levels, observed = middle.split(N_FIELDS, 1)
        off = (levels - means) * observed
        new_counts = (counts + observed).clamp(NONE, self.limit)
        changes = off * (counts / new_counts)
        means = means + (off - changes)
        over = middle.index_select(1, self.pressure) * torch.matmul(design, self.limits)
        parts = [
            torch.matmul(over, self.over),
            changes,
            levels.index_select(1, self.scalars),
            observed.index_select(1, self.scalars),
        ]
        fields = nn.functional.softsign(torch.cat(parts, 1) * self.squash)
        logs = torch.addmm(self.logs_bias, age, self.logs_age)
        logs = torch.log(torch.addmm(logs, fields * fields, self.logs))

        tracked = fields[:, 1 + CURVES :]
        weights = weights * self.decay + 1
        # Averages, not sums over weights: a cycle is near them, and what differs would be rounded.
        off = torch.cat([tracked] * self._lengths, 1) - averages
        steps = off / torch.matmul(weights, self.spread)
        averages, off = averages + steps, off - steps
        nodes = torch.matmul(observed, self.masks)
        discharge = levels.index_select(1, self.discharge)
        charges = cycle.index_select(1, self.charges)
        # Not left to the bias: what a design is off the centre would be rounded.
        declared = design - self.design_centre
        inputs = [fields, nodes, logs, declared, age, off, charges, discharge, capacity]
        x = self.first(torch.cat(inputs, 1))
        x = torch.tanh(self.second(x * torch.sigmoid(x)))
        valid = x.index_select(1, self.valid) > 0.5
        parts = [new_counts, means, cycle, last, averages, weights, age, x]
        state = torch.where(valid, torch.cat(parts, 1), state)
        tail = state[:, -self._tail :]
        rul, risk, incidence, soh, novelty, mean, spread = self.readout(tail, design)
        flag = valid.squeeze(1).to(values.dtype)
        return state, rul, risk, incidence, soh, novelty, flag, mean, spread
