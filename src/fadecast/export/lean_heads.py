"""Hazards and everything read off them, in the deployed form (see ``lean``)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import FREE, LEAST_HAZARD, N_CAUSES, N_INTERVALS, UNSEEN

MOST: Final = 30.0
"""Largest logit: a failure as good as certain."""


class LeanHazards(nn.Module):
    """First layer ``(B, width)``, without its activation → quantiles, risks and incidences.

    With the cause before the interval, ``(B, K, J)``, nothing has to be transposed. The odds of a
    hazard, exp(softplus(b) − softplus(a)) − 1 for an interval from a to b, are taken as
    (1 − exp(a − b)) / (exp(−b) + exp(a − b)), which needs no case for small ones.
    """

    second_weight: Tensor
    second_bias: Tensor
    slope: Tensor
    ends: Tensor
    widths: Tensor
    targets: Tensor
    lengths: Tensor
    cumulative: Tensor
    pick: Tensor
    total: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        head, readout = forecaster.hazards, forecaster.readout
        slope = torch.exp(forecaster.recalibration.log_slope)
        offset = forecaster.recalibration.offset - slope * UNSEEN * head.unseen
        rows = head.second.weight.unflatten(0, (2 + N_INTERVALS, N_CAUSES)).transpose(0, 1).clone()
        bias = head.second.bias.unflatten(0, (2 + N_INTERVALS, N_CAUSES)).T.clone()
        rows[:, 2:] *= FREE * slope
        bias[:, 2:] = bias[:, 2:] * FREE * slope + offset[:, None]
        least = torch.expm1(torch.tensor(LEAST_HAZARD, dtype=torch.float64)).log()
        buffers = {
            "second_weight": rows.flatten(0, 1).T,
            "second_bias": bias.flatten(),
            "ends": head.log_edges[1:],
            "widths": head.log_edges[:-1] - head.log_edges[1:],
            "slope": slope,
            "targets": readout.targets[:, None],
            "lengths": torch.block_diag(*[readout.widths[:, None]] * len(readout.targets)),
            "cumulative": readout.before + torch.eye(N_INTERVALS),
            "pick": readout.pick,
            "total": readout.total.T,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().clone().contiguous())
        self.least = float(least)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)``, ``risk (B, K + 2, H)``, ``incidence (B, K, J)``."""
        raw = torch.addmm(self.second_bias, x * torch.sigmoid(x), self.second_weight)
        rows = raw.unflatten(1, (N_CAUSES, 2 + N_INTERVALS))
        centre, log_steepness, free = rows.split((1, 1, N_INTERVALS), 2)
        steepness = torch.exp(log_steepness)
        before_end = torch.exp(steepness * (centre - self.ends))
        back = torch.exp(steepness * self.widths)
        odds = torch.log((1 - back) / (before_end + back))
        fails = torch.exp(odds.clamp(self.least, MOST) * self.slope + free)

        leave = nn.functional.softplus(torch.log(fails.sum(1, keepdim=True)))
        left = torch.matmul(leave, self.cumulative)
        share = ((leave - left - self.targets) / leave.clamp(min=1e-9)).clamp(0.0, 1.0)
        rul = torch.matmul(share.flatten(1), self.lengths)
        incidence = torch.matmul(fails / torch.exp(left), self.cumulative)
        risk = torch.matmul(self.total, torch.matmul(incidence, self.pick))
        return rul, risk, incidence
