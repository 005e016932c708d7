"""All cells of the test set, sample by sample, through every form that runs here: the same answers?

The test cells of the training population are simulated anew with their samples, shard by shard;
what is declared of them and their summaries must be what the population's store keeps. They are
given to all that `parity` finds here, and compared as it does (the C++ program tells no incidence).
A shard that was compared is kept in mlruns/parity under all that decides it, so a run that was
stopped goes on.

Quick: a few short lives, beside nothing that was kept, and of which nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from fadecast.physics.generate import begin_worker
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard
from fadecast.runtime import Session
from fadecast.runtime.golden import summary_error

FOLDER = _common.ROOT / "mlruns" / "parity"
CODE = (
    "src/fadecast", "serving/edge", "tests/edge/program.py", "benchmarks/_lives.py",
    "benchmarks/_torch.py", "benchmarks/parity.py", "benchmarks/parity_all.py",
)  # fmt: skip
LIBRARIES = ("numpy", "onnxruntime", "torch", "numba")
QUICK = {"cells": 8, "cycles": 60, "test": 0.5}
WAYS = ("torch_float32", f"python_{parity.HERE}", f"cpp_{parity.HERE}")
"""That have to be there."""
ROUNDED = 1e-4
"""By how much a store that an earlier version simulated may have rounded otherwise."""
SHARES = (0.5, 0.99)
"""Of cells, whose largest differences are told beside the largest of all."""

Row = dict[str, Any]
"""Of a cell: ``cell_id``, ``cycles``, ``kept`` (whether it is as the store keeps it; None
without one) and by way ``errors``, pairs of the largest difference and what it is of."""


def main() -> None:
    """Ask every way of every shard, compare, close."""
    parser = _common.parser(__doc__)
    parser.add_argument("--bundle", type=Path, default=fadecast.PRETRAINED, help="the bundle")
    options = parser.parse_args()
    config = Population.from_yaml(parity.POPULATION).model_copy(update={"latent": False})
    if options.quick:
        config = config.model_copy(update=QUICK)
    ways = list(parity.ways_here(options.bundle))  # builds the program, once
    store = None if options.quick else STORE
    with tempfile.TemporaryDirectory() as name:
        folder = FOLDER / key(options.bundle, config, ways, store) if store else Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        compare_all(options.bundle, config, ways, store, folder)
        parts = [json.loads(shard_file(folder, n).read_text()) for n in range(config.shards)]
    rows = [row for part in parts for row in part]
    figures = show(ways, rows)
    targets, met = {}, {}
    if store:
        wanted = Session.load(options.bundle).manifest["training"]["cells"]["test"]
        figures["cells.left_out"] = wanted - len(rows)
        bounds = dict.fromkeys(WAYS, parity.ALLOWED) | {"cells.other": 0, "cells.left_out": 0}
        targets = {name: f"at most {bound:g}" for name, bound in bounds.items()}
        met = {name: figures.get(name, np.inf) <= bound for name, bound in bounds.items()}
    _common.close("parity_all", figures, targets, met, LIBRARIES)


def key(bundle: Path, config: Population, ways: Sequence[str], store: Path) -> str:
    """Names all that decides the result."""
    parts = [
        Session.load(bundle).fingerprint, config.model_dump_json(), digest(CODE), *ways,
        Store(store).digest(), *map(version, LIBRARIES),
    ]  # fmt: skip
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def compare_all(
    bundle: Path, config: Population, ways: Sequence[str], store: Path | None, folder: Path
) -> None:
    """Write the rows of every shard that ``folder`` lacks, by one process a core."""
    missing = [n for n in range(config.shards) if not shard_file(folder, n).exists()]
    context = multiprocessing.get_context("spawn")
    setting = (bundle, config, tuple(ways), store, folder)
    with ProcessPoolExecutor(os.cpu_count(), context, begin, setting) as pool:
        jobs = [pool.submit(compare, number) for number in missing]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                if done % 256 == 0:
                    say(f"{done} of {len(missing)} shards")
        finally:  # a failed shard should not wait for all the others
            pool.shutdown(cancel_futures=True)


def shard_file(folder: Path, number: int) -> Path:
    """Where the rows of a shard are kept."""
    return folder / f"shard-{number:05d}.json"


def begin(
    bundle: Path, config: Population, names: Sequence[str], store: Path | None, folder: Path
) -> None:
    """Of a worker process: what all of its shards need."""
    global _given
    begin_worker()
    torch.set_num_threads(1)
    ways = parity.ways_here(bundle)
    if tuple(ways) != tuple(names):
        raise RuntimeError(f"there are {list(ways)} here, and {list(names)} where it began")
    _given = ways, config, store and Store(store), folder


def compare(number: int) -> None:
    """Write the rows of the test cells of a shard."""
    ways, config, store, folder = _given
    shard, rows = Shard(config, number), []
    if tested := [i for i in range(shard.count) if shard.split(i) == "test"]:
        lives, _ = shard.run()
        records = [shard.record(lives, i) for i in tested]
        with tempfile.TemporaryDirectory() as name:
            told = {way: ask(records, Path(name)) for way, ask in ways.items()}
        expected, *_ = told.values()
        for i, record in enumerate(records):
            errors = {way: _lives.difference(of[i], expected[i]) for way, of in told.items()}
            rows.append({
                "cell_id": record.spec.cell_id, "cycles": len(expected[i]["cycle_count"]),
                "kept": None if store is None else same(record, store), "errors": errors,
            })  # fmt: skip
    path = shard_file(folder, number)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(rows))
    partial.replace(path)


def same(record: CellRecord, store: Store) -> bool:
    """Whether the store keeps the cell, as declared, with these summaries but for rounding."""
    try:
        kept = store.read(record.spec.cell_id)
    except StoreError:
        return False
    if kept.metadata != record.metadata or kept.summaries is None:
        return False
    found, expected = summarise(record), kept.summaries
    return (
        np.array_equal(found.cycle_count, expected.cycle_count)
        and np.array_equal(found.observed, expected.observed)
        and summary_error(*map(np.nan_to_num, (found.values, expected.values))) <= ROUNDED
    )


def show(ways: Sequence[str], rows: Sequence[Row]) -> dict[str, float]:
    """Print how far every way is off the first one; the largest differences, in millionths."""
    reference, *others = ways
    cycles = sum(row["cycles"] for row in rows)
    figures: dict[str, float] = {"cells": len(rows), "cycles": cycles}
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
    print(f"\n{len(rows)} test cells, {cycles} cycles, each way beside {reference}: the largest")
    print(f"difference within so many of the cells, and cells beyond {parity.ALLOWED / 1e6:g}:")
    heads = [f"{100 * share:g} % of cells" for share in SHARES]
    _common.table(["way", *heads, "all", "of", "beyond"], table)
    kept = [row["kept"] for row in rows]
    if None not in kept:
        figures["cells.other"] = kept.count(False)
        print(f"cells that are not as training kept them: {kept.count(False)}")
    return figures


if __name__ == "__main__":
    main()
