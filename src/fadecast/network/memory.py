"""Memory over cycles: leaky averages of a few lengths, then gated recurrent units.

``step`` and ``sequence`` compute the same numbers: one cycle at a time with an explicit state, or a
whole life in parallel for training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeakyAverages(nn.Module):
    """Bias-corrected exponential averages with fixed time constants, in cycles.

    ``a_t = Σ_s γ^(t−s) x_s / Σ_s γ^(t−s)`` with γ = exp(−1/length); returns ``x`` beside ``x − a``
    for every length, so the trend over the last cycles or the whole life needs no learning.
    """

    decay: Tensor

    def __init__(self, width: int, lengths: tuple[float, ...]) -> None:
        super().__init__()
        self.width, self.lengths = width, lengths
        decay = torch.exp(-1 / torch.tensor(lengths))
        self.register_buffer("decay", decay, persistent=False)
        self.state_size = len(lengths) * (width + 1)
        self.out_width = (1 + len(lengths)) * width

    def step(self, state: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """State ``(B, state_size)`` and ``x`` ``(B, width)`` → new state, ``(B, out_width)``."""
        sums = state.unflatten(1, (len(self.lengths), self.width + 1))
        one = torch.ones_like(x[:, :1])
        sums = sums * self.decay[:, None] + torch.cat([x, one], 1).unsqueeze(1)
        averages = sums[..., :-1] / sums[..., -1:]
        return sums.flatten(1), torch.cat([x, (x.unsqueeze(1) - averages).flatten(1)], 1)

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
        averages = torch.cat(out, 2)
        changes = x.unsqueeze(1) - averages
        return torch.cat([x, changes.transpose(1, 2).flatten(2)], 2)


class GatedMemory(nn.Module):
    """A stack of gated recurrent units (Cho et al. 2014, arXiv 1406.1078, as in ``nn.GRU``)."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.state_size = hidden * layers
        self.gru = nn.GRU(inputs, hidden, layers, batch_first=True)

    def step(self, state: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """State ``(B, state_size)`` and ``x`` ``(B, inputs)`` → new state, ``(B, hidden)``."""
        states = []
        for layer, h in enumerate(state.split(self.hidden, 1)):
            weights = (getattr(self.gru, f"{name}_l{layer}") for name in
                       ("weight_ih", "bias_ih", "weight_hh", "bias_hh"))  # fmt: skip
            w_x, b_x, w_h, b_h = weights
            from_x = nn.functional.linear(x, w_x, b_x)
            from_h = nn.functional.linear(h, w_h, b_h)
            gates = torch.sigmoid(from_x[:, : 2 * self.hidden] + from_h[:, : 2 * self.hidden])
            reset, keep = gates[:, : self.hidden], gates[:, self.hidden :]
            new = torch.tanh(from_x[:, 2 * self.hidden :] + reset * from_h[:, 2 * self.hidden :])
            x = new + keep * (h - new)
            states.append(x)
        return torch.cat(states, 1), x

    def sequence(self, x: Tensor) -> Tensor:
        """``(B, T, inputs)`` from an empty state → ``(B, T, hidden)``."""
        out: Tensor = self.gru(x)[0]
        return out
