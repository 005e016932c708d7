"""``Fleet``: many cells streamed at once. A ``Stream`` is a fleet of one, scoring a fleet of many.

A cell's place in the fleet is its lane. What is carried of a cell is the counter that numbers its
samples and two small vectors: the summary of its open cycle and the memory of all cycles before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.cycles import CycleCounter
from fadecast.cell.design import N_DESIGN, encode_design
from fadecast.cell.record import CellSpec
from fadecast.cell.samples import Samples
from fadecast.cell.summaries import N_FIELDS, CycleSummaries
from fadecast.errors import CheckError
from fadecast.forecast.forecast import CAUSES, EDGES, HORIZONS, QUANTILES, RISKS, Forecasts
from fadecast.runtime.summarise import cut, fold

if TYPE_CHECKING:
    from fadecast.runtime.session import Session

CELLS: Final = 512
"""Cells in one call of ``forecast.onnx``."""
NONE: Final = -1
"""In place of a cycle number: no open cycle, no cycle yet."""

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Numbered samples of one lane, at least one: what ``Fleet.number`` makes of raw rows."""

    lane: int
    samples: Samples
    cycle_count: Counts


@dataclass(slots=True)
class Carried:
    """What is carried of ``n`` cells, one row each.

    Args:
        summary: ``(n, summary_state_size)`` state of the open cycle.
        values, observed: ``(n, N_FIELDS)`` summary of the open cycle so far.
        open_cycle: ``(n,)`` its number, or ``NONE``.
        memory: ``(n, forecast_state_size)`` state after the last closed cycle.
        last_cycle: ``(n,)`` its number, or ``NONE``.
        window: ``(n, 3)``; design: ``(n, N_DESIGN)``.
    """

    summary: Floats
    values: Floats
    observed: NDArray[np.bool_]
    open_cycle: Counts
    memory: Floats
    last_cycle: Counts
    window: Floats
    design: Floats

    @classmethod
    def empty(cls, n: int, session: Session) -> Carried:
        """Of ``n`` cells that have not begun."""
        floats, none = np.float32, np.full(n, NONE, np.int64)
        return cls(
            np.zeros((n, session.summary_state_size), floats), np.zeros((n, N_FIELDS), floats),
            np.zeros((n, N_FIELDS), bool), none, np.zeros((n, session.forecast_state_size), floats),
            none.copy(), np.zeros((n, 3), floats), np.zeros((n, N_DESIGN), floats),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.summary)


