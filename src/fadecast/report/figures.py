"""Figures of forecasts, as Plotly figures: for the report page and for training runs alike.

``forecasts`` and ``lives`` are by cell; a cell without an entry in ``lives`` is drawn without the
truth. Only valid forecasts are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from fadecast.cell.life import CAUSES, Life
from fadecast.forecast import metrics
from fadecast.forecast.evaluate import LANDMARKS
from fadecast.forecast.forecast import HORIZONS, QUANTILES, RISKS, Forecasts
from fadecast.forecast.questions import ask, followed, outcome
from fadecast.forecast.scorecard import CellScore
from fadecast.report.style import (
    ACCENT,
    ALIVE,
    BANDS,
    CAUSE_COLOURS,
    INK,
    QUIET,
    TEMPLATE,
    colour_of,
    fate,
    short,
    thin,
    words,
)

_MEDIAN: Final = QUANTILES.index(0.5)
_HORIZON_LOOKS: Final = (("#a5a8d8", "circle"), ("#6f74bd", "diamond"), ("#2f3270", "square"))

Line = tuple[list[Any], list[Any]]
"""x and y of a line."""


def _figure(height: int, x: str, y: str, **layout: Any) -> go.Figure:
    figure = go.Figure(layout={"template": TEMPLATE, "height": height, **layout})
    return figure.update_xaxes(title_text=x).update_yaxes(title_text=y)


def fade_curves(
    forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life], *, end: float | None = None
) -> go.Figure:
    """State of health over the cycles, one thin line per cell in the colour of its fate.

    Args:
        end: state of health below which a cell counts as failed by capacity, drawn as a line.
    """
    traces, shown = [], {""}
    for name, forecast in forecasts.items():
        few, life = thin(forecast), lives.get(name)
        group = "" if life is None else words(life.cause) if life.cause else "still alive"
        traces.append(
            go.Scatter(
                x=short(few.cycle_count, 0), y=short(few.soh, 4), name=group, mode="lines",
                line={"color": colour_of(life), "width": 1.3}, opacity=0.8, legendgroup=group,
                legendrank=CAUSES.index(life.cause) if life and life.cause else len(CAUSES),
                showlegend=group not in shown,
                hovertemplate=f"<b>{name}</b> {fate(life)}<br>cycle %{{x}}, %{{y:.3f}}"
                "<extra></extra>",
            )
        )  # fmt: skip
        shown.add(group)
    figure = _figure(400, "cycle", "state of health", hovermode="closest").add_traces(traces)
    if end is not None:
        figure.add_hline(y=end, line={"color": INK, "width": 1, "dash": "dash"})
        figure.add_annotation(
            xref="paper", x=0.005, y=end, yanchor="bottom", xanchor="left", showarrow=False,
            text="end of life", font={"size": 11, "color": QUIET},
        )  # fmt: skip
    return figure


def forecast_fan(forecast: Forecasts, life: Life | None = None, *, height: int = 240) -> go.Figure:
    """Cycles left over the cycles of one cell: median, 25–75 % and 5–95 % bands, and the truth."""
    few = thin(forecast)
    names = ["to 95 %", "from 5 %", "to 75 %", "from 25 %", "median", "truth", "at least"]
    looks: list[dict[str, Any]] = [{"mode": "lines", "line": {"width": 0}} for _ in range(4)]
    looks[1] |= {"fill": "tonexty", "fillcolor": BANDS[0]}
    looks[3] |= {"fill": "tonexty", "fillcolor": BANDS[1]}
    # The dots are hardly wider than the line; a cell with one forecast has nothing else to show.
    median = {"mode": "lines+markers", "marker": {"size": 3.5}}
    looks.append(median | {"line": {"color": ACCENT, "width": 2}})
    looks += [
        {"mode": "lines", "line": {"color": INK, "width": 1.5, "dash": dash}}
        for dash in ("dash", "dot")
    ]
    figure = _of_one_cell(height, "cycles left", few, life)
    for (x, y), name, look in zip(fan_lines(few, life), names, looks, strict=True):
        figure.add_scatter(x=x, y=y, name=name, hovertemplate="%{y}", **look)
    return figure.update_yaxes(range=[0, fan_top(few, life)])


def fan_lines(forecast: Forecasts, life: Life | None) -> list[Line]:
    """Upper and lower end of the outer and the inner band, the median, and the truth.

    The truth comes last, as two lines of which one is empty at least: what a cell that failed had
    left, and what one not seen to fail has lived on at least.
    """
    x = short(forecast.cycle_count, 0)
    columns = [short(forecast.rul[:, i], 0) for i in (4, 0, 3, 1, _MEDIAN)]
    left = (life.cycle if life else np.nan) - forecast.cycle_count
    truth = short(np.where(left >= 0, left, np.nan), 0) if life else []
    failed = life is not None and life.failed
    return [(x, y) for y in (*columns, truth if failed else [], [] if failed else truth)]


def _of_one_cell(height: int, y: str, forecast: Forecasts, life: Life | None) -> go.Figure:
    """A figure over the cycles of one cell; such figures line up under each other."""
    figure = _figure(height, "cycle", y, hovermode="x unified", showlegend=False)
    figure.update_layout(margin={"l": 62, "r": 10, "t": 8, "b": 40})
    return figure.update_yaxes(automargin=False).update_xaxes(range=[0, cycle_end(forecast, life)])


def cycle_end(forecast: Forecasts, life: Life | None) -> float:
    """Right end of a cell's axis of cycles: the end of its life, if its record comes near it."""
    seen = float(forecast.cycle_count[-1]) if len(forecast) else 1.0
    end = life.cycle if life else 0.0
    return round(1.02 * (end if seen < end < 1.3 * seen else seen), 1)


