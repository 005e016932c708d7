"""Hazards and everything read off them, in the deployed form (see ``lean``)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import (
    FREE,
    LEAST_STEEPNESS,
    MIDDLE,
    MOST_STEEPNESS,
    N_CAUSES,
    N_INTERVALS,
    SPAN,
    UNSEEN,
    places,
)

ONE: Final = 20.0
"""Its hyperbolic tangent is 1."""


class LeanHazards(nn.Module):
    """First layer, activated, ``(B, width + more)`` → quantiles, risks and incidences.

    The ``more`` last inputs count for nothing. Sums and differences over causes and intervals are
    matrix products. There is an interval more, beyond the last one, which counts for nothing: so
    survival at the starts and the ends of all intervals is one product.
    """

    steepness: Tensor
    steepness_bias: Tensor
    centre: Tensor
    centre_bias: Tensor
    place: Tensor
    gap: Tensor
    free: Tensor
    free_bias: Tensor
    least: Tensor
    causes: Tensor
    until: Tensor
    falls: Tensor
    targets: Tensor
    widths: Tensor
    cumulative: Tensor
    pick: Tensor
    total: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster, more: int) -> None:
        super().__init__()
        head, readout, fitted = forecaster.hazards, forecaster.readout, forecaster.recalibration
        weight = nn.functional.pad(head.second.weight, (0, more))
        weight = weight.unflatten(0, (2 + N_INTERVALS, N_CAUSES))
        bias = head.second.bias.unflatten(0, (2 + N_INTERVALS, N_CAUSES))
        slope = torch.exp(fitted.log_slope)
        free = FREE * slope * nn.functional.pad(weight[2:], (0, 0, 0, 0, 0, 1))
        free_bias = FREE * slope * nn.functional.pad(bias[2:], (0, 0, 0, 1))
        free_bias += fitted.offset - slope * UNSEEN * head.unseen
        middles, lengths = places()
        middles = nn.functional.pad(middles - MIDDLE, (0, 1))
        lengths = nn.functional.pad(lengths, (0, 1), value=1.0)
        each = torch.eye(N_CAUSES)
        one, none = lengths[None] ** 0, 0 * lengths[None]
        until = torch.ones(N_INTERVALS + 1, N_INTERVALS + 1).triu(1)
        cumulative = 1 - until.T[:, :-1]
        buffers = {
            "steepness": weight[:1].repeat(2, 1, 1).flatten(0, 1).T,
            "steepness_bias": bias[0].repeat(2),
            "centre": torch.cat([0 * weight[1], weight[1] / SPAN]).T,
            "centre_bias": torch.cat([0 * bias[1] + ONE, bias[1] / SPAN]),
            "place": MOST_STEEPNESS
            * torch.cat([torch.kron(each, -middles[None]), torch.kron(each, SPAN * one)]),
            "gap": MOST_STEEPNESS
            * torch.cat([torch.kron(each, lengths[None]), torch.kron(each, none)]),
            "free": free.transpose(0, 1).flatten(0, 1).T,
            "free_bias": free_bias.T.flatten() / slope,
            "least": head.least()[:, None],
            "causes": torch.ones(1, N_CAUSES),
            "until": -until,
            "falls": torch.eye(N_INTERVALS + 1) - torch.diag(torch.ones(N_INTERVALS), -1),
            "targets": -readout.targets[:, None],
            "widths": nn.functional.pad(readout.widths, (0, 1))[:, None],
            "cumulative": cumulative,
            "pick": cumulative @ readout.pick,
            "total": readout.total.T,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().clone().contiguous())
        self.slope = float(slope)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)``, ``risk (B, K + 2, H)``, ``incidence (B, K, J)``."""
        steepness = torch.sigmoid(torch.addmm(self.steepness_bias, x, self.steepness))
        centre = torch.tanh(torch.addmm(self.centre_bias, x, self.centre))
        centre = centre * (steepness + LEAST_STEEPNESS / MOST_STEEPNESS)
        # Not a sigmoid: where it is small, onnxruntime knows it only to 1e-7.
        against = 1 + torch.exp(torch.matmul(centre, self.place))
        hazard = torch.log(torch.matmul(centre, self.gap) / against) + self.free_bias
        hazard = torch.exp(torch.addmm(hazard, x, self.free, beta=self.slope))
        hazard = hazard.unflatten(1, (N_CAUSES, N_INTERVALS + 1)) + self.least
        leave = torch.matmul(self.causes, hazard)
        log_survival = torch.matmul(leave, self.until)
        fails = hazard * (torch.matmul(torch.exp(log_survival), self.falls) / leave)
        incidence = torch.matmul(fails, self.cumulative)
        risk = torch.matmul(self.total, torch.matmul(fails, self.pick))
        share = ((self.targets + log_survival) / leave).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths).squeeze(2)
        return rul, risk, incidence
