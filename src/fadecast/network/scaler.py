"""Scaling of summaries, and what changed in them since the cell was young."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

LIMIT: Final = 6.0
"""Scaled inputs approach ±LIMIT smoothly: an outlier stays an outlier, but cannot shout."""
LEAST_ROWS: Final = 20
"""Fields seen in fewer training cycles are ignored: their weights would be noise."""


def squash(x: Tensor) -> Tensor:
    """Towards ±``LIMIT``."""
    return x / (1 + x.abs() / LIMIT)


class Scaler(nn.Module):
    """Scales fields by training statistics and subtracts the cell's own early-life reference.

    The reference of a field is its mean over the first ``reference_cycles`` cycles in which it was
    observed; until then, over those seen so far. It is built causally: the state holds the sum and
    the count.

    Shapes: ``values``, ``observed``, ``scaled`` and ``seen`` are ``(B, T, F)``; a state is
    ``(B, 2 F)``.
    """

    centre: Tensor
    scale: Tensor
    change_scale: Tensor
    known: Tensor

    def __init__(self, fields: int, reference_cycles: int) -> None:
        super().__init__()
        self.reference_cycles = reference_cycles
        self.state_size = 2 * fields
        for name, value in (("centre", 0.0), ("scale", 1.0), ("change_scale", 1.0), ("known", 1.0)):
            self.register_buffer(name, torch.full((fields,), value))

    def scaled(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Values by training statistics, 0 where they do not count, and 1 where they do."""
        seen = observed * self.known
        return (values - self.centre) / self.scale * seen, seen

    def forward(self, state: Tensor, scaled: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The new state, squashed levels and squashed changes, ``(B, T, F)``."""
        total, count = state.unsqueeze(1).split(self.state_size // 2, 2)
        counts = count + seen.cumsum(1)
        in_reference = seen * (counts <= self.reference_cycles).to(seen.dtype)
        # The reference is summed up in scaled values: float32 rounds a sum of 25.1 °C a hundred
        # times coarser than one of 0.1 °C off the centre.
        totals = total + (scaled * in_reference).cumsum(1)
        counts = counts.clamp(max=float(self.reference_cycles))
        reference = totals / counts.clamp(min=1.0)
        level = squash(scaled)
        change = squash((scaled - reference) * (self.scale / self.change_scale)) * seen
        return torch.cat([totals[:, -1], counts[:, -1]], 1), level, change

    @torch.no_grad()
    def fit(self, values: Tensor, observed: Tensor, changes: Tensor) -> None:
        """Set the statistics from training cycles, all ``(N, F)``: values, masks, and differences
        to the reference (see ``changes_of``), as robust spreads (half of the 16–84 % range).
        """
        for field in range(values.shape[1]):
            rows = observed[:, field] > 0
            enough = int(rows.sum()) >= LEAST_ROWS
            self.known[field] = float(enough)
            if not enough:
                continue
            centre, spread = _robust(values[rows, field])
            self.centre[field] = centre
            self.scale[field] = torch.clamp(spread, min=1e-3 * (1e-2 + centre.abs()))
            _, change = _robust(changes[rows, field])
            self.change_scale[field] = torch.maximum(change, 0.02 * self.scale[field])

    @torch.no_grad()
    def changes_of(self, values: Tensor, observed: Tensor) -> Tensor:
        """``(T, F)`` differences of one cell's values to its own reference."""
        seen = observed
        in_reference = seen * (seen.cumsum(0) <= self.reference_cycles).to(seen.dtype)
        reference = (values * in_reference).cumsum(0) / in_reference.cumsum(0).clamp(min=1.0)
        return (values - reference) * seen


def _robust(column: Tensor) -> tuple[Tensor, Tensor]:
    """Median and half of the 16–84 % range, or the standard deviation if that range is empty."""
    low, middle, high = torch.quantile(_thin(column), torch.tensor([0.16, 0.5, 0.84]))
    spread = (high - low) / 2
    return middle, spread if spread > 0 else column.std(unbiased=False)


def _thin(column: Tensor, most: int = 1_000_000) -> Tensor:
    """At most ``most`` evenly spaced entries (``torch.quantile`` takes no more than 16 million)."""
    return column[:: max(1, -(-len(column) // most))]
