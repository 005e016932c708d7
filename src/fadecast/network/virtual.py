"""Virtual sensors: the hidden state of the cell read off the memory, with its uncertainty."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import VIRTUAL_SENSORS

N_SENSORS: Final = len(VIRTUAL_SENSORS)
GAIN: Final = 4.0
"""Of the linear map: at the pace of its weights a sigmoid takes long to leave its middle."""
LEAST_SPREAD: Final = 0.01
"""Least spread before ``scale``: nearer than that the truth need not be met."""


class VirtualSensors(nn.Module):
    """Memory ``(…, width)`` → mean and spread, each ``(…, N_SENSORS)``.

    Two linear maps, each bounded by a sigmoid: every state lies between 0 and 1, and a spread of
    one half is that of no idea. ``scale`` is fitted on cells that trained nothing; ``supervised``
    is 1 for the sensors whose truth the training cells came with, the others mean nothing.
    """

    scale: Tensor
    supervised: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * N_SENSORS)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("scale", torch.ones(N_SENSORS))
        self.register_buffer("supervised", torch.zeros(N_SENSORS))

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Both, the spread with ``scale``."""
        mean, spread = torch.sigmoid(GAIN * self.linear(memory)).split(N_SENSORS, -1)
        return mean, self.scale * (LEAST_SPREAD + spread)

    @torch.no_grad()
    def fit(self, truth: Tensor) -> None:
        """From hidden states ``(N, N_SENSORS)`` of training cells, NaN where unknown: which sensors
        are supervised, and mean and spread of the training cells to begin with."""
        for sensor, states in enumerate(truth.T):
            known = states[torch.isfinite(states)]
            self.supervised[sensor] = float(len(known) > 0)
            if len(known):
                start = torch.stack([known.mean(), known.std(correction=0)]).clamp(0.01, 0.99)
                self.linear.bias[[sensor, N_SENSORS + sensor]] = start.logit() / GAIN

    @property
    def names(self) -> tuple[str, ...]:
        """The sensors that were supervised."""
        known = zip(VIRTUAL_SENSORS, self.supervised.tolist(), strict=True)
        return tuple(name for name, is_known in known if is_known)
