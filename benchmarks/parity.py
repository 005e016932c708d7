"""Whole lives through every form in which the network is deployed: the same answers?

Fresh simulated cells (training/populations/assb.yaml under another seed) are given as samples to
the trained network in torch, in double and in single precision, to the Python runtime and to the
C++ program, on this processor and, under qemu, on aarch64. Torch sums samples up in the precision
in which it forecasts. Told is by how much any answer after any cycle differs from that of torch in
double precision: absolute, or relative where a number is larger than 1; quantiles of the cycles
left beside the last of them. Of all cells that the training set aside, whose samples are not kept,
the network and the Python runtime are told the cycle summaries.

Without the tracked run of the bundle (`--bundle`, default: the pretrained one) the cells set aside
are left out, and torch computes what the bundle's graph says in place of what the network does.
Without qemu, a cross compiler and the folder that `make test-edge` fills (or `FADECAST_ARM`),
aarch64 is left out. Quick: few cells, all here.
"""

from __future__ import annotations

import copy
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import fadecast
from benchmarks import _common, _lives
from benchmarks._lives import Columns, Life
from benchmarks._torch import Graph
from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.record import CellRecord
from fadecast.cell.store import Store
from fadecast.errors import StoreError, TrainingError
from fadecast.export.parity import parity_errors, torch_forecasts
from fadecast.learn.config import TrackingConfig
from fadecast.learn.run import held_out_cells, load_run
from fadecast.network.batch import summarise_record
from fadecast.network.forecaster import Forecaster
from fadecast.physics.generate import generate
from fadecast.physics.population import Population
from fadecast.runtime import Session
from fadecast.runtime.bundle import GOLDEN
from fadecast.runtime.golden import OUTPUTS, TOLERANCE, Golden, answer_error
from tests.edge.program import (
    Program,
    build,
    build_foreign,
    foreign_python,
    read,
    to_csv,
    write_cells,
)

POPULATION = _common.ROOT / "training" / "populations" / "assb.yaml"
CELLS = 40
FOREIGN_CELLS = 16
"""Of them under qemu, where a life takes ten times as long."""
QUICK = {"cells": 3, "cycles": 100}
SEED = 7002
"""Of the fresh cells; nothing trains on it."""
ALLOWED = 10.0
"""Largest difference, in millionths."""
SENT = (
    "test_time_second", "voltage_volt", "current_ampere", "cycle_count",
    "surface_temperature_celsius", "surface_pressure_pa",
)  # fmt: skip
"""What every way is given of samples."""
PRECISIONS = {"torch float64": torch.float64, "torch float32": torch.float32}
HERE = platform.machine()
KEPT = _common.ROOT / ".pytest_cache" / "d"
"""Where `make test-edge` keeps what it builds."""
ARM = Path(os.environ.get("FADECAST_ARM", KEPT / "arm"))
CORE = "cortex-a76"

Way = Callable[[Sequence[CellRecord], Path], Sequence[Columns]]
"""Answers to cells; the folder is for files."""
Told = Mapping[str, Sequence[Columns]]
"""Answers to every life, or to the first ones, by way; the first way is the reference."""


def main() -> None:
    """Ask every way, compare, close."""
    parser = _common.parser(__doc__)
    parser.add_argument("--bundle", type=Path, default=fadecast.PRETRAINED, help="the bundle")
    parser.add_argument("--cells", type=int, help=f"fresh cells (default: {CELLS})")
    options = parser.parse_args()
    size = QUICK if options.quick else {"cells": CELLS}
    if options.cells:
        size |= {"cells": options.cells}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = simulate(size, folder / "cells")
        told = {}
        for way, ask in ways_here(options.bundle).items():
            told[way] = timed(way, ask, records, folder)
        for way, ask in ({} if options.quick else ways_elsewhere(options.bundle)).items():
            told[way] = timed(way, ask, records[:FOREIGN_CELLS], folder)
    figures = show(told)
    if not options.quick:
        figures |= set_aside(Session.load(options.bundle))
    targets = dict.fromkeys(figures, f"at most {ALLOWED:g}")
    met = {name: value <= ALLOWED for name, value in figures.items()}
    _common.close("parity", figures, targets, met, ("numpy", "onnxruntime", "torch"))


