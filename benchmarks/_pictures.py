"""The benchmark's pictures, as SVG files that are the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks._alarms import LEAD, RATE, Curve
from benchmarks._cells import HORIZON, Rows
from benchmarks._judging import LANDMARKS, PROTOCOLS, RISK
from benchmarks._said import Said
from fadecast.cell.life import PRESSURE_CAUSES
from fadecast.forecast import metrics
from fadecast.report.style import ACCENT, ALIVE, CAUSE_COLOURS, GRID, INK, QUIET, words

_BINS: Final = 10
_LEAST: Final = 1e-5
"""Rate of false alarms at which none is drawn: the axis is logarithmic."""
_MOST: Final = 300
"""False alarms in 10,000 cell-cycles beyond which nothing is of interest."""
_LOOKS: Final = {"network": "-", "trees_history": "--", "truth_trees": ":"}
"""Whose alarms are drawn."""
_PARTS: Final = {None: INK, "vehicle": "#D55E00", "laboratory": "#56B4E9"}
_CONDITIONS: Final = {
    "noise2": "all sensors:\nnoise and drift × 2", "dead": "pressure:\ndead from mid-life",
    "none": "pressure:\nnever measured",
    "neither": "nothing declared:\npressure never measured,\nagainst measured",
}  # fmt: skip
_MEANT: Final = {
    "auroc": ("AUROC, risk within 50 cycles", -1),
    "ap": ("average precision", -1),
    "rul.mdape.cycle100": ("median |error| of cycles left\nover their number, cycle 100", 1),
} | {f"lead.{cause}": (f"{words(cause)}:\nshare announced in time", -1)
     for cause in PRESSURE_CAUSES}  # fmt: skip
"""Title of a figure's panel, and the sign of a change for the worse."""


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
    above.set(ylabel=f"observed frequency within {HORIZON} cycles", ylim=(0, 1), xlim=(-0.04, 1.04))
    above.set_title("Risk of a pressure-related failure: said and seen", fontsize="medium")
    counts = curve.share * known.sum()
    below.bar(curve.probability, counts, width=0.6 / _BINS, color=ACCENT)
    for x, count in zip(curve.probability, counts, strict=True):
        below.annotate(
            f"{count:,.0f}", (x, count), ha="center", va="bottom", fontsize="xx-small", color=INK
        )
    below.set(yscale="log", xlabel="predicted risk", ylabel="forecasts")
    below.set_ylim(0.5, 6 * counts.max())
    quiet(above, below)
    return figure


def lead_times(curves: Mapping[str, Curve]) -> Figure:
    """Share of failures announced in time over the rate of false alarms, a panel a cause.

    At every rate the best threshold that is as quiet: a very low one raises its alarm too early.
    """
    causes = [c for c in PRESSURE_CAUSES if any(c in curve.told for curve in curves.values())]
    figure = Figure((3.6 * max(len(causes), 1), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, max(len(causes), 1), sharey=True))
    for axes, cause in zip(panels, causes, strict=False):
        for name, curve in curves.items():
            if name not in _LOOKS:
                continue
            order = np.argsort(curve.false, kind="stable")
            best = np.maximum.accumulate(curve.told[cause][order])
            axes.step(
                1e4 * np.maximum(curve.false[order], _LEAST), best, _LOOKS[name], where="post",
                color=CAUSE_COLOURS[cause], label=name.replace("_", " "),
            )  # fmt: skip
            axes.set_title(f"{words(cause)}: {curve.failures[cause]} failures", fontsize="medium")
        axes.axvline(1e4 * RATE, color=QUIET, linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="false alarms in 10,000 cell-cycles", ylim=(0, 1.02))
        axes.set_xlim(1e4 * _LEAST, _MOST)
    panels[0].set_ylabel(f"announced {LEAD} or more cycles before")
    panels[0].legend(frameon=False, fontsize="small", labelcolor=INK, loc="upper left")
    quiet(*panels)
    return figure


