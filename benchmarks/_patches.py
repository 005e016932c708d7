"""A Transformer over the whole window of cycles, after CyclePatch (Tan et al. 2025, 2502.18807).

One token a cycle: a perceptron within the cycle, attention between the cycles. It meets the same
scaled features of a cycle as our network, without our averages over cycles, and nothing after the
cycle at which it is asked. Where a window has more cycles than ``TOKENS``, half of the tokens are
its latest and half are spread over the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._cells import Array, Cells, Ints, Rows, drawn_cycles
from benchmarks._hazards import Inputs, causes_seen, fit_hazards, read
from fadecast.cell.design import N_DESIGN, encode_design
from fadecast.learn import dataset
from fadecast.learn.batches import to_rows, valid_rows
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import fit_scales
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import HazardHead

TOKENS: Final = 64
_SCALED_BY: Final = 600
"""Cells from which the scales are taken, as our network's are."""
_CLOCKS: Final = 3
"""Numbers that say when a token was: its cycle in two scales, and how long ago that is."""


class Transformer(nn.Module):
    """Tokens ``(B, S, ·)`` of which the last ``known (B,)`` one is the latest → logits."""

    def __init__(self, features: int, width: int = 96, heads: int = 4, layers: int = 3) -> None:
        super().__init__()
        self.within = nn.Sequential(
            nn.Linear(features + N_DESIGN + _CLOCKS, width), nn.SiLU(), nn.Linear(width, width)
        )
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.1, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.between = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = HazardHead(width)

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        padded = torch.arange(tokens.shape[1]) >= known.unsqueeze(1)
        out = self.between(self.within(tokens), src_key_padding_mask=padded)
        last = out[torch.arange(len(out)), known - 1]
        logits: Tensor = self.head(self.norm(last))
        return logits


class Windows:
    """Scaled cycles of cells in half precision, and the windows that end at given cycles.

    Kept are the first ``TOKENS`` cycles of a cell and of those after them the ``drawn_cycles``, so
    that a window always ends with the cycle at which it is asked.
    """

    def __init__(self, cells: Iterable[CellSequence], scales: Forecaster) -> None:
        described, ages, designs = [], [], []
        for cell in cells:
            if valid_rows(cell.alive())[2].any():
                one = to_rows(cell, scales)
                age = one.age[:, 0].numpy().round().astype(np.int64)
                kept = (age <= TOKENS) | np.isin(age, drawn_cycles(cell.cell_id, int(age[-1])))
                described.append(one.described[kept, : scales.encoder.features])
                ages.append(age[kept])
            else:
                ages.append(np.zeros(0, np.int64))
            design = torch.from_numpy(encode_design(cell.spec))
            designs.append((design - scales.encoder.design_centre) * scales.encoder.design_scale)
        self.described = torch.cat(described)
        self.ages = ages
        self.starts = np.cumsum([0, *map(len, ages)])
        self.designs = torch.stack(designs)

    def __call__(self, cell: Ints, cycle: Ints) -> tuple[Tensor, Tensor]:
        """``(B, S, ·)`` tokens and ``(B,)`` how many are known, at least one (zeros if none is)."""
        places = [latest(self.ages[c], n) for c, n in zip(cell, cycle, strict=True)]
        known = np.array([len(place) for place in places])
        size = max(int(known.max()), 1)
        index = np.zeros((len(cell), size), np.int64)
        age = np.ones((len(cell), size), np.float32)
        for i, (c, place) in enumerate(zip(cell, places, strict=True)):
            index[i, : len(place)] = self.starts[c] + place
            age[i, : len(place)] = self.ages[c][place]
        some = torch.from_numpy(known > 0)[:, None, None]
        features = torch.where(some, self.described[torch.from_numpy(index)].float(), 0.0)
        now = np.asarray(cycle, np.float32)[:, None]
        clocks = np.stack([np.log1p(age) / 8, age / 1000, np.log1p(now - age.clip(max=now)) / 8], 2)
        design = self.designs[torch.from_numpy(cell)].unsqueeze(1).expand(-1, size, -1)
        tokens = torch.cat([features, design, torch.from_numpy(clocks).float()], 2)
        return tokens, torch.from_numpy(known).clamp(min=1)


def latest(ages: Ints, cycle: int) -> Ints:
    """Places of at most ``TOKENS`` cycles in increasing ``ages`` that are not after ``cycle``."""
    end = int(np.searchsorted(ages, cycle, "right"))
    if end <= TOKENS:
        return np.arange(end)
    recent = TOKENS // 2
    spread = np.linspace(0, end - recent - 1, TOKENS - recent).round().astype(np.int64)
    return np.concatenate([spread, np.arange(end - recent, end)])


def transformer(
    learn: Cells, known: Rows, held: np.ndarray, test: Cells, asked: Rows,
    config: ForecasterConfig, steps: int, risk_weight: float,
) -> dict[str, Array]:  # fmt: skip
    """What the Transformer says at the ``asked`` rows of ``test`` cells.

    Args:
        learn: cells of ``known``, those that are ``held (m,)`` check it.
        config: of our network, whose scales are taken.
        steps, risk_weight: of training.
    """
    scales = scales_of(learn, held, config)
    torch.manual_seed(0)
    model = Transformer(scales.encoder.features)
    causes_seen(model.head, known, held)
    fit_hazards(
        model, of(Windows(learn, scales), known), known, held, steps=steps, batch=128, rate=1e-3,
        risk_weight=risk_weight,
    )  # fmt: skip
    return read(model, of(Windows(test, scales), asked), len(asked))


def of(windows: Windows, rows: Rows) -> Inputs:
    """Windows by row."""
    return lambda chosen: windows(rows.cell[chosen], rows.cycle[chosen])


def scales_of(learn: Cells, held: np.ndarray, config: ForecasterConfig) -> Forecaster:
    """An untrained network that scales as ours does, by training cells alone."""
    forecaster = Forecaster(config)
    ids = [cell_id for cell_id, out in zip(learn.ids, held, strict=True) if not out]
    thin = tuple(ids[:: -(-len(ids) // _SCALED_BY)])
    cells = Cells(learn.store, thin, learn.end_of_life)
    alive = dataset.Cells.of(list(cells)).where(lambda head: head.alive > 0)
    fit_scales(forecaster, alive, teach=False)
    return forecaster.eval()