def fan_top(forecast: Forecasts, life: Life | None) -> float:
    """Upper end of a fan's axis: early bands may reach far beyond what is worth seeing."""
    if not len(forecast):
        return 1.0
    highest = float(np.quantile(forecast.rul[:, 3], 0.9))
    return round(1.15 * max(highest, life.cycle - forecast.cycle_count[0] if life else 0.0), 1)


def risk_by_cause(
    forecast: Forecasts, life: Life | None = None, *, horizon: int = 50, height: int = 180
) -> go.Figure:
    """Risk within ``horizon`` cycles over the cycles of one cell, stacked by cause.

    The last trace marks the failure.
    """
    few = thin(forecast)
    figure = _of_one_cell(height, f"risk within {horizon}", few, life)
    *causes, (x, y) = risk_lines(few, life, horizon)
    for cause, (cycle, risk) in zip(CAUSES, causes, strict=True):
        figure.add_scatter(
            x=cycle, y=risk, stackgroup="risk", name=words(cause), mode="lines",
            line={"width": 0, "color": CAUSE_COLOURS[cause]}, fillcolor=CAUSE_COLOURS[cause],
            hovertemplate="%{y:.1%}",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=y, mode="lines", name="failure", hoverinfo="skip",
        line={"color": INK, "width": 1.5, "dash": "dash"},
    )  # fmt: skip
    return figure.update_yaxes(range=[0, 1.0], tickformat=".0%", nticks=4)


def risk_lines(forecast: Forecasts, life: Life | None, horizon: int) -> list[Line]:
    """The risk by each cause, not stacked, and a line upright at the failure."""
    x, j = short(forecast.cycle_count, 0), HORIZONS.index(horizon)
    end = [life.until] * 2 if life is not None and life.failed else []
    return [
        *((x, short(forecast.risk[:, k, j], 3)) for k in range(len(CAUSES))),
        (end, [0, 1][: len(end)]),
    ]


def calibration(forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life]) -> go.Figure:
    """Reliability diagram of the risk of any failure within each horizon, over all cycles.

    Marker areas show how many forecasts a bin holds; censored cells enter by their weights.
    """
    asked = ask(
        {name: f.cycle_count for name, f in forecasts.items()}, lives,
        {name: f.valid for name, f in forecasts.items()},
    )  # fmt: skip
    steps = followed([lives[name] for name in forecasts])
    rows = [asked.row[own] for own in asked.by_cell(len(forecasts))]
    parts = zip(forecasts.values(), rows, strict=True)
    risk = np.concatenate([f.risk[r, RISKS.index("any")] for f, r in parts])
    figure = _figure(
        400, "predicted risk", "observed frequency", hovermode="closest",
        legend={"title": {"text": "within"}},
    )  # fmt: skip
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", showlegend=False, hoverinfo="skip",
        line={"color": QUIET, "width": 1, "dash": "dash"},
    )  # fmt: skip
    for j, horizon in enumerate(HORIZONS):
        label, weight = outcome(asked, "any", horizon, steps)
        curve = metrics.reliability(label, risk[:, j], weight)
        colour, symbol = _HORIZON_LOOKS[j]
        figure.add_scatter(
            x=short(curve.probability, 3), y=short(curve.frequency, 3), mode="lines+markers",
            name=f"{horizon} cycles", customdata=short(curve.share, 4),
            line={"color": colour, "width": 1.2},
            marker={"symbol": symbol, "size": short(6 + 12 * np.sqrt(curve.share), 1)},
            hovertemplate="predicted %{x:.0%}, observed %{y:.0%}<br>"
            "%{customdata:.1%} of the forecasts<extra></extra>",
        )  # fmt: skip
    axis = {"range": [-0.03, 1.03], "tickformat": ".0%"}
    return figure.update_xaxes(axis).update_yaxes(axis)


