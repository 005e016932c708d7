"""Scoring on one machine: a store or Parquet tables in, one score table out, memory bounded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fadecast.cell.cellsfile import read_specs
from fadecast.cell.store import Store
from fadecast.errors import ConfigError, DataError, ReadError
from fadecast.runtime.session import Session
from fadecast.scoring.scorer import Scorer
from fadecast.scoring.tables import Batch, find_tables, open_table, read_batches
from fadecast.scoring.writer import ScoreWriter

PathLike = str | os.PathLike[str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What was scored, and what was not.

    Args:
        out: the score table.
        fingerprint: of the bundle.
        cells: cells with at least one row in the table.
        cycles: rows of the table.
        rows: rows of the input.
        dropped: input rows that were not usable.
        problems: reason by cell or file that was left out, or of which something is doubtful.
        ignored: columns of the input that nothing was made of.
        seconds: how long it took.
    """

    out: Path
    fingerprint: str
    cells: int
    cycles: int
    rows: int
    dropped: int
    problems: Mapping[str, str]
    ignored: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every cell and every file went through."""
        return not self.problems


def score(
    source: PathLike | Sequence[PathLike],
    cells: PathLike | None,
    bundle: PathLike | Session,
    out: PathLike,
    *,
    progress: Progress | None = None,
) -> ScoreReport:
    """Forecasts after every cycle of every cell, as one Parquet file.

    Args:
        source: a store; or Parquet files or folders of them, of samples (``cell_id`` and Battery
            Data Format columns, time-ordered within a cell) or of cycle summaries (``cell_id``,
            ``cycle_count`` and ``summaries.FIELDS``; absent or null is masked).
        cells: table of cell designs (``cellsfile.read_specs``); a store carries its own.
        bundle: a bundle's folder, or an open session.
        out: the Parquet file; its rows are in cycle order within a cell.
        progress: called with the input rows (of a store: cells) done and their total.

    Raises:
        ConfigError: ``cells`` is missing, or ``out`` is a folder.
        ReadError: there is no input, or no file of it can be read.
        BundleError: the bundle cannot be trusted or run.
    """
    began = time.perf_counter()
    session = bundle if isinstance(bundle, Session) else Session.load(bundle)
    paths = [Path(p) for p in ([source] if isinstance(source, str | os.PathLike) else source)]
    specs = read_specs(Path(cells)) if cells is not None else {}
    with ScoreWriter(Path(out), session) as writer:
        scorer = Scorer(session, specs, writer)
        if len(paths) == 1 and (paths[0] / "store.json").is_file():
            done = _score_store(scorer, Store(paths[0]))
        else:
            tables = find_tables(paths)
            if cells is None:
                raise ConfigError(
                    "the table of cell designs is missing", where=str(paths[0]),
                    fix="Give --cells with cell_id, nominal_capacity_ah, voltage_min_v, "
                    "voltage_max_v",
                )  # fmt: skip
            done = _score_tables(scorer, tables)
        for part, total in done:
            if progress is not None:
                progress(part, total)
        scorer.finish()
    return ScoreReport(
        Path(out), session.fingerprint, scorer.scored, writer.rows, scorer.rows, scorer.dropped,
        scorer.problems, tuple(sorted(scorer.ignored)), time.perf_counter() - began,
    )  # fmt: skip


def _score_store(scorer: Scorer, store: Store) -> Iterator[tuple[int, int]]:
    ids = store.cell_ids()
    for done, cell_id in enumerate(ids):
        yield done, len(ids)
        try:
            record = store.read(cell_id)
        except DataError as error:
            scorer.problems[cell_id] = str(error)
            continue
        scorer.specs.setdefault(cell_id, record.spec)
        if record.summaries is None:
            assert record.samples is not None
            rows = len(record.samples["test_time_second"])
            scorer.push_samples(Batch([cell_id], np.zeros(rows, np.int64), {**record.samples}))
        else:
            cell = np.zeros(len(record.summaries), np.int64)
            s = record.summaries
            scorer.push_summaries([cell_id], cell, s.cycle_count, s.values, s.observed)
    yield len(ids), len(ids)


def _score_tables(scorer: Scorer, paths: list[Path]) -> Iterator[tuple[int, int]]:
    tables = []
    for path in paths:
        try:
            tables.append(open_table(path))
        except ReadError as error:
            scorer.problems[str(path)] = str(error)
    if not tables:
        raise ReadError("; ".join(scorer.problems.values()))
    if len({table.samples for table in tables}) > 1:
        summaries = next(table.path for table in tables if not table.samples)
        raise ReadError(
            "some files hold samples and others cycle summaries", where=str(summaries),
            fix="Score them apart",
        )  # fmt: skip
    total, done = sum(table.rows for table in tables), 0
    for table in tables:
        scorer.ignored.update(table.ignored)
        try:
            for batch in read_batches(table):
                if table.samples:
                    scorer.push_samples(batch)
                else:
                    scorer.push_summary_columns(batch)
                scorer.unnamed += batch.unnamed
                done += len(batch.cell) + batch.unnamed
                yield done, total
        except ReadError as error:
            scorer.problems[str(table.path)] = str(error)