def simulate(changes: Mapping[str, int], out: Path) -> list[CellRecord]:
    """Fresh cells with their samples, each of a kind drawn anew."""
    changes = {"seed": SEED, "keep": "samples", "latent": False, **changes}
    for _ in generate(Population.from_yaml(POPULATION).model_copy(update=changes), out):
        pass
    store = Store(out)
    return [store.read(cell_id) for cell_id in store.cell_ids()]


def as_sent(record: CellRecord) -> Life:
    """What is sent of a record; a sensor that the cell lacks says NaN."""
    assert record.samples is not None
    missing = np.full(len(record.samples["voltage_volt"]), np.nan)
    return Life(record.spec, {name: record.samples.get(name, missing) for name in SENT})


def timed(name: str, way: Way, records: Sequence[CellRecord], folder: Path) -> Sequence[Columns]:
    """Its answers; tells how long they took."""
    began = time.perf_counter()
    told = way(records, folder)
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return told


def ways_here(bundle: Path) -> dict[str, Way]:
    """Every way that there is on this processor; prints why another one is left out."""
    session, found = Session.load(bundle), {}
    run = session.manifest["training"]["run_id"]
    try:
        network, _ = load_run(run, TrackingConfig())
        require_same(network, session)
    except TrainingError as error:
        print(f"torch computes the graph: {error}")
        for name, dtype in PRECISIONS.items():
            graph = Graph(session, dtype)
            found[name] = partial(of_graph, graph, session.virtual_sensors, dtype)
    else:
        for name, dtype in PRECISIONS.items():
            found[name] = partial(of_torch, network, session.virtual_sensors, dtype)
    found[f"Python {HERE}"] = partial(of_python, session)
    missing = absent("cmake", "c++")
    if missing:
        print(f"the C++ program is left out: {missing}")
        return found
    (KEPT / "edge").mkdir(parents=True, exist_ok=True)
    return found | {f"C++ {HERE}": partial(of_program, build(KEPT / "edge", "native"), bundle)}


def ways_elsewhere(bundle: Path) -> dict[str, Way]:
    """Both programs on aarch64; prints why they are left out."""
    missing = absent("cmake", "qemu-aarch64-static", "aarch64-linux-gnu-g++")
    if not missing and not (ARM / "done").exists():
        missing = "no system, which `make test-edge` unpacks"
    if missing:
        print(f"aarch64 is left out: {missing}")
        return {}
    (KEPT / "edge").mkdir(parents=True, exist_ok=True)
    program = build_foreign(KEPT / "edge", ARM, CORE)
    return {
        "C++ aarch64": partial(of_program, program, bundle),
        "Python aarch64": partial(of_foreign_python, bundle),
    }


def set_aside(session: Session) -> dict[str, float]:
    """Print how far the runtime is off torch on all cells that the bundle's run set aside; the
    largest difference, in millionths."""
    try:
        network, info = load_run(session.manifest["training"]["run_id"], TrackingConfig())
        require_same(network, session)
        cells = list(held_out_cells(info, Store(info.store)))
    except (TrainingError, StoreError) as error:
        print(f"the cells that the training set aside are left out: {error}")
        return {}
    errors = parity_errors(session, network, cells)
    worst = max(errors, key=lambda name: errors[name])
    cycles = sum(len(cell.summaries) for cell in cells)
    print(f"\n{len(cells)} cells set aside, {cycles} cycles, told as summaries:")
    print(f"Python {HERE} is off torch float64 by {errors[worst]:.1e} at most, in {worst}")
    return {f"python_{HERE}.set_aside": errors[worst] * 1e6}


def require_same(network: Forecaster, session: Session) -> None:
    """Raises ``TrainingError`` if the network does not give the answers that the bundle keeps."""
    golden = Golden.from_bytes(session.bundle.files[GOLDEN])
    life = golden.values, golden.observed, golden.design, elapsed_cycles(golden.cycle_count)
    exact = copy.deepcopy(network).double()
    with torch.inference_mode():
        told = exact.forecast_sequence(*(torch.tensor(part).double()[None] for part in life))
    errors = {n: answer_error(n, getattr(told, n)[0].numpy(), getattr(golden, n)) for n in OUTPUTS}
    worst = max(errors, key=lambda name: errors[name])
    if errors[worst] > TOLERANCE:
        raise TrainingError(
            f"its {worst} is off the answers that the bundle keeps of it by {errors[worst]:.2g}",
            where=f"run {session.manifest['training']['run_id']}",
            fix="Give --bundle one that this version of the network was exported to",
        )


