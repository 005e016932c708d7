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
    """First layer, activated, ``(B, width + more)`` → quantiles, risks and incidences.

    The ``more`` last inputs count for nothing. Causes and intervals lie flat in one axis, cause
    first, and what belongs to each cause or to each interval is spread along it by a matrix
    product. The odds of a hazard, exp(softplus(b) − softplus(a)) − 1 for an interval from a to b,
    are taken as (1 − exp(a − b)) / (exp(−b) + exp(a − b)), which needs no case for small ones.
    """

    steepness: Tensor
    steepness_bias: Tensor
    centre: Tensor
    centre_bias: Tensor
    place: Tensor
    narrow: Tensor
    free: Tensor
    free_bias: Tensor
    targets: Tensor
    widths: Tensor
    cumulative: Tensor
    pick: Tensor
    total: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster, more: int) -> None:
        super().__init__()
        head, readout = forecaster.hazards, forecaster.readout
        slope = torch.exp(forecaster.recalibration.log_slope)
        offset = forecaster.recalibration.offset - slope * UNSEEN * head.unseen
        weight = nn.functional.pad(head.second.weight, (0, more))
        weight = weight.unflatten(0, (2 + N_INTERVALS, N_CAUSES))
        bias = head.second.bias.unflatten(0, (2 + N_INTERVALS, N_CAUSES))
        free = FREE * slope * weight[2:].transpose(0, 1).flatten(0, 1)
        free_bias = (FREE * slope * bias[2:] + offset).T.flatten()
        centre, none, one = weight[0], torch.zeros_like(weight[0]), torch.ones(N_CAUSES)
        ends, each = head.log_edges[1:], torch.eye(N_CAUSES)
        place = torch.cat([torch.kron(each, -ends[None]), torch.kron(each, ends[None] * 0 + 1)])
        narrow = torch.kron(each, (head.log_edges[:-1] - ends)[None])
        least = torch.expm1(torch.tensor(LEAST_HAZARD, dtype=torch.float64)).log()
        buffers = {
            "steepness": torch.cat([weight[1], weight[1]]).T,
            "steepness_bias": torch.cat([bias[1], bias[1]]),
            "centre": torch.cat([none, centre]).T,
            "centre_bias": torch.cat([one, bias[0]]),
            "place": place,
            "narrow": torch.cat([narrow, 0 * narrow]),
            "free": free.T,
            "free_bias": free_bias / slope,
            "targets": -readout.targets[:, None],
            "widths": readout.widths[:, None],
            "cumulative": readout.before + torch.eye(N_INTERVALS),
            "pick": (readout.before + torch.eye(N_INTERVALS)) @ readout.pick,
            "total": readout.total.T,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().clone().contiguous())
        self.least, self.slope = float(least), float(slope)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)``, ``risk (B, K + 2, H)``, ``incidence (B, K, J)``."""
        steepness = torch.exp(torch.addmm(self.steepness_bias, x, self.steepness))
        centre = torch.addmm(self.centre_bias, x, self.centre) * steepness
        before_end = torch.exp(torch.matmul(centre, self.place))
        back = torch.exp(torch.matmul(centre, self.narrow))
        odds = torch.log((1 - back) / (before_end + back)).clamp(self.least, MOST)
        logits = torch.addmm(odds + self.free_bias, x, self.free, beta=self.slope)
        logits = logits.unflatten(1, (N_CAUSES, N_INTERVALS))

        fails = torch.exp(logits).sum(1, keepdim=True)
        leave = nn.functional.softplus(torch.log(fails))
        left = torch.matmul(leave, self.cumulative)
        share = ((self.targets + (leave - left)) / leave).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths).squeeze(2)
        fails = torch.exp(logits - left)
        incidence = torch.matmul(fails, self.cumulative)
        risk = torch.matmul(self.total, torch.matmul(fails, self.pick))
        return rul, risk, incidence
