"""Samples to cycle summaries through ``summarize.onnx``, many pieces of cycles at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.cycles import CycleCounter
from fadecast.cell.record import CellSpec
from fadecast.cell.samples import Samples
from fadecast.cell.summaries import N_FIELDS, CycleSummaries

if TYPE_CHECKING:
    from fadecast.runtime.session import Session

PIECES: Final = 64
"""Pieces in one call."""
LONGEST: Final = 128
"""Samples of a piece in one call; a longer piece is folded through the state. What forecasts
magnify most is summed up in double precision; curves and sensors are off by up to 1e-6 at 256
samples a call, by half of that at 64 or 128, and 256 would be a fifth faster."""

Floats = NDArray[np.float32]


def cut(cycle_count: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(n_pieces, 2)`` first sample and end of each run of equal counts."""
    edges = np.flatnonzero(np.diff(cycle_count)) + 1
    ends = np.concatenate([edges, [len(cycle_count)]])
    return np.stack([np.concatenate([[0], edges]), ends], 1)[: len(cycle_count)]


def fold(
    session: Session, samples: Samples, pieces: NDArray[np.int64], window: Floats, state: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Fold each piece of ``samples`` into its own state.

    Pieces of similar length run together, in calls of at most ``PIECES × LONGEST`` samples.

    Args:
        session: an open bundle.
        samples: of any number of cells, one after the other.
        pieces: ``(n, 2)`` first sample and end of each piece, not empty.
        window: ``(n, 3)`` of each piece's cell.
        state: ``(n, summary_state_size)`` to start from.

    Returns:
        ``(n, summary_state_size)`` states, ``(n, N_FIELDS)`` values and observed.
    """
    length = pieces[:, 1] - pieces[:, 0]
    order = np.argsort(length, kind="stable")
    states = np.empty_like(state)
    values = np.zeros((len(pieces), N_FIELDS), np.float32)
    seen = np.zeros((len(pieces), N_FIELDS), bool)
    for low in range(0, len(order), PIECES):
        rows = order[low : low + PIECES]
        begin, end = pieces[rows, :1], pieces[rows, 1:]
        now, scale, longest = state[rows], window[rows], int(length[rows[-1]])
        for first in range(0, longest, LONGEST):
            index = begin + np.arange(first, min(first + LONGEST, longest))
            present = index < end
            index, there = np.where(present, index, 0), present[:, :, None]
            now, read, observed = session.summarize(
                now, samples.values[index] * there, samples.observed[index] * there, scale
            )
        states[rows], values[rows], seen[rows] = now, read, observed > 0.5
    return states, values, seen


def summarise_samples(
    session: Session, columns: Mapping[str, NDArray[Any]], spec: CellSpec
) -> CycleSummaries:
    """The cycle summaries of a whole record, its last (perhaps unfinished) cycle included.

    Args:
        session: an open bundle.
        columns: time-series columns by name, each ``(n,)``.
        spec: the cell's design.

    Raises:
        CheckError: the columns break a rule of ``to_samples``.
    """
    samples, count = CycleCounter(spec.nominal_capacity_ah).number(columns)
    if not len(samples):
        return CycleSummaries.from_fields([], {})
    pieces = cut(count)
    window = np.tile(spec.window, (len(pieces), 1))
    start = np.zeros((len(pieces), session.summary_state_size), np.float32)
    _, values, observed = fold(session, samples, pieces, window, start)
    return CycleSummaries(count[pieces[:, 0]], values, observed)
