"""What a model says at the judged cycles, and the simplest one: how cells of the kind have died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._cells import HORIZON, Array, Ints, Rows
from benchmarks._stages import Arrays
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES
from fadecast.forecast import survival
from fadecast.forecast.forecast import HORIZONS, QUANTILES, RISKS, Forecasts

PRESSURE: Final = RISKS.index("pressure")
WITHIN: Final = HORIZONS.index(HORIZON)
LOW, MEDIAN, HIGH = 0, QUANTILES.index(0.5), len(QUANTILES) - 1

_CAUSES: Final = [CAUSES.index(cause) for cause in PRESSURE_CAUSES]


@dataclass(frozen=True)
class Said:
    """After each of ``n`` judged cycles.

    Args:
        risk: ``(n,)`` of a pressure-related failure within the horizon.
        left: ``(n,)`` median of the cycles left.
        low, high: ``(n,)`` ends of its 90 % interval, of a model that has one.
    """

    risk: Array
    left: Array
    low: Array | None = None
    high: Array | None = None

    @classmethod
    def of(cls, arrays: Arrays) -> Said:
        names = ("risk", "left", "low", "high")
        return cls(*(np.asarray(arrays[n], np.float64) if n in arrays else None for n in names))


def told(forecast: Forecasts, cycle: Ints) -> dict[str, Array]:
    """What a cell's forecasts say at some of its cycles: ``Said`` by field."""
    one = forecast[np.searchsorted(forecast.cycle_count, cycle)]
    found = {"risk": one.risk[:, PRESSURE, WITHIN], "left": one.rul[:, MEDIAN],
             "low": one.rul[:, LOW], "high": one.rul[:, HIGH]}  # fmt: skip
    return {name: np.asarray(column, np.float64) for name, column in found.items()}


def by_kind(train: Rows, test: Rows) -> dict[str, Array]:
    """Aalen–Johansen and Kaplan–Meier among training cells of the same kind that lived as long.

    Where half of those did not fail while they were followed, the median is the end of that. A
    kind that trained nothing is judged by all cells.
    """
    kinds, asked = train.kinds(), test.kinds()
    risk, left = np.zeros(len(test)), np.zeros(len(test))
    for wanted in set(asked):
        same = [kind == wanted for kind in kinds]
        chosen = np.array(same if any(same) else [True] * len(kinds))
        time, cause = train.time[chosen], train.cause[chosen]
        alive = survival.kaplan_meier(time, cause >= 0)
        incidence = survival.aalen_johansen(time, cause, len(CAUSES))
        rows = np.array([kind == wanted for kind in asked])[test.cell]
        cycle = test.cycle[rows]
        now = np.maximum(alive.at(cycle), 1e-9)
        ahead = incidence.at(cycle + HORIZON) - incidence.at(cycle)
        risk[rows] = ahead[:, _CAUSES].sum(1) / now
        left[rows] = np.maximum(falls_to(alive, now / 2) - cycle, 1)
    return {"risk": risk, "left": left}


def falls_to(alive: survival.Steps, level: NDArray[np.float64]) -> Array:
    """``(n,)`` first time at which a survival curve is at most each level, else its last time."""
    at = np.searchsorted(-alive.value, -level)
    return np.asarray(alive.time[np.minimum(at, len(alive.time) - 1)])
