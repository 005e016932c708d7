"""The forecaster: a causal network from cycle summaries to competing-risk forecasts.

``step`` is the network as it is deployed: one cycle in, one forecast out, an explicit state.
``describe`` is what of it is not trained, over whole lives in parallel, and ``recall`` the rest,
for rows in any order: what a training repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fadecast.cell.summaries import INDEX, N_FIELDS
from fadecast.errors import ConfigError
from fadecast.network.calibration import Intervals, Novelty, Recalibration
from fadecast.network.encoder import LIMITED, NEAR, PER_LIMIT, Encoder
from fadecast.network.heads import HazardHead, Readout, log_hazards
from fadecast.network.memory import LeakyAverages, RunningMedian
from fadecast.network.scaler import Scaler, squash
from fadecast.network.virtual import VirtualSensors

_CHARGE, _DISCHARGE = INDEX["charge_throughput"], INDEX["discharge_throughput"]
_END = _DISCHARGE + 1
_PRESSURE = INDEX["pressure.highest"]
LEAST_CHARGE = 0.01
"""Charge in nominal capacities below which a cycle says nothing (a pause, an open circuit)."""


@dataclass(frozen=True, slots=True)
class ForecasterConfig:
    """Size of the network.

    Args:
        hidden: width of both trained layers, 8…256.
        reference_cycles: cycles that make the early-life reference, ≥ 1.
        averages: time constants of the leaky averages, in cycles; the longest is in effect the mean
            over the whole life.
        dropout: share of the first layer's units dropped in training, in [0, 1).
    """

    hidden: int = 96
    reference_cycles: int = 10
    averages: tuple[float, ...] = (10.0, 100.0, 100_000.0)
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if not (8 <= self.hidden <= 256 and self.reference_cycles >= 1):
            raise ConfigError(
                f"network of hidden {self.hidden}, reference_cycles {self.reference_cycles}",
                fix="Use hidden 8…256, reference_cycles ≥ 1",
            )
        if not 0 <= self.dropout < 1 or not self.averages or min(self.averages) <= 0:
            raise ConfigError("dropout must be in [0, 1) and averages be positive cycle counts")


PRESETS: Final = {
    "base": ForecasterConfig(),
    "micro": ForecasterConfig(hidden=32, averages=(10.0, 100_000.0)),
}
"""``base`` for gateways and servers; ``micro`` fits a microcontroller with 256 KB of flash."""


class ForecastTensors(NamedTuple):
    """A forecast per row; shapes as in ``fadecast.forecast.Forecasts``, flags as 0/1."""

    rul: Tensor
    risk: Tensor
    incidence: Tensor
    soh: Tensor
    novelty: Tensor
    valid: Tensor
    virtual: Tensor
    virtual_spread: Tensor


class Features(NamedTuple):
    """Cycles ``(…, ·)`` as the trained layers meet them.

    ``described`` holds a cycle's features, then their differences to the averages; ``capacity``
    ``(…, 1)`` is the last observed discharge, 1 before any. All of it is of the running median.
    """

    described: Tensor
    capacity: Tensor


class Hidden(NamedTuple):
    """What training needs of rows: all forecasts are read off ``memory``."""

    memory: Tensor
    soh: Tensor


class Forecaster(nn.Module):
    """Cycle summaries ``(B, F)`` → forecasts, one step a cycle, with state ``(B, state_size)``.

    A cycle enters as the median of the last three. One without usable charge (``valid`` 0) leaves
    everything but the age as it was; its forecast is the one of the last valid cycle.
    """

    def __init__(self, config: ForecasterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.scaler = Scaler(N_FIELDS, config.reference_cycles)
        self.median = RunningMedian(2 * N_FIELDS)
        self.encoder = Encoder(width, config.dropout, len(config.averages))
        self.averages = LeakyAverages(len(self.encoder.tracked), config.averages)
        self.hazards = HazardHead(width)
        self.health = nn.Linear(width, 1)
        self.recalibration = Recalibration()
        self.novelty = Novelty(width)
        self.intervals = Intervals()
        self.readout = Readout()
        self.virtual = VirtualSensors(width)
        nn.init.zeros_(self.health.weight)
        nn.init.zeros_(self.health.bias)
        # age; capacity less 1, last cycles, reference, averages, memory
        remembering = self.median, self.scaler, self.averages
        self._sizes = [1, 1, *(part.state_size for part in remembering), width]
        self.state_size = sum(self._sizes)

    def start(self, batch: int) -> Tensor:
        """The state before the first cycle, ``(batch, state_size)``: zeros."""
        return torch.zeros(batch, self.state_size)

    def step(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ForecastTensors]:
        """One cycle.

        Args:
            state: ``(B, state_size)``.
            values, observed: ``(B, F)`` a summary and its mask (0/1).
            design: ``(B, N_DESIGN)`` from ``fadecast.cell.design.encode_design``.
            elapsed: ``(B, 1)`` cycles since the previous summary; its own number for the first.
        """
        age, capacity, cycles, reference, averages, memory = state.split(self._sizes, 1)
        valid = valid_cycles(values, observed)
        age = age + elapsed
        new_cycles, middle = self.median.step(
            cycles, torch.cat(self.scaler.scaled(values, observed), 1)
        )
        scaled, seen = middle.unsqueeze(1).chunk(2, 2)
        new_capacity = torch.where(
            seen[:, 0, _DISCHARGE:_END] > 0, self._capacity(scaled[:, 0]), capacity
        )
        new_reference, level, change = self.scaler(reference, scaled, seen)
        room = self._room(scaled, seen, design)
        features = self.encoder.describe(level, change, seen, room).squeeze(1)
        new_averages, tracks = self.averages.step(averages, self._tracked(features))
        new_memory = self.encoder(features, tracks, design, age)
        old = torch.cat([capacity, cycles, reference, averages, memory], 1)
        new = torch.cat([new_capacity, new_cycles, new_reference, new_averages, new_memory], 1)
        kept = torch.where(valid > 0, new, old)
        out = kept.split(self._sizes[1:], 1)
        rul, risk, incidence = self.read(out[4], design)
        forecast = ForecastTensors(
            rul, risk, incidence,
            self._health(out[4], 1 + out[0]).squeeze(1),
            self._novelty(out[4], design).squeeze(1),
            valid.squeeze(1), *self.virtual(out[4]),
        )  # fmt: skip
        return torch.cat([age, kept], 1), forecast

    def forward(
        self, state: Tensor, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> tuple[Tensor, ...]:
        """``step`` with its result flat: what ``forecast.onnx`` computes."""
        state, forecast = self.step(state, values, observed, design, elapsed)
        return (state, *forecast)

    def describe(self, values: Tensor, observed: Tensor, design: Tensor) -> Features:
        """What whole lives ``(B, T, F)`` of ``(B, N_DESIGN)`` are to the layers that are trained.

        It depends on the scales alone, so a training computes it once. All cycles must be valid
        (see ``valid_cycles``); padding may trail, its results mean nothing.
        """
        empty = values.new_zeros(len(values), self.scaler.state_size)
        scaled, seen = self.scaler.scaled(values, observed)
        scaled, seen = self.median.sequence(torch.cat([scaled, seen], 2)).chunk(2, 2)
        _, level, change = self.scaler(empty, scaled, seen)
        room = self._room(scaled, seen, design)
        features = self.encoder.describe(level, change, seen, room)
        tracks = self.averages.sequence(self._tracked(features))
        described = torch.cat([features, tracks], 2)
        return Features(described, _latest(1 + self._capacity(scaled), seen))

    def recall(self, features: Features, design: Tensor, age: Tensor) -> Hidden:
        """Rows ``(…, ·)`` with their cells' designs and ``(…, 1)`` ages in cycles."""
        sizes = [self.encoder.features, self.averages.out_width]
        memory = self.encoder(*features.described.split(sizes, -1), design, age)
        return Hidden(memory, self._health(memory, features.capacity).squeeze(-1))

    def read(self, memory: Tensor, design: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What rows of memory ``(B, width)`` say, as ``Readout`` does."""
        hazards = log_hazards(self.recalibration(self.hazards(memory)), self.hazards.least())
        answers: tuple[Tensor, Tensor, Tensor] = self.readout(
            hazards, self.intervals(design, self._novelty(memory, design))
        )
        return answers

    def sequence(self, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor) -> Hidden:
        """The deployed steps over ``(B, T, F)`` in parallel: ``recall`` of what is described."""
        features = self.describe(values, observed, design)
        design = design.unsqueeze(1).expand(-1, values.shape[1], -1)
        return self.recall(features, design, elapsed.cumsum(1).unsqueeze(2))

    @torch.no_grad()
    def forecast_sequence(
        self, values: Tensor, observed: Tensor, design: Tensor, elapsed: Tensor
    ) -> ForecastTensors:
        """The deployed step over ``(B, T, F)``: fields of the result are ``(B, T, …)``."""
        state = self.start(len(values))
        steps = []
        for t in range(values.shape[1]):
            state, forecast = self.step(
                state, values[:, t], observed[:, t], design, elapsed[:, t : t + 1]
            )
            steps.append(forecast)
        return ForecastTensors(*(torch.stack(parts, 1) for parts in zip(*steps, strict=True)))

    def _tracked(self, features: Tensor) -> Tensor:
        return features.index_select(-1, self.encoder.tracked)

    def _room(self, scaled: Tensor, seen: Tensor, design: Tensor) -> Tensor:
        """``(B, T, 1)`` how far above the permitted pressure the highest one lies, as a share of
        it, times ``NEAR`` and squashed; 0 where one is not known or training knew no limits."""
        scale, centre = self.scaler.scale[_PRESSURE], self.scaler.centre[_PRESSURE]
        limited, per_limit = (design[:, None, i : i + 1] for i in (LIMITED, PER_LIMIT))
        over = (scaled[..., _PRESSURE, None] * scale + centre) * per_limit - limited
        return squash(NEAR * over * seen[..., _PRESSURE, None] * self.encoder.limits)

    def _capacity(self, scaled: Tensor) -> Tensor:
        """``(…, 1)`` discharge of scaled cycles ``(…, F)``, less 1."""
        scale, centre = self.scaler.scale[_DISCHARGE], self.scaler.centre[_DISCHARGE]
        return scaled[..., _DISCHARGE:_END] * scale + (centre - 1)

    def _novelty(self, memory: Tensor, design: Tensor) -> Tensor:
        novelty: Tensor = self.novelty(memory, self.encoder.strangeness(design))
        return novelty

    def _health(self, memory: Tensor, capacity: Tensor) -> Tensor:
        """The last measured capacity, corrected by the memory."""
        correction: Tensor = self.health(memory)
        return capacity + 0.1 * correction


def valid_cycles(values: Tensor, observed: Tensor) -> Tensor:
    """``(…, 1)`` 1 where a cycle moved enough charge to say something, else 0."""
    charge = torch.maximum(
        values[..., _CHARGE : _CHARGE + 1] * observed[..., _CHARGE : _CHARGE + 1],
        values[..., _DISCHARGE : _DISCHARGE + 1] * observed[..., _DISCHARGE : _DISCHARGE + 1],
    )
    return (charge > LEAST_CHARGE).to(values.dtype)


def _latest(capacity: Tensor, seen: Tensor) -> Tensor:
    """``(B, T, 1)`` the last capacity that was observed until each cycle, 1 before any."""
    steps = torch.arange(1, capacity.shape[1] + 1)
    at = (seen[..., _DISCHARGE] * steps).long().cummax(1).values
    padded = nn.functional.pad(capacity[..., 0], (1, 0), value=1.0)
    return padded.gather(1, at).unsqueeze(2)
