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

_PARTS: Final = {
    "scaler": Scaler, "encoder": Encoder, "averages": LeakyAverages, "memory": GatedMemory,
    "hazards": HazardHead, "recalibration": Recalibration, "novelty": Novelty, "readout": Readout,
}  # fmt: skip
_CHARGE, _DISCHARGE = INDEX["charge_throughput"], INDEX["discharge_throughput"]
N_CURVES: Final = CURVES // BINS
_PAIR: Final = slice(min(_CHARGE, _DISCHARGE), max(_CHARGE, _DISCHARGE) + 1)


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

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", bias.detach().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


class LeanForecaster(nn.Module):
    """``Forecaster.forward`` with the same inputs and outputs but for the layout of the state."""

    ageing: Tensor
    centre: Tensor
    inverse: Tensor
    magnify: Tensor
    design_centre: Tensor
    known_nodes: Tensor
    fixed: Tensor
    decay: Tensor
    weights: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        hidden, layers = forecaster.config.hidden, forecaster.config.layers
        self.limit = float(forecaster.scaler.reference_cycles)
        averages = forecaster.averages.state_size
        self._sizes = [1, N_FIELDS, N_FIELDS, averages, *[hidden] * (layers - 1), 2, 1, hidden]
        self.state_size = sum(self._sizes)
        self._tail = 3 + hidden
        self._scale(forecaster.scaler)
        self._encode(forecaster.encoder, forecaster.scaler)
        self._average(forecaster.averages)
        self._remember(forecaster.memory, forecaster.averages)
        whiten = forecaster.novelty.whiten
        self.whiten = _Linear(whiten, -forecaster.novelty.mean @ whiten)
        self._read(forecaster)
        self.hazards = LeanHazards(forecaster)

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.detach().clone().contiguous())

    def _scale(self, scaler: Scaler) -> None:
        """Scaled values are in units of ``LIMIT``, so that squashing is ``softsign``."""
        self._buffer("ageing", torch.eye(1, self.state_size))
        self._buffer("centre", scaler.centre)
        self._buffer("inverse", scaler.known / (scaler.scale * LIMIT))
        self._buffer("magnify", scaler.scale / scaler.change_scale)

    def _encode(self, encoder: Encoder, scaler: Scaler) -> None:
        """First layer on: levels, changes, seen, logs of curves, design, log age, age."""
        weight = encoder.first.weight.T
        sizes = [N_FIELDS - CURVES, N_FIELDS, encoder.groups.shape[1], encoder.curves.shape[1]]
        level, change, groups, curves, design, log_age, age = weight.split(
            [*sizes, len(encoder.design_scale), 1, 1]
        )
        scaled = encoder.design_scale[:, None] * design
        means = torch.block_diag(*[torch.full((BINS, 1), 1 / BINS)] * N_CURVES)
        assert torch.equal(encoder.groups[:CURVES, :N_CURVES], means)  # curves are whole and first
        scalar_groups = scaler.known[CURVES:, None] * (encoder.groups[CURVES:] @ groups)
        self._buffer("known_nodes", scaler.known[:CURVES])
        self.first = _Linear(
            torch.cat(
                [
                    LIMIT * level, LIMIT * change,
                    groups[:N_CURVES], scalar_groups, curves, scaled, log_age / 8, age / 1000,
                ]
            ),
            encoder.first.bias - encoder.design_centre @ scaled,
        )  # fmt: skip
        self.curves = _Linear(
            LIMIT**2 * encoder.curves, torch.full((encoder.curves.shape[1],), LEAST_CHANGE)
        )
        self.second = _Linear(encoder.second.weight.T, encoder.second.bias)
        self._buffer("design_centre", encoder.design_centre)
        self._buffer("fixed", (encoder.design_scale == 0).float()[:, None])

    def _average(self, averages: LeakyAverages) -> None:
        width, count = averages.width, len(averages.lengths)
        one = torch.cat([torch.eye(width), torch.zeros(width, 1)], 1)
        mark = torch.cat([torch.zeros(width), torch.ones(1)])
        self.tile = _Linear(one.repeat(1, count), mark.repeat(count))
        self._buffer("decay", averages.decay.repeat_interleave(width + 1))
        place = torch.arange(count * (width + 1))
        self._buffer("weights", place // (width + 1) * (width + 1) + width)

    def _remember(self, memory: GatedMemory, averages: LeakyAverages) -> None:
        width = averages.width
        gates, new, recalled = [], [], []
        for layer in range(memory.layers):
            w_x, w_h, b_x, b_h = (
                getattr(memory.gru, f"{name}_l{layer}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            w_x = w_x.T
            if layer == 0:  # of x, x − a, x − b to of x, a, 1, b, 1
                parts = w_x.split(width)
                none = torch.zeros(1, w_x.shape[1])
                w_x = torch.cat([sum(parts), *(p for q in parts[1:] for p in (-q, none))])
            w_h, two = w_h.T, 2 * memory.hidden
            gates.append(_Linear(torch.cat([w_x, w_h])[:, :two], (b_x + b_h)[:two]))
            new.append(_Linear(torch.cat([w_x, 0 * w_h])[:, two:], b_x[two:]))
            recalled.append(_Linear(w_h[:, two:], b_h[two:]))
        self.gates, self.new, self.recalled = map(nn.ModuleList, (gates, new, recalled))

    def _read(self, forecaster: Forecaster) -> None:
        """First layer of the hazards, health and novelty, from what stands last in the state: the
        charges' distance to 1 (0 before there was one), novelty and memory."""
        charge = torch.zeros(3, 1)
        charge[_DISCHARGE - _PAIR.start] = 1.0
        health = torch.cat([charge, 0.1 * forecaster.health.weight.T])
        first = forecaster.hazards.first
        head = torch.cat([torch.zeros(3, first.out_features), first.weight.T])
        novelty = torch.eye(self._tail)[:, 2:3]
        bias = [first.bias, 1 + 0.1 * forecaster.health.bias, torch.zeros(1)]
        self.head = _Linear(torch.cat([head, health, novelty], 1), torch.cat(bias))
        self._heads = [first.out_features, 1, 1]

    def forward(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ...]:
        """As ``Forecaster.forward``."""
        state = torch.addmm(state, elapsed, self.ageing)
        age, counts, totals, sums, *memory = state.split(self._sizes, 1)
        *memory, charge, _, last = memory

        measured = observed[:, _PAIR]
        moved = values[:, _PAIR] * measured
        valid = moved.amax(1, keepdim=True) > LEAST_CHARGE
        charge = torch.where(measured > 0, moved - 1, charge)

        scaled = (values - self.centre) * self.inverse * observed
        new_counts = (counts + observed).clamp(max=self.limit)
        totals = totals + scaled * (new_counts - counts)
        reference = totals / new_counts.clamp(min=1.0)
        change = nn.functional.softsign((scaled - reference) * self.magnify * observed)
        level = nn.functional.softsign(scaled[:, CURVES:])

        logs = torch.log(self.curves(change * change))
        nodes = (observed[:, :CURVES] * self.known_nodes).unflatten(1, (N_CURVES, BINS)).mean(2)
        inputs = [level, change, nodes, observed[:, CURVES:], logs, design]
        inputs += [torch.log(age + 1), age]
        x = self.first(torch.cat(inputs, 1))
        x = encoding = torch.tanh(self.second(x * torch.sigmoid(x)))
        sums = sums * self.decay + self.tile(x)
        inputs, new_memory = [x, sums / sums.index_select(1, self.weights)], []
        for layer, h in enumerate([*memory, last]):
            x = torch.cat([*inputs, h], 1)
            reset, keep = torch.sigmoid(self.gates[layer](x)).split(h.shape[1], 1)
            new = torch.tanh(self.new[layer](x) + reset * self.recalled[layer](h))
            inputs = [new + keep * (h - new)]
            new_memory += inputs

        novelty = torch.linalg.vector_norm(self.whiten(encoding), dim=1, keepdim=True)
        *memory, last = new_memory
        parts = [age, new_counts, totals, sums, *memory, charge, novelty, last]
        state = torch.where(valid, torch.cat(parts, 1), state)
        head, health, novelty = self.head(state[:, -self._tail :]).split(self._heads, 1)
        strange = ((design - self.design_centre).abs() > 0.05).float()
        novelty = torch.addmm(novelty, strange, self.fixed)
        flags = health.squeeze(1), novelty.squeeze(1), valid.float().squeeze(1)
        return (state, *self.hazards(head), *flags)
