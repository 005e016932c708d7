"""Virtual sensors: the hidden state of the cell read off the memory, with its uncertainty."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import VIRTUAL_SENSORS

N_SENSORS: Final = len(VIRTUAL_SENSORS)
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
        mean, spread = torch.sigmoid(self.linear(memory)).split(N_SENSORS, -1)
        return mean, self.scale * (LEAST_SPREAD + spread)

    @property
    def names(self) -> tuple[str, ...]:
        """The sensors that were supervised."""
        known = zip(VIRTUAL_SENSORS, self.supervised.tolist(), strict=True)
        return tuple(name for name, is_known in known if is_known)
