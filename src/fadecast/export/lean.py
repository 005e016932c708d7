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

from fadecast.cell.summaries import BINS, INDEX, N_FIELDS
from fadecast.export.lean_heads import LeanHazards
from fadecast.network.calibration import Novelty, Recalibration
from fadecast.network.encoder import CURVES, LEAST_CHANGE, Encoder
from fadecast.network.forecaster import LEAST_CHARGE, Forecaster
from fadecast.network.heads import HazardHead, Readout
from fadecast.network.memory import GatedMemory, LeakyAverages
from fadecast.network.scaler import LIMIT, Scaler
from fadecast.network.virtual import GAIN, LEAST_SPREAD, N_SENSORS, VirtualSensors

_PARTS: Final = {
    "scaler": Scaler, "encoder": Encoder, "averages": LeakyAverages, "memory": GatedMemory,
    "hazards": HazardHead, "recalibration": Recalibration, "novelty": Novelty, "readout": Readout,
    "virtual": VirtualSensors,
}  # fmt: skip
N_CURVES: Final = CURVES // BINS
_CHARGE, _DISCHARGE = INDEX["charge_throughput"], INDEX["discharge_throughput"]
_FIELDS: Final = [CURVES, N_FIELDS - CURVES]
_SCALARS: Final = [_DISCHARGE - CURVES, 1, N_FIELDS - _DISCHARGE - 1]
SHARP: Final = 1e7
"""Slope of the step from a cycle that says nothing to one that does, in squashed scaled charge."""
SMALL: Final = 2.0**-11
"""Unit of the remembered discharge."""
NONE: Final = 1e-30
"""A count of nothing: 0 beside any count, but not in a division."""


def lean_form(forecaster: Forecaster) -> tuple[nn.Module, int]:
    """A module that steps like ``forecaster``, and the size of its state."""
    if all(type(getattr(forecaster, name, None)) is kind for name, kind in _PARTS.items()):
        lean = LeanForecaster(forecaster)
        return lean, lean.state_size
    return forecaster, forecaster.state_size


