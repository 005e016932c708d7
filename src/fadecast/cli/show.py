"""What commands print: tables of what was read, judged and forecast."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fadecast.forecast.forecast import CAUSES, QUANTILES, Forecasts

if TYPE_CHECKING:
    from fadecast.forecast.scorecard import Scorecard
    from fadecast.sources.ingest import IngestRow

SHOWN: Final = 16
"""Rows of the live table."""

SOON: Final = 50
"""Horizon of the live table's risk in cycles, one of ``HORIZONS``."""

JUDGED: Final = (
    "any_cycle.rel_error", "at_100.mape", "at_100.rmse", "any_cycle.coverage_90",
    "at_100.concordance", "any_cycle.any_50.auroc",
)  # fmt: skip
"""Figures of a scorecard that are printed; the whole card is kept with the run."""

_STATUS: Final = {"read": "green", "kept": "dim", "companion": "dim", "quarantined": "bold red"}

Row = dict[str, float | bool | None]


@contextmanager
def counted(console: Console, doing: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar, moved by calling what it yields: how many are done, of how many, the next."""
    columns = (
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[next]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(doing, total=None, next="")
        yield lambda done, total, name: progress.update(
            task, completed=done, total=total, next=name[-40:]
        )


def ingested(rows: Sequence[IngestRow]) -> Table:
    """One line a file: what was read from it and what was wrong with it."""
    table = Table(title="What was read", title_justify="left")
    for heading in ("file", "reader", "cell", "cycles", "samples", "status", "findings"):
        number = heading in ("cycles", "samples")
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(
            Text(row.file), row.reader, Text(row.cell), f"{row.cycles:,}", f"{row.samples:,}",
            Text(row.status, _STATUS[row.status]), Text("\n".join(row.findings)),
        )  # fmt: skip
    return table


def judged(scorecards: Mapping[str, Scorecard]) -> Table:
    """One line a model, one column a figure; a figure that could not be decided is a dash."""
    cards = {name: card.figures for name, card in scorecards.items()}
    keys = [key for key in JUDGED if any(key in figures for figures in cards.values())]
    table = Table(title="Judged on the test cells", title_justify="left")
    table.add_column("model")
    table.add_column("cells", justify="right")
    for key in keys:
        table.add_column(key.replace("_", " ").replace(".", "\n", 1), justify="right")
    for name, figures in cards.items():
        cells = str(len(scorecards[name].cells))
        table.add_row(name, cells, *(_number(figures.get(key), ".3g") for key in keys))
    return table


def forecast_lines(cell_id: str, forecasts: Iterable[Forecasts]) -> Iterator[Forecasts]:
    """One JSON object a line on stdout, keyed like the columns of a score table."""
    for forecast in forecasts:
        for row in _rows(forecast):
            sys.stdout.write(json.dumps({"cell_id": cell_id, **row}) + "\n")
            sys.stdout.flush()
        yield forecast


def forecast_table(
    cell_id: str, forecasts: Iterable[Forecasts], console: Console
) -> Iterator[Forecasts]:
    """A table of the latest forecasts, renewed at every cycle."""
    latest: deque[Row] = deque(maxlen=SHOWN)
    with Live(console=console, refresh_per_second=12) as live:
        for forecast in forecasts:
            latest.extend(_rows(forecast))
            live.update(_forecasts(cell_id, latest))
            yield forecast


def _rows(forecast: Forecasts) -> Iterator[Row]:
    columns = forecast.columns()
    for row in range(len(forecast)):
        yield {name: _finite(column[row].item()) for name, column in columns.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _forecasts(cell_id: str, rows: Iterable[Row]) -> Table:
    low, high = (f"rul_p{round(100 * q):02d}" for q in (QUANTILES[0], QUANTILES[-1]))
    table = Table(title=f"{cell_id}: forecast after every cycle", title_justify="left")
    headings = (
        "cycle", "cycles left", "5–95 %", f"risk in {SOON}", "mostly", "capacity", "novelty",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "mostly" else "right")
    for row in rows:
        mostly = max(CAUSES, key=lambda cause: row[f"risk_{cause}_{SOON}"] or 0.0)
        table.add_row(
            str(row["cycle_count"]),
            _number(row["rul_p50"], ".0f"),
            f"{_number(row[low], '.0f')}–{_number(row[high], '.0f')}",
            _number(row[f"risk_any_{SOON}"], ".1%"),
            mostly.replace("_", " "),
            _number(row["soh"], ".1%"),
            _number(row["novelty"], ".2f"),
            style="" if row["valid"] else "dim",
        )
    return table


def _number(value: float | bool | None, form: str) -> str:
    return "–" if value is None else format(value, form)
