"""Sequences as padded tensors, and the order in which a seeded training meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from fadecast.cell.design import encode_design
from fadecast.cell.life import CAUSES
from fadecast.forecast.forecast import VIRTUAL_SENSORS
from fadecast.learn.config import TrainingConfig
from fadecast.learn.dataset import CellSequence
from fadecast.network.forecaster import Features, Forecaster, valid_cycles

_SMOOTH = 5


class Batch(NamedTuple):
    """``B`` cells padded to ``T`` cycles. The life enters as a target only.

    ``described`` and ``capacity`` are the cells' ``Features``, the former kept in half precision:
    a population of thousands of cells must fit into memory, and noise there is 1e-3 of a spread.

    ``weight`` is 1 / (number of cycles of the cell), 0 where padded, so that cells count alike;
    ``soh_weight`` likewise over the cycles whose capacity was observed. ``virtual`` are the hidden
    states in half precision, ``virtual_known`` where there are any, 0 or 1.
    """

    described: Tensor
    capacity: Tensor
    design: Tensor
    elapsed: Tensor
    after: Tensor
    until: Tensor
    cause: Tensor
    weight: Tensor
    soh: Tensor
    soh_weight: Tensor
    virtual: Tensor
    virtual_known: Tensor

    @property
    def features(self) -> Features:
        """What the trained layers meet."""
        return Features(self.described.float(), self.capacity)


def valid_rows(sequence: CellSequence) -> tuple[Tensor, Tensor, Tensor]:
    """Values and masks ``(n, F)`` of the cycles that say something, and which ``(T,)`` they are."""
    s = sequence.summaries
    values, observed = torch.tensor(s.values), torch.tensor(s.observed, dtype=torch.float32)
    valid = valid_cycles(values, observed)[:, 0] > 0
    return values[valid], observed[valid], valid


@torch.no_grad()
def to_tensors(sequence: CellSequence, forecaster: Forecaster) -> Batch:
    """One cell until its failure, without a batch axis; cycles that say nothing are left out.

    Leaving them out keeps the age: the next cycle's ``elapsed`` spans them, as in the deployed
    step, which only ages on such a cycle.
    """
    alive = sequence.alive()
    s = alive.summaries
    values, observed, valid = valid_rows(alive)
    features = forecaster.describe(values.unsqueeze(0), observed.unsqueeze(0))
    age = torch.tensor(alive.elapsed()).cumsum(0)[valid]
    count = torch.tensor(s.cycle_count)[valid]
    life = alive.life
    soh = torch.tensor(_smooth(s.field("discharge_throughput")))[valid]
    known = torch.isfinite(soh)
    truth = alive.truth
    if truth is None:
        truth = np.full((len(s), len(VIRTUAL_SENSORS)), np.nan, np.float16)
    hidden = torch.tensor(truth)[valid]
    cause = CAUSES.index(life.cause) if life.cause is not None else -1
    return Batch(
        described=features.described[0].half(),
        capacity=features.capacity[0],
        design=torch.tensor(encode_design(alive.spec)),
        elapsed=torch.diff(age, prepend=torch.zeros(1)),
        after=(life.after - count).float(),
        until=(life.until - count).float(),
        cause=torch.full((len(count),), cause),
        weight=torch.full((len(count),), 1 / max(len(count), 1)),
        soh=torch.where(known, soh, 0.0),
        soh_weight=known / known.sum().clamp(min=1),
        virtual=hidden.nan_to_num(),
        virtual_known=torch.isfinite(hidden),
    )


def collate(items: Sequence[Batch]) -> Batch:
    """Pad cells to the longest one; padding has weight 0 and counts as censored."""
    columns = dict(zip(Batch._fields, zip(*items, strict=True), strict=True))
    design = torch.stack(columns.pop("design"))
    padded = {
        name: pad_sequence(list(c), batch_first=True, padding_value=-1.0 * (name == "cause"))
        for name, c in columns.items()
    }
    return Batch(design=design, **padded)


class ByLength(Sampler[list[tuple[int, int]]]):
    """Batches of cells of like length, reshuffled every epoch: which cells, and how far.

    A cell of more than ``prefix`` cycles enters an epoch up to a random one (uniform in the
    logarithm): the early part of a long life would else cost as much as the rest, and say less.
    The order is a function of the seed and the epoch alone, so a resumed training meets the same
    batches as one that never stopped.
    """

    def __init__(
        self, lengths: Sequence[int], batch_cells: int, seed: int, prefix: int | None = None
    ) -> None:
        self.lengths = np.asarray(lengths, np.float64)
        self.batch_cells, self.seed, self.epoch = batch_cells, seed, 0
        self.prefix = np.inf if prefix is None else float(prefix)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_cells)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        jitter = rng.normal(0.0, 0.2, len(self.lengths))
        starts = rng.permutation(len(self)) * self.batch_cells
        shortest = np.minimum(self.lengths, self.prefix)
        until = shortest * (self.lengths / shortest) ** rng.random(len(self.lengths))
        until = np.ceil(until).astype(np.int64)
        order = np.argsort(np.log(until) + jitter)
        for start in starts:
            rows = order[start : start + self.batch_cells]
            yield [(int(i), int(until[i])) for i in rows]


class Cells(Dataset[Batch]):
    """Cells with a cycle before their failure; an index lists (cell, cycles) and gives a batch."""

    def __init__(self, sequences: Sequence[CellSequence], forecaster: Forecaster) -> None:
        items = [to_tensors(s, forecaster) for s in sequences]
        self.items = [item for item in items if len(item.elapsed)]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, chosen: Sequence[tuple[int, int]]) -> Batch:
        return collate([_first(self.items[row], until) for row, until in chosen])

    def lengths(self) -> list[int]:
        """Cycles of each."""
        return [len(item.elapsed) for item in self.items]


def _first(item: Batch, until: int) -> Batch:
    """The first cycles of one cell."""
    return Batch(*(
        value if name == "design" else value[:until]
        for name, value in zip(Batch._fields, item, strict=True)
    ))  # fmt: skip


def training_loader(
    sequences: Sequence[CellSequence], forecaster: Forecaster, config: TrainingConfig
) -> DataLoader[Batch]:
    """Shuffled batches. They are drawn by a sampler, as that is what is told the epoch."""
    cells = Cells(sequences, forecaster)
    order = ByLength(cells.lengths(), config.batch_cells, config.seed, config.prefix)
    return DataLoader(cells, sampler=order, batch_size=None)


def ordered_loader(
    sequences: Sequence[CellSequence], forecaster: Forecaster, batch_cells: int
) -> DataLoader[Batch]:
    """Batches in a fixed order, shortest lives first."""
    cells = Cells(sequences, forecaster)
    lengths = cells.lengths()
    order = [(int(i), lengths[i]) for i in np.argsort(lengths, kind="stable")]
    rows = [order[start : start + batch_cells] for start in range(0, len(order), batch_cells)]
    return DataLoader(cells, sampler=rows, batch_size=None)


def _smooth(capacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred running median: a target, so it may look ahead; NaN stays where all is NaN."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(capacity, _SMOOTH, constant_values=np.nan), 2 * _SMOOTH + 1
    )
    out = np.full(len(capacity), np.nan, np.float32)
    seen = np.isfinite(windows).any(axis=1)
    out[seen] = np.nanmedian(windows[seen], axis=1)
    return out
