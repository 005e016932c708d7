"""All that is read off the memory, in the deployed form (see ``lean``)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.network.calibration import FARTHEST, Novelty
from fadecast.network.encoder import Encoder
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import (
    FREE,
    LEAST_STEEPNESS,
    MOST_STEEPNESS,
    N_CAUSES,
    N_INTERVALS,
    SPAN,
    UNSEEN,
    HazardHead,
)
from fadecast.network.virtual import GAIN, LEAST_SPREAD, N_SENSORS, VirtualSensors

ONE: Final = 20.0
"""Its sigmoid is 1."""
SMALL: Final = 2.0**-14
"""Unit of the remembered capacity: its hyperbolic tangent is itself."""


class Linear(nn.Module):
    """``x @ weight + bias``; ``weight`` is ``(inputs, outputs)``."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", weight.new_zeros(1) if bias is None else bias.detach().clone())

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """With ``plus`` in place of the bias, if given."""
        return torch.addmm(self.bias if plus is None else plus, x, self.weight)


class LeanReadout(nn.Module):
    """Memory, a number that counts for nothing, and the capacity in units of ``1 / SMALL``, ``(B,
    width + 2)``; the design ``(B, N_DESIGN)`` → all that a forecast says of them.

    Sums and differences over causes and intervals are matrix products. There is an interval more,
    beyond the last one, which counts for nothing: so survival at the starts and the ends of all
    intervals is one product.
    """

    free: Tensor
    least: Tensor
    causes: Tensor
    until: Tensor
    falls: Tensor
    widths: Tensor
    cumulative: Tensor
    pick: Tensor
    total: Tensor

    @torch.no_grad()
    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        head, readout, fitted = forecaster.hazards, forecaster.readout, forecaster.recalibration
        rows = 2 + N_INTERVALS, N_CAUSES
        weight = nn.functional.pad(head.linear.weight, (0, 2)).unflatten(0, rows)
        bias = head.linear.bias.unflatten(0, rows)
        steep, centre = (weight[0].T, bias[0]), (2 / SPAN * weight[1].T, 2 / SPAN * bias[1])
        self._shape(steep, centre, forecaster.virtual)

        slope = torch.exp(fitted.log_slope)
        free = FREE * slope * nn.functional.pad(weight[2:], (0, 0, 0, 0, 0, 1))
        offset = FREE * nn.functional.pad(bias[2:], (0, 0, 0, 1))
        offset += fitted.offset / slope - UNSEEN * head.unseen
        self._places(head, offset.T)
        until = torch.ones(N_INTERVALS + 1, N_INTERVALS + 1).triu(1)
        cumulative = 1 - until.T[:, :-1]
        buffers = {
            "free": free.transpose(0, 1).flatten(0, 1).T,
            "least": head.least()[:, None].repeat(1, N_INTERVALS + 1),
            "causes": torch.ones(1, N_CAUSES),
            "until": -until,
            "falls": torch.eye(N_INTERVALS + 1) - torch.diag(torch.ones(N_INTERVALS), -1),
            "widths": nn.functional.pad(readout.widths, (0, 1))[:, None],
            "cumulative": cumulative,
            "pick": cumulative @ readout.pick,
            "total": readout.total.T,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().clone().contiguous())
        self.slope = float(slope)
        health = nn.functional.pad(0.1 * forecaster.health.weight, (0, 2))
        health[0, -1] = 1 / SMALL
        self.health = Linear(health.T, 1 + 0.1 * forecaster.health.bias)

        intervals = forecaster.intervals
        self.levels = Linear(intervals.by_anode, intervals.common)
        self.stretch = Linear(intervals.stretch[None], 1 - intervals.stretch)
        self._whiten(forecaster.novelty, forecaster.encoder)

    def _shape(
        self, steep: tuple[Tensor, Tensor], centre: tuple[Tensor, Tensor], virtual: VirtualSensors
    ) -> None:
        """Sigmoids of steepness and centre, their product, and sigmoids of the virtual sensors: all
        the products of two sigmoids."""
        weight = nn.functional.pad(GAIN * virtual.linear.weight, (0, 2)).T
        left = steep, centre, steep, (weight, GAIN * virtual.linear.bias)
        one = 0 * steep[0], 0 * steep[1] + ONE
        right = one, one, centre, (0 * weight, 0 * virtual.linear.bias + ONE)
        self.gates = Linear(*(torch.cat(parts, -1) for parts in zip(*left, *right, strict=True)))
        pick = torch.zeros(2, self._products, N_SENSORS)
        pick[0, 3 * N_CAUSES : -N_SENSORS] = torch.eye(N_SENSORS)
        pick[1, -N_SENSORS:] = virtual.scale.diag()
        self.mean = Linear(pick[0])
        self.spread = Linear(pick[1], virtual.scale * LEAST_SPREAD)

    @property
    def _products(self) -> int:
        return len(self.gates.bias) // 2

    def _places(self, head: HazardHead, offset: Tensor) -> None:
        """Of these, the log-odds of surviving until the middle of each interval, and the intervals'
        lengths times steepness and ``exp(offset)``."""
        middles = nn.functional.pad(head.middles[:, 0], (0, 1))
        lengths = nn.functional.pad(head.log_lengths[:, 0], (0, 1)).exp()
        more, each, one = self._products - 3 * N_CAUSES, torch.eye(N_CAUSES), 0 * lengths + 1
        # steepness · (middle − SPAN · (2 σ(centre) − 1))
        place = -MOST_STEEPNESS * torch.cat([
            torch.kron(each, (middles + SPAN)[None]),
            torch.kron(each, -2 * SPAN * LEAST_STEEPNESS / MOST_STEEPNESS * one[None]),
            torch.kron(each, -2 * SPAN * one[None]),
        ])  # fmt: skip
        gap = MOST_STEEPNESS * torch.kron(each, lengths[None])
        scale = torch.exp(offset)
        self.place = Linear(
            nn.functional.pad(place, (0, 0, 0, more)),
            (-LEAST_STEEPNESS * (middles + SPAN)).repeat(N_CAUSES),
        )
        self.gap = Linear(
            nn.functional.pad(gap * scale.flatten(), (0, 0, 0, 2 * N_CAUSES + more)),
            (LEAST_STEEPNESS * lengths * scale).flatten(),
        )

    def _whiten(self, novelty: Novelty, encoder: Encoder) -> None:
        """What the novelty is the length of, from a memory and from a design."""
        design, bias = torch.eye(len(encoder.design_scale)), -novelty.mean @ novelty.whiten
        none = encoder.strangeness(torch.zeros_like(design[:1]))
        strange = encoder.strangeness(design) - none
        counts = encoder.design_scale == 0  # the others are never strange
        strange = nn.functional.pad(strange[:, counts], (len(bias), 0))
        self.strange = Linear(strange, torch.cat([bias, none[0, counts]]))
        self.whiten = Linear(nn.functional.pad(novelty.whiten, (0, int(counts.sum()), 0, 2)))

    def forward(self, x: Tensor, design: Tensor) -> tuple[Tensor, ...]:
        """``rul (B, Q)``, ``risk (B, K + 2, H)``, ``incidence (B, K, J)``, ``soh (B,)``, ``novelty
        (B,)``, virtual sensors' mean and spread ``(B, N_SENSORS)``."""
        # In double precision: these large terms nearly cancel.
        exact = x.double()
        gates = torch.addmm(self.gates.bias.double(), exact, self.gates.weight.double())
        left, right = torch.sigmoid(gates.to(x.dtype)).chunk(2, 1)
        shape = left * right
        # Not a sigmoid: where it is small, onnxruntime knows it only to 1e-7.
        hazard = torch.log(self.gap(shape) / (1 + torch.exp(self.place(shape)))).double()
        hazard = torch.addmm(hazard, exact, self.free.double(), beta=self.slope).to(x.dtype)
        hazard = torch.exp(hazard)
        hazard = hazard.unflatten(1, (N_CAUSES, N_INTERVALS + 1)) + self.least
        leave = torch.matmul(self.causes, hazard)
        log_survival = torch.matmul(leave, self.until)
        fails = hazard * (torch.matmul(torch.exp(log_survival), self.falls) / leave)
        incidence = torch.matmul(fails, self.cumulative)
        risk = torch.matmul(self.total, torch.matmul(fails, self.pick))
        novelty = torch.linalg.vector_norm(
            self.whiten(x, self.strange(design)), dim=1, keepdim=True
        )
        levels = self.levels(design) * self.stretch(novelty.clamp(1.0, FARTHEST))
        levels = levels.unsqueeze(2)
        share = ((levels + log_survival) / leave).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths).squeeze(2)
        soh = self.health(x).squeeze(1)
        return (
            rul, risk, incidence, soh, novelty.squeeze(1), self.mean(shape), self.spread(shape)
        )  # fmt: skip
