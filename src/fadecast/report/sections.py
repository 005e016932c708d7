"""The sections of the page, each with its figures, tables and the sentence that explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

import numpy as np
import plotly.graph_objects as go

from fadecast.cell.life import CAUSES, Life
from fadecast.forecast.forecast import HORIZONS, QUANTILES, RISKS, Forecasts
from fadecast.forecast.scorecard import METRICS, Scorecard
from fadecast.report import figures
from fadecast.report import markup as html
from fadecast.report.style import BANDS, CAUSE_COLOURS, fate, words

SOON: Final = 50
"""Horizon in cycles of the risks that are drawn."""

WORST: Final = 15
EXAMPLES: Final = 6

_J: Final = HORIZONS.index(SOON)
_ANY: Final = RISKS.index("any")
_MEDIAN: Final = QUANTILES.index(0.5)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Args:
        name: its anchor.
        title: its heading.
        lead: a sentence on what is seen.
        body: its content, HTML.
        figures: by the name of their place in the body.
    """

    name: str
    title: str
    lead: str
    body: str
    figures: Mapping[str, go.Figure] = field(default_factory=dict)

    def html(self) -> str:
        """The section as it stands on the page."""
        lead = f'<p class="lead">{self.lead}</p>'
        return f'<section id="{self.name}"><h2>{self.title}</h2>{lead}{self.body}</section>'


def last(forecast: Forecasts) -> Forecasts:
    """The last valid forecast of a cell: one row, or none."""
    return forecast[forecast.valid][-1:]


def rank(forecasts: Mapping[str, Forecasts], card: Scorecard | None) -> list[str]:
    """The cells most in question first: by their error where it is known, then by their risk."""
    error = {cell.cell_id: cell.rel_error or 0.0 for cell in card.cells} if card else {}
    risk = {name: float(last(f).risk[:, _ANY, _J].sum()) for name, f in forecasts.items()}
    return sorted(forecasts, key=lambda name: (-error.get(name, 0.0), -risk[name], name))


def overview(
    forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life], card: Scorecard | None
) -> Section:
    """Tiles: how right the forecasts were, and how the cells that still live are doing."""
    alive = [last(f) for n, f in forecasts.items() if not (n in lives and lives[n].failed)]
    alive = [f for f in alive if len(f)]
    rows, leads = [], []
    if card is not None:
        rows.append(html.boxes("tiles", _judgement(card)))
        leads.append("how right the forecasts were")
    if alive:
        rows.append(html.boxes("tiles", _present(alive, "still alive" if card else "cells")))
        leads.append(f"the {'cells still alive' if card else 'cells'} at their last forecast")
    lead = " and ".join(leads).capitalize() + "."
    return Section("overview", "Overview", lead, "".join(rows))


def _judgement(card: Scorecard) -> list[str]:
    failed = sum(cell.cause is not None for cell in card.cells)
    tiles = [html.tile(f"{failed:,}", "cells failed", f"{len(card.cells) - failed:,} still alive")]
    for key, title, note in (
        ("any_cycle.rel_error", "mean error", "of the cycles left, over the life, at any cycle"),
        ("at_100.accuracy_15", "within 15 %", "of the true life, foretold by cycle 100"),
        ("any_cycle.coverage_90", "inside 5–95 %", "of the true lives; it promises 90 %"),
        ("at_100.concordance", "concordance", "pairs of cells put in order by cycle 100"),
        ("at_100.any_100.auroc", "AUROC", "who fails within the 100 cycles after"),
    ):  # fmt: skip
        if key in card.figures:
            tiles.append(html.tile(html.figure(card, key), title, note))
    return tiles


