"""The model card: what a person has to know before trusting a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fadecast.forecast.forecast import HORIZONS, LONGEST, RISKS, VIRTUAL_SENSORS
from fadecast.forecast.scorecard import METRICS

_ALWAYS: Final = "any_cycle"
_CAUSES: Final = {
    "any": "any cause", "pressure": "any pressure-related cause", "over_pressure": "over-pressure",
}  # fmt: skip
_RISKS: Final = {
    f"{risk}_{horizon}": f"{_CAUSES.get(risk, risk.replace('_', ' '))} within {horizon} cycles"
    for risk in RISKS
    for horizon in HORIZONS
}
_NAMES: Final = _CAUSES | _RISKS | {"auroc": "AUROC"}
_LIFE: Final = "Remaining life and survival"
_KINDS: Final = {
    "Risks after any cycle": _RISKS,
    "Virtual sensors after any cycle": VIRTUAL_SENSORS,
}
_OTHERS: Final = "By kind after any cycle"
_LEARNING: Final = "Of the training"
_AT_LANDMARKS: Final = {
    "auroc": "Ranking of the risk at landmarks (AUROC)",
    "ibs": "Error of the incidence by cause at landmarks (integrated Brier score)",
}
"""Of what is told by cause at a landmark, the figures that the card shows."""

Rows = dict[str, dict[str, float]]
"""Figures by row and column."""


def write_card(manifest: Mapping[str, Any]) -> str:
    """Markdown from a manifest without ``files``."""
    training, end = dict(manifest["training"]), manifest["end_of_life"]
    config, figures = training.pop("config", {}), training.pop("metrics", {})
    if sources := training.pop("sources", []):
        training.pop("cells", None)  # the table of sources counts them
    horizons = ", ".join(map(str, HORIZONS))
    sensors = ", ".join(name.replace("_", " ") for name in manifest["virtual_sensors"])
    simulated = bool(sensors) or any(entry["source"] == "simulated" for entry in sources)
    reference = "nominal capacity" if end["reference"] == "nominal" else "early-life capacity"
    return f"""# Model card

## What it is

After every cycle of a battery cell: how many cycles are left (quantiles, up to {LONGEST}), and how
likely the cell is to fail within {horizons} cycles, by cause. It works from voltage, current and,
where they are measured, temperature, stack pressure and casing strain, through the two ONNX graphs
beside this file; `manifest.json` lists every input and output with its unit.

End of life: below {end["fraction"]:.0%} of the {reference} in {end["consecutive"]} observed cycles
in a row.

Virtual sensors, hidden states learnt from a simulator, with one standard deviation each:
{sensors or "none; what the graph says under that name means nothing"}.

Intended for research, cycler laboratories, condition monitoring and maintenance planning. Not a
safety function: nothing may rely on it alone to keep a cell from harm.

## Data

{_sources(sources)}{_listing(training)}

## Figures

{_figures(figures)}

## Limits

- It knows the kinds of cells and protocols it was trained on. `novelty` above 1 says that a cycle
  is farther from them than 99 % of the training cycles; such a forecast deserves doubt.
- Intervals and risks are calibrated on validation cells of the same kinds. No coverage is promised
  for other kinds of cells, protocols or instruments; `novelty` hints at them and proves nothing.
- A cause that no training cell died of is never forecast with any confidence.
{_SIMULATED if simulated else ""}\
- Where data carry no cycle number, a cycle ends by discharge throughput; a summary then covers one
  nominal capacity, however many partial charges that took.
- `valid` is 0 for a cycle without usable charge; its forecast is that of the last valid cycle.

## Versions

{_listing(manifest["versions"])}

## Configuration

{_listing(config)}
"""


_SIMULATED: Final = """\
- Lithium that penetrates the separator is nearly invisible before its precursor, the leak that
  begins once it has crossed about 60 % of it: until then only a slight, slow fall of the ohmic
  resistance shows. An earlier risk of it comes from the cell's history and declared design, and a
  penetration may come unannounced.
- Over-pressure is told by how close the measured pressure, or without a sensor the declared one,
  comes to the declared `pressure_limit_pa`: without that limit there is little to tell it by.
- What it has learnt from simulated cells holds as far as the simulator does. Figures on simulated
  cells say how well it reads that simulator, not a real cell.
- No experiment anchors, in the simulator: mechanical damage and pressure limits, on which
  over-pressure rests; how the critical current density depends on temperature; the conductivity of
  the interphases; patchy contact; process noise; the sizes of sensor errors.
- Virtual sensors are states of the simulator; no measurement on a real cell has checked them.
"""


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    """A table of where the cells come from, with a blank line after it; nothing where unknown."""
    if not sources:
        return ""
    parts = list(sources[0]["cells"])
    rows = [
        [
            entry["source"], *(str(entry["cells"][part]) for part in parts),
            entry["licence"] or ("own" if entry["source"] == "simulated" else "none stated"),
            entry["citation"] or "–",
        ]
        for entry in sources
    ]  # fmt: skip
    return _table(["cells from", *parts, "licence", "citation"], rows) + "\n\n"


def _figures(figures: Mapping[str, float]) -> str:
    """Figures by key (``when.metric``, ``when.what.metric`` or a plain name) as tables."""
    if not figures:
        return "not recorded"
    tables: dict[str, Rows] = {title: {} for title in (_LIFE, *_KINDS, *_AT_LANDMARKS.values())}
    for key, value in figures.items():
        when, *what, metric = key.split(".") if "." in key else ("", key)
        name = ".".join(what)
        if not when:
            title, row, column = _LEARNING, metric, "at the end"
        elif not name:
            title, row, column = _LIFE, metric, when
        elif when == _ALWAYS:
            kind = next((title for title, names in _KINDS.items() if name in names), _OTHERS)
            title, row, column = kind, name, metric
        elif metric in _AT_LANDMARKS:
            title, row, column = _AT_LANDMARKS[metric], name, when
        else:
            continue
        tables.setdefault(title, {}).setdefault(row, {})[column] = value
    parts = ["Of the test cells, which trained nothing. `manifest.json` has these and more."]
    parts += [f"### {title}\n\n{_pivot(rows)}" for title, rows in tables.items() if rows]
    return "\n\n".join(parts)


def _pivot(rows: Rows) -> str:
    """A table of figures, rows and columns in the order of their names and numbers."""
    columns = sorted({column for row in rows.values() for column in row}, key=_by_number)
    lines = []
    for name in sorted(rows, key=_by_number):
        unit = f" ({METRICS[name].unit})" if name in METRICS and METRICS[name].unit != "1" else ""
        values = [_number(rows[name][column]) if column in rows[name] else "–"
                  for column in columns]  # fmt: skip
        lines.append([_words(name) + unit, *values])
    return _table(["", *map(_words, columns)], lines)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts ``at_50`` before ``at_100``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _words(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    cells = ([cell.replace("|", r"\|") for cell in line] for line in (header, rule, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _listing(value: Any, depth: int = 0) -> str:
    """A nested mapping as a Markdown list."""
    if not value:
        return "not recorded"
    lines = []
    for key, entry in value.items():
        indent = "  " * depth
        if isinstance(entry, Mapping) and entry:
            lines += [f"{indent}- {key}", _listing(entry, depth + 1)]
        elif isinstance(entry, list | tuple):
            lines.append(f"{indent}- {key}: {', '.join(map(str, entry)) or '–'}")
        else:
            text = f"{entry:.6g}" if isinstance(entry, float) else str(entry)
            lines.append(f"{indent}- {key}: {text}")
    return "\n".join(lines)
