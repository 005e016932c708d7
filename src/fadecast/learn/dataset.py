"""Cells as sequences of cycles with their life: what models are fitted to and judged by."""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fadecast.cell import cycles, samples
from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.life import EndOfLife, Life, find_life
from fadecast.cell.record import CellMetadata, CellSpec
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, CycleSummaries
from fadecast.errors import CheckError, TrainingError
from fadecast.learn.truth import Truth, read_truth
from fadecast.network import arithmetic, batch, summary
from fadecast.network.batch import summarise_record


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


def load_sequences(
    store: Store, end_of_life: EndOfLife, sources: Sequence[str] | None = None
) -> list[CellSequence]:
    """Every cell of ``store`` (of the given ``sources``) that has at least one cycle, by id.

    Time series are summarised once and kept in ``STORE/cache`` under a name made of their content
    and of the arithmetic, so neither changed data nor changed code can meet an old summary.

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
    out = []
    for m in wanted:
        summaries = _summaries(store, m.spec.cell_id)
        if len(summaries):
            out.append(CellSequence(m, summaries, find_life(summaries, m, end_of_life)))
    if not out:
        raise TrainingError("no cells with a cycle", where=str(store.path), fix="Ingest some first")
    truth = read_truth(store.path, {s.cell_id: s.summaries.cycle_count for s in out})
    return [replace(s, truth=truth.get(s.cell_id)) for s in out]


def data_digest(sequences: Iterable[CellSequence]) -> str:
    """SHA-256 over cells, cycles, values, lives and truth, independent of order."""
    total = hashlib.sha256()
    for s in sorted(sequences, key=lambda s: s.cell_id):
        total.update(f"{s.cell_id} {s.life}\n".encode())
        truth = () if s.truth is None else (s.truth,)
        for array in (s.summaries.cycle_count, s.summaries.values, s.summaries.observed, *truth):
            total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return total.hexdigest()


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
    modules = (samples, cycles, arithmetic, summary, batch)
    code = "".join(inspect.getsource(module) for module in modules) + "\n".join(FIELDS)
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