def _present(alive: Sequence[Forecasts], title: str) -> list[str]:
    risk = np.array([f.risk[0, _ANY, _J] for f in alive], np.float64)
    by_cause = np.sum([f.risk[0, : len(CAUSES), _J] for f in alive], axis=0)
    left = np.median([f.rul[0, _MEDIAN] for f in alive])
    novel = sum(bool(f.novelty[0] > 1) for f in alive)
    cause = CAUSES[int(np.argmax(by_cause))]
    share = by_cause.max() / max(by_cause.sum(), 1e-12)
    return [
        html.tile(f"{len(alive):,}", title, "at their last forecast"),
        html.tile(f"{risk.sum():,.1f}", "failures expected", f"within the next {SOON} cycles"),
        html.tile(f"{(risk > 0.5).sum():,}", "at high risk", f"over 50 % within {SOON} cycles"),
        html.tile(f"{left:,.0f}", "cycles left", "median forecast of the median cell"),
        html.tile(html.dot(cause) + f"{share:.0%}", words(cause), "leading cause, of that risk"),
        html.tile(f"{novel:,}", "unlike the training", "novelty above 1: trust them less"),
    ]


def fade(
    drawn: Mapping[str, Forecasts], lives: Mapping[str, Life], total: int, end: float | None
) -> Section:
    """State of health of every cell."""
    more = (
        f" {len(drawn)} of {total:,} cells, those most in question." if len(drawn) < total else ""
    )
    return Section(
        "fade", "Fade", "Estimated state of health after every cycle, one line a cell." + more,
        html.card(html.plot("fade")), {"fade": figures.fade_curves(drawn, lives, end=end)},
    )  # fmt: skip


def examples(
    forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life], ranking: Sequence[str]
) -> Section:
    """A few cells in full, spread over the ranking."""
    places = np.unique(np.linspace(0, len(ranking) - 1, EXAMPLES).round().astype(int))
    cards, drawn = [], {}
    for i, name in enumerate(ranking[place] for place in places):
        life = lives.get(name)
        fan = figures.forecast_fan(forecasts[name], life, height=190)
        drawn[f"fan-{i}"] = fan.update_xaxes(title_text="").update_layout(margin_b=24)
        drawn[f"risk-{i}"] = figures.risk_by_cause(forecasts[name], life, horizon=SOON, height=160)
        cards.append(
            html.card(html.plot(f"fan-{i}") + html.plot(f"risk-{i}"), escape(name), fate(life))
        )
    order = "the largest error to the smallest" if lives else "the highest risk to the lowest"
    lead = (
        "After each cycle: the cycles left above, the risk by cause below. "
        f"{html.count(len(cards), 'cell')}, from {order}."
    )
    body = _key(bool(lives)) + html.boxes("grid", cards)
    return Section("forecasts", "Forecasts over life", lead, body, drawn)


def _key(truth: bool) -> str:
    """The colours, explained once."""
    items = [(colour, words(cause)) for cause, colour in CAUSE_COLOURS.items()]
    items += [(BANDS[1], "25–75 %"), (BANDS[0], "5–95 %")]
    marks = [f'<span><i style="background:{colour}"></i>{text}</span>' for colour, text in items]
    marks.insert(len(CAUSES), '<span><i class="median"></i>median</span>')
    if truth:
        marks.append('<span><i class="truth"></i>truth, and the failure</span>')
        marks.append('<span><i class="least"></i>still alive: at least</span>')
    return html.boxes("key", marks)


def browser(drawn: Mapping[str, Forecasts], lives: Mapping[str, Life], first: str) -> Section:
    """Any one of the cells that are drawn."""
    options = "".join(
        f"<option{' selected' * (name == first)}>{escape(name)}</option>" for name in drawn
    )
    pick = (
        f'<div class="pick"><label>Cell <select id="cell">{options}</select></label>'
        f'<small id="fate">{fate(lives.get(first))}</small></div>'
    )
    body = html.card(pick + html.boxes("pair", [html.plot("one-fan"), html.plot("one-risk")]))
    life = lives.get(first)
    shown = {
        "one-fan": figures.forecast_fan(drawn[first], life, height=320),
        "one-risk": figures.risk_by_cause(drawn[first], life, horizon=SOON, height=320),
    }
    return Section("any-cell", "Any cell", "Pick a cell to see its forecasts.", body, shown)


