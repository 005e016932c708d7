"""The data card of a population: Markdown and JSON, with figures, written from what lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.life import CAUSES
from fadecast.errors import ConfigError
from fadecast.physics.cardfigures import OUTCOMES, draw_figures
from fadecast.physics.parameters import TABLE
from fadecast.physics.population import Population
from fadecast.physics.shard import group_of

TAGS: Final = {
    "F": "full text read", "X": "abstract or excerpt read", "S": "second-hand, low confidence",
    "M": "from memory (reported)", "P": "our own assumption",
}  # fmt: skip
NOT_ANCHORED: Final = (
    "mechanical damage (section 7) and pressure limits",
    "temperature dependence of the critical current density",
    "conductivity of both interphases",
    "shape of the solid diffusivity",
    "process noise of penetration and disconnection",
    "patchiness of contact: every cell has one interface",
    "most pressure anchors rest on one cell each",
)


def read_truth(out: Path) -> dict[str, NDArray[Any]]:
    """All truth shards of a population together; ``start`` is a cell's first row of ``hidden``."""
    paths = sorted((out / "truth").glob("shard-*.npz"))
    if not paths:
        raise ConfigError("no finished shard here", where=str(out), fix="Simulate it first")
    parts: list[dict[str, NDArray[Any]]] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as data:
            parts.append({name: data[name] for name in data.files})
    names = [name for name in parts[0] if name != "columns"]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in names}
    whole["start"] = np.concatenate([[0], np.cumsum(whole["until"])])[:-1]
    return whole


def describe(config: Population, truth: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The card as one JSON value."""
    groups = [group_of(config, n) for n in range(config.shards)]
    kinds = np.repeat(np.arange(len(groups)), config.shard)[: len(truth["cause"])]
    outcome = np.where(truth["cause"] < 0, len(CAUSES), truth["cause"])

    def counts(rows: NDArray[Any]) -> dict[str, Any]:
        found = np.bincount(outcome[rows], minlength=len(OUTCOMES))
        lives = truth["until"][rows]
        return {
            "cells": int(rows.sum()),
            **{name: int(n) for name, n in zip(OUTCOMES, found, strict=True)},
            "life": {f"p{q}": float(np.percentile(lives, q)) for q in (10, 50, 90)},
        }

    def by(field: str) -> dict[str, Any]:
        names = np.array([getattr(g, field) for g in groups])[kinds]
        return {str(name): counts(names == name) for name in np.unique(names)}

    return {
        "population": config.model_dump(mode="json"),
        "all": counts(np.ones(len(kinds), bool)),
        **{f"by {field}": by(field) for field in ("tier", "anode", "fixture", "protocol")},
        "details": {
            str(name): int(n)
            for name, n in zip(*np.unique(truth["detail"], return_counts=True), strict=True)
            if name
        },
        "parameters": [
            {
                "name": p.name, "unit": p.unit, "equation": p.equation, "low": p.low,
                "high": p.high,
                "distribution": "log-uniform" if p.log else "uniform", "spread": p.spread,
                "variants": {k: list(v) for k, v in p.variants.items()}, "tag": p.tag,
                "source": p.source,
            }
            for p in TABLE
        ],
        "tags": TAGS,
        "not_anchored": list(NOT_ANCHORED),
    }  # fmt: skip


def _markdown(card: dict[str, Any], figures: list[tuple[str, str]]) -> str:
    config = card["population"]
    lines = [
        f"# Data card: {config['name']}", "",
        f"{card['all']['cells']} simulated sulfide cells (NMC811), up to {config['cycles']} "
        f"cycles, seed {config['seed']}. Nothing here was measured. Equations: docs/physics.md.",
        "", "## Outcomes", "",
        "| cells | " + " | ".join(("n", *OUTCOMES, "life p10", "p50", "p90")) + " |",
        "|---" * (len(OUTCOMES) + 5) + "|",
    ]  # fmt: skip
    rows = {"all": card["all"]}
    for field in ("tier", "anode", "fixture", "protocol"):
        rows |= {f"{field}: {name}": value for name, value in card[f"by {field}"].items()}
    for name, value in rows.items():
        numbers = [value["cells"], *(value[o] for o in OUTCOMES)]
        numbers += [round(value["life"][q]) for q in ("p10", "p50", "p90")]
        lines.append(f"| {name} | " + " | ".join(map(str, numbers)) + " |")
    origins = ", ".join(f"{k} {v}" for k, v in card["details"].items())
    lines += ["", f"Drivers of contact loss and origins of penetration: {origins or 'none'}.", ""]
    lines += ["## Not anchored in experiments", "", *(f"- {x}" for x in card["not_anchored"]), ""]
    lines += ["## Figures", ""]
    for name, caption in figures:
        lines += [caption, "", f"![{name}]({name}.svg)", ""]
    lines += [
        "## Parameters", "",
        "Tags: " + "; ".join(f"{k} {v}" for k, v in card["tags"].items()) + ".", "",
        "| parameter | unit | eq. | range | spread | tag | source |", "|---" * 7 + "|",
    ]  # fmt: skip
    for p in card["parameters"]:
        others = "".join(f"; {k} {v[0]:.3g}–{v[1]:.3g}" for k, v in p["variants"].items())
        lines.append(
            f"| {p['name']} | {p['unit']} | {p['equation']} | {p['low']:.3g}–{p['high']:.3g}"
            f"{others} | {p['spread']:g} | {p['tag']} | {p['source']} |"
        )
    return "\n".join(lines) + "\n"


def write_card(out: Path) -> tuple[dict[str, Any], Path]:
    """Write ``OUT/card/`` (``README.md``, ``card.json``, figures); the card and its page.

    Raises:
        ConfigError: no population, or not finished.
    """
    header = out / "population.json"
    if not header.exists():
        raise ConfigError("no population here", where=str(out), fix="Simulate one first")
    config = Population.model_validate_json(header.read_text(encoding="utf-8"))
    truth = read_truth(out)
    if len(truth["cause"]) != config.cells:
        raise ConfigError(
            f"{len(truth['cause'])} of {config.cells} cells are there", where=str(out),
            fix="Run the simulation again; it goes on where it stopped",
        )  # fmt: skip
    folder = out / "card"
    folder.mkdir(exist_ok=True)
    card = describe(config, truth)
    page = _markdown(card, draw_figures(config, truth, folder))
    for name, text in (("card.json", json.dumps(card, indent=1)), ("README.md", page)):
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / name)
    return card, folder / "README.md"
