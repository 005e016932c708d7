"""All cells of the test set, sample by sample, through every form that runs here: the same answers?

The test cells of the training population are simulated anew with their samples, shard by shard;
their summaries must be those that training kept. They are given to the trained network in torch, in
double and in single precision, to the Python runtime and to the C++ program, and compared as
`parity` does. A shard that was compared is kept in mlruns/parity under the bundle, the C++ program
and the library's code, so a run that was stopped goes on. It takes about an hour of one core.

Without the tracked run of the bundle torch is left out, and the Python runtime is the reference.
Quick: one small shard, of which nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

import fadecast
from benchmarks import _common, _lives, parity
from benchmarks._stages import digest, say
from benchmarks.assb import KEPT as STORE
from fadecast.cell.record import CellRecord
from fadecast.cell.store import Store
from fadecast.cli.simulation import summarise
from fadecast.errors import StoreError
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard
from fadecast.runtime import Session

FOLDER = _common.ROOT / "mlruns" / "parity"
CODE = (
    "src/fadecast", "serving/edge", "tests/edge/program.py", "benchmarks/_lives.py",
    "benchmarks/parity.py", "benchmarks/parity_all.py",
)  # fmt: skip
QUICK = {"cells": 8, "shard": 8, "cycles": 60, "test": 0.5}
SHARES = (0.5, 0.99)
"""Of cells, whose largest differences are told beside the largest of all."""

Row = dict[str, Any]
"""Of a cell: ``cell_id``, ``cycles``, ``kept`` (whether its summaries are those that were kept,
None where none were) and by way ``errors``, pairs of the largest difference and what it is of."""


def main() -> None:
    """Ask every way of every shard, compare, close."""
    parser = _common.parser(__doc__)
    parser.add_argument("--bundle", type=Path, default=fadecast.PRETRAINED, help="the bundle")
    options = parser.parse_args()
    config = Population.from_yaml(parity.POPULATION).model_copy(update={"latent": False})
    if options.quick:
        config = config.model_copy(update=QUICK)
    ways = list(parity.ways_here(options.bundle))  # builds the program, once
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if options.quick else FOLDER / key(options.bundle, config)
        folder.mkdir(parents=True, exist_ok=True)
        missing = [n for n in range(config.shards) if not shard_file(folder, n).exists()]
        context = multiprocessing.get_context("spawn")
        setting = (options.bundle, config, folder, not options.quick)
        with ProcessPoolExecutor(os.cpu_count(), context, begin, setting) as pool:
            jobs = [pool.submit(compare, number) for number in missing]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                if done % 16 == 0:
                    say(f"{done} of {len(missing)} shards")
        parts = [json.loads(shard_file(folder, n).read_text()) for n in range(config.shards)]
    rows = [row for part in parts for row in part]
    figures = show(ways, rows)
    names = [name for name in figures if "." not in name]
    targets = dict.fromkeys(names, f"at most {parity.ALLOWED:g}") | {"other_summaries": "0"}
    met = {name: figures[name] <= parity.ALLOWED for name in names}
    met["other_summaries"] = figures["other_summaries"] == 0
    _common.close("parity_all", figures, targets, met, ("numpy", "onnxruntime", "torch", "numba"))


def key(bundle: Path, config: Population) -> str:
    """Names all that decides the result."""
    total = hashlib.sha256(Session.load(bundle).fingerprint.encode())
    total.update(f"{config.model_dump_json()} {digest(CODE)}".encode())
    return total.hexdigest()[:16]


def shard_file(folder: Path, number: int) -> Path:
    """Where the rows of a shard are kept."""
    return folder / f"shard-{number:05d}.json"


def begin(bundle: Path, config: Population, folder: Path, compared: bool) -> None:
    """Of a worker process: what all of its shards need."""
    global _given
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    store = Store(STORE) if compared and STORE.exists() else None
    _given = parity.ways_here(bundle), config, folder, store


def compare(number: int) -> None:
    """Write the rows of the test cells of a shard."""
    ways, config, folder, store = _given
    shard, rows = Shard(config, number), []
    lives, _ = shard.run()
    records = [shard.record(lives, i) for i in range(shard.count)]
    records = [record for record in records if record.metadata.split == "test"]
    if records:
        with tempfile.TemporaryDirectory() as name:
            told = {way: ask(records, Path(name)) for way, ask in ways.items()}
        expected, *_ = told.values()
        for i, record in enumerate(records):
            errors = {way: _lives.difference(of[i], expected[i]) for way, of in told.items()}
            rows.append({
                "cell_id": record.spec.cell_id, "cycles": len(expected[i]["cycle_count"]),
                "kept": same(record, store), "errors": errors,
            })  # fmt: skip
    path = shard_file(folder, number)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(rows))
    partial.replace(path)


def same(record: CellRecord, store: Store | None) -> bool | None:
    """Whether the store keeps these very summaries of the cell."""
    if store is None:
        return None
    try:
        kept = store.read(record.spec.cell_id).summaries
    except StoreError:
        return None
    assert kept is not None
    found = summarise(record)
    return found.observed.shape == kept.observed.shape and all(
        np.array_equal(getattr(found, name), getattr(kept, name), equal_nan=name == "values")
        for name in ("cycle_count", "values", "observed")
    )


def show(ways: Sequence[str], rows: Sequence[Row]) -> dict[str, float]:
    """Print how far every way is off the first one; the largest differences, in millionths."""
    reference, *others = ways
    cycles = sum(row["cycles"] for row in rows)
    figures: dict[str, float] = {"cells.all": len(rows), "cycles.all": cycles}
    table = []
    for way in others:
        errors = [tuple(row["errors"][way]) for row in rows]
        sizes = np.array([error for error, _ in errors])
        largest, what = max(errors)
        beyond = int((sizes * 1e6 > parity.ALLOWED).sum())
        name = way.replace("C++", "cpp").replace(" ", "_").lower()
        figures |= {name: largest * 1e6, f"{name}.beyond": beyond}
        shares = [f"{size:.1e}" for size in np.quantile(sizes, SHARES)]
        table.append([way, *shares, f"{largest:.1e}", what, f"{beyond}"])
    figures["other_summaries"] = sum(row["kept"] is False for row in rows)
    print(f"\n{len(rows)} test cells, {cycles} cycles, each way beside {reference}: the largest")
    print(f"difference within so many of the cells, and cells beyond {parity.ALLOWED / 1e6:g}:")
    _common.table(
        ["way", *(f"{100 * s:g} % of cells" for s in SHARES), "all", "of", "beyond"], table
    )
    known = sum(row["kept"] is not None for row in rows)
    other = f"{figures['other_summaries']:g}"
    print(f"of {known} whose summaries training kept, {other} have others now")
    return figures


if __name__ == "__main__":
    main()
