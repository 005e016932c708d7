"""Trained memories over a cell's cycles, to stand beside the network's untrained averages.

Each maps a cell's encoded cycles ``(B, T, width)`` to memories of the same shape, causally. The
parameters of all of them are about those of the averages' share of the first layer.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._said import PRESSURE
from benchmarks._variations import begun
from fadecast.cell.life import CAUSES
from fadecast.learn.batches import Batch
from fadecast.learn.config import TrainingConfig
from fadecast.learn.fit import Prepared
from fadecast.learn.losses import competing_risks_nll, pressure_nll
from fadecast.network.encoder import Encoder
from fadecast.network.forecaster import ForecasterConfig
from fadecast.network.heads import HazardHead, Readout, log_hazards

EPOCHS: Final = 12
CELLS_AT_ONCE: Final = 32
HEADS: Final = 4
_REACH: Final = 8


class Gated(nn.Module):
    """A GRU (Cho et al. 2014, 10.3115/v1/D14-1179)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        return self.cell(x)[0]


class MinimallyGated(nn.Module):
    """minGRU (Feng et al. 2024, arXiv 2410.01201): gates that do not see the state, two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(2))

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        for layer in self.layers:
            gate, new = layer(x).chunk(2, 2)
            x = x + recurrence(torch.sigmoid(-gate), torch.sigmoid(gate) * new)
        return x


class Diagonal(nn.Module):
    """A diagonal linear state space with learnt decays, in cycles (after Orvieto et al. 2023, arXiv
    2303.06349, real): averages whose lengths are trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.log_length = nn.Parameter(torch.linspace(math.log(3), math.log(3000), 2 * width))

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        step = torch.diff(age, dim=1, prepend=torch.zeros_like(age[:, :1]))
        keep = torch.exp(-step * torch.exp(-self.log_length))
        state = recurrence(keep, (1 - keep) * self.into(x))
        return x + self.out(nn.functional.silu(state))


class Convolved(nn.Module):
    """A causal convolutional network with dilations (Bai et al. 2018, arXiv 1803.01271), each layer
    behind a norm: without one it hardly learnt from some beginnings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = width // 2
        self.narrow, self.wide = nn.Linear(width, narrow), nn.Linear(narrow, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(narrow, narrow, 2, dilation=2**n) for n in range(_REACH - 1)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(narrow) for _ in self.layers)

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        y = self.narrow(x)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            padded = nn.functional.pad(norm(y).transpose(1, 2), (layer.dilation[0], 0))
            y = y + nn.functional.silu(layer(padded)).transpose(1, 2)
        return x + self.wide(y)


class Attending(nn.Module):
    """One layer of causal self-attention over the whole window, places by age."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Linear(2, width)
        self.layer = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, 0.1, batch_first=True, norm_first=True
        )

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        y = x + self.place(torch.cat([torch.log1p(age) / 8, age / 1000], 2))
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layer(y, mask, is_causal=True)


class Forgetful(nn.Module):
    """No memory at all: what the cycle itself and the cell's early reference say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x: Tensor, _age: Tensor) -> Tensor:
        return nn.functional.silu(self.layer(x))


class Averaged(Forgetful):
    """None either, behind a first layer that is given the untrained averages."""


MEMORIES: Final = {
    "no memory": Forgetful, "averages": Averaged, "GRU": Gated, "minGRU": MinimallyGated,
    "diagonal SSM": Diagonal, "causal TCN": Convolved, "Transformer": Attending,
}  # fmt: skip


def recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """``h_t = keep_t h_(t−1) + add_t`` along axis 1, from zero, in ``log₂ T`` steps."""
    length, reach = keep.shape[1], 1
    while reach < length:
        earlier_add = nn.functional.pad(add[:, :-reach], (0, 0, reach, 0))
        earlier_keep = nn.functional.pad(keep[:, :-reach], (0, 0, reach, 0), value=1.0)
        add, keep = add + keep * earlier_add, keep * earlier_keep
        reach *= 2
    return add


class Remembering(nn.Module):
    """The network with a trained memory behind its first layer, without averages; or with none and
    them."""

    def __init__(self, config: ForecasterConfig, memory: type[nn.Module]) -> None:
        super().__init__()
        lengths = len(config.averages) if memory is Averaged else 0
        self.encoder = Encoder(config.hidden, config.dropout, lengths)
        self.described = self.encoder.features + lengths * len(self.encoder.tracked)
        self.memory = memory(config.hidden)
        self.second = nn.Linear(config.hidden, config.hidden)
        self.hazards = HazardHead(config.hidden)

    def load(self, prepared: Prepared) -> None:
        """Take over the scales."""
        own = self.state_dict()
        self.load_state_dict({**own, **{k: v for k, v in prepared.scales.items() if k in own}})

    def forward(self, rows: Batch, order: Tensor) -> Tensor:
        """Hazards of the rows of cells ``order (B, T)``, whose padding repeats the last row."""
        encoder, flat = self.encoder, order.flatten()
        declared = encoder.declared(rows.design[flat])
        age = rows.age[flat]
        features = rows.described[flat, : self.described].float()
        inputs = torch.cat([features, declared, torch.log1p(age) / 8, age / 1000], 1)
        hidden = encoder.dropout(nn.functional.silu(encoder.first(inputs)))
        x = self.memory(hidden.unflatten(0, order.shape), age.unflatten(0, order.shape))
        hazards: Tensor = self.hazards(torch.tanh(self.second(x)))
        return hazards

    @torch.no_grad()
    def said(self, rows: Batch) -> Tensor:
        """Log-hazards of all rows."""
        self.eval()
        out = torch.zeros(len(rows.age), self.hazards.middles.shape[0], len(CAUSES))
        for order, mask in batches(rows, None):
            out[order[mask]] = self(rows, order)[mask]
        return log_hazards(out)


def train_sequences(model: Remembering, rows: Batch, config: TrainingConfig) -> None:
    """By the same losses, weights and optimiser, cells in batches."""
    torch.manual_seed(config.seed)
    readout = Readout()
    draw = np.random.default_rng(config.seed)
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
    steps = EPOCHS * len(list(batches(rows, np.random.default_rng(0))))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=max(steps, 6), pct_start=0.2
    )
    for _ in range(EPOCHS):
        for order, mask in batches(rows, draw):
            model.train()
            chosen = order[mask]
            some = rows.take(chosen)
            hazards = log_hazards(model(rows, order)[mask])
            told = competing_risks_nll(hazards, some.after, some.until, some.cause)
            loss = (told * some.weight).sum() / some.weight.sum()
            risk = pressure_nll(readout.risks(hazards)[0][:, PRESSURE], some.until, some.cause)
            risk = (risk * some.settled).sum() / some.settled.sum().clamp(min=1e-12)
            loss = loss + config.risk_weight * risk
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimiser.step()
            schedule.step()


def batches(rows: Batch, draw: np.random.Generator | None) -> list[tuple[Tensor, Tensor]]:
    """Cells of about equal length together: rows ``(B, T)`` and which of them are no padding."""
    first, count = begun(rows)
    order = np.argsort(count + (draw.random(len(count)) if draw else 0), kind="stable")
    groups = np.array_split(order, -(-len(order) // CELLS_AT_ONCE))
    if draw is not None:
        draw.shuffle(groups)
    out = []
    for group in groups:
        step = np.arange(count[group].max())
        place = first[group][:, None] + np.minimum(step, count[group][:, None] - 1)
        mask = step < count[group][:, None]
        out.append((torch.from_numpy(place), torch.from_numpy(mask)))
    return out
