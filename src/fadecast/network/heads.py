"""From memory to hazards, and everything a forecast says read off the hazards.

The hazards are discrete-time and cause-specific (Prentice et al., Biometrics 34, 541, 1978,
10.2307/2530374; their likelihood is in ``fadecast.learn.losses``): given survival to the start of
interval j, the cell fails within it by cause k with probability ``p[j, k]`` or survives it with
``p[j, K]``. Within an interval each hazard is constant, so survival falls exponentially between
the edges.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, PRESSURE_CAUSES, QUANTILES

N_CAUSES: Final = len(CAUSES)
N_INTERVALS: Final = len(EDGES) - 1


class HazardHead(nn.Module):
    """Memory ``(…, width)`` → logits of the hazards ``(…, N_INTERVALS, N_CAUSES)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, N_INTERVALS * N_CAUSES)
        nn.init.constant_(self.second.bias, -4.0)

    def forward(self, memory: Tensor) -> Tensor:
        """Logits against survival, whose own logit is 0."""
        logits = self.second(nn.functional.silu(self.first(memory)))
        shape = (*logits.shape[:-1], N_INTERVALS, N_CAUSES)
        return torch.reshape(logits, shape)


def log_hazards(logits: Tensor) -> Tensor:
    """``(…, J, K)`` logits → ``(…, J, K + 1)`` log-probabilities: each cause, then survival."""
    return torch.log_softmax(torch.cat([logits, torch.zeros_like(logits[..., :1])], -1), -1)


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
