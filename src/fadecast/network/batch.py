"""Whole records to cycle summaries, through the same module that is exported."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fadecast.cell.cycles import assign_cycles
from fadecast.cell.record import CellRecord
from fadecast.cell.samples import to_samples
from fadecast.cell.summaries import CycleSummaries
from fadecast.network.summary import Summary

CHUNK: Final = 72
"""Samples a cycle is digested by at a time: short enough for float32 sums within a chunk."""
CELLS_AT_ONCE: Final = 64


def summarise_record(record: CellRecord, dtype: torch.dtype = torch.float32) -> CycleSummaries:
    """The cycles of a record; those published as cycles are returned as they are.

    In ``torch.float64`` they are what the deployed arithmetic is judged by.
    """
    if record.summaries is not None:
        return record.summaries
    assert record.samples is not None
    cycles = assign_cycles(record.samples, record.spec.nominal_capacity_ah)
    samples = to_samples(record.samples)
    return summarise_cycles(
        samples.values, samples.observed, cycles[samples.kept], record.spec.window, dtype
    )


@torch.no_grad()
def summarise_cycles(
    values: NDArray[np.float32],
    observed: NDArray[np.float32],
    cycle_count: NDArray[np.int64],
    window: NDArray[np.float32],
    dtype: torch.dtype = torch.float32,
) -> CycleSummaries:
    """Summaries of samples ``(n, 6)`` and masks ``(n, 4)`` with a rising ``cycle_count``.

    Cycles of similar length are digested together, so padding stays small.
    """
    summary = Summary().to(dtype)
    count, starts, lengths = np.unique(cycle_count, return_index=True, return_counts=True)
    order = np.argsort(lengths, kind="stable")
    rows: list[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]] = []
    for first in range(0, len(order), CELLS_AT_ONCE):
        chosen = order[first : first + CELLS_AT_ONCE]
        windows = torch.from_numpy(np.tile(window, (len(chosen), 1))).to(dtype)
        state = summary.start(len(chosen)).to(dtype)
        for offset in range(0, int(lengths[chosen].max()), CHUNK):
            place = offset + np.arange(CHUNK)
            inside = place < lengths[chosen][:, None]
            index = np.where(inside, starts[chosen][:, None] + place, 0)
            state = summary.update(
                state,
                torch.from_numpy(values[index] * inside[..., None]).to(dtype),
                torch.from_numpy(observed[index] * inside[..., None]).to(dtype),
                windows,
            )
        rows.append((chosen, *summary.read(state)))
    out = np.zeros((len(count), rows[0][1].shape[1] if rows else 0), np.float32)
    seen = np.zeros(out.shape, bool)
    for chosen, value, mask in rows:
        out[chosen], seen[chosen] = value.numpy(), mask.numpy() > 0
    return CycleSummaries(count, out, seen)
