"""What commands print: tables of what was read, judged and forecast."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fadecast.forecast.forecast import CAUSES, QUANTILES, Forecasts

if TYPE_CHECKING:
    from fadecast.forecast.scorecard import Scorecard
    from fadecast.sources.ingest import IngestReport, IngestRow

SHOWN: Final = 16
"""Rows of the live table."""

SOON: Final = 50
"""Horizon of the live table's risk in cycles, one of ``HORIZONS``."""

JUDGED: Final = {
    "any_cycle.rel_error": "error of\nRUL / life",
    "at_100.mape": "MAPE\nat 100",
    "at_100.rmse": "RMSE\nat 100",
    "any_cycle.coverage_90": "5–95 %\ncovers",
}
"""Figures of a scorecard that are printed, and their headings; a run keeps the whole card."""

FINDINGS: Final = 6
"""Findings printed for each file; a store keeps them all."""

_STATUS: Final = {"read": "green", "kept": "dim", "companion": "dim", "quarantined": "bold red"}

Row = dict[str, float | bool | None]


@contextmanager
def counted(console: Console, doing: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar, moved by calling what it yields: how many are done, of how many, the next."""
    columns = (
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[next]}"),
    )  # fmt: skip
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(doing, total=None, next="")
        yield lambda done, total, name: progress.update(
            task, completed=done, total=total, next=name[-40:]
        )


def ingested(report: IngestReport) -> Group:
    """One line a file, and below what was wrong with it."""
    table = Table(title="What was read", title_justify="left", box=SIMPLE)
    for heading in ("file", "reader", "cell", "cycles", "samples", "status"):
        right = heading in ("cycles", "samples")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in report.by_file():
        table.add_row(
            Text(Path(row.file).name), row.reader, Text(row.cell), f"{row.cycles:,}",
            f"{row.samples:,}", Text(row.status, _STATUS[row.status]),
        )  # fmt: skip
    return Group(table, *_findings(report.rows))


def _findings(rows: Sequence[IngestRow]) -> Iterator[Text]:
    by_file: dict[str, list[str]] = {}
    for row in rows:
        name = f"{row.cell}: " if row.status != "quarantined" else ""
        said = [name + finding for finding in row.findings]
        by_file.setdefault(row.file, []).extend(said)
    for file, said in by_file.items():
        if said:
            yield Text(file, "bold")
            yield from (Text(f"  {finding}") for finding in said[:FINDINGS])
        if len(said) > FINDINGS:
            yield Text(f"  … and {len(said) - FINDINGS} more like these", "dim")


def judged(scorecards: Mapping[str, Scorecard], title: str) -> Table:
    """One line a model, one column a figure; a figure that could not be decided is a dash."""
    cards = {name: card.figures for name, card in scorecards.items()}
    keys = [key for key in JUDGED if any(key in figures for figures in cards.values())]
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("model", no_wrap=True)
    for heading in ("cells", *(JUDGED[key] for key in keys)):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in cards.items():
        cells = str(len(scorecards[name].cells))
        table.add_row(name, cells, *(_number(figures.get(key), ".3g") for key in keys))
    return table


def outcomes(card: Mapping[str, Any]) -> Table:
    """How the cells of a simulated population ended, in all and by kind."""
    title = f"{card['population']['name']}: how the cells ended"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    causes = (*CAUSES, "censored")
    table.add_column("cells", no_wrap=True)
    for heading in ("n", *(cause.replace("_", "\n") for cause in causes), "median\nlife"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = {"all": card["all"]}
    for kind in ("anode", "tier", "fixture", "protocol"):
        rows |= {name.replace("_", " "): counts for name, counts in card[f"by {kind}"].items()}
    for name, counts in rows.items():
        numbers = (counts["cells"], *(counts[cause] for cause in causes))
        table.add_row(name, *map(str, numbers), f"{counts['life']['p50']:.0f}")
    return table


def forecast_lines(
    cell_id: str, forecasts: Iterable[Forecasts], sensors: Sequence[str]
) -> Iterator[Forecasts]:
    """One JSON object a line on stdout, keyed like the columns of a score table."""
    for forecast in forecasts:
        for row in _rows(forecast, sensors):
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


def _rows(forecast: Forecasts, sensors: Sequence[str] = ()) -> Iterator[Row]:
    columns = forecast.columns(sensors)
    for row in range(len(forecast)):
        yield {name: _finite(column[row].item()) for name, column in columns.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _forecasts(cell_id: str, rows: Iterable[Row]) -> Table:
    low, high = (f"rul_p{round(100 * q):02d}" for q in (QUANTILES[0], QUANTILES[-1]))
    title = f"{cell_id}: forecast after every cycle"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    headings = (
        "cycle", "cycles\nleft", "5–95 %", f"risk in\n{SOON}", "mostly", "capacity", "novelty",
    )  # fmt: skip
    for heading in headings:
        justify: JustifyMethod = "left" if heading == "mostly" else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
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
