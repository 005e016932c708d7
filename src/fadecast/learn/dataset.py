"""Cells as sequences of cycles with their life: what models are fitted to and judged by."""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, overload
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from fadecast.cell import columns, cycles, faults, samples
from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.life import EndOfLife, Life, find_life
from fadecast.cell.record import CellMetadata, CellSpec
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, CycleSummaries
from fadecast.errors import CheckError, TrainingError
from fadecast.learn.truth import Truth, read_truth
from fadecast.network import arithmetic, batch, reading, summary
from fadecast.network.batch import summarise_record

_SUMMARISERS: Final = (columns, faults, samples, cycles, arithmetic, reading, summary, batch)
"""All that makes summaries of samples: the cache follows it."""

MEMORY: Final = 4_000_000_000
"""Bytes of cycles that are kept of the cells of a store."""


@dataclass(frozen=True, slots=True)
class CellSequence:
    """One cell: what is declared of it, its cycles, and when it failed or was last seen alive.

    ``truth`` are its hidden states after each cycle, if a simulator knows them: for labels and for
    judging only, never an input.
    """

    metadata: CellMetadata
    summaries: CycleSummaries
    life: Life
    truth: Truth | None = None

    @property
    def cell_id(self) -> str:
        """The cell's name."""
        return self.metadata.spec.cell_id

    @property
    def spec(self) -> CellSpec:
        """The declared design."""
        return self.metadata.spec

    def elapsed(self) -> NDArray[np.float32]:
        """``(n,)`` cycles since the previous row; the first row's own count, at least 1."""
        return elapsed_cycles(self.summaries.cycle_count)

    def alive(self) -> CellSequence:
        """The cycles before the failure: a forecast after it has nothing left to foresee."""
        return self.until(self.life.after)

    def until(self, cycle: float) -> CellSequence:
        """The cycles up to and with ``cycle``; the life stays what it is."""
        rows = self.summaries.cycle_count <= cycle
        truth = None if self.truth is None else self.truth[rows]
        return CellSequence(self.metadata, self.summaries[rows], self.life, truth)


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a cell without looking at its cycles.

    ``cycles`` are all of its rows, ``alive`` those before its failure, ``digest`` is the SHA-256 of
    its life, its cycles and its truth.
    """

    metadata: CellMetadata
    life: Life
    cycles: int
    alive: int
    digest: str

    @property
    def cell_id(self) -> str:
        """The cell's name."""
        return self.metadata.spec.cell_id


class Cells(Sequence[CellSequence]):
    """Cells, each read when it is looked at: a population may exceed memory.

    Args:
        heads: of the cells, in their order.
        read: the cell of a head.
    """

    def __init__(self, heads: Sequence[Head], read: Callable[[Head], CellSequence]) -> None:
        self.heads, self._read = tuple(heads), read

    @classmethod
    def of(cls, sequences: Sequence[CellSequence]) -> Cells:
        """Cells that are in memory; ``Cells`` are returned as they are."""
        if isinstance(sequences, Cells):
            return sequences
        heads = [_head(s) for s in sequences]
        by_id = {s.cell_id: s for s in sequences}
        return cls(heads, lambda head: by_id[head.cell_id])

    def __len__(self) -> int:
        return len(self.heads)

    @overload
    def __getitem__(self, index: int) -> CellSequence: ...
    @overload
    def __getitem__(self, index: slice) -> Cells: ...
    def __getitem__(self, index: int | slice) -> CellSequence | Cells:
        if isinstance(index, slice):
            return Cells(self.heads[index], self._read)
        return self._read(self.heads[index])

    def where(self, keep: Callable[[Head], bool]) -> Cells:
        """Those whose head passes."""
        return Cells([head for head in self.heads if keep(head)], self._read)

    def by_source(self) -> dict[str, Cells]:
        """By the name of their source."""
        heads: dict[str, list[Head]] = {}
        for head in self.heads:
            heads.setdefault(head.metadata.source, []).append(head)
        return {source: Cells(own, self._read) for source, own in heads.items()}

    def sorted(self, key: Callable[[Head], int]) -> Cells:
        """In the order of ``key``."""
        return Cells(sorted(self.heads, key=key), self._read)


