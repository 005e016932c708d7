"""A cycle on the vehicle: the step beside a graph that does nothing and beside a Transformer
over the whole window; the cycle summary; the C++ program's start, memory and speed.

Ratios come from runs interleaved in one process with one thread, medians. The networks have the
sizes of the presets and random weights, which speed does not depend on; the bytes are those of the
bundle that ships.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

import fadecast
from benchmarks._common import close, options, table
from benchmarks._window import open_graph, open_transformer
from fadecast.cell.design import N_DESIGN
from fadecast.cell.life import EndOfLife
from fadecast.cell.summaries import N_FIELDS
from fadecast.export.bundle import export_bundle
from fadecast.network.forecaster import PRESETS, Forecaster
from fadecast.runtime import Session
from fadecast.runtime.bundle import FORECAST, MANIFEST, SUMMARIZE
from fadecast.runtime.signature import SIGNATURE, sign
from fadecast.runtime.summarise import LONGEST, PIECES
from tests.bundles import (
    made_up_columns,
    made_up_cycles,
    made_up_record,
    made_up_spec,
    tiny_network,
)
from tests.edge.program import Program, build, to_csv, write_cells
from tests.runtime.test_signature import make_keys

TARGETS = {
    "step_ratio.base": ("at most 5.5", lambda x: x <= 5.5),
    "step_ratio.micro": ("at most 4.5", lambda x: x <= 4.5),
    "transformer_ratio.100": ("at least 30", lambda x: x >= 30),
    "transformer_ratio.500": ("at least 250", lambda x: x >= 250),
    "summarize_samples_per_s": ("at least 4 million", lambda x: x >= 4e6),
    "summarize_chunk_ratio": ("at most 4", lambda x: x <= 4),
    "bundle_bytes": ("at most 1 MB", lambda x: x <= 1e6),
    "parameters.base": ("at most 200,000", lambda x: x <= 2e5),
    "cpp_rss_mb": ("at most 40", lambda x: x <= 40),
    "cpp_start_ms": ("at most 100", lambda x: x <= 100),
    "cpp_step_vs_python": ("at most 1", lambda x: x <= 1),
}
CHUNK = 60
BESIDE = "step base beside transformers"
WARM = 10
"""Calls before the one timed: what ran before has emptied the caches, a vehicle's loop is warm."""
TURNS = 5
"""Of the C++ program beside Python."""


