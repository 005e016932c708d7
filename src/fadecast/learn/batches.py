"""Cycles of cells as rows of tensors, and the order in which a seeded training meets them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fadecast.cell.design import encode_design
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES, Life
from fadecast.errors import TrainingError
from fadecast.forecast import questions
from fadecast.forecast.forecast import HORIZONS, VIRTUAL_SENSORS
from fadecast.forecast.survival import Steps, ipcw
from fadecast.learn.config import TrainingConfig
from fadecast.learn.dataset import Cells, CellSequence
from fadecast.network.forecaster import Features, Forecaster, valid_cycles

EARLY: Final = 20
"""Cycles of a cell that are all learnt from, however few of the later ones are."""
ALWAYS: Final = Steps(np.empty(0), np.empty(0), 1.0)
"""The censoring where no cell is ever lost."""
MOST: Final = 5.0
"""For so many cells, itself among them, one stands at most: few that are followed for long, perhaps
of another kind, would else decide what is learnt of all that were lost. Chosen, not tuned: where
all are followed alike it is never reached."""
AT_ONCE: Final = 4096
"""Rows of an ordered batch."""
_SMOOTH = 5


class Batch(NamedTuple):
    """``N`` rows, each a cell after one of its cycles. The life enters as a target only.

    ``described`` and ``capacity`` are the ``Features``, the former kept in half precision: the rows
    of thousands of cells must fit into memory, and noise there is 1e-3 of a spread. ``age`` is
    ``(N, 1)``. ``virtual`` are the hidden states in half precision, ``virtual_known`` where there
    are any.

    ``weight`` is one over the root of the cell's number of rows: a long life says more than a short
    one, but its cycles much the same. ``soh_weight`` likewise where the capacity was observed.
    ``settled`` ``(N, H)`` weighs whether the cell fails by pressure within each of ``HORIZONS``:
    with the cycles that the row stands for, freed of the censoring (``survival.ipcw``, ``MOST`` at
    most), and 0 where that is not known.
    """

    described: Tensor
    capacity: Tensor
    design: Tensor
    age: Tensor
    after: Tensor
    until: Tensor
    cause: Tensor
    weight: Tensor
    settled: Tensor
    soh: Tensor
    soh_weight: Tensor
    virtual: Tensor
    virtual_known: Tensor

    @property
    def features(self) -> Features:
        """What the trained layers meet."""
        return Features(self.described.float(), self.capacity)

    def take(self, rows: Tensor) -> Batch:
        """Some of the rows."""
        return Batch(*(column[rows] for column in self))


def valid_rows(sequence: CellSequence) -> tuple[Tensor, Tensor, Tensor]:
    """Values and masks ``(n, F)`` of the cycles that say something, and which ``(T,)`` they are."""
    s = sequence.summaries
    values, observed = torch.tensor(s.values), torch.tensor(s.observed, dtype=torch.float32)
    valid = valid_cycles(values, observed)[:, 0] > 0
    return values[valid], observed[valid], valid


@torch.no_grad()
def to_rows(
    sequence: CellSequence, forecaster: Forecaster, every: int = 1, followed: Steps = ALWAYS
) -> Batch:
    """One cell until its failure: its first ``EARLY`` cycles, then one of ``every``, drawn by the
    cell's name: what recurs at a fixed pace, such as a check-up, is neither missed nor preferred.

    Cycles that say nothing are left out, but count in the age, as in the deployed step.
    ``followed`` is the ``survival.censoring`` of the cells beside which the cell is learnt from.
    """
    alive = sequence.alive()
    s, life = alive.summaries, alive.life
    values, observed, valid = valid_rows(alive)
    row = _drawn(sequence.cell_id, len(values), every)
    count = torch.tensor(s.cycle_count)[valid][row]
    size = (len(count),)
    soh = torch.tensor(_smooth(s.field("discharge_throughput")))[valid][row]
    truth = alive.truth
    if truth is None:
        truth = np.full((len(s), len(VIRTUAL_SENSORS)), np.nan, np.float16)
    hidden = torch.tensor(truth)[valid][row]
    cause = CAUSES.index(life.cause) if life.cause is not None else -1
    weight = torch.full(size, max(len(count), 1) ** -0.5)
    design = torch.tensor(encode_design(alive.spec))
    stands = torch.where(torch.arange(len(count)) < EARLY, 1.0, float(every))
    settled = torch.from_numpy(_settled(life, count.numpy(), followed)).float()
    features = forecaster.describe(values.unsqueeze(0), observed.unsqueeze(0), design.unsqueeze(0))
    return Batch(
        described=features.described[0, row].half(),
        capacity=features.capacity[0, row],
        design=design.expand(*size, -1),
        age=torch.tensor(alive.elapsed()).cumsum(0)[valid][row].unsqueeze(1),
        after=(life.after - count).float(),
        until=(life.until - count).float(),
        cause=torch.full(size, cause),
        weight=weight,
        settled=stands.unsqueeze(1) * settled,
        soh=soh.nan_to_num(),
        soh_weight=weight * torch.isfinite(soh),
        virtual=hidden.nan_to_num(),
        virtual_known=torch.isfinite(hidden),
    )


class Rows(Dataset[Batch]):
    """Rows of cells, one after another; an index lists rows and gives a batch."""

    def __init__(
        self,
        sequences: Sequence[CellSequence],
        forecaster: Forecaster,
        every: int,
        *,
        progress: bool = False,
    ) -> None:
        lives = [head.life for head in Cells.of(sequences).heads]
        steps = questions.followed(lives) if lives else ALWAYS
        cells = track(sequences, "preparing cycles", disable=not progress, transient=True)
        parts = [
            to_rows(s, forecaster, every, steps) for s in cells if valid_rows(s.alive())[2].any()
        ]
        if not parts:
            raise TrainingError(
                "no cell has a cycle with usable charge before its failure",
                fix="Give cells that were cycled",
            )
        self.batch = Batch(*map(torch.cat, zip(*parts, strict=True)))

    @classmethod
    def of(cls, batch: Batch) -> Rows:
        """Rows that are there already."""
        rows = cls.__new__(cls)
        rows.batch = batch
        return rows

    def __len__(self) -> int:
        return len(self.batch.age)

    def __getitem__(self, rows: Tensor) -> Batch:
        return self.batch.take(rows)


class Shuffled(Sampler[Tensor]):
    """All rows once an epoch, in batches.

    The order is a function of the seed and the epoch alone, so a resumed training meets the same
    batches as one that never stopped.
    """

    def __init__(self, rows: int, batch_rows: int, seed: int) -> None:
        self.rows, self.batch_rows, self.seed, self.epoch = rows, batch_rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.rows // self.batch_rows)

    def __iter__(self) -> Iterator[Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch])
        yield from torch.from_numpy(rng.permutation(self.rows)).split(self.batch_rows)


def training_loader(rows: Rows, config: TrainingConfig) -> DataLoader[Batch]:
    """Shuffled batches. They are drawn by a sampler, as that is what is told the epoch."""
    return DataLoader(
        rows, sampler=Shuffled(len(rows), config.batch_rows, config.seed), batch_size=None
    )


def ordered_loader(rows: Rows) -> DataLoader[Batch]:
    """Batches in a fixed order, cell by cell."""
    return DataLoader(rows, sampler=torch.arange(len(rows)).split(AT_ONCE), batch_size=None)


def _settled(life: Life, count: NDArray[np.int64], followed: Steps) -> NDArray[np.float64]:
    """``(n, H)`` weight with which it is known after cycles ``(n,)`` whether the cell fails by
    pressure within each horizon; 0 also of a failure by it that may lie on either side."""
    weight = np.zeros((len(count), len(HORIZONS)))
    time, failed = np.full(len(count), life.cycle), np.full(len(count), life.failed)
    for column, horizon in enumerate(HORIZONS):
        ahead = count + horizon
        either = (life.after < ahead) & (ahead < life.until) & (life.cause in PRESSURE_CAUSES)
        known = np.minimum(ipcw(time, failed, ahead, followed, count), MOST)
        weight[:, column] = np.where(either, 0.0, known)
    return weight


def _drawn(cell_id: str, rows: int, every: int) -> Tensor:
    """The first ``EARLY`` rows, and one of every ``every`` after them."""
    start = torch.from_numpy(np.arange(EARLY, rows, every))
    draw = np.random.default_rng(zlib.crc32(cell_id.encode()))
    chosen = start + torch.from_numpy(draw.integers(0, every, len(start)))
    return torch.cat([torch.arange(min(EARLY, rows)), chosen[chosen < rows]])


def _smooth(capacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred running median: a target, so it may look ahead; NaN stays where all is NaN."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(capacity, _SMOOTH, constant_values=np.nan), 2 * _SMOOTH + 1
    )
    out = np.full(len(capacity), np.nan, np.float32)
    seen = np.isfinite(windows).any(axis=1)
    out[seen] = np.nanmedian(windows[seen], axis=1)
    return out
