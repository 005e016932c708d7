"""Alarms: how long before a pressure-related failure one comes, at a bounded rate of false ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.life import PRESSURE_CAUSES
from fadecast.forecast.forecast import HORIZONS, RISKS, Forecasts
from fadecast.learn.dataset import CellSequence

RATE: Final = 1 / 5000
"""False alarms per cell-cycle."""
LEAD: Final = 20
"""Cycles before the failure by which an alarm must have come."""
FAR: Final = 200
"""An alarm longer than this before the failure is a false one."""
_THRESHOLDS: Final = np.geomspace(1e-3, 0.99, 60)


def lead_times(
    forecasts: Mapping[str, Forecasts], cells: Sequence[CellSequence]
) -> dict[str, float]:
    """Shares of failures announced in time, by cause, at the lowest threshold that is quiet enough.

    An alarm begins where the risk within 50 cycles rises above the threshold. It is false where no
    pressure-related failure follows within ``FAR`` cycles.
    """
    risks = [_risk(forecasts[cell.cell_id], cell) for cell in cells]
    watched = sum(map(len, risks))
    curve = []
    for threshold in _THRESHOLDS:
        false, told = 0, {cause: [0, 0] for cause in PRESSURE_CAUSES}
        for cell, risk in zip(cells, risks, strict=True):
            cycles = cell.summaries.cycle_count[: len(risk)][_onsets(risk, threshold)]
            life = cell.life
            left = life.cycle - cycles
            concerned = life.failed and life.cause in PRESSURE_CAUSES
            false += int((left > FAR).sum()) if concerned else len(cycles)
            if concerned and life.cycle > LEAD:
                assert life.cause is not None
                told[life.cause][1] += 1
                told[life.cause][0] += bool(((left >= LEAD) & (left <= FAR)).any())
        curve.append((threshold, false / watched, told))
    quiet = [point for point in curve if point[1] <= RATE]
    if not quiet:
        return {}
    threshold, rate, told = quiet[0]
    print(f"\nAlarms at risk {threshold:.3f}: {rate * 1e4:.2f} false in 10,000 cell-cycles")
    figures = {"lead.threshold": float(threshold), "lead.false_per_cycle": float(rate)}
    for cause, (early, all_) in told.items():
        if all_:
            print(f"  {cause}: {early} of {all_} announced {LEAD} or more cycles before")
            figures[f"lead.{cause}"] = early / all_
    return figures


def _risk(forecast: Forecasts, cell: CellSequence) -> NDArray[np.float64]:
    """Risk of a pressure-related failure within 50 cycles, at every cycle known alive."""
    alive = forecast.cycle_count <= cell.life.after
    risk = forecast.risk[:, RISKS.index("pressure"), HORIZONS.index(50)]
    return np.asarray(risk[alive], np.float64)


def _onsets(risk: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    above = risk >= threshold
    return above & ~np.concatenate([[False], above[:-1]])
