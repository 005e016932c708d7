"""What the page says in words: its subtitle, its footer, and every term in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from fadecast.cell.life import Life
from fadecast.report import markup as html
from fadecast.report.scores import Scores
from fadecast.report.sections import Section

TERMS: Final = {
    "Cycles left": "Remaining useful life: how many more cycles until the cell fails. It is a "
    "distribution; the median is what half of such cells outlive.",
    "5–95 % band": "Of ten lives, nine should end inside it. The darker 25–75 % band should hold "
    "every second one.",
    "Risk within N cycles": "Probability that the cell fails within its next N cycles, by any "
    "cause or by the one stated.",
    "Capacity fade": "Failure because the discharge capacity stayed below the end of life.",
    "Contact loss": "Failure because the layers of the cell lost touch with each other.",
    "Lithium penetration": "Failure because lithium grew through the separator.",
    "Over-pressure": "Failure because the stack pressure left its permitted range.",
    "State of health": "Estimated discharge capacity over the nominal capacity.",
    "Novelty": "How far a cycle is from those that were trained on; above 1 is farther out than "
    "99 % of them, and the forecast deserves less trust.",
    "Still alive (censored)": "The record ends before a failure. Such a cell is neither dropped "
    "nor called dead: it says that its life is longer than what was seen.",
    "Calibration": "Of the forecasts that said 30 %, three in ten should come true: the line "
    "should follow the diagonal.",
    "Concordance": "Of two cells, the chance that the one predicted to fail first does. 0.5 is a "
    "coin, 1 is always right.",
    "AUROC": "The chance that a cell which fails within the horizon was given a higher risk than "
    "one which does not. 0.5 is a coin.",
}
"""Terms of the page."""


def glossary() -> Section:
    """Every term in a sentence."""
    items = "".join(f"<div><dt>{term}</dt><dd>{text}</dd></div>" for term, text in TERMS.items())
    lead = "What the words on this page mean."
    return Section("terms", "Terms", lead, html.card(f"<dl>{items}</dl>"))


def subtitle(table: Scores, lives: Mapping[str, Life]) -> str:
    """One line on what the page is about."""
    rows = sum(len(forecast) for forecast in table.forecasts.values())
    failed = sum(life.failed for life in lives.values())
    truth = f"{failed:,} seen to fail" if lives else "what became of the cells is not known here"
    return f"{html.count(len(table.forecasts), 'cell')} · {html.count(rows, 'forecast')} · {truth}"


def footer(table: Scores) -> str:
    """Where the numbers come from."""
    bundle = f"bundle <code>{escape(table.bundle)}</code>" if table.bundle else "an unnamed bundle"
    end = table.end_of_life
    capacity = "nominal" if end.reference == "nominal" else "early"
    return (
        f"Forecasts by {bundle}. End of life: discharge capacity below {end.fraction:.0%} of the "
        f"{capacity} capacity in {end.consecutive} observed cycles in a row, unless the data set "
        "states a life."
    )
