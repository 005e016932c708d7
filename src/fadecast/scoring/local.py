"""Scoring on one machine: many cells at once through a fleet, in bounded memory.

Rows are read in batches; each cell's samples are folded into its open cycle, and the cycles that
closed wait until there are enough of them to step many cells in one call. So cells may come one
after the other or interleaved, over any number of files, and get the forecasts a stream would give.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.cellsfile import read_specs
from fadecast.cell.record import CellSpec
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, N_FIELDS
from fadecast.errors import CheckError, ConfigError, DataError, ReadError
from fadecast.runtime.fleet import Fleet
from fadecast.runtime.session import Session
from fadecast.scoring.tables import Batch, find_tables, open_table, read_batches
from fadecast.scoring.writer import ScoreWriter

ENOUGH: Final = 1 << 14
"""Closed cycles that are forecast together."""

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
        ConfigError: ``cells`` is missing.
        ReadError: there is no input, or no file of it can be read.
        BundleError: the bundle cannot be trusted or run.
    """
    began = time.perf_counter()
    session = bundle if isinstance(bundle, Session) else Session.load(bundle)
    paths = [Path(p) for p in ([source] if isinstance(source, str | os.PathLike) else source)]
    specs = read_specs(Path(cells)) if cells is not None else {}
    with ScoreWriter(Path(out), session) as writer:
        scorer = _Scorer(session, specs, writer)
        if len(paths) == 1 and (paths[0] / "store.json").is_file():
            done = _score_store(scorer, Store(paths[0]))
        elif cells is None:
            raise ConfigError(
                "the table of cell designs is missing", where=str(paths[0]),
                fix="Give --cells with cell_id, nominal_capacity_ah, voltage_min_v, voltage_max_v",
            )  # fmt: skip
        else:
            done = _score_tables(scorer, find_tables(paths))
        for part, total in done:
            if progress is not None:
                progress(part, total)
        scorer.finish()
    return ScoreReport(
        Path(out), session.fingerprint, scorer.scored, writer.rows, scorer.rows, scorer.dropped,
        scorer.problems, tuple(sorted(scorer.ignored)), time.perf_counter() - began,
    )  # fmt: skip


def _score_store(scorer: _Scorer, store: Store) -> Iterator[tuple[int, int]]:
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


def _score_tables(scorer: _Scorer, paths: list[Path]) -> Iterator[tuple[int, int]]:
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