class Fleet:
    """Streams of many cells through one session.

    Push in any chunks, then ask for ``forecasts``; memory is a few kilobytes a cell plus what is
    waiting. The answers of a cell do not depend on which cells it travels with.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.specs: list[CellSpec] = []
        self.counters: list[CycleCounter] = []
        self.carried = Carried.empty(0, session)
        self.waiting = 0
        """Closed cycles without a forecast yet."""
        self._queue: list[tuple[Counts, Counts, Floats, NDArray[np.bool_]]] = []

    def add(self, spec: CellSpec) -> int:
        """A new cell; its lane."""
        lane = len(self.specs)
        if lane == len(self.carried):
            self._grow(max(2 * lane, 1))
        self.specs.append(spec)
        self.counters.append(CycleCounter(spec.nominal_capacity_ah))
        self.carried.window[lane], self.carried.design[lane] = spec.window, encode_design(spec)
        return lane

    def number(self, lane: int, columns: Mapping[str, NDArray[Any]]) -> Chunk | None:
        """The next raw rows of a cell as numbered samples for ``push``; None if none is usable.

        Raises:
            CheckError: as ``CycleCounter.number``; the cell is as it was before.
        """
        samples, count = self.counters[lane].number(columns)
        return Chunk(lane, samples, count) if len(samples) else None

    def push(self, chunks: Sequence[Chunk]) -> None:
        """Fold the next samples of cells into their cycles. At most one chunk a cell."""
        if not chunks:
            return
        carried = self.carried
        cuts = [cut(chunk.cycle_count) for chunk in chunks]
        sizes = [len(pieces) for pieces in cuts]
        offsets = np.cumsum([0, *(len(chunk.samples) for chunk in chunks)])
        lanes = np.array([chunk.lane for chunk in chunks])
        lane = np.repeat(lanes, sizes)
        pieces = np.concatenate(cuts) + np.repeat(offsets[:-1], sizes)[:, None]
        count = np.concatenate([chunk.cycle_count for chunk in chunks])[pieces[:, 0]]
        last = np.cumsum(sizes) - 1
        first = last + 1 - sizes

        goes_on = carried.open_cycle[lanes] == count[first]
        self._close(lanes[~goes_on])
        state = np.zeros((len(lane), self.session.summary_state_size), np.float32)
        state[first[goes_on]] = carried.summary[lanes[goes_on]]
        state, values, observed = fold(
            self.session, _joined(chunks), pieces, carried.window[lane], state
        )
        closed = np.ones(len(lane), bool)
        closed[last] = False
        self._wait(lane[closed], count[closed], values[closed], observed[closed])
        carried.summary[lanes], carried.open_cycle[lanes] = state[last], count[last]
        carried.values[lanes], carried.observed[lanes] = values[last], observed[last]

    def push_summaries(self, lane: int, summaries: CycleSummaries) -> None:
        """The next cycles of a cell, already summarised.

        Raises:
            CheckError: a cycle is open, or a count is not later than the last one.
        """
        if not len(summaries):
            return
        where = f"cell {self.specs[lane].cell_id!r}"
        if self.carried.open_cycle[lane] != NONE:
            raise CheckError(
                "a cycle of raw samples is open", where=where, fix="Close the stream first"
            )
        count = summaries.cycle_count
        if count[0] < self.counters[lane].count:
            raise CheckError(
                f"cycle {count[0]} comes after cycle {self.counters[lane].count - 1}", where=where,
                fix="Give summaries in the order of cycle_count, each once",
            )  # fmt: skip
        self.counters[lane].close(int(count[-1]))
        lanes = np.full(len(summaries), lane)
        self._wait(lanes, count, summaries.values, summaries.observed)

    def close(self) -> None:
        """End every open cycle; samples that still come belong to later ones."""
        lanes = np.flatnonzero(self.carried.open_cycle[: len(self.specs)] != NONE)
        self._close(lanes)
        for lane in lanes:
            self.counters[lane].close()

    def forecasts(self) -> tuple[Counts, Forecasts]:
        """Forecasts of the waiting cycles, ``(n,)`` lane of each; by lane, then by cycle."""
        empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, N_FIELDS), np.float32))
        queue = [*self._queue, (*empty, np.zeros((0, N_FIELDS), bool))]
        lane, count, values, observed = (np.concatenate(part) for part in zip(*queue, strict=True))
        self._queue, self.waiting = [], 0
        order = np.argsort(lane, kind="stable")
        lane, count = lane[order], count[order]
        lanes, first, cycles = np.unique(lane, return_index=True, return_counts=True)
        busiest = np.argsort(-cycles, kind="stable")
        outputs = [np.zeros((len(lane), *shape), dtype) for shape, dtype in _OUTPUTS]
        for low in range(0, len(lanes), CELLS):
            group = busiest[low : low + CELLS]
            for turn in range(int(cycles[group[0]])):
                active = group[cycles[group] > turn]  # the cells that have one more cycle
                row = first[active] + turn
                step = self._step(lanes[active], count[row], values, observed, order[row])
                for output, part in zip(outputs, step, strict=True):
                    output[row] = part
        return lane, Forecasts(count, *outputs)

    def _step(
        self, lane: Counts, count: Counts, values: Floats, observed: NDArray[np.bool_], row: Counts
    ) -> tuple[NDArray[Any], ...]:
        carried = self.carried
        since = count - carried.last_cycle[lane]
        elapsed = np.where(carried.last_cycle[lane] == NONE, np.maximum(count, 1), since)
        memory, step = self.session.forecast(
            carried.memory[lane], values[row], observed[row], carried.design[lane], elapsed[:, None]
        )
        carried.memory[lane], carried.last_cycle[lane] = memory, count
        return step

    def _close(self, lanes: Counts) -> None:
        carried = self.carried
        lanes = lanes[carried.open_cycle[lanes] != NONE]
        rows = carried.open_cycle[lanes], carried.values[lanes], carried.observed[lanes]
        self._wait(lanes, *rows)
        carried.open_cycle[lanes] = NONE

    def _wait(
        self, lanes: Counts, count: Counts, values: Floats, observed: NDArray[np.bool_]
    ) -> None:
        if len(lanes):
            self._queue.append((lanes, count, values, observed))
            self.waiting += len(lanes)

    def _grow(self, size: int) -> None:
        old, self.carried = self.carried, Carried.empty(size, self.session)
        for name in Carried.__slots__:
            getattr(self.carried, name)[: len(old)] = getattr(old, name)


_OUTPUTS: Final[tuple[tuple[tuple[int, ...], type[np.generic]], ...]] = (
    ((len(QUANTILES),), np.float32),
    ((len(RISKS), len(HORIZONS)), np.float32),
    ((len(CAUSES), len(EDGES) - 1), np.float32),
    ((), np.float32),
    ((), np.float32),
    ((), np.bool_),
)
"""Shape per row and dtype of what a ``Forecasts`` holds beside the cycle count."""


def _joined(chunks: Sequence[Chunk]) -> Samples:
    values, observed, kept = (
        np.concatenate([getattr(chunk.samples, name) for chunk in chunks])
        for name in ("values", "observed", "kept")
    )
    return Samples(values, observed, kept, float("nan"))
