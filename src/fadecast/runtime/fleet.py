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
from fadecast.cell.samples import BEGIN, Samples
from fadecast.cell.summaries import INDEX, N_FIELDS
from fadecast.errors import CheckError
from fadecast.forecast.forecast import (
    CAUSES,
    EDGES,
    HORIZONS,
    QUANTILES,
    RISKS,
    VIRTUAL_SENSORS,
    Forecasts,
)
from fadecast.runtime.summarise import cut, fold

if TYPE_CHECKING:
    from fadecast.runtime.session import Session

CELLS: Final = 512
"""Cells in one call of ``forecast.onnx``."""
NONE: Final = -1
"""In place of a cycle number: no open cycle, no cycle yet."""

CLOSED: Final = 0.1
"""Largest difference of charge and discharge, as a share, at which their voltages compare."""

_DISCHARGE: Final = INDEX["discharge_throughput"]
_EFFICIENCIES: Final = INDEX["energy_efficiency"], INDEX["coulombic_efficiency"]

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
        memory: ``(n, forecast_state_size)`` state after the last forecast.
        last_cycle: ``(n,)`` number of the last closed cycle, or ``NONE``.
        discharged: ``(n,)`` largest discharge of a closed cycle, in nominal capacities.
        lossy: ``(n,)`` closed cycles that charged at a higher mean voltage than they discharged at,
            less those that did not: below 0, charge and discharge are mistaken for each other.
        window: ``(n, 3)``; design: ``(n, N_DESIGN)``.
    """

    summary: Floats
    values: Floats
    observed: NDArray[np.bool_]
    open_cycle: Counts
    memory: Floats
    last_cycle: Counts
    discharged: Floats
    lossy: Counts
    window: Floats
    design: Floats

    @classmethod
    def empty(cls, n: int, session: Session) -> Carried:
        """Of ``n`` cells that have not begun."""
        floats, none = np.float32, np.full(n, NONE, np.int64)
        return cls(
            np.zeros((n, session.summary_state_size), floats), np.zeros((n, N_FIELDS), floats),
            np.zeros((n, N_FIELDS), bool), none, np.zeros((n, session.forecast_state_size), floats),
            none.copy(), np.zeros(n, floats), np.zeros(n, np.int64), np.zeros((n, 3), floats),
            np.zeros((n, N_DESIGN), floats),
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
        self._queue: list[tuple[Counts, Counts, Floats, NDArray[np.bool_], Floats]] = []

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

    def push_summaries(
        self, lane: Counts, cycle_count: Counts, values: Floats, observed: NDArray[np.bool_]
    ) -> None:
        """The next cycles of cells, already summarised.

        Args:
            lane: ``(n,)``, the rows of a cell together.
            cycle_count: ``(n,)`` increasing within a cell.
            values, observed: ``(n, N_FIELDS)``.

        Raises:
            CheckError: a cycle of raw samples is open, or ``late`` finds something.
        """
        wrong = self.late(lane, cycle_count)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise CheckError(
                f"cycle {cycle_count[row]} does not come after the one before it",
                where=f"cell {self.specs[lane[row]].cell_id!r}",
                fix="Give summaries in the order of cycle_count, each once",
            )
        is_open = self.carried.open_cycle[lane] != NONE
        if is_open.any():
            raise CheckError(
                "a cycle of raw samples is open",
                where=f"cell {self.specs[lane[np.argmax(is_open)]].cell_id!r}",
                fix="Close the stream before you push summaries",
            )
        self._wait(lane, cycle_count, values, observed)
        for one in np.unique(lane):
            self.counters[one].close(int(self.carried.last_cycle[one]))

    def late(self, lane: Counts, cycle_count: Counts) -> NDArray[np.bool_]:
        """``(n,)`` which summaries do not come after the one before them in their cell."""
        return cycle_count <= self._before(lane, cycle_count)

    def _before(self, lane: Counts, cycle_count: Counts) -> Counts:
        """``(n,)`` number of the cycle before each, or ``NONE``."""
        before = np.roll(cycle_count, 1)
        first = np.diff(lane, prepend=NONE) != 0
        before[first] = self.carried.last_cycle[lane[first]]
        return before

    def close(self) -> None:
        """End every open cycle; samples that still come belong to later ones."""
        lanes = np.flatnonzero(self.carried.open_cycle[: len(self.specs)] != NONE)
        self._close(lanes)
        for lane in lanes:
            self.counters[lane].close()

    def forecasts(self) -> tuple[Counts, Forecasts]:
        """Forecasts of the waiting cycles, ``(n,)`` lane of each; by lane, then by cycle."""
        none = np.zeros(0, np.int64)
        start = (none, none, np.zeros((0, N_FIELDS), np.float32), np.zeros((0, N_FIELDS), bool))
        rows = zip((*start, np.zeros((0, 1), np.float32)), *self._queue, strict=True)
        lane, count, values, observed, elapsed = (np.concatenate(part) for part in rows)
        self._queue, self.waiting = [], 0
        order = np.argsort(lane, kind="stable")
        lane, count = lane[order], count[order]
        lanes, first, cycles = np.unique(lane, return_index=True, return_counts=True)
        busiest = np.argsort(-cycles, kind="stable")
        outputs = [np.zeros((len(lane), *shape), dtype) for shape, dtype in _OUTPUTS]
        memory, design = self.carried.memory, self.carried.design
        for low in range(0, len(lanes), CELLS):
            group = busiest[low : low + CELLS]
            for turn in range(int(cycles[group[0]])):
                active = group[cycles[group] > turn]  # the cells that have one more cycle
                cell, row = lanes[active], first[active] + turn
                given = order[row]
                memory[cell], step = self.session.forecast(
                    memory[cell], values[given], observed[given], design[cell], elapsed[given]
                )
                for output, part in zip(outputs, step, strict=True):
                    output[row] = part
        return lane, Forecasts(count, *outputs)

    def _close(self, lanes: Counts) -> None:
        carried = self.carried
        lanes = lanes[carried.open_cycle[lanes] != NONE]
        rows = carried.open_cycle[lanes], carried.values[lanes], carried.observed[lanes]
        self._wait(lanes, *rows)
        carried.open_cycle[lanes] = NONE

    def _wait(
        self, lanes: Counts, count: Counts, values: Floats, observed: NDArray[np.bool_]
    ) -> None:
        if not len(lanes):
            return
        before = self._before(lanes, count)
        elapsed = np.where(before == NONE, np.maximum(count, 1), count - before)
        self._queue.append((lanes, count, values, observed, elapsed[:, None].astype(np.float32)))
        self.waiting += len(lanes)
        self.carried.last_cycle[lanes] = count  # the rows of a cell rise: the last one stays
        drawn = values[:, _DISCHARGE] * observed[:, _DISCHARGE]
        np.maximum.at(self.carried.discharged, lanes, drawn)
        np.add.at(self.carried.lossy, lanes, _lossy(values, observed))

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
    ((len(VIRTUAL_SENSORS),), np.float32),
    ((len(VIRTUAL_SENSORS),), np.float32),
)
"""Shape per row and dtype of what a ``Forecasts`` holds beside the cycle count."""


def _lossy(values: Floats, observed: NDArray[np.bool_]) -> Counts:
    """``(n,)`` 1 where a cycle charged at a higher mean voltage than it discharged at, −1 where at
    a lower one; 0 where it did not charge about as much as it discharged."""
    energy, charge = (values[:, column] * observed[:, column] for column in _EFFICIENCIES)
    comparable = (np.abs(charge - 1) < CLOSED) & (energy > 0)
    return np.where(comparable, np.sign(charge - energy), 0).astype(np.int64)


def _joined(chunks: Sequence[Chunk]) -> Samples:
    values, observed, kept = (
        np.concatenate([getattr(chunk.samples, name) for chunk in chunks])
        for name in ("values", "observed", "kept")
    )
    return Samples(values, observed, kept, BEGIN)
