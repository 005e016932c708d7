"""What a forecast is: quantiles of the remaining useful life and risks by cause, per cycle.

The network emits one discrete-time hazard per cause on intervals between ``EDGES``; everything
below is read off those hazards inside the ONNX graph, so that the numbers cannot contradict one
another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.life import CAUSES, PRESSURE_CAUSES

LONGEST: Final = 4096
"""The farthest horizon in cycles; a remaining life beyond it is reported as it."""

QUANTILES: Final = (0.05, 0.25, 0.50, 0.75, 0.95)
HORIZONS: Final = (10, 50, 100)
"""Cycles ahead for which risks are reported."""

WIDENING: Final = 1.4
"""How much longer each interval is than the one before, about."""


def _edges() -> tuple[int, ...]:
    marks = (1, *HORIZONS, LONGEST)
    grids = (
        np.geomspace(low, high, 1 + round(np.log(high / low) / np.log(WIDENING)))
        for low, high in pairwise(marks)
    )
    return (0, *sorted({round(float(edge)) for grid in grids for edge in grid}))


EDGES: Final = _edges()
"""Ends of the hazard intervals in cycles ahead: 0, 1, 2, … evenly on the axis of log cycles to
``LONGEST``, with every horizon among them, so that no risk needs interpolation."""

RISKS: Final = (*CAUSES, "pressure", "any")
"""Rows of a risk array: each cause, the pressure-related ones together, all together."""

VIRTUAL_SENSORS: Final[dict[str, str]] = {
    "anode_contact": "least fraction of the anode interface in contact during the cycle",
    "cathode_coverage": "fraction of the cathode particles' surface that touches electrolyte",
    "connected_cathode": "fraction of the active material that is connected",
    "penetration": "depth of lithium in the separator / its thickness",
}
"""Hidden states that a forecast estimates, each from 0 to 1, with their units: φ_a, φ_c, θ and ℓ of
``docs/physics.md``. Only a simulator knows them, so only a network trained on one tells them."""

SCORE_COLUMNS: Final[dict[str, str]] = {
    **{f"rul_p{round(100 * q):02d}": "cycles" for q in QUANTILES},
    **{f"risk_{name}_{h}": f"probability within {h} cycles" for name in RISKS for h in HORIZONS},
    "soh": "discharge capacity / nominal capacity",
    "novelty": "1 = as far out as 1 % of the training cycles",
    "valid": "bool",
}
"""Columns of a score table after ``cell_id`` and ``cycle_count``, with their units; those of the
virtual sensors follow (``score_columns``)."""


def score_columns(sensors: Iterable[str]) -> dict[str, str]:
    """``SCORE_COLUMNS`` and, for each of the given virtual sensors, its mean and its spread."""
    columns = dict(SCORE_COLUMNS)
    for name in sensors:
        columns[f"virtual_{name}"] = VIRTUAL_SENSORS[name]
        columns[f"virtual_{name}_std"] = "one standard deviation of it"
    return columns


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts after ``n`` cycles of one cell (or of one cycle each of ``n`` cells).

    Args:
        cycle_count: ``(n,)`` int64 cycle after which the forecast was made.
        rul: ``(n, len(QUANTILES))`` remaining useful life in cycles, non-decreasing along axis 1.
        risk: ``(n, len(RISKS), len(HORIZONS))`` probability of failing within the horizon.
        incidence: ``(n, len(CAUSES), len(EDGES) - 1)`` cumulative incidence at ``EDGES[1:]``.
        soh: ``(n,)`` estimated discharge capacity over nominal capacity.
        novelty: ``(n,)`` distance from the training cycles; above 1 is farther than 99 % of them.
        valid: ``(n,)`` bool; False where this cycle carried no usable charge information.
        virtual: ``(n, len(VIRTUAL_SENSORS))`` estimated hidden states; ``(n, 0)`` where a model
            has none. Only those that a network was taught (``virtual.names`` of it,
            ``virtual_sensors`` of a bundle) mean anything.
        virtual_spread: one standard deviation of each, above 0.
    """

    cycle_count: NDArray[np.int64]
    rul: NDArray[np.float32]
    risk: NDArray[np.float32]
    incidence: NDArray[np.float32]
    soh: NDArray[np.float32]
    novelty: NDArray[np.float32]
    valid: NDArray[np.bool_]
    virtual: NDArray[np.float32]
    virtual_spread: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cycle_count)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Forecasts:
        return Forecasts(*(getattr(self, f.name)[rows] for f in fields(self)))

    def columns(self, sensors: Iterable[str] = ()) -> dict[str, NDArray[np.generic]]:
        """``cycle_count`` and the ``score_columns(sensors)`` by name, each ``(n,)``."""
        out: dict[str, NDArray[np.generic]] = {"cycle_count": self.cycle_count}
        for i, q in enumerate(QUANTILES):
            out[f"rul_p{round(100 * q):02d}"] = self.rul[:, i]
        for i, name in enumerate(RISKS):
            for j, h in enumerate(HORIZONS):
                out[f"risk_{name}_{h}"] = self.risk[:, i, j]
        out |= {"soh": self.soh, "novelty": self.novelty, "valid": self.valid}
        for name in sensors:
            column = list(VIRTUAL_SENSORS).index(name)
            out[f"virtual_{name}"] = self.virtual[:, column]
            out[f"virtual_{name}_std"] = self.virtual_spread[:, column]
        return out


__all__ = [
    "CAUSES", "EDGES", "HORIZONS", "LONGEST", "PRESSURE_CAUSES", "QUANTILES", "RISKS",
    "SCORE_COLUMNS", "VIRTUAL_SENSORS", "WIDENING", "Forecasts", "score_columns",
]  # fmt: skip
