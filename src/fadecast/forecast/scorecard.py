"""``Scorecard``: what an evaluation found, as figures by name, as a table and cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Metric:
    """What a figure means: its unit, which way is better, and a sentence for people."""

    unit: str
    better: str
    meaning: str


METRICS: Final[dict[str, Metric]] = {
    "rel_error": Metric(
        "1", "lower", "Mean absolute error of the remaining life over the cell's whole life, "
        "averaged over the cycles of a cell, then over the cells.",
    ),
    "rmse": Metric("cycles", "lower", "Root mean square error of the predicted life."),
    "mae": Metric("cycles", "lower", "Mean absolute error of the predicted life."),
    "mape": Metric("1", "lower", "Mean absolute error of the predicted life over the life."),
    "median_ape": Metric("1", "lower", "Half of the cells have a smaller error over their life."),
    "bias": Metric("1", "0", "Mean signed error over the life; above 0 promises too much."),
    "accuracy_15": Metric("1", "higher", "Share of predicted lives within 15 % of the true one."),
    "coverage_50": Metric(
        "1", "0.5", "Share of lives inside the interval from the 25 % to the 75 % quantile."
    ),
    "coverage_90": Metric(
        "1", "0.9", "Share of lives inside the interval from the 5 % to the 95 % quantile."
    ),
    "decided_90": Metric(
        "1", "higher", "Share of the 5–95 % intervals of which the record tells whether they held."
    ),
    "width_90": Metric("cycles", "lower", "Mean width of the 5–95 % interval."),
    "concordance": Metric(
        "1", "higher", "Chance that of two cells the one predicted to fail first does (Harrell)."
    ),
    "concordance_ipcw": Metric("1", "higher", "The same, freed of the censoring (Uno)."),
    "concordance_td": Metric(
        "1", "higher", "The same, by the risk predicted for the time of failure (Antolini)."
    ),
    "ibs": Metric(
        "1", "lower", "Squared error of the predicted probability of having failed, averaged over "
        "time (integrated Brier score).",
    ),
    "auroc": Metric(
        "1", "higher", "Chance that a cell that fails within the horizon was given a higher risk "
        "than one that does not.",
    ),
    "average_precision": Metric(
        "1", "higher", "Area under precision over recall of the risk; chance is the base rate."
    ),
    "base_rate": Metric("1", "", "Share that did fail within the horizon."),
    "brier": Metric("1", "lower", "Mean squared error of the risk."),
    "calibration_error": Metric(
        "1", "lower", "Mean gap between predicted risk and observed frequency, over ten bins."
    ),
    "sensor_mae": Metric("1", "lower", "Mean absolute error of a virtual sensor."),
    "sensor_coverage_90": Metric(
        "1", "0.9", "Share of hidden states within 1.645 spreads of what the sensor says."
    ),
}  # fmt: skip
"""Every metric an evaluation may report, by name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Args:
        when: ``any_cycle`` or ``at_<landmark>``.
        what: the risk that is judged, such as ``any_50`` or ``contact_loss``, or the virtual
            sensor; empty for the life.
        metric: one of ``METRICS``.
        value: finite.
        cells: number of cells that decided it.
    """

    when: str
    what: str
    metric: str
    value: float
    cells: int

    @property
    def key(self) -> str:
        """``when.metric`` or ``when.what.metric``."""
        return ".".join(part for part in (self.when, self.what, self.metric) if part)


@dataclass(frozen=True, slots=True)
class CellScore:
    """How one cell was forecast; what its censoring leaves undecided is ``None``.

    Args:
        cell_id: the cell.
        life: cycle of failure, or the last one known alive.
        cause: of failure; ``None`` if censored.
        forecasts: number of forecasts judged.
        rel_error: mean ``|R̂ − R| / L`` over them.
        bias: mean ``(R̂ − R) / L`` over them.
        coverage_90: share of them whose 5–95 % interval held the life.
    """

    cell_id: str
    life: float
    cause: str | None
    forecasts: int
    rel_error: float | None
    bias: float | None
    coverage_90: float | None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The result of an evaluation. A metric that could not be decided is absent.

    Args:
        rows: the figures.
        cells: one entry per cell, by ``cell_id``.
    """

    rows: tuple[Figure, ...]
    cells: tuple[CellScore, ...]

    @property
    def figures(self) -> Mapping[str, float]:
        """Every figure by its key, such as ``any_cycle.rel_error`` or ``at_100.any_50.auroc``."""
        return {row.key: row.value for row in self.rows}

    def worst(self, number: int) -> tuple[CellScore, ...]:
        """The cells with the largest relative error, largest first."""
        known = [cell for cell in self.cells if cell.rel_error is not None]
        return tuple(sorted(known, key=lambda cell: -(cell.rel_error or 0.0))[:number])

    def table(self) -> list[dict[str, Any]]:
        """Plain rows: when, what, metric, value, unit, better, cells."""
        return [
            asdict(row) | {"unit": METRICS[row.metric].unit, "better": METRICS[row.metric].better}
            for row in self.rows
        ]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary: counts, figures by key, cells."""
        failed = sum(cell.cause is not None for cell in self.cells)
        return {
            "cells": len(self.cells),
            "failed": failed,
            "censored": len(self.cells) - failed,
            "forecasts": sum(cell.forecasts for cell in self.cells),
            "figures": dict(self.figures),
            "per_cell": [asdict(cell) for cell in self.cells],
        }


def decided(when: str, what: str, cells: int, **values: float) -> list[Figure]:
    """The values that are numbers as figures; NaN means undecided and is left out."""
    return [
        Figure(when, what, metric, float(value), cells)
        for metric, value in values.items()
        if not np.isnan(value)
    ]
