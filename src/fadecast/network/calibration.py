"""Recalibration of the hazards and the novelty score: what is fitted after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fadecast.network.heads import N_CAUSES


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