def landmarks(names: Sequence[str], figures: Mapping[str, float]) -> Figure:
    """AUROC of every model pooled, at every landmark and by protocol, from chance on."""
    parts = {"pooled": ""} | {f"cycle {n}": f".cycle{n}" for n in LANDMARKS}
    parts |= {protocol: f".{protocol}" for protocol in PROTOCOLS}
    figure = Figure((2.1 * len(parts) + 1.6, 0.3 * len(names) + 1.2), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True)
    order = list(names)[::-1]
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        keys = [f"{RISK}.auroc{part}.{name}" for name in order]
        values = np.array([figures.get(key, np.nan) for key in keys])
        errors = [figures.get(f"{key}.std", 0.0) for key in keys]
        gained = np.nan_to_num(values - 0.5)
        axes.barh(order, gained, left=0.5, xerr=errors, ecolor=INK, color=[*map(_colour, order)])
        for y, (value, error) in enumerate(zip(values, errors, strict=True)):
            text = f"{value:.3f}" if np.isfinite(value) else "–"
            end = max(float(np.nan_to_num(value)), 0.5) + error
            axes.annotate(text, (end + 0.015, y), va="center", fontsize="x-small", color=INK)
        axes.axvline(0.5, color=QUIET, linewidth=1)
        axes.set(xlim=(0.4, 1.15), xticks=(0.5, 0.75, 1.0), xlabel="AUROC")
        axes.set_title(title, fontsize="medium")
    panels[0].set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    quiet(*panels)
    return figure


def changes(
    spans: Mapping[tuple[str, str | None], Mapping[str, tuple[float, ...]]],
    names: Sequence[str],
    cells: str,
) -> Figure:
    """What conditions change in every figure: dots and 95 % intervals, a panel a figure.

    Args:
        spans: by condition and part of the cells (None: all), by figure, a difference and its ends.
        names: figures that are drawn. cells: how many there were, in words.
    """
    conditions = list(dict.fromkeys(condition for condition, _ in spans))
    parts = list(dict.fromkeys(part for _, part in spans))
    columns = -(-len(names) // 2)
    figure = Figure((3.4 * columns, 6.4), layout="constrained")
    grid = figure.subplots(2, columns, sharey=True, squeeze=False)
    panels = grid.ravel()[: len(names)]
    for axes, name in zip(panels, names, strict=True):
        axes.axvline(0, color=QUIET, linewidth=1, linestyle=":")
        axes.locator_params(axis="x", nbins=5)
        for i, part in enumerate(parts):
            for y, condition in enumerate(conditions):
                if (span := spans[condition, part].get(name)) is None:
                    continue
                value, low, high = span
                at, colour = y + 0.22 * (i - (len(parts) - 1) / 2), _PARTS[part]
                axes.plot([low, high], [at, at], color=colour, linewidth=1.6)
                axes.plot([value], [at], "o", color=colour, markersize=5)
        if not any(name in found for found in spans.values()):
            axes.text(
                0.5, 0.5, "too few failures", transform=axes.transAxes, ha="center", color=QUIET,
                backgroundcolor="white",
            )  # fmt: skip
            axes.set_xticks([])
        title, worse = _MEANT[name]
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("← worse" if worse < 0 else "worse →", fontsize="small")
        axes.tick_params(axis="x", labelsize="small")
    wanted = [_CONDITIONS[condition] for condition in conditions]
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(conditions)), wanted)
        axes.set_ylim(len(conditions) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=_PARTS[part], marker="o", label=part or "all cells") for part in parts
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(parts), frameon=False)
    figure.suptitle(
        f"What worse sensors change: {cells}, 95 % over designs", fontsize="large", color=INK
    )
    quiet(*panels)
    return figure


def _colour(name: str) -> str:
    knows = name.startswith(("truth", "depth"))
    return ACCENT if name == "network" else ALIVE if knows else QUIET


def quiet(*panels: Any) -> None:
    """No frame, and a faint grid behind."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