class _Linear(nn.Module):
    """``x @ weight + bias``; ``weight`` is ``(inputs, outputs)``."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", weight.new_zeros(1) if bias is None else bias.detach().clone())

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        return torch.addmm(self.bias if plus is None else plus, x, self.weight)


class LeanForecaster(nn.Module):
    """``Forecaster.forward`` with the same inputs and outputs but for the layout of the state."""

    ageing: Tensor
    centre: Tensor
    inverse: Tensor
    masks: Tensor
    magnify: Tensor
    age_log: Tensor
    age_log_bias: Tensor
    curves: Tensor
    decay: Tensor
    weights: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        hidden, layers = forecaster.config.hidden, forecaster.config.layers
        self.limit = float(forecaster.scaler.reference_cycles)
        self._lengths = len(forecaster.averages.lengths)
        averages = self._lengths * (hidden + 2)  # with both flags
        # counts, totals, averages; novelty, age; memory, with the last discharge in its first layer
        self._sizes = [N_FIELDS, N_FIELDS, averages, 1, 1, hidden + 1, *[hidden] * (layers - 1)]
        self.state_size = sum(self._sizes)
        self._tail = sum(self._sizes[3:])
        self._scale(forecaster.scaler)
        self._encode(forecaster.encoder, forecaster.scaler)
        self._average(forecaster.averages)
        self._remember(forecaster.memory, forecaster.averages)
        self._whiten(forecaster.novelty, forecaster.encoder)
        self._read(forecaster)
        self.hazards = LeanHazards(forecaster, 2 * N_SENSORS + 1)

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.detach().clone().contiguous())

    def _scale(self, scaler: Scaler) -> None:
        """Scaled values are in units of ``LIMIT``, so that squashing is ``softsign``. Which fields
        are known is left to the weights."""
        self._buffer("ageing", torch.eye(self.state_size)[None, -self._tail + 1])
        self._buffer("centre", scaler.centre)
        self._buffer("inverse", 1 / (scaler.scale * LIMIT))
        self._buffer("magnify", scaler.scale / scaler.change_scale)

    def _encode(self, encoder: Encoder, scaler: Scaler) -> None:
        """First layer on: levels, changes, masks of fields and curves, logs of curves and age,
        design, age.

        Its last three outputs are far above 0 where a cycle's charge or discharge says something
        and where the discharge was measured. The second layer's last two are about 1 for a valid
        cycle and for a measured discharge, and below −0.4 for another.
        """
        weight, known = encoder.first.weight.T, scaler.known[:, None]
        sizes = [N_FIELDS - CURVES, N_FIELDS, encoder.groups.shape[1], encoder.curves.shape[1]]
        level, change, groups, curves, design, log_age, age = weight.split(
            [*sizes, len(encoder.design_scale), 1, 1]
        )
        scaled = encoder.design_scale[:, None] * design
        parts = [
            LIMIT * known[CURVES:] * level, LIMIT * known * change,
            known[CURVES:] * (encoder.groups[CURVES:] @ groups), groups[:N_CURVES], curves,
            log_age / 8, scaled, age / 1000,
        ]  # fmt: skip
        assert not encoder.groups[CURVES:, :N_CURVES].any()  # the groups of curves come first
        self._buffer("masks", (known * encoder.groups)[:, :N_CURVES])
        alive = torch.zeros(sum(map(len, parts)), 3)
        least = nn.functional.softsign((LEAST_CHARGE - self.centre) * self.inverse)
        for column, field in enumerate((_CHARGE, _DISCHARGE)):
            alive[field - CURVES, column] = SHARP
            alive[N_FIELDS + field - CURVES + len(parts[0]), column] = -SHARP * least[field]
        alive[N_FIELDS + _DISCHARGE - CURVES + len(parts[0]), 2] = 40.0
        bias = encoder.first.bias - encoder.design_centre @ scaled
        self.first = _Linear(torch.cat([torch.cat(parts), alive], 1), _padded(bias, 3))
        squares = LIMIT**2 * known * encoder.curves
        count = squares.shape[1]
        self._buffer("curves", nn.functional.pad(squares, (0, 1)))
        self._buffer("age_log", torch.eye(count + 1)[-1:])
        self._buffer("age_log_bias", torch.tensor([LEAST_CHANGE] * count + [1.0]))
        second = torch.block_diag(encoder.second.weight.T, torch.ones(2, 1), torch.ones(1, 1))
        bias = _padded(_padded(encoder.second.bias, 1, -0.5), 1, -20.0)
        self.second = _Linear(second, bias)

    def _whiten(self, novelty: Novelty, encoder: Encoder) -> None:
        """Of an encoding and the two flags beside it, and of a design."""
        count = len(encoder.design_scale)
        weight = nn.functional.pad(novelty.whiten, (0, count, 0, 2))
        self.whiten = _Linear(weight)
        none, bias = encoder.strangeness(torch.zeros(1, count)), -novelty.mean @ novelty.whiten
        strange = encoder.strangeness(torch.eye(count)) - none
        strange = nn.functional.pad(strange, (len(bias), 0))
        self.strange = _Linear(strange, torch.cat([bias, none[0]]))

    def _average(self, averages: LeakyAverages) -> None:
        width, count = averages.width, len(averages.lengths)
        self._buffer("decay", averages.decay.repeat_interleave(width + 2))
        place = torch.arange(count * (width + 2))
        self._buffer("weights", place // (width + 2) * (width + 2) + width)

    def _remember(self, memory: GatedMemory, averages: LeakyAverages) -> None:
        """The first layer has a unit more, whose memory is the last discharge: the distance to 1,
        so small that its tanh is itself. Its gates have one more: whether the cycle is valid. That
        is 1 in all that is kept, so it carries the biases too."""
        width = averages.width
        gates, new, recalled = [], [], []
        for layer in range(memory.layers):
            w_x, w_h, b_x, b_h = (
                getattr(memory.gru, f"{name}_l{layer}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            w_x, w_h, none = w_x.T, w_h.T, torch.zeros(1, len(w_x))
            if layer == 0:  # of x, x − a, … to of x, valid, measured, a, 1, ·, …, discharge
                parts = w_x.split(width)
                tracks = (p for q in parts[1:] for p in (-q, none, none))
                w_x, w_h = torch.cat([sum(parts), none, none, *tracks, none]), _below(w_h)
            else:  # of x to of x, discharge (after the first layer), valid
                w_x = torch.cat([w_x, *[none] * (1 + (layer == 1))])
            valid = width + (layer == 1)
            (r_x, k_x, n_x), (r_h, k_h, n_h) = (w.split(width, 1) for w in (w_x, w_h))
            n_x = torch.cat([n_x, 0 * n_h])
            n_x[valid] = b_x[2 * width :]
            b_n, (b_r, b_k) = b_h[2 * width :], (b_x + b_h)[: 2 * width].split(width)
            columns = [torch.cat([r_x, r_h]), torch.cat([k_x, k_h])]
            biases = [b_r, b_k]
            if layer == 0:
                measured, discharge = width + 1, len(w_x) - 1
                columns = [*(_padded(w, 1) for w in columns), torch.zeros(len(n_x), 1)]
                columns[1][measured, -1], columns[2][valid] = -100.0, 100.0
                n_x, n_h, b_n = (_padded(w, 1) for w in (n_x, n_h, b_n))
                n_x[discharge, -1] = SMALL / self.inverse[_DISCHARGE]
                n_x[valid, -1] = SMALL * (self.centre[_DISCHARGE] - 1)
                biases = [_padded(b, 1) for b in biases] + [torch.zeros(1)]
            gates.append(_Linear(torch.cat(columns, 1), torch.cat(biases)))
            new.append(_Linear(n_x))
            recalled.append(_Linear(n_h, b_n))
        self.gates, self.new, self.recalled = map(nn.ModuleList, (gates, new, recalled))

    def _read(self, forecaster: Forecaster) -> None:
        """First layer of the hazards, virtual sensors, and health, from what stands last in the
        state; then what the sensors' mean and spread are of a sigmoid of all that."""
        first, hidden = forecaster.hazards.first, forecaster.config.hidden
        virtual, health = forecaster.virtual, forecaster.health
        sensed = virtual.linear
        weight = torch.zeros(self._tail, first.out_features + sensed.out_features + 1)
        last = slice(2, 2 + hidden) if forecaster.config.layers == 1 else slice(-hidden, None)
        weight[last] = torch.cat([first.weight, GAIN * sensed.weight, 0.1 * health.weight]).T
        weight[2 + hidden, -1] = 1 / SMALL
        bias = [first.bias, GAIN * sensed.bias, 1 + 0.1 * health.bias]
        self.head = _Linear(weight, torch.cat(bias))
        pick = torch.zeros(weight.shape[1], N_SENSORS, 2)
        place = first.out_features + torch.arange(N_SENSORS)
        pick[place, range(N_SENSORS), 0] = 1.0
        pick[place + N_SENSORS, range(N_SENSORS), 1] = virtual.scale
        self.virtual = _Linear(pick[..., 0])
        self.virtual_spread = _Linear(pick[..., 1], virtual.scale * LEAST_SPREAD)

    def forward(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ...]:
        """As ``Forecaster.forward``."""
        state = torch.addmm(state, elapsed, self.ageing)
        counts, totals, sums, _, age, *memory = state.split(self._sizes, 1)

        scaled = (values - self.centre) * (observed * self.inverse)
        new_counts = (counts + observed).clamp(NONE, self.limit)
        totals = totals + scaled * (new_counts - counts)
        change = (scaled - totals / new_counts) * (observed * self.magnify)
        scalars = scaled.split(_FIELDS, 1)[1]
        level, change = map(nn.functional.softsign, (scalars, change))
        logs = torch.addmm(self.age_log_bias, age, self.age_log)
        logs = torch.log(torch.addmm(logs, change * change, self.curves))
        nodes, others = torch.matmul(observed, self.masks), observed.split(_FIELDS, 1)[1]
        inputs = [level, change, others, nodes, logs, design, age]
        x = self.first(torch.cat(inputs, 1))
        x = torch.tanh(self.second(x * torch.sigmoid(x)))

        novelty = self.whiten(x, self.strange(design))
        novelty = torch.linalg.vector_norm(novelty, dim=1, keepdim=True)
        sums = sums * self.decay + torch.cat([x] * self._lengths, 1)
        tracks, discharge = sums / sums.index_select(1, self.weights), scalars.split(_SCALARS, 1)[1]
        inputs, new_memory, valid = [x, tracks, discharge], [], x
        for layer, h in enumerate(memory):
            x, width = torch.cat([*inputs, h], 1), h.shape[1]
            gates = torch.sigmoid(self.gates[layer](x))
            reset, keep, *flag = gates.split([width, width, *[1] * (layer == 0)], 1)
            valid = flag[0] if flag else valid
            new = torch.tanh(self.new[layer](x, reset * self.recalled[layer](h)))
            new_memory.append(new + keep * (h - new))
            inputs = [new_memory[-1], valid]

        parts = [new_counts, totals, sums, novelty, age, *new_memory]
        state = torch.where(valid > 0.5, torch.cat(parts, 1), state)
        tail = state.split([self.state_size - self._tail, self._tail], 1)[1]
        head = self.head(tail)
        gate = torch.sigmoid(head)
        flags = head[:, -1], tail[:, 0], valid.squeeze(1)
        sensed = self.virtual(gate), self.virtual_spread(gate)
        return (state, *self.hazards(head * gate), *flags, *sensed)


def _padded(x: Tensor, count: int, value: float = 0.0) -> Tensor:
    """With ``count`` more columns of ``value``."""
    return nn.functional.pad(x, (0, count), value=value)


def _below(x: Tensor) -> Tensor:
    """With a row of zeros below."""
    return nn.functional.pad(x, (0, 0, 0, 1))
