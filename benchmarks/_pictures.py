"""The benchmark's pictures, as SVG files that are the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks._alarms import LEAD, RATE, Curve
from benchmarks._cells import HORIZON, Rows
from benchmarks._judging import LANDMARKS, RISK
from benchmarks._said import Said
from fadecast.cell.life import PRESSURE_CAUSES
from fadecast.forecast import metrics
from fadecast.report.style import ACCENT, ALIVE, CAUSE_COLOURS, GRID, INK, QUIET, words

_BINS: Final = 10
_LOOKS: Final = {"network": "-", "trees_history": "--"}


def save(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write ``NAME.svg`` of each."""
    matplotlib.rcParams["svg.hashsalt"] = "assb"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def reliability(said: Sequence[Said], rows: Rows) -> Figure:
    """Predicted risk against observed frequency, and how many forecasts there are of each."""
    known = rows.label >= 0
    label = np.tile(rows.label[known], len(said))
    risk = np.concatenate([one.risk[known] for one in said])
    curve = metrics.reliability(label, risk, bins=_BINS)
    figure = Figure((5.2, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":")
    above.plot(curve.probability, curve.frequency, color=ACCENT, marker="o")
    above.set(ylabel=f"observed frequency within {HORIZON} cycles", ylim=(0, 1), xlim=(0, 1))
    above.set_title("Risk of a pressure-related failure: said and seen", fontsize="medium")
    counts = curve.share * known.sum()
    below.bar(curve.probability, counts, width=0.6 / _BINS, color=ACCENT)
    for x, count in zip(curve.probability, counts, strict=True):
        below.annotate(
            f"{count:,.0f}", (x, count), ha="center", va="bottom", fontsize="xx-small", color=INK
        )
    below.set(yscale="log", xlabel="predicted risk", ylabel="forecasts")
    below.set_ylim(0.5, 6 * counts.max())
    _quiet(above, below)
    return figure


def lead_times(curves: Mapping[str, Curve]) -> Figure:
    """Share of failures announced in time over the rate of false alarms, a panel a cause."""
    causes = [c for c in PRESSURE_CAUSES if any(c in curve.told for curve in curves.values())]
    figure = Figure((3.6 * max(len(causes), 1), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, max(len(causes), 1), sharey=True))
    for axes, cause in zip(panels, causes, strict=False):
        for name, curve in curves.items():
            shown = curve.false > 0
            axes.plot(
                1e4 * curve.false[shown], curve.told[cause][shown], _LOOKS[name],
                color=CAUSE_COLOURS[cause], label=name.replace("_", " "),
            )  # fmt: skip
            axes.set_title(f"{words(cause)}: {curve.failures[cause]} failures", fontsize="medium")
        axes.axvline(1e4 * RATE, color=QUIET, linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="false alarms in 10,000 cell-cycles", ylim=(0, 1.02))
    panels[0].set_ylabel(f"announced {LEAD} or more cycles before")
    panels[0].legend(frameon=False, fontsize="small", labelcolor=INK)
    _quiet(*panels)
    return figure


def landmarks(names: Sequence[str], figures: Mapping[str, float]) -> Figure:
    """AUROC of every model at every landmark and pooled."""
    parts = {"pooled": ""} | {f"cycle {n}": f".cycle{n}" for n in LANDMARKS}
    figure = Figure((2.1 * len(parts) + 1.6, 0.3 * len(names) + 1.2), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True)
    order = list(names)[::-1]
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        values = [figures.get(f"{RISK}.auroc{part}.{name}", np.nan) for name in order]
        errors = [figures.get(f"{RISK}.auroc{part}.{name}.std", 0.0) for name in order]
        colours = [_colour(name) for name in order]
        axes.barh(order, np.nan_to_num(values), xerr=errors, color=colours, ecolor=INK)
        for y, value in enumerate(values):
            text = f"{value:.3f}" if np.isfinite(value) else "–"
            axes.annotate(text, (0.41, y), va="center", fontsize="x-small", color="white"
                          if value > 0.5 else INK)  # fmt: skip
        axes.axvline(0.5, color=QUIET, linewidth=1, linestyle=":")
        axes.set(xlim=(0.4, 1.0), xlabel="AUROC")
        axes.set_title(title, fontsize="medium")
    panels[0].set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    _quiet(*panels)
    return figure


def _colour(name: str) -> str:
    return ACCENT if name == "network" else ALIVE if name.startswith("truth") else QUIET


def _quiet(*panels: Any) -> None:
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
