"""How figures look: one colour per cause everywhere, quiet axes, few points."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fadecast.cell.life import CAUSES, Life
from fadecast.forecast.forecast import Forecasts

CAUSE_COLOURS: Final = dict(zip(CAUSES, ("#0072B2", "#E69F00", "#CC79A7", "#009E73"), strict=True))
"""Of the palette of Okabe & Ito (2008), told apart under every common colour-blindness."""

INK: Final = "#1f2937"
QUIET: Final = "#6b7280"
GRID: Final = "#e5e7eb"
ALIVE: Final = "#9ca3af"
"""A cell that was not seen to fail."""

ACCENT: Final = "#4b4f8f"
BANDS: Final = ("rgba(75,79,143,0.16)", "rgba(75,79,143,0.30)")
"""Colour of a forecast, and of its 5–95 % and 25–75 % bands."""

TEMPLATE: Final = go.layout.Template(
    layout={
        "font": {"family": "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13,
                 "color": INK},
        "paper_bgcolor": "white", "plot_bgcolor": "white", "colorway": [ACCENT],
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "hoverlabel": {"bgcolor": "white", "bordercolor": GRID, "font": {"size": 12}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **{axis: {"gridcolor": GRID, "zeroline": False, "linecolor": QUIET, "ticks": "outside",
                  "tickcolor": GRID, "automargin": True,
                  "title": {"standoff": 8, "font": {"size": 12, "color": QUIET}},
                  "tickfont": {"size": 12}}
           for axis in ("xaxis", "yaxis")},
    }
)  # fmt: skip
"""The look of every figure."""

POINTS: Final = 60
"""Points a line is thinned to: as many as can be seen."""


_WORDS: Final = {
    "any": "any cause", "pressure": "pressure-related", "over_pressure": "over-pressure",
}  # fmt: skip


def words(name: str) -> str:
    """A cause or a risk as people write it."""
    return _WORDS.get(name, name.replace("_", " "))


def fate(life: Life | None) -> str:
    """What became of a cell, in a few words."""
    if life is None:
        return ""
    if life.cause is None:
        return f"alive at {life.after:.0f}"
    return f"failed at {life.until:.0f}, {words(life.cause)}"


def colour_of(life: Life | None) -> str:
    """The colour of a cell's cause of failure; grey while it lives, the accent if not known."""
    if life is None:
        return ACCENT
    return CAUSE_COLOURS[life.cause] if life.cause else ALIVE


def thin(forecast: Forecasts, points: int = POINTS) -> Forecasts:
    """At most ``points`` of the valid forecasts, evenly spread, first and last among them."""
    rows = np.flatnonzero(forecast.valid)
    if len(rows) > points:
        rows = rows[np.linspace(0, len(rows) - 1, points).round().astype(np.int64)]
    return forecast[rows]


def short(values: ArrayLike, digits: int) -> list[Any]:
    """Rounded numbers as short JSON; not a number becomes a gap."""
    rounded = np.round(np.asarray(values, np.float64), digits)
    return [None if np.isnan(v) else int(v) if v == int(v) else v for v in rounded.tolist()]
