"""A cell's life as a film strip of forecasts: cycles left, risk by cause, virtual sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks._cells import HORIZON, Cells, Rows
from benchmarks._networks import Forecast
from fadecast.forecast.forecast import (
    CAUSES,
    HORIZONS,
    PRESSURE_CAUSES,
    QUANTILES,
    VIRTUAL_SENSORS,
    Forecasts,
)
from fadecast.learn.dataset import CellSequence
from fadecast.learn.truth import read_truth
from fadecast.report.style import ACCENT, CAUSE_COLOURS, GRID, INK, QUIET, words

_LIVES: Final = (80, 400)
"""Cycles to failure of a cell that is shown: long enough to tell, short enough to see."""
_WITHIN: Final = HORIZONS.index(HORIZON)
_FANS: Final = ((0, len(QUANTILES) - 1, 0.2), (1, len(QUANTILES) - 2, 0.35))


def shown(rows: Rows) -> list[int]:
    """The first test cell of every pressure-related cause whose life can be drawn: not a choice."""
    out = []
    for cause in PRESSURE_CAUSES:
        time = rows.time
        fits = (rows.cause == CAUSES.index(cause)) & (time >= _LIVES[0]) & (time <= _LIVES[1])
        out += np.flatnonzero(fits)[:1].tolist()
    return out


def film(forecast: Forecast, test: Cells, rows: Rows) -> Figure:
    """One column a cell."""
    chosen = shown(rows)
    cells = [next(iter(test.some(slice(i, i + 1)))) for i in chosen]
    said = forecast(cells)
    counts = {cell.cell_id: cell.summaries.cycle_count for cell in cells}
    truth = read_truth(test.store.path, counts)
    figure = Figure((4.2 * len(cells), 8.4), layout="constrained")
    panels = figure.subplots(3, len(cells), squeeze=False, sharex="col")
    for column, cell in enumerate(cells):
        one = said[cell.cell_id]
        end = float(cell.life.until)
        life, risk, sensors = panels[:, column]
        cycles_left(life, one, end)
        risks(risk, one)
        _sensors(sensors, one, counts[cell.cell_id], truth[cell.cell_id])
        life.set_title(_title(cell), fontsize="medium")
        sensors.set(xlabel="cycle", xlim=(0, end))
        for axes in (life, risk, sensors):
            axes.axvline(end, color=INK, linewidth=1)
            axes.grid(color=GRID)
            axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].set_ylabel("cycles left")
    panels[1, 0].set_ylabel(f"risk within {HORIZON} cycles")
    panels[2, 0].set_ylabel("hidden state, thin: the truth")
    for row, place in ((0, "upper right"), (1, "upper left"), (2, "center left")):
        panels[row, 0].legend(fontsize="x-small", loc=place, frameon=False)
    return figure


def _title(cell: CellSequence) -> str:
    kind = f"{words(cell.spec.anode)}, {cell.metadata.notes['protocol'].split()[0]}"
    return f"{words(str(cell.life.cause))} at {cell.life.until:.0f}\n{kind}"


def cycles_left(axes: Axes, one: Forecasts, end: float) -> None:
    for low, high, alpha in _FANS:
        label = f"{QUANTILES[high] - QUANTILES[low]:.0%} interval"
        axes.fill_between(
            one.cycle_count, one.rul[:, low], one.rul[:, high], color=ACCENT, alpha=alpha,
            linewidth=0, label=label,
        )  # fmt: skip
    median = one.rul[:, QUANTILES.index(0.5)]
    axes.plot(one.cycle_count, median, color=ACCENT, label="median")
    left = np.maximum(end - one.cycle_count, 0)
    axes.plot(one.cycle_count, left, color=INK, linestyle=":", label="came true")
    axes.set_ylim(0, 3 * end)


def risks(axes: Axes, one: Forecasts) -> None:
    parts = [one.risk[:, i, _WITHIN] for i in range(len(CAUSES))]
    colours = [CAUSE_COLOURS[cause] for cause in CAUSES]
    axes.stackplot(
        one.cycle_count, parts, colors=colours, labels=[words(c) for c in CAUSES], linewidth=0
    )
    axes.set_ylim(0, 1)


def _sensors(
    axes: Axes, one: Forecasts, count: NDArray[np.int64], truth: NDArray[np.float16]
) -> None:
    colours: Mapping[str, str] = dict(zip(VIRTUAL_SENSORS, _colours(), strict=True))
    for i, (name, colour) in enumerate(colours.items()):
        mean, spread = one.virtual[:, i], one.virtual_spread[:, i]
        axes.fill_between(
            one.cycle_count, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(one.cycle_count, mean, color=colour, label=words(name))
        axes.plot(count, truth[:, i].astype(float), color=colour, linewidth=0.7)
    axes.set_ylim(-0.05, 1.1)


def _colours() -> Sequence[str]:
    return [*(CAUSE_COLOURS[cause] for cause in PRESSURE_CAUSES), QUIET]
