"""What the scikit-learn baselines look at: each row depends on its cycle and earlier ones only."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.design import encode_design
from fadecast.cell.record import CellSpec
from fadecast.cell.summaries import BINS, DIRECTIONS, FIELDS, INDEX
from fadecast.learn.dataset import CellSequence

EARLY_CYCLES: Final = (10, 100)
"""The two cycles whose difference of discharge curves foretells life (Severson et al. 2019)."""

_CURVES: Final = [
    [INDEX[f"capacity.{direction}.{node:02d}"] for node in range(BINS)] for direction in DIRECTIONS
]
_COLUMNS: Final = sorted(
    {column for curve in _CURVES for column in curve}
    | {INDEX[name] for name in FIELDS if "charge." not in name}
)
_PRESSURE: Final = _COLUMNS.index(INDEX["pressure.highest"])
_MEDIAN: Final = 5
_REFERENCE: Final = 10
_WINDOWS: Final = (20, 100)


def discharge_difference(sequence: CellSequence) -> NDArray[np.float64] | None:
    """``(BINS,)`` ΔQ(V) = Q100(V) − Q10(V) from the highest voltage down, in nominal capacities.

    Q(V) is what was discharged above V. ``None`` where either cycle has no discharge curve.
    """
    curves = []
    for cycle in EARLY_CYCLES:
        row = np.flatnonzero(sequence.summaries.cycle_count == cycle)
        columns = _CURVES[DIRECTIONS.index("discharge")][::-1]
        if not len(row) or not sequence.summaries.observed[row[0], columns].any():
            return None
        curves.append(sequence.summaries.values[row[0], columns].astype(np.float64).cumsum())
    return np.asarray(curves[1] - curves[0])


def cycle_features(sequence: CellSequence) -> NDArray[np.float32]:
    """``(n_cycles, n_features)`` of every cycle with its history; NaN where nothing was observed.

    Each charge curve and scalar enters as the median of its last five values (single outliers are
    common in recorded cycles), as its change since the cell's first ten cycles, and as its slope
    over the last 20 and 100; then the share of the permitted stack pressure that the cycle reached,
    the cycle count and the declared design.
    """
    s = sequence.summaries
    raw = np.where(s.observed, s.values, np.nan)[:, _COLUMNS].astype(np.float32)
    x = _running_median(_forward_fill(raw))
    row = np.arange(len(s))
    total = np.nancumsum(x[:_REFERENCE], axis=0)
    seen = np.cumsum(np.isfinite(x[:_REFERENCE]), axis=0)
    mean = np.divide(total, seen, out=np.full_like(total, np.nan), where=seen > 0)
    parts = [x, x - mean[np.minimum(row, _REFERENCE - 1)]]
    for window in _WINDOWS:
        start = np.maximum(row - window, 0)
        cycles = np.maximum(s.cycle_count - s.cycle_count[start], 1)[:, None]
        parts.append((x - x[start]) / cycles)
    design = np.tile(encode_design(sequence.spec), (len(s), 1))
    used = share_of_limit(x[:, _PRESSURE], sequence.spec)
    return np.column_stack([*parts, used, np.log1p(s.cycle_count), design]).astype(np.float32)


def share_of_limit(highest: NDArray[np.float32], spec: CellSpec) -> NDArray[np.float32]:
    """``(n,)`` stack pressures in MPa over the permitted one; NaN where it is unknown."""
    return np.asarray(highest * 1e6 / (spec.pressure_limit_pa or np.nan), np.float32)


def observed_soh(sequence: CellSequence) -> NDArray[np.float32]:
    """``(n_cycles,)`` the last discharge capacity that was observed, over the nominal one."""
    return _forward_fill(sequence.summaries.field("discharge_throughput")[:, None])[:, 0]


def _forward_fill(x: NDArray[np.float32]) -> NDArray[np.float32]:
    last = np.where(np.isfinite(x), np.arange(len(x))[:, None], 0)
    return np.take_along_axis(x, np.maximum.accumulate(last, axis=0), axis=0)


def _running_median(x: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.concatenate([np.repeat(x[:1], _MEDIAN - 1, axis=0), x])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN, axis=0)
    return np.asarray(np.median(windows, axis=-1), np.float32)
