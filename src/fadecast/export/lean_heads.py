"""Hazards and everything read off them, in the deployed form (see ``lean``)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import (
    LEAST_STEEPNESS,
    MOST_STEEPNESS,
    N_BENDS,
    N_CAUSES,
    N_INTERVALS,
    SPAN,
    UNSEEN,
)

ONE: Final = 20.0
"""Its hyperbolic tangent is 1."""


class LeanHazards(nn.Module):
    """First layer, activated, ``(B, width + more)`` → quantiles, risks and incidences.

    The ``more`` last inputs count for nothing. The recalibration is folded into the spline; sums and
    differences over causes and intervals are matrix products. There is an interval more, beyond the
    last one, which counts for nothing: so survival at the starts and the ends of all intervals is
    one product.
    """

    steepness: Tensor
    steepness_bias: Tensor
    shape: Tensor
    shape_bias: Tensor
    middle: Tensor
    offset: Tensor
    gap: Tensor
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
        seen = 1 - head.unseen
        weight = nn.functional.pad(head.second.weight, (0, more))
        weight = weight.unflatten(0, (2 + N_BENDS, N_CAUSES))
        bias = head.second.bias.unflatten(0, (2 + N_BENDS, N_CAUSES))
        shape = torch.cat([0 * weight[:1], weight[1:2] / SPAN, weight[2:]])
        shape_bias = torch.cat([0 * bias[:1] + ONE, bias[1:2] / SPAN, bias[2:]])
        slope = MOST_STEEPNESS * torch.exp(fitted.log_slope) * seen
        offset = fitted.offset - torch.exp(fitted.log_slope) * UNSEEN * head.unseen
        before, after = (nn.functional.pad(x, (0, 0, 0, 1)) for x in
                         (head.spline[:-1], head.spline[1:]))  # fmt: skip
        until = torch.ones(N_INTERVALS + 1, N_INTERVALS + 1).triu(1)
        cumulative = 1 - until.T[:, :-1]
        buffers = {
            "steepness": weight[:1].repeat(2 + N_BENDS, 1, 1).flatten(0, 1).T,
            "steepness_bias": bias[0].repeat(2 + N_BENDS),
            "shape": shape.flatten(0, 1).T,
            "shape_bias": shape_bias.flatten(),
            "middle": _by_cause((before + after) / 2, -slope),
            "offset": -offset.repeat_interleave(N_INTERVALS + 1),
            "gap": _by_cause(after - before, slope),
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)``, ``risk (B, K + 2, H)``, ``incidence (B, K, J)``."""
        steepness = torch.sigmoid(torch.addmm(self.steepness_bias, x, self.steepness))
        shape = torch.tanh(torch.addmm(self.shape_bias, x, self.shape))
        shape = shape * (steepness + LEAST_STEEPNESS / MOST_STEEPNESS)
        # Not a sigmoid: where it is small, onnxruntime knows it only to 1e-7.
        against = 1 + torch.exp(torch.addmm(self.offset, shape, self.middle))
        hazard = torch.matmul(shape, self.gap) / against
        hazard = hazard.unflatten(1, (N_CAUSES, N_INTERVALS + 1)) + self.least
        leave = torch.matmul(self.causes, hazard)
        log_survival = torch.matmul(leave, self.until)
        fails = hazard * (torch.matmul(torch.exp(log_survival), self.falls) / leave)
        incidence = torch.matmul(fails, self.cumulative)
        risk = torch.matmul(self.total, torch.matmul(fails, self.pick))
        share = ((self.targets + log_survival) / leave).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths).squeeze(2)
        return rul, risk, incidence


def _by_cause(spline: Tensor, slope: Tensor) -> Tensor:
    """``(J, R)`` → ``(R · K, K · J)``: each cause apart, times its slope."""
    apart = spline.T[:, None, None, :] * torch.diag(slope)[None, :, :, None]
    return apart.flatten(2).flatten(0, 1)
