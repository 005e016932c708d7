"""Batch scoring from Parquet to Parquet, beside the floor: the same graphs called and nothing else.

Two inputs: cycle summaries (rows of cycles per second) and raw samples (samples per second), the
samples with the cells one after the other and interleaved. The network has its default size and
random weights; speed does not depend on them. Every figure is the median of interleaved rounds in
one process with one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._common import close, options, table
from fadecast.cell.life import EndOfLife
from fadecast.cell.summaries import FIELDS, N_FIELDS
from fadecast.export.bundle import export_bundle
from fadecast.runtime import Session
from fadecast.runtime.fleet import CELLS
from fadecast.runtime.summarise import LONGEST, PIECES, summarise_samples
from fadecast.scoring.local import score
from tests.bundles import made_up_columns, made_up_cycles, made_up_spec, tiny_network

KINDS = 8
"""Different made-up cells; the others are copies under other names."""
HALF = 0.5


@dataclass(frozen=True)
class Size:
    """How much is scored in a round."""

    cells: int
    cycles: int
    sampled_cells: int
    sampled_cycles: int
    rounds: int


QUICK = Size(cells=200, cycles=60, sampled_cells=16, sampled_cycles=40, rounds=3)
FULL = Size(cells=1000, cycles=150, sampled_cells=64, sampled_cycles=100, rounds=5)


def main() -> None:
    size = QUICK if options(__doc__).quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session = make_session(folder / "bundle")
        cells = write_cells(folder / "cells.csv", max(size.cells, size.sampled_cells))
        cycles = write_summaries(folder / "cycles.parquet", session, size)
        samples = write_samples(folder / "samples.parquet", size)
        mixed = folder / "mixed.parquet"
        pq.write_table(pq.read_table(samples).sort_by("test_time_second"), mixed)
        out = folder / "scores.parquet"

        def scored(source: Path) -> Callable[[], int]:
            return lambda: score(source, cells, session, out).rows

        rates = measure(
            {
                "cycles.floor": lambda: step_alone(session, size.cells * size.cycles),
                "cycles.read": lambda: pq.read_table(cycles).num_rows,
                "cycles.score": scored(cycles),
                "samples.floor": lambda: summarise_alone(session, pq.read_metadata(samples)),
                "samples.read": lambda: pq.read_table(samples).num_rows,
                "samples.score": scored(samples),
                "samples.score_interleaved": scored(mixed),
            },
            size.rounds,
        )
    show(rates)


def make_session(out: Path) -> Session:
    summary, forecaster = tiny_network(hidden=64)
    held_out = [made_up_cycles("held-out", seed=99)]
    return Session.load(
        export_bundle(
            summary, forecaster, out, training={}, end_of_life=EndOfLife(), held_out=held_out
        )
    )


def write_cells(path: Path, n: int) -> Path:
    rows = ["cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v"]
    path.write_text("\n".join([*rows, *(f"cell-{i:05d},2.0,2.5,4.2" for i in range(n))]))
    return path


def write_summaries(path: Path, session: Session, size: Size) -> Path:
    """Cell after cell, with the fields that these cells have."""
    lives = [
        summarise_samples(session, made_up_columns(size.cycles, seed=i), made_up_spec())
        for i in range(KINDS)
    ]
    tables = []
    for life in lives:
        seen = [name for name in FIELDS if np.isfinite(life.field(name)).any()]
        fields = {name: pa.array(life.field(name), from_pandas=True) for name in seen}
        tables.append(pa.table({"cycle_count": life.cycle_count} | fields))
    write_named(path, tables, size.cells)
    return path


def write_samples(path: Path, size: Size) -> Path:
    tables = [
        pa.table(made_up_columns(size.sampled_cycles, seed=i, step=10.0)) for i in range(KINDS)
    ]
    write_named(path, tables, size.sampled_cells)
    return path


def write_named(path: Path, kinds: list[pa.Table], cells: int) -> None:
    named = [
        kind.add_column(0, "cell_id", pa.array([f"cell-{i:05d}"] * len(kind)))
        for i in range(cells)
        for kind in [kinds[i % len(kinds)]]
    ]
    pq.write_table(pa.concat_tables(named, promote_options="default"), path)


def step_alone(session: Session, rows: int) -> int:
    """``forecast.onnx`` on batches as large as scoring uses, the state carried."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(CELLS, N_FIELDS)).astype(np.float32)
    observed, elapsed = np.ones_like(values), np.ones((CELLS, 1), np.float32)
    design = np.zeros((CELLS, len(session.manifest["tables"]["design_fields"])), np.float32)
    state = np.zeros((CELLS, session.forecast_state_size), np.float32)
    calls = -(-rows // CELLS)
    for _ in range(calls):
        state, _ = session.forecast(state, values, observed, design, elapsed)
    return calls * CELLS


def summarise_alone(session: Session, metadata: pq.FileMetaData) -> int:
    """``summarize.onnx`` on batches as large as scoring uses, the state carried."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(1, 3, (PIECES, LONGEST, 6)).astype(np.float32)
    observed = np.ones((PIECES, LONGEST, 4), np.float32)
    window = np.tile(made_up_spec().window, (PIECES, 1))
    state = np.zeros((PIECES, session.summary_state_size), np.float32)
    calls = -(-metadata.num_rows // (PIECES * LONGEST))
    for _ in range(calls):
        state, _, _ = session.summarize(state, samples, observed, window)
    return calls * PIECES * LONGEST


def measure(tasks: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median items per second of each task; in every round each task has one turn."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            items = task()
            found[name].append(items / (time.perf_counter() - began))
    return {name: float(np.median(rates)) for name, rates in found.items()}


def show(rates: dict[str, float]) -> None:
    rows, figures = [], {f"{name}.per_s": rate for name, rate in rates.items()}
    for name, rate in rates.items():
        floor = rates[f"{name.split('.')[0]}.floor"]
        unit = "cycles" if name.startswith("cycles") else "samples"
        rows.append([name, f"{rate:,.0f} {unit}/s", f"{rate / floor:.2f}"])
        if "score" in name:
            figures[f"{name}.of_floor"] = rate / floor
    table(["", "rate", "of the floor"], rows)
    wanted = [name for name in figures if name.endswith("score.of_floor")]
    close(
        "scoring", figures, dict.fromkeys(wanted, f"at least {HALF}"),
        {name: figures[name] >= HALF for name in wanted},
        ("numpy", "onnxruntime", "pyarrow"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
