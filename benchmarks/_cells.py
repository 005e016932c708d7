"""Simulated cells as the benchmark meets them: read one by one, judged at one cycle in five.

Which of five is drawn by chance: check-ups and other cycles come at regular places, and one that
is judged every five cycles from the start meets the same kind always.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from fadecast.cell.design import encode_design
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES, EndOfLife, find_life
from fadecast.cell.store import Store
from fadecast.cell.summaries import BINS, FIELDS, CycleSummaries
from fadecast.forecast import survival
from fadecast.learn.dataset import CellSequence
from fadecast.learn.features import cycle_features, share_of_limit
from fadecast.learn.split import design_of

HORIZON: Final = 50
EVERY: Final = 5
"""Cycles of a cell of which one is judged."""
LANDMARKS: Final = (20, 50, 100, 200)
"""Cycles at which every cell that is alive is judged."""
VIEWS: Final = ("design", "current", "history")
"""What gradient boosting is given: ever more."""

_PRESSURE: Final = [CAUSES.index(cause) for cause in PRESSURE_CAUSES]
_BLIND: Final = np.array([name.startswith("pressure.") for name in FIELDS])
_CURVES: Final = sum(name.split(".")[1:2] in (["charge"], ["discharge"]) for name in FIELDS)
_PAIRS: Final = BINS // 2

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Cells of a store, read anew whenever they are looked at: a population may exceed memory.

    ``blind`` ones have lost their measured pressure; the declared one stays.
    """

    store: Store
    ids: tuple[str, ...]
    end_of_life: EndOfLife
    blind: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[CellSequence]:
        for cell_id in self.ids:
            record = self.store.read(cell_id)
            assert record.summaries is not None, "a population keeps summaries"
            life = find_life(record.summaries, record.metadata, self.end_of_life)
            seen = record.summaries
            if self.blind:
                seen = CycleSummaries(seen.cycle_count, seen.values, seen.observed & ~_BLIND)
            yield CellSequence(record.metadata, seen, life)

    @property
    def designs(self) -> Ints:
        """``(m,)`` which design each is of."""
        names = [design_of(self.store.metadata(cell_id)) for cell_id in self.ids]
        return np.unique(names, return_inverse=True)[1]

    def some(self, chosen: slice) -> Cells:
        return replace(self, ids=self.ids[chosen])

    def without_pressure(self) -> Cells:
        return replace(self, blind=True)