def accuracy(
    forecasts: Mapping[str, Forecasts], lives: Mapping[str, Life], card: Scorecard
) -> Section:
    """Calibration, predicted against true life, and the scorecard."""
    plots = [
        html.card(
            html.plot("calibration"), "Is a risk of 30 % really 30 %?",
            "Predicted risk of failing within some cycles, against how often that came true",
        ),
        html.card(
            html.plot("life"), "Predicted and true life",
            "Dashed: exact; dotted: 15 % off; bars: 5–95 % interval",
        ),
    ]  # fmt: skip
    whens = list(dict.fromkeys(row.when for row in card.rows))
    names = [m for m in METRICS if any(row.metric == m and not row.what for row in card.rows)]
    life = html.table(
        ["", *(words(when).replace("at ", "by cycle ") for when in whens), "what it says"],
        [
            [html.label(m), *(html.figure(card, f"{w}.{m}") for w in whens), METRICS[m].meaning]
            for m in names
        ],
        text=len(whens) + 1,
    )
    metrics = ("base_rate", "auroc", "average_precision", "brier", "calibration_error")
    whats = [f"any_{h}" for h in HORIZONS] + [f"{c}_{SOON}" for c in CAUSES]
    risk = html.table(
        ["", *(html.label(m) for m in metrics)],
        [
            [html.risk_name(w), *(html.figure(card, f"any_cycle.{w}.{m}") for m in metrics)]
            for w in whats
            if f"any_cycle.{w}.brier" in card.figures
        ],
    )
    lead = (
        "Forecasts made before the failure, against what happened. In errors of the life every "
        "cell counts alike, in risks every forecast; cells still alive enter with the weight of "
        "those that were followed as long."
    )
    tables = [html.card(life, "The life"), html.card(risk, "The risk, over all cycles")]
    shown = {
        "calibration": figures.calibration(forecasts, lives),
        "life": figures.predicted_life(forecasts, lives),
    }
    body = html.boxes("pair", plots) + html.boxes("stack", tables)
    return Section("accuracy", "How right it was", lead, body, shown)


def worst(
    forecasts: Mapping[str, Forecasts], card: Scorecard | None, ranking: Sequence[str]
) -> Section:
    """The cells to look at first: the largest errors, or where no truth is known the risks."""
    if card is not None and (cells := card.worst(WORST)):
        lead = "The cells whose remaining life was foretold worst."
        head = ["cell", "cause", "life", "error", "bias", "inside 5–95 %"]
        rows = [
            [
                html.cell_name(c.cell_id, c.cause), words(c.cause or ""), f"{c.life:,.0f}",
                html.number("rel_error", c.rel_error or 0.0),
                html.number("bias", c.bias or 0.0),
                "–" if c.coverage_90 is None else f"{c.coverage_90:.0%}",
            ]
            for c in cells
        ]  # fmt: skip
        figure = figures.worst_cells(cells)
    else:
        lead = f"The cells most likely to fail within {SOON} cycles of their last forecast."
        head = ["cell", "cycle", "cycles left", "5–95 %", f"risk in {SOON}", "cause"]
        head += ["health", "novelty"]
        rows = [_row(n, last(forecasts[n])) for n in ranking[:WORST] if forecasts[n].valid.any()]
        figure = figures.most_at_risk(forecasts, horizon=SOON, number=WORST)
    table = html.table(head, rows, text=head.index("cause"))
    body = html.boxes("split", [html.card(html.plot("worst")), html.card(table)])
    return Section("worst", "Cells to look at first", lead, body, {"worst": figure})


def _row(name: str, forecast: Forecasts) -> list[str]:
    low, _, middle, _, high = forecast.rul[0]
    cause = CAUSES[int(np.argmax(forecast.risk[0, : len(CAUSES), _J]))]
    return [
        html.cell_name(name, cause), f"{forecast.cycle_count[0]:,}", f"{middle:,.0f}",
        f"{low:,.0f}–{high:,.0f}", f"{forecast.risk[0, _ANY, _J]:.0%}", words(cause),
        f"{forecast.soh[0]:.1%}", f"{forecast.novelty[0]:.2f}",
    ]  # fmt: skip
