"""Several networks as one, and what they teach a single one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from fadecast.cell.life import CAUSES
from fadecast.forecast.forecast import EDGES, LONGEST
from fadecast.learn.batches import Batch
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import log_hazards

_AT_ONCE: Final = 16_384
Said = Callable[[Batch], Tensor]
"""Rows to log-hazards ``(N, J, K + 1)``."""


def said_by(one: Forecaster) -> Said:
    """What a network says, before recalibration."""

    @torch.no_grad()
    def say(rows: Batch) -> Tensor:
        memory = one.recall(rows.features, rows.design, rows.age).memory
        return log_hazards(one.hazards(memory))

    return say


def together(members: Sequence[Forecaster]) -> Said:
    """The mixture of the members' lives."""
    return lambda rows: mixed([said_by(one)(rows) for one in members])


def mixed(said: Sequence[Tensor]) -> Tensor:
    """Log-hazards ``(N, J, K + 1)`` of the mixture of lives of which each has such log-hazards.

    In logarithms: where hardly a cell is left, one minus what has failed has no digits.
    """
    hazards = torch.stack(list(said)).double()
    after = hazards[..., -1].cumsum(-1)
    before = torch.nn.functional.pad(after[..., :-1], (1, 0))
    within = (before[..., None] + hazards[..., :-1]).logsumexp(0)
    left, alive = after.logsumexp(0), before.logsumexp(0)
    return torch.cat([within - alive[..., None], (left - alive)[..., None]], -1).float()


@torch.no_grad()
def drawn_lives(rows: Batch, say: Said, seed: int) -> Batch:
    """The rows with lives and causes drawn from what is said of them, in place of what was seen.

    The expected likelihood of such lives is the cross-entropy with the teacher (Hinton et al. 2015,
    arXiv 1503.02531). Rows of a cell share the life that was seen, but not the drawn ones.
    """
    draw = torch.Generator().manual_seed(seed)
    edges, causes = torch.tensor(EDGES, dtype=torch.float32), len(CAUSES)
    parts = []
    for some in torch.arange(len(rows.age)).split(_AT_ONCE):
        within = _within(say(rows.take(some))).flatten(1)
        alive = (1 - within.sum(1, keepdim=True)).clamp(min=0)
        event = torch.multinomial(torch.cat([within, alive], 1), 1, generator=draw)[:, 0]
        interval, failed = event // causes, event < within.shape[1]
        inside = interval.clamp(max=len(EDGES) - 2)
        parts.append((
            torch.where(failed, edges[inside], float(LONGEST)), edges[inside + 1],
            torch.where(failed, event % causes, -1),
        ))  # fmt: skip
    after, until, cause = map(torch.cat, zip(*parts, strict=True))
    return rows._replace(after=after, until=until, cause=cause)


def _within(hazards: Tensor) -> Tensor:
    """``(N, J, K)`` probability of failing within each interval by each cause."""
    survive = hazards[..., -1:]
    return torch.exp(survive.cumsum(-2) - survive + hazards[..., :-1])