def main() -> None:
    rounds = 400 if options(__doc__).quick else 3000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = {preset: make_bundle(folder / preset, preset) for preset in PRESETS}
        sessions = {preset: Session.load(path) for preset, path in bundles.items()}
        base = sessions["base"]
        micros = measure(tasks(sessions), rounds)
        windows = measure(window_tasks(base), rounds // 10)
        figures = {f"step_ratio.{p}": micros[f"step {p}"] / micros["identity"] for p in PRESETS}
        for cycles in (100, 500):
            ratio = windows[f"transformer {cycles}"] / windows[BESIDE]
            figures[f"transformer_ratio.{cycles}"] = ratio
        figures["summarize_samples_per_s"] = PIECES * LONGEST / micros["summarize batch"] * 1e6
        figures["summarize_chunk_ratio"] = micros["summarize chunk"] / micros["identity"]
        figures["bundle_bytes"] = sum(p.stat().st_size for p in fadecast.PRETRAINED.iterdir())
        for preset, config in PRESETS.items():
            count = sum(p.numel() for p in Forecaster(config).parameters())
            figures[f"parameters.{preset}"] = count
        figures |= of_program(build(folder, "native"), bundles["base"], folder)
    show(micros | windows, figures)


def make_bundle(out: Path, preset: str) -> Path:
    config = PRESETS[preset]
    summary, forecaster = tiny_network(hidden=config.hidden, averages=config.averages)
    return export_bundle(
        summary, forecaster, out, training={}, end_of_life=EndOfLife(),
        held_out=[made_up_cycles("held-out", cycles=60, seed=9)],
        records=[made_up_record("held-out", cycles=3, seed=9)],
    )  # fmt: skip


def identity() -> bytes:
    """A graph of three tensors that does nothing: what a call costs."""
    sizes = {"a": 64, "b": 100, "c": 100}
    faces = [
        [helper.make_tensor_value_info(n + end, TensorProto.FLOAT, ["batch", s])
         for n, s in sizes.items()] for end in ("", "_out")
    ]  # fmt: skip
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in sizes]
    graph = helper.make_graph(nodes, "identity", *faces)
    opset = [helper.make_opsetid("", 18)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return data


def call(data: bytes, batch: int = 1, length: int = CHUNK) -> Callable[[], object]:
    """One call of a graph with made-up input."""
    run = open_graph(data)
    rng, free = np.random.default_rng(0), {"batch": batch, "time": length}
    feeds = {
        x.name: rng.uniform(1, 2, [free.get(size, size) for size in x.shape]).astype(np.float32)
        for x in run.get_inputs()
    }
    for name in ("observed", "elapsed"):
        if name in feeds:
            feeds[name][:] = 1
    if "window" in feeds:
        feeds["window"][:] = made_up_spec().window
    return lambda: run.run(None, feeds)


def tasks(sessions: dict[str, Session]) -> dict[str, Callable[[], object]]:
    steps = {f"step {p}": call(s.bundle.files[FORECAST]) for p, s in sessions.items()}
    summarize = sessions["base"].bundle.files[SUMMARIZE]
    return {
        "identity": call(identity()), **steps, "summarize chunk": call(summarize),
        "summarize batch": call(summarize, PIECES, LONGEST),
    }  # fmt: skip


def window_tasks(base: Session) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {BESIDE: call(base.bundle.files[FORECAST])}
    for cycles in (100, 500):
        run = open_transformer(cycles)
        entry = run.get_inputs()[0]
        feeds = {entry.name: np.ones(entry.shape, np.float32)}
        found[f"transformer {cycles}"] = lambda run=run, feeds=feeds: run.run(None, feeds)
    return found


def measure(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median µs of each job; in every round each has one turn."""
    found: dict[str, list[int]] = {name: [] for name in jobs}
    slow = {name for name in jobs if name == "summarize batch" or name.startswith("transformer")}
    for turn in range(rounds):
        for name, job in jobs.items():
            if name == "summarize batch" and turn % 20:
                continue
            for _ in range(0 if name in slow else WARM):
                job()
            began = time.perf_counter_ns()
            job()
            found[name].append(time.perf_counter_ns() - began)
    return {name: float(np.median(times)) / 1e3 for name, times in found.items()}


def of_program(program: Program, bundle: Path, folder: Path) -> dict[str, float]:
    """Start to the first forecast of a signed bundle with its parts in ms, resident MB, and a step
    beside Python's."""
    private, public = make_keys(folder)
    signed = Path(shutil.copytree(bundle, folder / "signed"))
    (signed / SIGNATURE).write_bytes(sign((signed / MANIFEST).read_bytes(), private))
    cells = write_cells(folder / "cells.csv", [made_up_spec("cell")])
    command = program.command(signed, "--key", public, "--timing", "--cells", cells)
    text = to_csv(made_up_columns(6)).encode()
    figures: dict[str, list[float]] = {}
    for _ in range(7):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        began = time.perf_counter()
        with subprocess.Popen(command, **pipes) as process:
            process.stdin.write(text)
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"{")
            figures.setdefault("cpp_start_ms", []).append((time.perf_counter() - began) * 1e3)
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.stdin.close()
            process.stdout.read()
            parts = re.findall(r"^(\w+) ([\d.]+) ms", process.stderr.read().decode(), re.M)
        for part, took in parts:
            figures.setdefault(f"cpp_start_ms.{part}", []).append(float(took))
    medians = {name: float(np.median(values)) for name, values in figures.items()}
    resident = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024
    return medians | {"cpp_rss_mb": resident, "cpp_step_vs_python": beside_python(program, bundle)}


def beside_python(program: Program, bundle: Path) -> float:
    """A step of the C++ program over one of the Python API: the median of turns side by side."""
    session, ratios = Session.load(bundle), []
    sizes = [session.forecast_state_size, N_FIELDS, N_FIELDS, N_DESIGN, 1]
    for _ in range(TURNS):
        run = program.run(bundle, "--allow-unsigned", "--verify", "--steps")
        step = float(re.findall(r"step ([\d.]+) us", run.stderr)[0])
        state, *cycle = (np.full((1, size), n > 0, np.float32) for n, size in enumerate(sizes))
        took = np.zeros(2000)
        for turn in range(len(took)):
            began = time.perf_counter()
            state, _ = session.forecast(state, *cycle)
            took[turn] = time.perf_counter() - began
        ratios.append(step / float(np.median(took)) / 1e6)
    return float(np.median(ratios))


def show(micros: dict[str, float], figures: dict[str, float]) -> None:
    table(["", "µs"], [[name, f"{value:,.1f}"] for name, value in micros.items()])
    print()
    rows = [[n, f"{v:,.2f}", TARGETS.get(n, ("",))[0]] for n, v in figures.items()]
    table(["figure", "", "target"], rows)
    close(
        "edge", figures, {name: text for name, (text, _) in TARGETS.items()},
        {name: bool(good(figures[name])) for name, (_, good) in TARGETS.items()},
        ("numpy", "onnxruntime", "torch"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