@dataclass(frozen=True)
class Rows:
    """Judged cycles of ``m`` cells, ``n`` in all, cell by cell.

    Args:
        anode, tier, protocol: ``(m,)`` what is declared of the cell's kind.
        after, until: ``(m,)`` between which cycles it failed; ``until`` is inf for a censored one.
        cause: ``(m,)`` index of its cause of failure, −1 for a censored one.
        cell: ``(n,)`` index of the cell. row: ``(n,)`` its row among the cell's summaries.
        cycle: ``(n,)`` cycle after which a forecast is judged.
    """

    anode: NDArray[np.str_]
    tier: NDArray[np.str_]
    protocol: NDArray[np.str_]
    after: Array
    until: Array
    cause: Ints
    cell: Ints
    row: Ints
    cycle: Ints

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Rows:
        return cls(*(arrays[f.name] for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """``(m,)`` whether the failure was seen."""
        return self.cause >= 0

    @property
    def time(self) -> Array:
        """``(m,)`` cycle of failure, or the last one known alive."""
        return np.where(self.failed, self.until, self.after)

    @property
    def by_pressure(self) -> NDArray[np.bool_]:
        """``(m,)`` whether it failed by a pressure-related cause."""
        return np.isin(self.cause, _PRESSURE)

    @property
    def left(self) -> Array:
        """``(n,)`` cycles that were left, or at least that many of a censored cell."""
        return np.asarray(self.time[self.cell] - self.cycle)

    @property
    def label(self) -> Ints:
        """``(n,)`` 1 failed by pressure within the ``HORIZON``, 0 did not, −1 is not known."""
        return self.within(HORIZON)

    def within(self, horizon: int) -> Ints:
        """The same of another horizon.

        A failure by pressure between two check-ups counts where the whole interval lies on one
        side. Of a horizon that ends when nobody is followed any more nothing counts: only those
        that failed would be known.
        """
        ahead, cell = self.cycle + horizon, self.cell
        other = (self.failed & ~self.by_pressure)[cell]
        label = np.where(other | (self.after[cell] >= ahead), 0, -1)
        label = np.where(self.by_pressure[cell] & (self.until[cell] <= ahead), 1, label)
        followed = survival.censoring(self.time, self.failed).before(ahead) > 0
        return np.where(followed, label, -1).astype(np.int64)

    @property
    def alike(self) -> Array:
        """``(n,)`` weights with which cells count alike: 1 / rows of the cell."""
        return np.asarray(1.0 / np.bincount(self.cell, minlength=len(self.cause))[self.cell])

    @property
    def bounds(self) -> Ints:
        """``(m + 1,)`` where the rows of each cell begin, and where the last ones end."""
        return np.searchsorted(self.cell, np.arange(len(self.cause) + 1))

    def kinds(self) -> list[tuple[str, str, str]]:
        """``m`` declared kinds."""
        return list(zip(self.anode, self.tier, self.protocol, strict=True))


def drawn_cycles(cell_id: str, last: int, every: int = EVERY) -> Ints:
    """One cycle of each block of ``every``, from 1 on: which ones, the cell's name decides.

    Of ``EVERY`` cycles a landmark is the one, wherever there is any. Those of a larger ``every``, a
    multiple of it, are a part of those; the first ones do not depend on how many are asked for.

    Args:
        last: no block begins after this cycle.
        every: a multiple of ``EVERY``; or 1, which is all cycles.
    """
    if every == 1:
        return np.arange(1, last + 1)
    seed, parts = zlib.crc32(cell_id.encode()), every // EVERY
    blocks = -(-last // every)
    cycle = 1 + EVERY * np.arange(blocks * parts)
    cycle += np.random.default_rng(seed).integers(0, EVERY, len(cycle))
    marks = np.array([mark for mark in LANDMARKS if mark <= len(cycle) * EVERY], np.int64)
    cycle[(marks - 1) // EVERY] = marks
    part = np.random.default_rng((seed, every)).integers(0, parts, blocks)
    return np.asarray(cycle.reshape(blocks, parts)[np.arange(blocks), part])


def judged_rows(cells: Sequence[CellSequence] | Cells, every: int = EVERY) -> Rows:
    """Drawn cycles at which a cell is known alive, one in ``every``."""
    return Rows.of(table(cells, every, views=()))


def table(
    cells: Sequence[CellSequence] | Cells, every: int, views: Sequence[str] = VIEWS
) -> dict[str, NDArray[Any]]:
    """The ``Rows`` of cells by field, and ``(n, features)`` of every view, in one pass.

    Rows are the ``drawn_cycles`` at which a cell is known alive.
    """
    kinds, lives, parts = [], [], []
    features: dict[str, list[Table]] = {view: [] for view in views}
    for index, cell in enumerate(cells):
        count, life, notes = cell.summaries.cycle_count, cell.life, cell.metadata.notes
        kinds.append((cell.spec.anode, notes["tier"], notes["protocol"].split()[0]))
        cause = -1 if life.cause is None else CAUSES.index(life.cause)
        lives.append((life.after, life.until, cause))
        drawn = drawn_cycles(cell.cell_id, int(count.max(initial=0)), every)
        row = np.flatnonzero(np.isin(count, drawn) & (count <= life.after))
        parts.append((np.full(len(row), index), row, count[row]))
        if len(row):
            for view in views:
                features[view].append(seen_by(cell, row, view))
    anode, tier, protocol = np.array(kinds).T
    after, until, cause = np.array(lives, np.float64).T
    cell_, row_, cycle = (np.concatenate(column) for column in zip(*parts, strict=True))
    stacked = {view: np.concatenate(features.pop(view)) for view in views}  # one held twice at most
    return stacked | {
        "anode": anode, "tier": tier, "protocol": protocol, "after": after, "until": until,
        "cause": cause.astype(np.int64), "cell": cell_, "row": row_, "cycle": cycle,
    }  # fmt: skip


def seen_by(cell: CellSequence, row: Ints, view: str) -> Table:
    """``(n, features)`` of a view after the given rows of a cell."""
    if view == "history":
        return cycle_features(cell)[row]
    age = np.log1p(cell.summaries.cycle_count[row])[:, None]
    declared = np.tile(encode_design(cell.spec), (len(row), 1))
    parts = [age, declared]
    if view == "current":
        s = cell.summaries[row]
        values = np.where(s.observed, s.values, np.nan)
        curves = values[:, :_CURVES].reshape(len(row), _CURVES // _PAIRS, _PAIRS, -1).sum(3)
        used = share_of_limit(s.field("pressure.highest"), cell.spec)[:, None]
        parts += [values[:, _CURVES:], curves.reshape(len(row), -1), used]
    return np.concatenate(parts, axis=1).astype(np.float32)


def sampled(chosen: NDArray[np.bool_], most: int, draw: np.random.Generator) -> Ints:
    """Rows that are ``chosen (n,)``, in order; of more than ``most``, so many drawn evenly."""
    return np.sort(draw.permutation(np.flatnonzero(chosen))[:most])


def standard(x: Table) -> tuple[Array, Array]:
    """``(features,)`` mean and 1 / standard deviation, NaN passed over; 0 of what never varied."""
    finite = np.isfinite(x)
    count = np.maximum(finite.sum(0), 1)
    centre = np.where(finite, x, 0).sum(0, dtype=np.float64) / count
    spread = np.sqrt((np.where(finite, x - centre, 0.0) ** 2).sum(0) / count)
    return centre, np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)


def hidden_truth(cells: Cells, rows: Rows) -> Table:
    """``(n, ·)`` the hidden state after each judged cycle and the constants of its cell.

    For the ceiling alone; both come from the truth files, which no record refers to.
    """
    place = {cell_id: index for index, cell_id in enumerate(cells.ids)}
    bounds = rows.bounds
    out: Table | None = None
    for path in sorted((Path(cells.store.path) / "truth").glob("*.npz")):
        with np.load(path, allow_pickle=False) as truth:
            names = truth["cell_id"]
            if place.keys().isdisjoint(names.tolist()):
                continue
            until, hidden = truth["until"], truth["hidden"]
            constants = structured_to_unstructured(truth["cells"]).astype(np.float32)
        starts = np.cumsum(until) - until
        for name, start, own in zip(names, starts, constants, strict=True):
            if (index := place.get(str(name))) is None:
                continue
            chosen = slice(bounds[index], bounds[index + 1])
            states = hidden[start + rows.cycle[chosen] - 1]
            if out is None:
                out = np.zeros((len(rows), states.shape[1] + len(own)), np.float32)
            out[chosen] = np.column_stack([states, np.tile(own, (len(states), 1))])
    assert out is not None, "no truth files"
    return out