def predicted_life(
    forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life], *, landmark: int | None = None
) -> go.Figure:
    """Life predicted by a landmark against the true one, with the 5–95 % interval.

    Args:
        landmark: cycle; by default 100, or where more than twice as many cells can be judged.
    """
    names = list(forecasts)
    asked = ask(
        {name: f.cycle_count for name, f in forecasts.items()}, lives,
        {name: f.valid for name, f in forecasts.items()},
    )  # fmt: skip
    if landmark is None:
        count = {s: len(asked.at(s)) * (2 if s == 100 else 1) for s in LANDMARKS}
        landmark = max(count, key=lambda s: count[s])
    here = asked[asked.at(landmark)]
    figure = _figure(
        400, "life (cycles)", f"life predicted by cycle {landmark}", hovermode="closest"
    )
    if not len(here):
        return figure
    rul = np.stack([forecasts[names[c]].rul[r] for c, r in zip(here.cell, here.row, strict=True)])
    ends = here.cycle[:, None] + rul.astype(np.float64)
    both = np.concatenate([here.time, ends[:, _MEDIAN]])
    low, high = both.min() * 0.85, both.max() * 1.2
    for slope, dash in ((0.85, "dot"), (1.0, "dash"), (1.15, "dot")):
        figure.add_scatter(
            x=[low, high], y=[slope * low, slope * high], mode="lines", showlegend=False,
            hoverinfo="skip", line={"color": QUIET, "width": 1, "dash": dash},
        )  # fmt: skip
    for k in (*range(len(CAUSES)), -1):
        own = here.cause == k
        if not own.any():
            continue
        colour = CAUSE_COLOURS[CAUSES[k]] if k >= 0 else ALIVE
        symbol = "circle" if k >= 0 else "triangle-right-open"
        middle = ends[own, _MEDIAN]
        figure.add_scatter(
            x=short(here.time[own], 0), y=short(middle, 0), mode="markers",
            name=words(CAUSES[k]) if k >= 0 else "still alive",
            text=[names[c] for c in here.cell[own]],
            marker={"color": colour, "size": 8, "symbol": symbol},
            error_y={
                "type": "data", "array": short(ends[own, 4] - middle, 0),
                "arrayminus": short(middle - ends[own, 0], 0),
                "color": colour, "thickness": 0.8, "width": 0,
            },
            hovertemplate="<b>%{text}</b><br>life %{x}, predicted %{y}<extra></extra>",
        )  # fmt: skip
    ticks = [step * 10**decade for decade in range(5) for step in (1, 2, 5)]
    axis = {"type": "log", "tickvals": ticks, "range": np.log10([low, high]).tolist()}
    return figure.update_xaxes(axis).update_yaxes(axis)


def worst_cells(cells: Sequence[CellScore]) -> go.Figure:
    """Relative error of the given cells as bars in the colour of their cause, largest on top."""
    figure = _figure(90 + 24 * len(cells), "mean error of the remaining life over the life", "")
    colours = [CAUSE_COLOURS[cell.cause] if cell.cause else ALIVE for cell in cells]
    figure.add_bar(
        x=short([cell.rel_error or 0.0 for cell in cells], 4), y=[cell.cell_id for cell in cells],
        orientation="h", marker={"color": colours},
        text=[f"{cell.rel_error:.0%}" for cell in cells], textposition="auto",
        hovertemplate="<b>%{y}</b> %{x:.1%}<extra></extra>",
    )  # fmt: skip
    return figure.update_yaxes(autorange="reversed", type="category").update_xaxes(
        tickformat=".0%", rangemode="tozero"
    )


def most_at_risk(
    forecasts: Mapping[str, Forecasts], *, horizon: int = 50, number: int = 15
) -> go.Figure:
    """The cells with the highest risk at their last forecast, stacked by cause, highest on top."""
    last = {name: f[f.valid][-1:] for name, f in forecasts.items() if f.valid.any()}
    j, any_ = HORIZONS.index(horizon), RISKS.index("any")
    names = sorted(last, key=lambda name: -float(last[name].risk[0, any_, j]))[:number]
    figure = _figure(90 + 24 * len(names), f"risk within {horizon} cycles", "", barmode="stack")
    figure.update_layout(legend_traceorder="normal")
    for k, cause in enumerate(CAUSES):
        figure.add_bar(
            x=short([last[name].risk[0, k, j] for name in names], 4), y=names, orientation="h",
            name=words(cause), marker={"color": CAUSE_COLOURS[cause]},
            hovertemplate=f"<b>%{{y}}</b> {words(cause)} %{{x:.1%}}<extra></extra>",
        )  # fmt: skip
    return figure.update_yaxes(autorange="reversed", type="category").update_xaxes(
        tickformat=".0%", range=[0, 1]
    )
