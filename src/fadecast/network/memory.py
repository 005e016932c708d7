"""Memory over cycles: a running median, and leaky averages of a few lengths.

``step`` and ``sequence`` compute the same numbers: one cycle at a time with an explicit state, or a
whole life in parallel. Nothing in it is trained, so a training computes it once, and its rows can
then be met in any order: a thousand cells in a step instead of a few.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningMedian(nn.Module):
    """Every entry's median over the last three cycles; before there are three, the first one counts
    more than once.

    A check-up at another rate, or a disturbed cycle, would otherwise throw the forecast off until
    the next one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state_size = 2 * width + 1  # the cycle before, the one before that, whether any was
        self._sizes = [width, width, 1]

    def step(self, state: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """State ``(B, state_size)`` and ``x`` ``(B, width)`` → new state, ``(B, width)``."""
        last, older, some = state.split(self._sizes, 1)
        last, older = torch.where(some > 0, last, x), torch.where(some > 0, older, x)
        return torch.cat([x, last, torch.ones_like(some)], 1), _middle(x, last, older)

    def sequence(self, x: Tensor) -> Tensor:
        """``(B, T, width)`` from an empty state → the same shape."""
        last = torch.cat([x[:, :1], x[:, :-1]], 1)
        older = torch.cat([x[:, :1], last[:, :-1]], 1)
        return _middle(x, last, older)


class LeakyAverages(nn.Module):
    """Bias-corrected exponential averages with fixed time constants, in cycles.

    ``a_t = Σ_s γ^(t−s) x_s / Σ_s γ^(t−s)`` with γ = exp(−1/length); returns ``x − a`` for every
    length: how far a cycle is off the last ones, or off the whole life.
    """

    decay: Tensor

    def __init__(self, width: int, lengths: tuple[float, ...]) -> None:
        super().__init__()
        self.width, self.lengths = width, lengths
        decay = torch.exp(-1 / torch.tensor(lengths))
        self.register_buffer("decay", decay, persistent=False)
        self.state_size = len(lengths) * (width + 1)
        self.out_width = len(lengths) * width

    def step(self, state: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """State ``(B, state_size)`` and ``x`` ``(B, width)`` → new state, ``(B, out_width)``."""
        sums = state.unflatten(1, (len(self.lengths), self.width + 1))
        one = torch.ones_like(x[:, :1])
        sums = sums * self.decay[:, None] + torch.cat([x, one], 1).unsqueeze(1)
        averages = sums[..., :-1] / sums[..., -1:]
        return sums.flatten(1), (x.unsqueeze(1) - averages).flatten(1)

    def sequence(self, x: Tensor, block: int = 64) -> Tensor:
        """``(B, T, width)`` from an empty state → ``(B, T, out_width)``, block by block."""
        batch, length, _ = x.shape
        marked = torch.cat([x, torch.ones_like(x[..., :1])], 2)
        lag = torch.arange(block)[:, None] - torch.arange(block)[None, :]
        kernel = torch.where(lag >= 0, self.decay[:, None, None] ** lag.clamp(min=0), 0.0)
        fade = self.decay[:, None] ** torch.arange(1, block + 1)
        carry = x.new_zeros(batch, len(self.lengths), self.width + 1)
        out = []
        for start in range(0, length, block):
            piece = marked[:, start : start + block]
            size = piece.shape[1]
            sums = torch.einsum("lts,bsw->bltw", kernel[:, :size, :size], piece)
            sums = sums + fade[:, :size, None] * carry.unsqueeze(2)
            carry = sums[:, :, -1]
            out.append(sums[..., :-1] / sums[..., -1:])
        changes = x.unsqueeze(1) - torch.cat(out, 2)
        return changes.transpose(1, 2).flatten(2)


def _middle(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The median of three."""
    return torch.maximum(torch.minimum(x, y), torch.minimum(torch.maximum(x, y), z))