def load_sequences(
    store: Store,
    end_of_life: EndOfLife,
    sources: Sequence[str] | None = None,
    *,
    progress: bool = False,
) -> Cells:
    """Every cell of ``store`` (of the given ``sources``) that has at least one cycle, by id.

    Time series are summarised once and kept in ``STORE/cache`` under a name made of their content
    and of the arithmetic, so neither changed data nor changed code can meet an old summary. Cells
    stay in memory up to ``MEMORY`` bytes; those beyond are read again whenever they are looked at.

    Raises:
        TrainingError: a source is not in the store, no cell is left, or the truth is damaged.
    """
    metadata = [store.metadata(cell_id) for cell_id in store.cell_ids()]
    missing = sorted(set(sources or ()) - {m.source for m in metadata})
    if missing:
        raise TrainingError(
            f"no cells of {', '.join(missing)}", where=str(store.path),
            fix=f"The store holds {', '.join(sorted({m.source for m in metadata})) or 'none'}",
        )  # fmt: skip
    wanted = [m for m in metadata if sources is None or m.source in sources]
    cells = read_cells(store, end_of_life, wanted, progress=progress)
    if not cells:
        raise TrainingError("no cells with a cycle", where=str(store.path), fix="Ingest some first")
    return cells


def read_cells(
    store: Store, end_of_life: EndOfLife, wanted: Sequence[CellMetadata], *, progress: bool = False
) -> Cells:
    """Those of the ``wanted`` cells of ``store`` that have a cycle; as ``load_sequences``.

    Raises:
        TrainingError: the truth is damaged.
    """
    reader, heads, cycles = _Reader(store), [], {}
    for m in track(wanted, "reading cells", disable=not progress, transient=True):
        summaries = reader.summaries(m.spec.cell_id)
        if len(summaries):
            life = find_life(summaries, m, end_of_life)
            heads.append(_head(CellSequence(m, summaries, life)))
            cycles[m.spec.cell_id] = summaries.cycle_count
    reader.truth = read_truth(store.path, cycles)
    return Cells([_told(head, reader.truth.get(head.cell_id)) for head in heads], reader)


def data_digest(sequences: Sequence[CellSequence]) -> str:
    """SHA-256 over cells, cycles, values, lives and truth, independent of order."""
    total = hashlib.sha256()
    for head in sorted(Cells.of(sequences).heads, key=lambda head: head.cell_id):
        total.update(f"{head.cell_id} {head.digest}\n".encode())
    return total.hexdigest()


class _Reader:
    """Reads the cell of a head; keeps it while there is room."""

    def __init__(self, store: Store) -> None:
        self.store, self.room = store, MEMORY
        self.truth: dict[str, Truth] = {}
        self._kept: dict[str, CycleSummaries] = {}

    def __call__(self, head: Head) -> CellSequence:
        summaries = self.summaries(head.cell_id)
        return CellSequence(head.metadata, summaries, head.life, self.truth.get(head.cell_id))

    def summaries(self, cell_id: str) -> CycleSummaries:
        found = self._kept.get(cell_id)
        if found is None:
            found = _summaries(self.store, cell_id)
            size = found.values.nbytes + found.observed.nbytes
            if size <= self.room:
                self.room -= size
                self._kept[cell_id] = found
        return found


def _head(s: CellSequence) -> Head:
    total = hashlib.sha256(f"{s.cell_id} {s.life}\n".encode())
    for array in (s.summaries.cycle_count, s.summaries.values, s.summaries.observed):
        total.update(np.ascontiguousarray(array).view(np.uint8).data)
    alive = int((s.summaries.cycle_count <= s.life.after).sum())
    head = Head(s.metadata, s.life, len(s.summaries), alive, total.hexdigest())
    return _told(head, s.truth)


def _told(head: Head, truth: Truth | None) -> Head:
    """With the truth in the digest."""
    if truth is None:
        return head
    content = head.digest.encode() + np.ascontiguousarray(truth).tobytes()
    return replace(head, digest=hashlib.sha256(content).hexdigest())


def _summaries(store: Store, cell_id: str) -> CycleSummaries:
    kept = store.path / "cache" / f"{_key(store, cell_id)}.npz"
    found = _load(kept)
    if found is not None:
        return found
    record = store.read(cell_id)
    if record.summaries is not None:
        return record.summaries
    summaries = summarise_record(record)
    _save(kept, summaries)
    return summaries


def _key(store: Store, cell_id: str) -> str:
    code = "".join(map(inspect.getsource, _SUMMARISERS)) + "\n".join(FIELDS)
    made_by = hashlib.sha256(code.encode()).hexdigest()
    return hashlib.sha256(f"{store.cell_digest(cell_id)} {made_by}".encode()).hexdigest()


def _load(path: Path) -> CycleSummaries | None:
    """``None`` where there is no sound file: it is then made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return CycleSummaries(data["cycle_count"], data["values"], data["observed"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, CheckError):
        return None


def _save(path: Path, summaries: CycleSummaries) -> None:
    path.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".npz", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(
            file, cycle_count=summaries.cycle_count,
            values=summaries.values, observed=summaries.observed,
        )  # fmt: skip
    Path(name).replace(path)
