"""Pieces of HTML: tiles, cards, tables, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from fadecast.forecast.scorecard import METRICS, Scorecard
from fadecast.report.style import ALIVE, CAUSE_COLOURS, words

_LABELS: Final = {
    "rel_error": "error / life", "rmse": "RMSE", "mae": "MAE", "mape": "MAPE",
    "median_ape": "median APE", "accuracy_15": "within 15 %", "coverage_50": "inside 25–75 %",
    "coverage_90": "inside 5–95 %", "decided_90": "decided", "width_90": "width 5–95 %",
    "concordance_ipcw": "concordance, Uno", "concordance_td": "concordance, Antolini",
    "ibs": "Brier, integrated", "auroc": "AUROC", "brier": "Brier",
}  # fmt: skip

_SCORES: Final = {
    "concordance", "concordance_ipcw", "concordance_td", "ibs", "auroc", "brier",
    "average_precision",
}  # fmt: skip
"""Metrics that are written as 0.123; others without a unit are written in per cent."""


def label(metric: str) -> str:
    """A metric as people write it."""
    return _LABELS.get(metric, metric.replace("_", " "))


def number(metric: str, value: float) -> str:
    """A figure with as many digits as it deserves."""
    if METRICS[metric].unit == "cycles":
        return f"{value:.0f}"
    if metric in _SCORES:
        return f"{value:.3f}"
    return f"{value:+.1%}" if metric == "bias" else f"{value:.1%}"


def figure(card: Scorecard, name: str) -> str:
    """A figure of a scorecard by its key; a dash where it is absent."""
    value = card.figures.get(name)
    return "–" if value is None else number(name.split(".")[-1], value)


def count(many: int, what: str) -> str:
    """“3 cells”."""
    return f"{many:,} {what}{'' if many == 1 else 's'}"


def dot(cause: str | None) -> str:
    """A dot in the colour of a cause."""
    colour = CAUSE_COLOURS.get(cause or "", ALIVE)
    return f'<i class="dot" style="background:{colour}"></i>'


def risk_name(what: str) -> str:
    """“any_50” with its dot, as “any cause within 50 cycles”."""
    name, _, horizon = what.rpartition("_")
    return f"{dot(name)}{words(name)} within {horizon} cycles"


def cell_name(name: str, cause: str | None) -> str:
    """A cell's name with a dot in the colour of its cause."""
    return dot(cause) + escape(name)


def tile(value: str, title: str, note: str) -> str:
    """A figure in large type with its name and a note."""
    return f'<div class="card tile"><b>{value}</b><span>{title}</span><small>{note}</small></div>'


def plot(name: str) -> str:
    """The place of a figure."""
    return f'<div class="plot" id="plot-{name}"></div>'


def card(content: str, title: str = "", note: str = "") -> str:
    """A white box, perhaps with a heading and a note."""
    top = (f"<h3>{title}</h3>" if title else "") + (f"<small>{note}</small>" if note else "")
    return f'<div class="card">{top}{content}</div>'


def boxes(kind: str, content: Sequence[str]) -> str:
    """Boxes side by side as far as there is room: ``tiles``, ``grid`` or ``pair``."""
    return f'<div class="{kind}">{"".join(content)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int | None = None) -> str:
    """A table of entries that are HTML already; column ``text`` holds running text."""

    def line(tag: str, row: Sequence[str]) -> str:
        kinds = (' class="text"' if i == text else "" for i in range(len(row)))
        return "".join(f"<{tag}{k}>{c}</{tag}>" for k, c in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{line("th", head)}</tr>{body}</table></div>'
