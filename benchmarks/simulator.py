"""Speed of the simulator against PyBaMM, per core: the same cell, the same protocol, interleaved.

Both log at least 64 samples a cycle. PyBaMM solves the plain half-cell model, without any slow
state, on its default mesh; building and compiling are left out on both sides. CPU time of one
thread is compared, so that a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from typing import Any

import numba
import numpy as np

from fadecast.physics import highfidelity
from fadecast.physics.design import N_COORDINATES, Kind, central, design
from fadecast.physics.parameters import ANODES, FIXTURES
from fadecast.physics.protocol import Climate, Protocol, cccv, laboratory
from fadecast.physics.simulate import simulate
from fadecast.physics.state import STATE, WORK, start_state

TARGETS = {"speedup_dfn_per_core": 1000.0, "speedup_spme_per_core": 200.0}
SAMPLES = 64
PROGRAM = cccv(1 / 3, 0.5)


def reference(cell: Any, name: str, cycles: int) -> Any:
    """A PyBaMM simulation ready to be solved again and again."""
    import pybamm

    state = np.zeros(1, STATE)[0]
    start_state(cell, state, np.zeros(1, WORK)[0], 298.15)
    _, values = highfidelity.half_cell(cell, state, name)
    values["Contact resistance [Ohm]"] = 25.0
    values["Exchange-current density for lithium metal electrode [A.m-2]"] = 30.0
    battery = getattr(pybamm.lithium_ion, name)(
        {"working electrode": "positive", "contact resistance": "true"}
    )
    experiment = pybamm.Experiment(
        [tuple(highfidelity.steps(cell, PROGRAM))] * cycles, period="300 seconds"
    )
    return pybamm.Simulation(
        battery, parameter_values=values, experiment=experiment,
        solver=pybamm.IDAKLUSolver(atol=1e-6, rtol=1e-4),
    )  # fmt: skip


def seconds(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def population(n: int) -> Any:
    """Cells of every anode and fixture that are kept alive throughout."""
    draw = np.random.default_rng(1)
    return np.array([
        design(Kind(ANODES[k % 4], "engineered", FIXTURES[k % 3]), draw.random(N_COORDINATES))
        for k in range(n)
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    import pybamm

    pybamm.set_logging_level("ERROR")
    rounds, cycles = (3, 10) if options.quick else (7, 20)
    numba.set_num_threads(1)
    cell = central(Kind("lithium", "engineered"), set_pressure=10.0)
    ours = Protocol("speed", (PROGRAM,), np.zeros(100, int), 1, False, Climate(25))
    cells, keys = np.array([cell] * 4), np.arange(4, dtype=np.uint64)
    mixed, mixed_keys = population(24), np.arange(24, dtype=np.uint64)
    whole = laboratory(100, checkup_every=50)
    lives = simulate(cells, ours, keys, causes=0, samples=True)
    per_cycle = float(lives.rows[0, -1] / 100)
    references = {name: reference(cell, name, cycles) for name in ("DFN", "SPMe")}
    logged = {name: len(r.solve().t) / cycles for name, r in references.items()}
    if min(per_cycle, *logged.values()) < SAMPLES:
        raise SystemExit(f"fewer than {SAMPLES} samples a cycle: {per_cycle}, {logged}")
    times: dict[str, list[float]] = {"fadecast": [], "DFN": [], "SPMe": [], "population": []}
    for _ in range(rounds):
        for name, r in references.items():
            times[name].append(seconds(r.solve) / cycles)
            times["fadecast"].append(
                seconds(lambda: simulate(cells, ours, keys, causes=0, samples=True)) / 400
            )
        times["population"].append(
            seconds(lambda: simulate(mixed, whole, mixed_keys, causes=0)) / (24 * 100)
        )
    median = {name: float(np.median(t)) for name, t in times.items()}
    counts = {"fadecast": per_cycle, **logged, "population": float("nan")}
    print(f"{'':12}{'ms a cycle':>12}{'samples a cycle':>18}{'cycles/s per core':>20}")
    for name, t in median.items():
        print(f"{name:12}{1e3 * t:12.4f}{counts[name]:18.0f}{1 / t:20.0f}")
    linear = {
        f"{n} cells × {c} cycles": seconds(
            lambda n=n, c=c: simulate(mixed[:n], laboratory(c), mixed_keys[:n], causes=0)
        ) / (n * c)
        for n, c in ((6, 100), (24, 100), (24, 400))
    }  # fmt: skip
    for name, t in linear.items():
        print(f"{name:24}{1e6 * t:10.1f} µs a cell-cycle")
    figures = {
        "speedup_dfn_per_core": median["DFN"] / median["fadecast"],
        "speedup_spme_per_core": median["SPMe"] / median["fadecast"],
        "cell_cycles_per_s_per_core": 1 / median["population"],
        "growth_with_size": max(linear.values()) / min(linear.values()),
    }
    print(json.dumps({
        "benchmark": "simulator", "figures": figures, "targets": TARGETS,
        "met": {k: bool(figures[k] >= v) for k, v in TARGETS.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {p: version(p) for p in ("pybamm", "numba", "numpy")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
