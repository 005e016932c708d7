"""From memory to hazards, and everything a forecast says read off the hazards.

The hazards are cause-specific (Prentice et al., Biometrics 34, 541, 1978, 10.2307/2530374; their
likelihood is in ``fadecast.learn.losses``) and constant within an interval, so survival falls
exponentially between the edges. Given survival to the start of interval j, the cell fails within it
by cause k with probability ``p[j, k]`` or survives it with ``p[j, K]``.

Each cause is a flexible parametric model after Royston & Parmar (Stat. Med. 21, 2175, 2002,
10.1002/sim.1203): the log-odds of having failed by it are a spline of log cycles, here piecewise
linear, bounded in slope from below and above. A cumulative hazard grows by the odds' probability as
its log-odds x grow, dH = sigmoid(x) dx, which is taken in the middle of an interval. So hazards are
products that lose no digits, survival is nowhere flat where a quantile is read, and a quantile
never magnifies a rounding error by much.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, LONGEST, PRESSURE_CAUSES, QUANTILES

N_CAUSES: Final = len(CAUSES)
N_INTERVALS: Final = len(EDGES) - 1
N_BENDS: Final = 6
"""Pieces of the spline, each of the same length on the axis of log cycles: a factor of 4."""
BEND: Final = 0.5
"""A piece is at most by this share steeper or flatter than its cause."""
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


def _spline() -> Tensor:
    """``(N_INTERVALS + 1, 2 + N_BENDS)``: log-odds at every edge, for a steepness of 1, by one, by
    a centre and by bends in [−1, 1]."""
    place = np.array([_NOW, *np.log(EDGES[1:])])
    piece = np.log(LONGEST) / N_BENDS
    starts = piece * np.arange(N_BENDS)
    along = np.clip(place[:, None] - starts, 0, piece) - np.clip(MIDDLE - starts, 0, piece)
    columns = [place - MIDDLE, np.full(len(place), -SPAN), *(BEND * along).T]
    return torch.from_numpy(np.stack(columns, 1)).float()


class HazardHead(nn.Module):
    """Memory ``(…, width)`` → log-odds of having failed by ``EDGES`` by each cause alone,
    ``(…, N_INTERVALS + 1, N_CAUSES)``, rising from one edge to the next.

    The memory says for every cause where on the axis of log cycles it strikes, how steeply, and
    how much steeper or flatter each piece is.
    """

    spline: Tensor
    unseen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("unseen", torch.zeros(N_CAUSES))
        self.register_buffer("spline", _spline(), persistent=False)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, (2 + N_BENDS) * N_CAUSES)
        with torch.no_grad():
            self.second.bias.zero_()
            self.second.bias[:N_CAUSES] = -1.2  # a steepness of 3
            self.second.bias[N_CAUSES : 2 * N_CAUSES] = 2.1  # around 500 cycles

    def forward(self, memory: Tensor) -> Tensor:
        """Log-odds, before recalibration."""
        raw = self.second(nn.functional.silu(self.first(memory)))
        rows = raw.unflatten(-1, (2 + N_BENDS, N_CAUSES))
        slope, centre, bends = rows.split((1, 1, N_BENDS), -2)
        steepness = LEAST_STEEPNESS + MOST_STEEPNESS * torch.sigmoid(slope)
        shape = [torch.ones_like(slope), torch.tanh(centre / SPAN), torch.tanh(bends)]
        log_odds = torch.matmul(self.spline, steepness * torch.cat(shape, -2))
        return log_odds * (1 - self.unseen) - UNSEEN * self.unseen

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


def log_hazards(log_odds: Tensor, least: Tensor | float = LEAST_HAZARD) -> Tensor:
    """Log-odds ``(…, J + 1, K)`` → log-probabilities ``(…, J, K + 1)``: causes, then survival."""
    before, after = log_odds[..., :-1, :], log_odds[..., 1:, :]
    hazard = torch.log((after - before).clamp(min=1e-9))
    hazard = hazard + nn.functional.logsigmoid((before + after) / 2)
    hazard = torch.logaddexp(hazard, torch.as_tensor(least).to(hazard).log())
    total = torch.logsumexp(hazard, -1, keepdim=True)
    leave = torch.exp(total)
    return torch.cat([hazard - total + torch.log(-torch.expm1(-leave)), -leave], -1)


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
