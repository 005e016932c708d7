"""From memory to hazards, and everything a forecast says read off the hazards.

The hazards are discrete-time and cause-specific (Prentice et al., Biometrics 34, 541, 1978,
10.2307/2530374; their likelihood is in ``fadecast.learn.losses``): given survival to the start of
interval j, the cell fails within it by cause k with probability ``p[j, k]`` or survives it with
``p[j, K]``. Within an interval each hazard is constant, so survival falls exponentially between
the edges.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, PRESSURE_CAUSES, QUANTILES

N_CAUSES: Final = len(CAUSES)
N_INTERVALS: Final = len(EDGES) - 1
FREE: Final = 0.1
"""Weight of the free correction."""
UNSEEN: Final = 40.0
"""Taken off the logits of a cause that no training cell failed by: a risk of e⁻⁴⁰."""
LEAST_HAZARD: Final = 1e-7
"""Least integrated hazard of an interval: a probability below it is as good as none."""


class HazardHead(nn.Module):
    """Memory ``(…, width)`` → logits of the hazards ``(…, N_INTERVALS, N_CAUSES)``.

    Each cause has a log-logistic time to failure whose place and steepness on the axis of log
    cycles follow from the memory, and a small free correction per interval. Free logits alone
    have to learn from a few dozen lives that neighbouring intervals belong together.
    """

    log_edges: Tensor
    unseen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("unseen", torch.zeros(N_CAUSES))
        edges = torch.tensor(EDGES, dtype=torch.float32)
        self.register_buffer("log_edges", edges.clamp(min=1e-3).log(), persistent=False)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, (2 + N_INTERVALS) * N_CAUSES)
        with torch.no_grad():
            self.second.bias.zero_()
            self.second.bias[:N_CAUSES] = float(np.log(500.0))
            self.second.bias[N_CAUSES : 2 * N_CAUSES] = 1.0

    def forward(self, memory: Tensor) -> Tensor:
        """Logits against survival, whose own logit is 0."""
        raw = self.second(nn.functional.silu(self.first(memory)))
        rows = raw.unflatten(-1, (2 + N_INTERVALS, N_CAUSES))
        centre, log_steepness, free = rows.split((1, 1, N_INTERVALS), -2)
        steps = torch.exp(log_steepness) * (self.log_edges.unsqueeze(-1) - centre)
        cumulative = nn.functional.softplus(steps)
        hazard = (cumulative[..., 1:, :] - cumulative[..., :-1, :]).clamp(min=LEAST_HAZARD)
        logits: Tensor = _log_expm1(hazard) + FREE * free - UNSEEN * self.unseen
        return logits

    @torch.no_grad()
    def fit(self, seen: Tensor) -> None:
        """Set which causes, ``(N_CAUSES,)`` 0/1, any training cell failed by.

        The others get no risk: their hazards would be whatever the weights happen to be where no
        training cell has been.
        """
        self.unseen.copy_(1 - seen)


def _log_expm1(x: Tensor) -> Tensor:
    """``log(exp(x) − 1)`` for x > 0: the logit of leaving against staying under hazard x."""
    small = torch.log(x) + x / 2 + x.square() / 24
    large = x + torch.log(1 - torch.exp(-x.clamp(min=0.2)))
    return torch.where(x < 0.25, small, large)


def log_hazards(logits: Tensor) -> Tensor:
    """``(…, J, K)`` logits → ``(…, J, K + 1)`` log-probabilities: each cause, then survival."""
    # Not a softmax: float32 knows 1 + x only to 6e-8, and the quantiles of a long life are made of
    # sums of hazards hardly larger than that.
    total = nn.functional.softplus(torch.logsumexp(logits, -1, keepdim=True))
    return torch.cat([logits - total, -total], -1)


class Readout(nn.Module):
    """Log-hazards ``(B, J, K + 1)`` → quantiles of the remaining life, incidences, risks."""

    widths: Tensor
    starts: Tensor
    before: Tensor
    targets: Tensor
    pick: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        edges = torch.tensor(EDGES, dtype=torch.float32)
        buffers = {
            "widths": edges[1:] - edges[:-1],
            # before[i, j] = 1 where interval i lies before interval j
            "before": torch.triu(torch.ones(N_INTERVALS, N_INTERVALS), 1),
            "targets": torch.log1p(-torch.tensor(QUANTILES)),
            "pick": torch.zeros(N_INTERVALS, len(HORIZONS)),
            "total": torch.zeros(N_CAUSES, N_CAUSES + 2),
        }
        for column, horizon in enumerate(HORIZONS):
            buffers["pick"][EDGES.index(horizon) - 1, column] = 1.0
        buffers["total"][:, :N_CAUSES] = torch.eye(N_CAUSES)
        for row, cause in enumerate(CAUSES):
            buffers["total"][row, N_CAUSES] = float(cause in PRESSURE_CAUSES)
        buffers["total"][:, N_CAUSES + 1] = 1.0
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, hazards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)`` in cycles, ``risk (B, K + 2, H)`` and ``incidence (B, K, J)``."""
        log_survive = hazards[..., -1]
        log_before = torch.matmul(log_survive, self.before)
        # The share of each interval lived through before survival has fallen to 1 − q: 1 in the
        # intervals before that, a fraction in the one where it happens, 0 after it.
        fall = log_survive.clamp(max=-1e-9).unsqueeze(1)
        share = ((self.targets[:, None] - log_before.unsqueeze(1)) / fall).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths)
        fails = torch.exp(log_before).unsqueeze(2) * torch.exp(hazards[..., :-1])
        cumulative = self.before.transpose(0, 1) + torch.eye(N_INTERVALS)
        incidence = torch.matmul(cumulative, fails).transpose(1, 2)
        by_cause = torch.matmul(incidence, self.pick)
        risk = torch.matmul(self.total.transpose(0, 1), by_cause)
        return rul, risk, incidence
