"""Cells and sensors other than those of the training: what a bundle still knows, what it flags.

Fresh simulated cells are the reference: training/populations/assb.yaml under another seed, all of
them declared and with a pressure sensor, as are those from elsewhere. Beside
them stand cells from elsewhere (training/populations/elsewhere.yaml: other priors, protocols and
instruments, kinds weighed as in the reference), the reference with sensor noise and drift doubled,
and with its pressure sensor dead from the middle of every record on, or never there. All are scored
from Parquet tables of cycle summaries, as `fadecast score` does. What each condition changes is
told, with intervals over designs, of all cells and apart of those in vehicles and in the
laboratory; for the sensors docs/figures/shift_pressure.svg draws it. Two conditions declare neither
the fixture nor any pressure, with the sensor and without it: what it is worth where nothing is
declared.

`--bundle` is what is judged (default: the pretrained one). Quick: few cells and a network trained
for seconds, which says that the line works and nothing of how well.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import fadecast
from benchmarks import _common, _pictures
from benchmarks._alarms import LEAD
from benchmarks._conditions import noisier, simulate, undeclared, without_pressure
from benchmarks._judge import LANDMARK, Judged, differences
from benchmarks._judging import Figures
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES, EndOfLife
from fadecast.cell.summaries import FIELDS
from fadecast.export.bundle import export_bundle
from fadecast.forecast.forecast import Forecasts
from fadecast.learn.config import TrainConfig
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import fit
from fadecast.network.summary import Summary
from fadecast.physics.population import Population
from fadecast.report.scores import read_scores
from fadecast.runtime import Session
from fadecast.scoring.local import score

POPULATIONS = _common.ROOT / "training" / "populations"
TRAINING = _common.ROOT / "training" / "configs" / "assb.yaml"
CELLS, QUICK_CELLS = 600, 96
SEED = 7001
"""Of the fresh cells; nothing trains on it."""
KEYS = {
    "elsewhere": "shift.elsewhere", "noise2": "noise2",
    "dead": "pressure.dead", "none": "pressure.none",
    "undeclared": "undeclared", "neither": "undeclared.pressure.none",
}  # fmt: skip
AGAINST = {"neither": "undeclared"}
"""What a condition is compared to where it is not the reference."""
COMPARED = ("auroc", "ap", "rul.mdape.cycle100", "coverage90", "novelty")
SHOWN = (*COMPARED, "coverage90.flagged", "coverage90.unflagged")
WORTH = ("auroc", "ap", "rul.mdape.cycle100", *(f"lead.{cause}" for cause in PRESSURE_CAUSES))
"""What is told of parts of the cells."""
PARTS = (None, "vehicle", "laboratory")
"""Protocols whose cells are told apart; None: all."""
FEWEST = 10
"""Failures without which no difference of their lives or alarms is told."""
SENSORS = ("noise2", "dead", "none", "neither")
"""Conditions that are drawn."""
PICTURES = _common.ROOT / "docs" / "figures"
LIBRARIES = ("numpy", "onnxruntime", "pyarrow")
_AT_ONCE = 32

Span = tuple[float, ...]
"""A difference and the ends of its interval."""


def main() -> None:
    """Judge, print, close."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller version, under a minute")
    parser.add_argument("--bundle", type=Path, help="the bundle to judge")
    parser.add_argument("--cells", type=int, default=CELLS, help="fresh cells a condition")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = judge_bundle(options.bundle, options.cells, options.quick, Path(name))
    figures = {key: value for key, value in figures.items() if np.isfinite(value)}
    _common.close("shift", figures, {}, {}, LIBRARIES)


