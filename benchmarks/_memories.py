"""Trained memories over a cell's cycles, to stand beside the network's untrained averages.

Each maps a cell's encoded cycles ``(B, T, width)`` to memories of the same shape, causally. The
parameters of all of them are about those of the averages' share of the first layer.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

HEADS: Final = 4
_REACH: Final = 8


class Gated(nn.Module):
    """A GRU (Cho et al. 2014, 10.3115/v1/D14-1179)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        return self.cell(x)[0]


class MinimallyGated(nn.Module):
    """minGRU (Feng et al. 2024, arXiv 2410.01201): gates that do not see the state, two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(2))

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        for layer in self.layers:
            gate, new = layer(x).chunk(2, 2)
            x = x + recurrence(torch.sigmoid(-gate), torch.sigmoid(gate) * new)
        return x


class Diagonal(nn.Module):
    """A diagonal linear state space with learnt decays, in cycles (after Orvieto et al. 2023, arXiv
    2303.06349, real): averages whose lengths are trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.log_length = nn.Parameter(torch.linspace(math.log(3), math.log(3000), 2 * width))

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        step = torch.diff(age, dim=1, prepend=torch.zeros_like(age[:, :1]))
        keep = torch.exp(-step * torch.exp(-self.log_length))
        state = recurrence(keep, (1 - keep) * self.into(x))
        return x + self.out(nn.functional.silu(state))


class Convolved(nn.Module):
    """A causal convolutional network with dilations (Bai et al. 2018, arXiv 1803.01271)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = width // 2
        self.narrow, self.wide = nn.Linear(width, narrow), nn.Linear(narrow, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(narrow, narrow, 2, dilation=2**n) for n in range(_REACH - 1)
        )

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        y = self.narrow(x).transpose(1, 2)
        for layer in self.layers:
            padded = nn.functional.pad(y, (layer.dilation[0], 0))
            y = y + nn.functional.silu(layer(padded))
        return x + self.wide(y.transpose(1, 2))


class Attending(nn.Module):
    """One layer of causal self-attention over the whole window, places by age."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Linear(2, width)
        self.layer = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, 0.1, batch_first=True, norm_first=True
        )

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        y = x + self.place(torch.cat([torch.log1p(age) / 8, age / 1000], 2))
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layer(y, mask, is_causal=True)


class Forgetful(nn.Module):
    """No memory at all: what the cycle itself and the cell's early reference say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        return nn.functional.silu(self.layer(x))


MEMORIES: Final = {
    "no memory": Forgetful, "GRU": Gated, "minGRU": MinimallyGated, "diagonal SSM": Diagonal,
    "causal TCN": Convolved, "Transformer": Attending,
}  # fmt: skip


def recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """``h_t = keep_t h_(t−1) + add_t`` along axis 1, from zero, in ``log₂ T`` steps."""
    length, reach = keep.shape[1], 1
    while reach < length:
        earlier_add = nn.functional.pad(add[:, :-reach], (0, 0, reach, 0))
        earlier_keep = nn.functional.pad(keep[:, :-reach], (0, 0, reach, 0), value=1.0)
        add, keep = add + keep * earlier_add, keep * earlier_keep
        reach *= 2
    return add
