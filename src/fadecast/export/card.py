"""The model card: what a person has to know before trusting a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fadecast.forecast.forecast import HORIZONS, LONGEST


def write_card(manifest: Mapping[str, Any]) -> str:
    """Markdown from a manifest without ``files``."""
    training, end = dict(manifest["training"]), manifest["end_of_life"]
    horizons = ", ".join(map(str, HORIZONS))
    sensors = ", ".join(name.replace("_", " ") for name in manifest["virtual_sensors"])
    reference = "nominal capacity" if end["reference"] == "nominal" else "early-life capacity"
    return f"""# Model card

## What it does

After every cycle of a battery cell: how many cycles are left (quantiles, up to {LONGEST}), and how
likely the cell is to fail within {horizons} cycles, by cause. It works from voltage, current and,
where they are measured, temperature, stack pressure and casing strain, through the two ONNX graphs
beside this file; `manifest.json` lists every input and output with its unit.

End of life: below {end["fraction"]:.0%} of the {reference} in {end["consecutive"]} observed cycles
in a row.

Virtual sensors, hidden states learnt from a simulator, with one standard deviation each:
{sensors or "none; what the graph says under that name means nothing"}.

## Intended use

Research, cycler laboratories, condition monitoring and maintenance planning. Not a safety function:
nothing may rely on it alone to keep a cell from harm.

## Limits

- It knows the kinds of cells and protocols it was trained on. `novelty` above 1 says that a cycle
  is farther from them than 99 % of the training cycles; such a forecast deserves doubt.
- A cause that no training cell died of is never forecast with any confidence.
- Where data carry no cycle number, a cycle ends by discharge throughput; a summary then covers one
  nominal capacity, however many partial charges that took.
- `valid` is 0 for a cycle without usable charge; its forecast is that of the last valid cycle.

## Training

{_listing({k: v for k, v in training.items() if k not in ("metrics", "config")})}

### Configuration

{_listing(training.get("config", {}))}

## Metrics

{_listing(training.get("metrics", {}))}

## Versions

{_listing(manifest["versions"])}
"""


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
            lines.append(f"{indent}- {key}: {', '.join(map(str, entry))}")
        else:
            text = f"{entry:.6g}" if isinstance(entry, float) else str(entry)
            lines.append(f"{indent}- {key}: {text}")
    return "\n".join(lines)
