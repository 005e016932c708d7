"""What every benchmark shares: its closing line, its table, its machine, where the data lie."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark: ``--quick`` for a smaller version within a minute."""
    out = argparse.ArgumentParser(description=doc)
    out.add_argument("--quick", action="store_true", help="a smaller version, under a minute")
    return out


def options(doc: str | None) -> argparse.Namespace:
    """What was given on the command line of a benchmark that has no options of its own."""
    return parser(doc).parse_args()


def recorded_data() -> Path:
    """The folder of recorded sets: ``FADECAST_DATA``, or ``shared/data`` beside the checkout."""
    folder = Path(os.environ.get("FADECAST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"no recorded data at {folder}: set FADECAST_DATA to the folder that holds them")
    return folder


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first one left-aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(header))]
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("─" * w for w in widths))


def close(
    name: str,
    figures: Mapping[str, float],
    targets: Mapping[str, str],
    met: Mapping[str, bool],
    libraries: Sequence[str] = ("numpy",),
) -> None:
    """Print the closing JSON line; ``targets`` says in words what was wanted of a figure."""
    print(
        json.dumps(
            {
                "benchmark": name,
                "figures": {key: round(float(value), 6) for key, value in figures.items()},
                "targets": dict(targets),
                "met": dict(met),
                "machine": machine(),
                "versions": {"python": platform.python_version()}
                | {library: version(library) for library in ("fadecast", *libraries)},
            }
        ),
        flush=True,
    )


def machine() -> dict[str, Any]:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {"processor": model, "cores": os.cpu_count(), "system": platform.system()}
