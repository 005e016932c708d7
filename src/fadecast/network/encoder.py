"""One cycle's scaled summary, and how far it is off earlier ones → one vector.

A curve over voltage enters by how it has changed, not by where it lies: with the cells of a few
batches, the level of 28 nodes tells the batch, and a network that can tell it learns its lives by
heart. Of the change it is given the broad shape, the lowest cosines (N. Ahmed et al., IEEE Trans.
Comput. C-23, 90, 1974, 10.1109/T-C.1974.223784): what is finer differs from cell to cell and says
little of a life. Scalars enter by level and change.

Where the highest permitted stack pressure is declared, how close a cycle came to it enters too.

Beside the fields themselves it is given the logarithm of each curve's mean square change: how far a
curve has moved since the cell was young spans decades, and its logarithm is nearly linear in the
logarithm of life (Severson et al., Nat. Energy 4, 383, 2019, 10.1038/s41560-019-0356-8).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.cell.design import DESIGN_FIELDS, N_DESIGN
from fadecast.cell.summaries import BINS, FIELDS

CURVES: Final = sum(field.split(".")[1:2] in (["charge"], ["discharge"]) for field in FIELDS)
"""Fields that are nodes of a curve; they come first."""
SHAPES: Final = 5
"""Cosines that are taken of a curve's change, from its mean on."""
BREADTH: Final = 8.0
"""Single fields that a curve which has changed by the same everywhere counts as much as."""
STRANGE: Final = 0.05
"""Difference that makes a design as strange as a cycle farther out than 99 % of training."""
LEAST_CHANGE: Final = 1e-3
"""Mean square of scaled changes below which a change is noise."""
NEAR: Final = 10.0
"""By what the distance to the permitted pressure is multiplied, so that a hundredth tells."""
LIMITED: Final = DESIGN_FIELDS.index("pressure_limit_known")
PER_LIMIT: Final = DESIGN_FIELDS.index("per_pressure_limit_mpa")


def _groups() -> Tensor:
    """``(F, G)`` averages over fields observed together, such as the nodes of one curve."""
    names = [field.rpartition(".")[0] or field for field in FIELDS]
    order = list(dict.fromkeys(names))
    matrix = torch.zeros(len(names), len(order))
    for row, name in enumerate(names):
        matrix[row, order.index(name)] = 1.0
    return matrix / matrix.sum(0)


def _cosines() -> Tensor:
    """``(CURVES, SHAPES · curves)`` cosines over the nodes of every curve."""
    phase = torch.outer(torch.arange(BINS) + 0.5, torch.arange(SHAPES)) * (torch.pi / BINS)
    one: Tensor = BREADTH**0.5 / BINS * torch.cos(phase)
    matrix: Tensor = torch.block_diag(*[one] * (CURVES // BINS))
    return matrix


class Encoder(nn.Module):
    """Levels, changes and masks of the fields, how far the single ones are off their averages, the
    declared design and the age → the memory ``(…, width)``.

    Design entries that never varied in training are ignored, as their weights would be noise. So is
    the last one, the inverse of the pressure limit, which only serves to compare pressures to it.
    """

    groups: Tensor
    curves: Tensor
    cosines: Tensor
    tracked: Tensor
    design_centre: Tensor
    design_scale: Tensor

    def __init__(self, width: int, dropout: float, lengths: int) -> None:
        super().__init__()
        groups = _groups()
        self.register_buffer("groups", groups, persistent=False)
        self.register_buffer("design_centre", torch.zeros(N_DESIGN))
        self.register_buffer("design_scale", torch.ones(N_DESIGN))
        # The logarithm is taken of curves alone: a single field's would magnify its rounding.
        curves = groups[:, groups[:CURVES].sum(0) > 0]
        self.register_buffer("curves", curves, persistent=False)
        cosines = _cosines()
        self.register_buffer("cosines", cosines, persistent=False)
        scalars = len(FIELDS) - CURVES
        self.fields = 2 * scalars + cosines.shape[1]
        self.features = self.fields + groups.shape[1] + curves.shape[1] + 1
        # Those that are followed by averages: levels, changes and masks of what is no curve.
        single = self.fields + torch.nonzero(groups[:CURVES].sum(0) == 0)[:, 0]
        levels = torch.arange(scalars)
        tracked = torch.cat([levels, self.fields - scalars + levels, single])
        self.register_buffer("tracked", tracked, persistent=False)
        inputs = self.features + lengths * len(tracked) + N_DESIGN + 1
        self.first = nn.Linear(inputs, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def describe(self, level: Tensor, change: Tensor, seen: Tensor, room: Tensor) -> Tensor:
        """Scaled fields ``(B, T, F)`` and the room ``(B, T, 1)`` up to the permitted pressure →
        features ``(B, T, features)``; nothing here is trained."""
        spread = torch.matmul(change.square(), self.curves)
        return torch.cat(
            [
                level[..., CURVES:],
                torch.matmul(change[..., :CURVES], self.cosines),
                change[..., CURVES:],
                torch.matmul(seen, self.groups),
                torch.log(spread + LEAST_CHANGE),
                room,
            ],
            2,
        )

    def forward(self, features: Tensor, tracks: Tensor, design: Tensor, age: Tensor) -> Tensor:
        """All ``(…, ·)``: features, averages' differences, design, and ``(…, 1)`` age in cycles."""
        inputs = [features, tracks, self.declared(design), torch.log1p(age) / 8, age / 1000]
        hidden = nn.functional.silu(self.first(torch.cat(inputs, -1)))
        return torch.tanh(self.second(self.dropout(hidden)))

    def declared(self, design: Tensor) -> Tensor:
        """What the first layer is given of designs ``(…, N_DESIGN)``."""
        return ((design - self.design_centre) * self.design_scale)[..., :PER_LIMIT]

    @property
    def limits(self) -> Tensor:
        """1 where training cells differed in their pressure limits, else 0."""
        return (self.design_scale[PER_LIMIT] > 0).to(self.design_scale.dtype)

    @torch.no_grad()
    def fit(self, designs: Tensor) -> None:
        """Set the scale of design entries from the training cells' ``(N, N_DESIGN)``."""
        spread = designs.std(0, unbiased=False)
        varied = (spread > 1e-6).to(spread.dtype)
        self.design_centre.copy_(designs.mean(0))
        self.design_scale.copy_(varied / torch.clamp(spread, min=0.05))

    def strangeness(self, design: Tensor) -> Tensor:
        """``(B, N_DESIGN)`` by how much properties that no training cell differed in differ from
        theirs, in units of ``STRANGE``."""
        return (design - self.design_centre) * (self.design_scale == 0) / STRANGE
