"""From memory to hazards, and everything a forecast says read off the hazards.

The hazards are cause-specific (Prentice et al., Biometrics 34, 541, 1978, 10.2307/2530374; their
likelihood is in ``fadecast.learn.losses``) and constant within an interval, so survival falls
exponentially between the edges. Given survival to the start of interval j, the cell fails within it
by cause k with probability ``p[j, k]`` or survives it with ``p[j, K]``.

Each cause has a log-logistic time to failure. Its cumulative hazard grows as the log-odds x of
having failed grow, dH = sigmoid(x) dx, which is taken in the middle of an interval: a product,
which loses no digits as a difference of cumulative hazards does. Its steepness is bounded from
below and above: a flat survival would magnify the rounding of the hazards in a quantile, a steep
one that of the place.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, LONGEST, PRESSURE_CAUSES

N_CAUSES: Final = len(CAUSES)
N_INTERVALS: Final = len(EDGES) - 1
FREE: Final = 0.1
"""Weight of the free correction."""
MIDDLE: Final = float(np.log(LONGEST) / 2)
"""Middle of the axis of log cycles, from which centres are counted."""
SPAN: Final = 6.0
"""Log cycles by which a centre can be off the middle: from 0.16 to 26 000 cycles."""
LEAST_STEEPNESS: Final = 0.75
"""Quartiles of a life a factor of 19 apart: as good as knowing nothing."""
MOST_STEEPNESS: Final = 10.0
"""Quartiles a factor of 1.25 apart, less than an interval is wide."""
UNSEEN: Final = 40.0
"""Taken off the logarithm of the hazards of a cause that no training cell failed by."""
LEAST_HAZARD: Final = 1e-6
"""Added to the integrated hazard of every interval and cause: 6e-5 within 100 cycles in all, which
it would take tens of thousands of lives to tell from none."""
_NOW: Final = -1.0
"""Where the first interval starts on the axis of log cycles."""


def places() -> tuple[Tensor, Tensor]:
    """Middles ``(N_INTERVALS,)`` of the intervals on the axis of log cycles, and their lengths."""
    edges = torch.tensor([_NOW, *np.log(EDGES[1:])], dtype=torch.float32)
    return (edges[1:] + edges[:-1]) / 2, edges.diff()


class HazardHead(nn.Module):
    """Memory ``(…, width)`` → logarithms of the hazards ``(…, N_INTERVALS, N_CAUSES)``.

    The memory says for every cause where on the axis of log cycles it strikes, how steeply, and a
    small free correction per interval. Free logits alone have to learn from a few dozen lives that
    neighbouring intervals belong together.
    """

    middles: Tensor
    log_lengths: Tensor
    unseen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        middles, lengths = places()
        self.register_buffer("unseen", torch.zeros(N_CAUSES))
        self.register_buffer("middles", (middles - MIDDLE)[:, None], persistent=False)
        self.register_buffer("log_lengths", lengths.log()[:, None], persistent=False)
        self.linear = nn.Linear(width, (2 + N_INTERVALS) * N_CAUSES)
        with torch.no_grad():
            self.linear.bias.zero_()
            self.linear.bias[:N_CAUSES] = -1.2  # a steepness of 3
            self.linear.bias[N_CAUSES : 2 * N_CAUSES] = 2.1  # around 500 cycles

    def forward(self, memory: Tensor) -> Tensor:
        """Logarithms of integrated hazards, before recalibration."""
        raw = self.linear(memory)
        rows = raw.unflatten(-1, (2 + N_INTERVALS, N_CAUSES))
        slope, centre, free = rows.split((1, 1, N_INTERVALS), -2)
        steepness = LEAST_STEEPNESS + MOST_STEEPNESS * torch.sigmoid(slope)
        log_odds = steepness * (self.middles - SPAN * torch.tanh(centre / SPAN))
        hazard = torch.log(steepness) + self.log_lengths + nn.functional.logsigmoid(log_odds)
        logits: Tensor = hazard + FREE * free - UNSEEN * self.unseen
        return logits

    @torch.no_grad()
    def fit(self, seen: Tensor) -> None:
        """Set which causes, ``(N_CAUSES,)`` 0/1, any training cell failed by.

        The others get no risk: their hazards would be whatever the weights happen to be where no
        training cell has been.
        """
        self.unseen.copy_(1 - seen)

    def least(self) -> Tensor:
        """``(N_CAUSES,)`` integrated hazards that every interval has at least."""
        return LEAST_HAZARD * torch.exp(-UNSEEN * self.unseen)


def log_hazards(hazard: Tensor, least: Tensor | float = LEAST_HAZARD) -> Tensor:
    """Logarithms of integrated hazards ``(…, J, K)`` → log-probabilities ``(…, J, K + 1)`` of each
    cause, then of survival."""
    hazard = torch.logaddexp(hazard, torch.as_tensor(least).to(hazard).log())
    total = torch.logsumexp(hazard, -1, keepdim=True)
    leave = torch.exp(total)
    return torch.cat([hazard - total + torch.log(-torch.expm1(-leave)), -leave], -1)


class Readout(nn.Module):
    """Log-hazards ``(B, J, K + 1)`` → quantiles of the remaining life, incidences, risks."""

    widths: Tensor
    starts: Tensor
    before: Tensor
    pick: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        edges = torch.tensor(EDGES, dtype=torch.float32)
        buffers = {
            "widths": edges[1:] - edges[:-1],
            # before[i, j] = 1 where interval i lies before interval j
            "before": torch.triu(torch.ones(N_INTERVALS, N_INTERVALS), 1),
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

    def forward(self, hazards: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``rul (B, Q)`` in cycles, ``risk (B, K + 2, H)`` and ``incidence (B, K, J)``.

        ``levels (B, Q)`` are the cumulative hazards at which the quantiles are read.
        """
        log_survive = hazards[..., -1]
        log_before = torch.matmul(log_survive, self.before)
        # The share of each interval lived through before that much hazard is used up: 1 in the
        # intervals before that, a fraction in the one where it happens, 0 after it.
        fall = log_survive.clamp(max=-1e-9).unsqueeze(1)
        share = ((-levels.unsqueeze(2) - log_before.unsqueeze(1)) / fall).clamp(0.0, 1.0)
        rul = torch.matmul(share, self.widths)
        return rul, *self.risks(hazards)

    def risks(self, hazards: Tensor) -> tuple[Tensor, Tensor]:
        """``risk (B, K + 2, H)`` and ``incidence (B, K, J)``."""
        before = torch.exp(torch.matmul(hazards[..., -1], self.before))
        fails = before.unsqueeze(2) * torch.exp(hazards[..., :-1])
        cumulative = self.before.transpose(0, 1) + torch.eye(N_INTERVALS, device=fails.device)
        incidence = torch.matmul(cumulative, fails).transpose(1, 2)
        by_cause = torch.matmul(incidence, self.pick)
        return torch.matmul(self.total.transpose(0, 1), by_cause), incidence