class _Scorer:
    """A fleet with a name for every lane, and a reason for every cell that is left out."""

    def __init__(
        self, session: Session, specs: Mapping[str, CellSpec], writer: ScoreWriter
    ) -> None:
        self.specs = dict(specs)
        self.problems: dict[str, str] = {}
        self.ignored: set[str] = set()
        self.rows = 0
        self.unnamed = 0
        self._fleet = Fleet(session)
        self._writer = writer
        self._ids: list[str] = []
        self._lanes: dict[str, int] = {}
        self._given: list[int] = []
        self._valid: list[bool] = []

    @property
    def scored(self) -> int:
        """Cells with at least one forecast."""
        return int(np.sum(self._fleet.carried.last_cycle[: len(self._ids)] >= 0))

    @property
    def dropped(self) -> int:
        """Input rows that were not usable."""
        return sum(counter.dropped for counter in self._fleet.counters)

    def push_samples(self, batch: Batch) -> None:
        """The next samples of some cells."""
        self.rows += len(batch.cell)
        starts = np.searchsorted(batch.cell, np.arange(len(batch.cell_ids) + 1))
        chunks = []
        for row, cell_id in enumerate(batch.cell_ids):
            lane = self._lane(cell_id)
            if lane is None:
                continue
            part = slice(starts[row], starts[row + 1])
            columns = {name: values[part] for name, values in batch.columns.items()}
            if not np.isfinite(columns.get("cycle_count", np.zeros(0))).any():
                columns.pop("cycle_count", None)
            self._given[lane] += part.stop - part.start
            try:
                chunk = self._fleet.number(lane, columns)
            except CheckError as error:
                self._fail(cell_id, error.what)
                continue
            if chunk is not None:
                chunks.append(chunk)
        self._fleet.push(chunks)
        if self._fleet.waiting >= ENOUGH:
            self._write()

    def push_summary_columns(self, batch: Batch) -> None:
        """The next cycles of some cells, as columns; NaN is masked."""
        values = np.full((len(batch.cell), N_FIELDS), np.nan, np.float32)
        for column, name in enumerate(FIELDS):
            if name in batch.columns:
                values[:, column] = batch.columns[name]
        observed = np.isfinite(values)
        values[~observed] = 0.0
        count = batch.columns["cycle_count"]
        numbered = np.isfinite(count) & (count >= 0)
        for cell in np.unique(batch.cell[~numbered]):
            self._fail(batch.cell_ids[cell], "a cycle_count is missing or negative")
        count = np.where(numbered, count, 0).astype(np.int64)
        self.push_summaries(batch.cell_ids, batch.cell, count, values, observed)

    def push_summaries(
        self,
        cell_ids: Sequence[str],
        cell: NDArray[np.int64],
        count: NDArray[np.int64],
        values: NDArray[np.float32],
        observed: NDArray[np.bool_],
    ) -> None:
        """The next cycles of some cells."""
        self.rows += len(cell)
        lanes = np.array([-1 if (at := self._lane(i)) is None else at for i in cell_ids], np.int64)
        lane = lanes[cell]
        for row in np.unique(lane[self._fleet.late(lane, count) & (lane >= 0)]):
            self._fail(self._ids[row], "cycle_count does not rise from row to row")
            lane[lane == row] = -1
        known = lane >= 0
        self._fleet.push_summaries(lane[known], count[known], values[known], observed[known])
        for row, rows in zip(*np.unique(lane[known], return_counts=True), strict=True):
            self._given[row] += int(rows)
        if self._fleet.waiting >= ENOUGH:
            self._write()

    def finish(self) -> None:
        """Close what is open, and say what is doubtful."""
        self._fleet.close()
        self._write()
        if self.unnamed:
            self.problems["input"] = f"{self.unnamed} rows without a cell_id were passed over"
        elif not self.rows:
            self.problems["input"] = "there is not a single row"
        for lane, cell_id in enumerate(self._ids):
            if cell_id in self.problems:
                continue
            given, dropped = self._given[lane], self._fleet.counters[lane].dropped
            if dropped == given:
                self.problems[cell_id] = (
                    f"none of its {given} rows is usable: time, voltage and current must be "
                    "finite, in s, V and A, and time must rise"
                )
            elif dropped > given / 2:
                self.problems[cell_id] = (
                    f"{dropped} of {given} rows were not usable (not finite, out of range, or "
                    "time that does not rise)"
                )
            elif not self._fleet.carried.discharged[lane]:
                self.problems[cell_id] = (
                    "no cycle holds a discharge: is the current signed, charge positive?"
                )
            elif not self._valid[lane]:
                self.problems[cell_id] = "no cycle moved enough charge to say something"

    def _write(self) -> None:
        lane, forecasts = self._fleet.forecasts()
        self._writer.write(self._ids, lane, forecasts)
        for row in np.unique(lane[forecasts.valid]):
            self._valid[row] = True

    def _lane(self, cell_id: str) -> int | None:
        """The cell's lane, None if it is left out."""
        if cell_id in self.problems:
            return None
        if cell_id not in self._lanes:
            if cell_id not in self.specs:
                self.problems[cell_id] = "not in the table of cell designs"
                return None
            self._lanes[cell_id] = self._fleet.add(self.specs[cell_id])
            self._ids.append(cell_id)
            self._given.append(0)
            self._valid.append(False)
        return self._lanes[cell_id]

    def _fail(self, cell_id: str, reason: str) -> None:
        self.problems[cell_id] = f"{reason}; left out from there on"