def judge_bundle(bundle: Path | None, count: int, quick: bool, folder: Path) -> Figures:
    """A bundle under every condition."""
    changes = {"cells": QUICK_CELLS, "cycles": 150, "shard": 4} if quick else {"cells": count}
    reference, elsewhere = (
        fresh_cells(Population.from_yaml(POPULATIONS / f"{name}.yaml"), changes)
        for name in ("assb", "elsewhere")
    )
    pretrained = fadecast.PRETRAINED
    bundle = bundle or (pretrained if pretrained.exists() else None)
    if bundle is None and not quick:
        sys.exit("no pretrained bundle here: give --bundle, or --quick for one trained in seconds")
    session = Session.load(bundle or quick_bundle(reference, folder))
    print(f"the network is the bundle {session.fingerprint[:12]}")
    fresh = simulate(reference, folder / "reference")
    conditions = {
        "elsewhere": lambda: simulate(elsewhere, folder / "elsewhere"),
        "noise2": lambda: simulate(noisier(reference), folder / "noise2"),
        "dead": lambda: [without_pressure(cell, 0.5) for cell in fresh],
        "none": lambda: [without_pressure(cell, 0.0) for cell in fresh],
        "undeclared": lambda: [undeclared(cell) for cell in fresh],
        "neither": lambda: [without_pressure(undeclared(cell), 0.0) for cell in fresh],
    }
    own, figures = judge(fresh, session, folder, "reference")
    others = {}
    for name, make in conditions.items():
        others[name], found = judge(make(), session, folder, KEYS[name])
        figures |= found | {f"novelty.{name}": others[name].figures()["novelty"]}
    print("\nPressure-related failure within 50 cycles, cycles left at cycle 100, 90 % intervals,")
    print("share of forecasts with a novelty above 1:")
    judged = {"reference": own} | others
    _common.table(["", *SHOWN], [line(name, one.figures()) for name, one in judged.items()])
    print(f"\nBy part, with shares of failures announced {LEAD} or more cycles before, by an alarm")
    print(
        "at the lowest threshold that is false at most once in 5000 cycles of these cells. Changes"
    )
    print("are to the reference (elsewhere: kinds weighed as there; neither: to undeclared), 95 %")
    print(f"over designs; none is told of fewer than {FEWEST} failures:")
    gaps = {}
    for part in PARTS:
        for name, other in others.items():
            base = judged[AGAINST.get(name, "reference")]
            few = too_few(base, part) | too_few(other, part)
            found = differences(base, other, paired=name != "elsewhere", protocol=part)
            gaps[name, part] = {key: span for key, span in found.items() if key not in few}
        figures |= told_of(part, judged, gaps)
    if not quick:
        drawn = {key: gap for key, gap in gaps.items() if key[0] in SENSORS}
        picture = _pictures.changes(drawn, WORTH, f"{len(fresh)} simulated cells")
        _pictures.save({"shift_pressure": picture}, PICTURES)
    return figures


def fresh_cells(config: Population, changes: Mapping[str, int]) -> Population:
    """Cells that nothing was trained on, all of them declared and with a pressure sensor: what is
    taken from them, a condition takes."""
    sensors = replace(config.sensors, pressure_missing=0.0)
    fixed = {"seed": SEED, "latent": False, "undeclared": 0.0, "sensors": sensors}
    return config.model_copy(update={**changes, **fixed})


def members(judged: Judged, part: str | None) -> NDArray[np.bool_]:
    """``(m,)`` cells of a protocol; None: all."""
    protocol = judged.rows.protocol
    return np.ones(len(protocol), bool) if part is None else protocol == part


def failures(judged: Judged, part: str | None) -> dict[str, int]:
    """How many failures decide a figure, by its name: alarms by cause, lives at the landmark."""
    rows, inside = judged.rows, members(judged, part)
    found = {f"lead.{c}": int((inside & (rows.cause == CAUSES.index(c))).sum())
             for c in PRESSURE_CAUSES}  # fmt: skip
    seen = rows.cell[rows.cycle == LANDMARK]
    return found | {"rul.mdape.cycle100": int((inside & rows.failed)[seen].sum())}


def too_few(judged: Judged, part: str | None) -> set[str]:
    """Figures that hardly a failure decides."""
    return {name for name, count in failures(judged, part).items() if count < FEWEST}


def told_of(
    part: str | None,
    judged: Mapping[str, Judged],
    gaps: Mapping[tuple[str, str | None], Mapping[str, Span]],
) -> Figures:
    """Print and return how the cells of a protocol fare and what each condition changes."""
    figures: Figures = {}
    own = judged["reference"]
    counts = ", ".join(f"{name} {count}" for name, count in failures(own, part).items())
    print(f"\n{part or 'all'}: {members(own, part).sum()} cells; failures: {counts}")
    values = []
    for name, one in judged.items():
        found = one.figures(members(one, part).astype(np.float64))
        values.append([name, *(f"{found[key]:.3f}" for key in WORTH)])
        if part:
            figures |= {f"{KEYS.get(name, name)}.{part}.{key}": found[key] for key in WORTH}
    _common.table(["", *WORTH], values)
    ranked = WORTH[:3] if part else COMPARED
    for chosen in (ranked, WORTH[3:]):
        rows = [[name, *(between(gaps[name, part].get(key)) for key in chosen)]
                for name in KEYS]  # fmt: skip
        _common.table(["change", *chosen], rows)
        for name, key in KEYS.items():
            figures |= gap_figures(f"{key}.{part}" if part else key, gaps[name, part], chosen)
    return figures


