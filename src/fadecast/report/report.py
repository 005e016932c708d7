"""``write_report``: one page on what a table of scores says, and on how right it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from fadecast.cell.life import EndOfLife, Life, find_life
from fadecast.cell.store import Store
from fadecast.errors import ConfigError, DataError
from fadecast.forecast.evaluate import evaluate
from fadecast.forecast.forecast import Forecasts
from fadecast.report import figures, sections, terms
from fadecast.report.scores import Scores, read_scores
from fadecast.report.style import TEMPLATE, fate, short, thin

DRAWN: Final = 200
"""Cells that are drawn one by one; of a larger fleet those most in question."""


def write_report(
    scores: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    title: str = "Fadecast report",
) -> Path:
    """Write one HTML page that needs nothing but a browser.

    Args:
        scores: Parquet file of ``fadecast score``.
        out: the page; written whole or not at all.
        store: store that holds the scored cells: when they failed comes from there, and with it
            what the forecasts were worth. Without it the page shows the forecasts alone.
        title: heading of the page.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the folder of ``out`` does not exist.
        ReadError: the scores are not a Parquet file.
        CheckError: the scores break a rule.
        DataError: a scored cell is not in the store.
        StoreError: the store is damaged.
    """
    out = Path(out)
    if not out.parent.is_dir():
        raise ConfigError(f"folder {out.parent} does not exist", fix="Make it, or choose another")
    table = read_scores(scores)
    names = list(table.forecasts)
    lives = {} if store is None else find_lives(Store(store), names, table.end_of_life)
    page = _page(table, lives, title)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        partial.write_text(page, "utf-8")
        return partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def find_lives(store: Store, cells: Sequence[str], end_of_life: EndOfLife) -> dict[str, Life]:
    """The lives of cells of a store; time series are summarised, which needs the extra ``learn``.

    Raises:
        DataError: a cell is not in the store.
    """
    unknown = [name for name in cells if name not in store]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(cells)} scored cells are not in it: {', '.join(unknown[:5])}",
            where=str(store.path), fix="Give the store that was scored, or no store",
        )  # fmt: skip
    lives = {}
    for name in cells:
        record = store.read(name)
        summaries = record.summaries
        if summaries is None:
            from fadecast.network.batch import summarise_record

            summaries = summarise_record(record)
        lives[name] = find_life(summaries, record.metadata, end_of_life)
    return lives


def _page(table: Scores, lives: Mapping[str, Life], title: str) -> str:
    forecasts, end = table.forecasts, table.end_of_life
    card = evaluate(forecasts, lives) if lives else None
    ranking = sections.rank(forecasts, card)
    drawn = {name: forecasts[name] for name in sorted(ranking[:DRAWN])}
    floor = end.fraction if end.reference == "nominal" else None
    parts = [
        sections.overview(forecasts, lives, card),
        sections.fade(drawn, lives, len(forecasts), floor),
        sections.examples(forecasts, lives, ranking),
        sections.browser(drawn, lives, ranking[0]),
        *([sections.accuracy(forecasts, lives, card)] if card else []),
        sections.worst(forecasts, card, ranking),
        terms.glossary(),
    ]
    data = {
        "template": TEMPLATE.to_plotly_json(),
        "figures": {name: _plain(f) for part in parts for name, f in part.figures.items()},
        "cells": {name: _browsed(forecast, lives.get(name)) for name, forecast in drawn.items()},
    }
    package = files(__package__)
    return Template((package / "page.html").read_text("utf-8")).substitute(
        title=escape(title),
        subtitle=terms.subtitle(table, lives),
        nav="".join(f'<a href="#{part.name}">{part.title}</a>' for part in parts),
        body="\n".join(part.html() for part in parts),
        footer=terms.footer(table),
        css=(package / "page.css").read_text("utf-8"),
        js=(package / "page.js").read_text("utf-8"),
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
    )


def _plain(figure: go.Figure) -> dict[str, Any]:
    """A figure as JSON values, without the template, which the page holds once."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    del plain["layout"]["template"]
    return plain


def _browsed(forecast: Forecasts, life: Life | None) -> dict[str, Any]:
    """What the page needs to draw any one cell: the lines of its fan and of its risk."""
    few = thin(forecast)
    x = short(few.cycle_count, 0)
    lines = {
        "fan": figures.fan_lines(few, life),
        "risk": figures.risk_lines(few, life, sections.SOON),
    }
    drawn = {n: [[None if a == x else a, b] for a, b in pairs] for n, pairs in lines.items()}
    axes = {"end": figures.cycle_end(few, life), "top": figures.fan_top(few, life)}
    return {"x": x, "fate": fate(life), **axes, **drawn}