def absent(*programs: str) -> str:
    """Which of these programs is not installed, in words; empty where all are."""
    missing = [name for name in programs if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def of_torch(
    network: Forecaster, sensors: Sequence[str], dtype: torch.dtype,
    records: Sequence[CellRecord], _folder: Path,
) -> list[Columns]:  # fmt: skip
    """The answers of the trained network, summaries and all in this precision."""
    cells = [(record.spec, summarise_record(record, dtype)) for record in records]
    return [_lives.of_forecasts(f, sensors) for f in torch_forecasts(network, cells, dtype)]


def of_graph(
    graph: Graph, sensors: Sequence[str], dtype: torch.dtype,
    records: Sequence[CellRecord], _folder: Path,
) -> list[Columns]:  # fmt: skip
    """The answers of torch computing the bundle's graph, summaries and all in this precision."""
    cells = [(record.spec, summarise_record(record, dtype)) for record in records]
    return [_lives.of_forecasts(forecasts, sensors) for forecasts in graph(cells)]


def of_python(session: Session, records: Sequence[CellRecord], _folder: Path) -> list[Columns]:
    """The answers of the Python runtime."""
    return _lives.of_runtime(session, map(as_sent, records))


def of_program(
    program: Program, bundle: Path, records: Sequence[CellRecord], folder: Path
) -> list[Columns]:
    """The answers of the C++ program, which gets all lives in one table of samples."""
    lives = [as_sent(record) for record in records]
    cells = write_cells(folder / "cells.csv", [life.spec for life in lives])
    source = folder / "samples.csv"
    with source.open("w") as file:
        for number, (spec, samples) in enumerate(lives):
            head, rows = to_csv(samples, spec.cell_id).split("\n", 1)
            file.write(rows if number else f"{head}\n{rows}")
    command = program.command(
        bundle, "--allow-unsigned", "--close", "--cells", cells, "--input", source,
        "--max-cells", str(len(lives)),
    )  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"the C++ program failed: {run.stderr}")
    told: dict[str, list[Mapping[str, object]]] = {life.spec.cell_id: [] for life in lives}
    for row in read(run.stdout):
        told[row.pop("cell_id")].append(row)
    return [of_rows(rows) for rows in told.values()]


def of_rows(rows: Sequence[Mapping[str, object]]) -> Columns:
    """The answers in JSON lines of one cell; null is NaN."""
    names = [name for name in rows[0] if name != "faults"]
    return _lives.grouped({name: np.array([row[name] for row in rows], float) for name in names})


def of_foreign_python(bundle: Path, records: Sequence[CellRecord], folder: Path) -> list[Columns]:
    """The answers of the Python runtime on aarch64."""
    _lives.dump_lives(folder / "lives.npz", [as_sent(record) for record in records])
    run = foreign_python(
        ARM, CORE, "-m", "benchmarks._lives", bundle, folder / "lives.npz", folder / "told.npz",
        path=[Path(fadecast.__file__).parents[1], _common.ROOT],
    )  # fmt: skip
    if run.returncode:
        sys.exit(f"the Python runtime failed on aarch64: {run.stderr}")
    return _lives.load(folder / "told.npz")


def show(told: Told) -> dict[str, float]:
    """Print how far every way is off the first one; the largest differences, in millionths."""
    (reference, expected), *others = told.items()
    figures, table = {}, []
    for way, found in others:
        errors = [_lives.difference(*pair) for pair in zip(found, expected, strict=False)]
        error, what = max(errors)
        figures[way.replace("C++", "cpp").replace(" ", "_").lower()] = error * 1e6
        cycles = sum(len(life["cycle_count"]) for life in expected[: len(found)])
        beyond = sum(error * 1e6 > ALLOWED for error, _ in errors)
        table.append([way, f"{len(found)}", f"{cycles}", f"{error:.1e}", what, f"{beyond}"])
    print(f"\nWhole lives, each way beside {reference}; cells beyond {ALLOWED / 1e6:g}:")
    _common.table(["way", "cells", "cycles", "largest", "of", "beyond"], table)
    return figures


if __name__ == "__main__":
    main()
