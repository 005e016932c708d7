"""Recalibration of the hazards, intervals and the novelty score: what is fitted after training."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.cell.design import DESIGN_FIELDS, N_DESIGN
from fadecast.forecast.forecast import QUANTILES
from fadecast.network.heads import N_CAUSES

ANODE: Final = [i for i, name in enumerate(DESIGN_FIELDS) if name.startswith("anode=")]
"""Places of the anodes' flags in a design."""


FARTHEST: Final = 2.0
"""Novelty from which intervals are stretched no more, and by how much they are then."""
STRETCH: Final = (1 / FARTHEST, FARTHEST**-0.5, 1.0, FARTHEST**0.5, FARTHEST)
"""Of the levels of the quantiles, at that novelty."""


class Recalibration(nn.Module):
    """An affine map of each cause's logits, ``slope · x + offset``, with a positive slope.

    Fitted on cells that trained nothing, by the same likelihood (``fadecast.learn.calibrate``).
    The identity until then.
    """

    log_slope: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_slope", torch.zeros(()))
        self.register_buffer("offset", torch.zeros(N_CAUSES))

    def forward(self, logits: Tensor) -> Tensor:
        """``(…, J, K)`` → the same shape."""
        return torch.exp(self.log_slope) * logits + self.offset


class Intervals(nn.Module):
    """Cumulative hazards at which the quantiles of the remaining life are read, by anode.

    Where hazards are right, the cumulative hazard that a life ends at is exponential. Its quantiles
    among cells that trained nothing take the place of those of the exponential distribution:
    distributional conformal prediction (Chernozhukov et al., PNAS 118, e2107794118, 2021,
    10.1073/pnas.2107794118), in groups (Mondrian: V. Vovk, Mach. Learn. 92, 349, 2013,
    10.1007/s10994-013-5355-6), of lives some of which are censored (``fadecast.learn.calibrate``).

    They hold among cells like those. Where the novelty exceeds 1, they are stretched: the factors
    of the levels go from 1 to ``STRETCH`` as it goes to ``FARTHEST``, linearly.
    """

    common: Tensor
    by_anode: Tensor
    stretch: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("common", -torch.log1p(-torch.tensor(QUANTILES)))
        self.register_buffer("by_anode", torch.zeros(N_DESIGN, len(QUANTILES)))
        stretch = (torch.tensor(STRETCH) - 1) / (FARTHEST - 1)
        self.register_buffer("stretch", stretch, persistent=False)

    def forward(self, design: Tensor, novelty: Tensor) -> Tensor:
        """``(B, N_DESIGN)`` and ``(B, 1)`` → ``(B, Q)``, > 0 and rising."""
        levels = self.common + torch.matmul(design, self.by_anode)
        return levels * (1 + (novelty.clamp(1.0, FARTHEST) - 1) * self.stretch)


class Novelty(nn.Module):
    """Mahalanobis distance of the memory from training's, 1 at its 99th centile, and of a design
    from those of training.

    After K. Lee et al., NeurIPS 2018 (arXiv 1807.03888), with one Gaussian for all classes.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whiten", torch.eye(width))

    def forward(self, memory: Tensor, strangeness: Tensor) -> Tensor:
        """``(B, width)`` and ``(B, N_DESIGN)`` (``Encoder.strangeness``) → ``(B, 1)``, ≥ 0."""
        distance = torch.cat([torch.matmul(memory - self.mean, self.whiten), strangeness], 1)
        norm: Tensor = torch.linalg.vector_norm(distance, dim=1, keepdim=True)
        return norm

    @torch.no_grad()
    def fit(self, memory: Tensor) -> None:
        """From the memory ``(N, width)`` after training cycles, N > 1."""
        rows = memory.double()
        mean = rows.mean(0)
        centred = rows - mean
        covariance = centred.T @ centred / len(rows)
        # Shrunk, so that directions in which training barely varied do not dominate the distance.
        covariance += 0.01 * covariance.diagonal().mean() * torch.eye(len(mean))
        whiten = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
        distance = (centred @ whiten).square().sum(1).sqrt()
        self.mean.copy_(mean)
        self.whiten.copy_(whiten / torch.quantile(distance[-1_000_000:], 0.99))
