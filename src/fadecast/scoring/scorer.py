"""``Scorer``: rows of many cells → their forecasts, with a reason for each cell left out.

Each cell's samples are folded into its open cycle, and the cycles that closed wait until there are
enough of them to step many cells in one call. So cells may come one after the other or interleaved,
over any number of files, and get the forecasts a stream would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.record import CellSpec
from fadecast.cell.rules import MUCH_CHARGE
from fadecast.cell.summaries import FIELDS, N_FIELDS
from fadecast.errors import CheckError
from fadecast.runtime.fleet import Fleet
from fadecast.runtime.session import Session
from fadecast.scoring.tables import Batch
from fadecast.scoring.writer import ScoreWriter

ENOUGH: Final = 1 << 14
"""Closed cycles that are forecast together."""
LEAST_DISCHARGE: Final = 0.01
"""Discharge of a cycle, in nominal capacities, from which it counts as one."""


class Scorer:
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
            counts = columns.get("cycle_count", np.zeros(0))
            if not (np.isfinite(counts).any() or self._fleet.counters[lane].recorded):
                columns.pop("cycle_count", None)  # null throughout is as good as absent
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
        known = COLUMNS["cycle_count"]
        numbered = (count >= known.low) & (count <= known.high)  # False for NaN
        for cell in np.unique(batch.cell[~numbered]):
            self._fail(batch.cell_ids[cell], "a cycle_count is missing or out of range")
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
        elif not self.rows and not self.problems:
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
                    f"{dropped} of {given} rows were not usable (not finite, out of range of s, V "
                    "and A, or time that does not rise, or leaps)"
                )
            elif went_back := self._fleet.counters[lane].went_back:
                self.problems[cell_id] = (
                    f"cycle_count goes back; {went_back} samples were taken into the highest cycle "
                    "so far: number the cycles on"
                )
            elif (drawn := self._fleet.carried.discharged[lane]) > MUCH_CHARGE:
                self.problems[cell_id] = (
                    f"a cycle discharges {drawn:.3g} nominal capacities: are current in A, time in "
                    "s and nominal_capacity_ah in Ah, and is cycle_count right?"
                )
            elif not drawn > LEAST_DISCHARGE:
                self.problems[cell_id] = (
                    "no cycle holds a discharge: is the current signed, charge positive, in A, and "
                    "time in s?"
                )
            elif self._fleet.carried.lossy[lane] < 0:
                self.problems[cell_id] = (
                    "it charges at a lower voltage than it discharges at: is the sign of the "
                    "current swapped? Charge must be positive"
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
