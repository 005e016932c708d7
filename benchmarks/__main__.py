"""``python -m benchmarks [NAME ...]`` runs benchmarks and refreshes docs/results.md.

Each run replaces its own section of the page, misses and failures included, and leaves the others
as they are. ``--quick`` runs write no page: a smaller figure must not take the place of a full one.

A benchmark is a module of this folder (one whose name begins with ``_`` is a helper). It prints a
table for people; its last line is one JSON object with ``benchmark, figures, targets, met,
machine, versions``.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results.md"

INTRODUCTION = """# Results

Written by `make bench` (all) and `python -m benchmarks NAME` (one section); nothing here is entered
by hand. Each section is the output of the command that heads it, on the machine it names. A target
that was missed says so.
"""

SECTION = re.compile(r"^## (\w+)\n\n(?=`python -m benchmarks\.\1`)", re.MULTILINE)
"""Head of a section: a line that merely looks like a heading in some output is none."""


def main() -> None:
    """Run all benchmarks, or the named ones, and refresh their sections of docs/results.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    parser.add_argument("--quick", action="store_true", help="at most a minute each, no page")
    options = parser.parse_args()
    found = [m.name for m in pkgutil.iter_modules([str(ROOT / "benchmarks")]) if m.name[0] != "_"]
    unknown = sorted(set(options.names) - set(found))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
    quick = ["--quick"] * options.quick
    failed = []
    for name in options.names or found:
        print(f"\n── benchmarks.{name} " + "─" * (70 - len(name)), flush=True)
        lines, code = run([sys.executable, "-m", f"benchmarks.{name}", *quick])
        result = read_result(lines[-1] if lines else "")
        if code or result is None:
            failed.append(name)
        if not quick:
            refresh(RESULTS, name, section(name, lines, result, code), order=found)
            print(f"\nwrote {RESULTS.relative_to(ROOT)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(command: list[str]) -> tuple[list[str], int]:
    """The lines a command prints, shown while they come, and its exit code."""
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return [line for line in lines if line.strip()], process.returncode


def read_result(line: str) -> dict[str, Any] | None:
    """The closing JSON object of a benchmark, if the line is one."""
    try:
        result = json.loads(line)
    except json.JSONDecodeError:
        return None
    wanted = {"benchmark", "figures", "targets", "met", "machine", "versions"}
    return result if isinstance(result, dict) and wanted <= set(result) else None


def section(name: str, lines: list[str], result: dict[str, Any] | None, code: int) -> str:
    """One benchmark as Markdown."""
    command = f"python -m benchmarks.{name}"
    if code or result is None:
        return f"\n## {name}\n\n`{command}` failed (exit code {code}); no figures.\n"
    table = "\n".join(lines[:-1])
    parts = [f"\n## {name}\n\n`{command}`\n\n```text\n{table}\n```\n"]
    if result["targets"]:
        parts.append("\n| target | wanted | measured | met |\n|---|---|---|---|\n")
        for key, target in result["targets"].items():
            met = {True: "yes", False: "**no**"}.get(result["met"].get(key), "not measured")
            parts.append(
                f"| `{key}` | {plain(target)} | {plain(result['figures'].get(key))} | {met} |\n"
            )
    parts.append(f"\nMachine: {plain(result['machine'])}. Versions: {plain(result['versions'])}.\n")
    return "".join(parts)


def plain(value: Any) -> str:
    """A value of the JSON object for a reader."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " … ".join(plain(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def refresh(path: Path, name: str, text: str, *, order: Sequence[str]) -> None:
    """Replace one section of the page; those of benchmarks that are no more (``order``) go."""
    pieces = SECTION.split(path.read_text(encoding="utf-8") if path.exists() else "")
    bodies = zip(pieces[1::2], pieces[2::2], strict=True)
    sections = {kept: f"\n## {kept}\n\n{body.rstrip()}\n" for kept, body in bodies}
    sections[name] = text
    whole = INTRODUCTION + "".join(sections[kept] for kept in order if kept in sections)
    partial = path.with_suffix(".partial")
    partial.write_text(whole, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    main()