def judge(
    cells: Sequence[CellSequence], session: Session, folder: Path, key: str
) -> tuple[Judged, Figures]:
    """One condition: its judged forecasts, and its figures."""
    forecasts = scored(cells, session, folder)
    print(f"\n{key}: {len(cells)} cells, {sum(len(c.summaries) for c in cells)} cycles", end="")
    judged = Judged.of(forecasts, cells)
    return judged, {f"{key}.{name}": value for name, value in judged.figures().items()}


def quick_bundle(reference: Population, folder: Path) -> Path:
    """A bundle of a network trained for seconds on cells under another seed."""
    config = TrainConfig.from_yaml(TRAINING)
    other = reference.model_copy(update={"seed": reference.seed + 1})
    cells = simulate(other, folder / "training")
    network = fit(cells[6:], cells[:6], config.network, config.training, folder=folder)
    return export_bundle(
        Summary(), network, folder / "bundle", training={"run_id": "none"},
        end_of_life=EndOfLife(), held_out=cells[:2],
    )  # fmt: skip


def scored(
    cells: Sequence[CellSequence], session: Session, folder: Path
) -> Mapping[str, Forecasts]:
    """Forecasts of the cells by way of a table of summaries and a table of designs."""
    source, specs = folder / "cycles.parquet", folder / "cells.csv"
    with specs.open("w", newline="") as file:
        rows = [asdict(cell.spec) for cell in cells]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    seen = np.any([cell.summaries.observed.any(0) for cell in cells], axis=0)
    names = [name for name, some in zip(FIELDS, seen, strict=True) if some]
    with pq.ParquetWriter(source, schema(names), compression="lz4") as table:
        for batch in batches(cells, names):
            table.write_table(batch)
    report = score(source, specs, session, folder / "scores.parquet")
    if report.problems:
        print(f"\n{len(report.problems)} doubtful: {next(iter(report.problems.values()))}", end="")
    return read_scores(report.out).forecasts


def schema(names: Sequence[str]) -> pa.Schema:
    fields = [pa.field(name, pa.float32()) for name in names]
    return pa.schema([("cell_id", pa.string()), ("cycle_count", pa.int64()), *fields])


def batches(cells: Sequence[CellSequence], names: Sequence[str]) -> Iterator[pa.Table]:
    """Cycle summaries of some cells at a time; what is masked is null."""
    for start in range(0, len(cells), _AT_ONCE):
        group = cells[start : start + _AT_ONCE]
        ids = np.repeat([c.cell_id for c in group], [len(c.summaries) for c in group])
        columns = {
            "cell_id": pa.array(ids.tolist()),
            "cycle_count": np.concatenate([c.summaries.cycle_count for c in group]),
        }
        for name in names:
            values = np.concatenate([c.summaries.field(name) for c in group])
            columns[name] = pa.array(values, from_pandas=True)
        yield pa.table(columns, schema=schema(names))


def gap_figures(key: str, gaps: Mapping[str, Span], names: Sequence[str]) -> Figures:
    """Differences by name; of rankings and alarms as a loss, which is above 0 where it is worse."""
    figures = {}
    for name in names:
        value, low, high = gaps.get(name, (np.nan,) * 3)
        better = name in ("auroc", "ap") or name.startswith("lead.")
        ends = (-value, -high, -low) if better else (value, low, high)
        suffix = "loss" if better else "change"
        for part, end in zip(("", ".low", ".high"), ends, strict=True):
            figures[f"{key}.{name}_{suffix}{part}"] = end
    return figures


def line(name: str, figures: Figures) -> list[str]:
    return [name, *(f"{figures[key]:.3f}" for key in SHOWN)]


def between(span: Sequence[float] | None, sign: str = "+") -> str:
    """A value and the ends of its interval; ``sign`` as in a format."""
    if span is None:
        return "–"
    value, low, high = (format(number, f"{sign}.3f") for number in span)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
