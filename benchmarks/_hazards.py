"""Opponents that are networks: the same losses, readout and choice of the best check as ours.

A model maps its inputs to logits of ``HazardHead``. It is trained a fixed number of steps on rows
drawn so that cells count alike (in the risks within the horizons cycles are weighed alike, as in
ours), and checked on rows of validation designs; the best check stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._cells import Array, Ints, Rows, Table, standard
from benchmarks._said import HIGH, LOW, MEDIAN, PRESSURE, WITHIN
from benchmarks._stages import say
from fadecast.cell.life import CAUSES
from fadecast.forecast.forecast import HORIZONS, QUANTILES
from fadecast.learn.losses import competing_risks_nll, pressure_nll
from fadecast.network.heads import HazardHead, Readout, log_hazards

CHECKS: Final = 10
_CHECKED: Final = 2048
_READ: Final = 1024

Inputs = Callable[[Ints], Sequence[Tensor]]
"""``(b,)`` rows → what the model is called with."""


def fit_hazards(
    model: nn.Module, inputs: Inputs, rows: Rows, held: np.ndarray, *,
    steps: int, batch: int, rate: float, risk_weight: float, seed: int = 0,
) -> None:  # fmt: skip
    """Train ``model`` on the rows of cells that are not ``held (m,)``, check it on those that are.

    Rows at which nothing is left to foresee are passed over.
    """
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    train, check = (_by_cell(rows, part) for part in (~held, held))
    count = min(_CHECKED, batch * steps // CHECKS)  # a check costs no more than the steps before
    watched = _drawn(np.random.default_rng(seed + 1), check, count) if len(check[0]) else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=max(steps, 6))
    best, kept = np.inf, None
    settled = np.stack([rows.within(horizon) >= 0 for horizon in HORIZONS], axis=1)
    readout, cycles = Readout(), np.bincount(rows.cell)
    for step in range(1, steps + 1):
        model.train()
        chosen = _drawn(draw, train, batch)
        told = _told(model, inputs, rows, chosen)
        weight = torch.from_numpy(settled[chosen] * cycles[rows.cell[chosen], None])
        off = pressure_nll(readout.risks(told.hazards)[0][:, PRESSURE], told.until, told.cause)
        risk = (off * weight).sum() / weight.sum().clamp(min=1)
        loss = told.nll().mean() + risk_weight * risk
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if watched is not None and step % max(steps // CHECKS, 1) == 0:
            now = _checked(model, inputs, rows, watched)
            say(f"{type(model).__name__} step {step}: {now:.4f}")
            if now < best:
                best, kept = now, {k: v.clone() for k, v in model.state_dict().items()}
    if kept is not None:
        model.load_state_dict(kept)


@torch.no_grad()
def read(model: nn.Module, inputs: Inputs, count: int) -> dict[str, Array]:
    """What a trained model says of rows 0 … ``count``."""
    model.eval()
    readout, parts = Readout(), []
    levels = -torch.log1p(-torch.tensor(QUANTILES))
    for start in range(0, count, _READ):
        logits = model(*inputs(np.arange(start, min(start + _READ, count))))
        rul, risk, *_ = readout(log_hazards(logits), levels.expand(len(logits), -1))
        parts.append(torch.cat([rul, risk[:, PRESSURE, WITHIN, None]], 1).double().numpy())
    *_, risk_ = columns = np.concatenate(parts).T
    return {"risk": risk_, "left": columns[MEDIAN], "low": columns[LOW], "high": columns[HIGH]}


def causes_seen(head: HazardHead, rows: Rows, held: np.ndarray) -> None:
    """Tell a head which causes its training cells failed by, as our network is told."""
    seen = [float((rows.cause[~held] == k).any()) for k in range(len(CAUSES))]
    head.fit(torch.tensor(seen))


class Standard(nn.Module):
    """A small perceptron on standardised features, for the information ceiling."""

    def __init__(self, train: Table, width: int = 128) -> None:
        super().__init__()
        for name, value in zip(("centre", "scale"), standard(train), strict=True):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        self.body = nn.Sequential(
            nn.Linear(train.shape[1], width), nn.SiLU(), nn.Dropout(0.1),
            nn.Linear(width, width), nn.SiLU(), nn.Dropout(0.1),
        )  # fmt: skip
        self.head = HazardHead(width)

    def forward(self, x: Tensor) -> Tensor:
        scaled = torch.nan_to_num((x - self.centre) * self.scale)
        logits: Tensor = self.head(self.body(scaled / (1 + scaled.abs() / 6)))
        return logits


def perceptron(
    train: Table, known: Rows, held: np.ndarray, test: Table, steps: int, risk_weight: float
) -> dict[str, Array]:
    """What ``Standard`` says of ``test (n, ·)``, trained on ``train`` rows."""
    torch.manual_seed(0)
    model = Standard(train[:: max(1, len(train) // 50_000)])
    causes_seen(model.head, known, held)

    def of(table: Table) -> Inputs:
        return lambda rows: [torch.from_numpy(table[rows])]

    fit_hazards(
        model, of(train), known, held, steps=steps, batch=1024, rate=2e-3, risk_weight=risk_weight
    )
    return read(model, of(test), len(test))


def _by_cell(rows: Rows, part: Any) -> tuple[Ints, Ints, Ints]:
    """Usable rows of some cells, where each cell's begin among them, and how many they are."""
    usable = np.flatnonzero(part[rows.cell] & (rows.left > 0))
    _, first, count = np.unique(rows.cell[usable], return_index=True, return_counts=True)
    return usable, first, count


def _drawn(draw: np.random.Generator, part: tuple[Ints, Ints, Ints], count: int) -> Ints:
    """Rows, cells alike."""
    usable, first, lengths = part
    cell = draw.integers(len(first), size=count)
    return np.asarray(usable[first[cell] + (draw.random(count) * lengths[cell]).astype(np.int64)])


class _Told(NamedTuple):
    """Log-hazards of rows, and what became of them."""

    hazards: Tensor
    after: Tensor
    until: Tensor
    cause: Tensor

    def nll(self) -> Tensor:
        return competing_risks_nll(*self)


def _told(model: nn.Module, inputs: Inputs, rows: Rows, chosen: Ints) -> _Told:
    cell, cycle = rows.cell[chosen], rows.cycle[chosen]
    after, until = (
        torch.from_numpy(bound[cell] - cycle).float() for bound in (rows.after, rows.until)
    )
    cause = torch.from_numpy(rows.cause[cell])
    return _Told(log_hazards(model(*inputs(chosen))), after, until, cause)


@torch.no_grad()
def _checked(model: nn.Module, inputs: Inputs, rows: Rows, chosen: Ints) -> float:
    model.eval()
    pieces = np.array_split(chosen, max(1, len(chosen) // _READ))
    losses = [_told(model, inputs, rows, piece).nll().sum() for piece in pieces]
    return float(sum(losses)) / len(chosen)
