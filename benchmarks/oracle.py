"""Numerics of the simulator against PyBaMM's full-order half cell and the coupled system in it.

Voltage and capacity: random designs, C/3 and 1C, charge and discharge, fresh and aged. Slow
states: 20 cycles of both against one two-way coupled system of equations. The oracle shares the
constitutive laws with the simulator, so it checks numerics and coupling, not the laws.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from fadecast.physics import highfidelity
from fadecast.physics.design import N_COORDINATES, Kind, charged_stoichiometry, design
from fadecast.physics.electrochemistry import arrhenius, composite_conductivity
from fadecast.physics.electrode import CURRENT
from fadecast.physics.kernel import N_SAMPLE, run_segment
from fadecast.physics.protocol import STOP, Climate, Protocol, Segment, cccv
from fadecast.physics.simulate import simulate
from fadecast.physics.state import STATE, WORK, start_state, thermal_rates, update_series

TARGETS = {
    "voltage_rmse_p90_mv": 5.0,
    "capacity_error_p90_percent": 0.5,
    "slow_state_error_percent": 1.0,
}
FLAG_MV = 40.0
"""Above this ohmic loss i L/3κ in the cathode a case is flagged and not counted."""

QUIET: dict[str, float] = {
    "coverage_rate": 0.0, "first_disconnection": 0.0, "reversible_contact": 0.0,
    "irreversible_growth": 0.0, "path_conductivity": 0.0, "penetration_healing": 0.0,
    "heat_capacity": 1000.0, "heat_transfer": 10.0,
}  # fmt: skip
"""Maps applied between cycles are off, and the cell is isothermal: what remains is the system of
differential equations both sides solve."""


def started(cell: Any, *, aged: np.random.Generator | None, charged: bool) -> tuple[Any, Any]:
    """State and work arrays of a cell before a half cycle; aged ones have random damage."""
    states, works = np.zeros(1, STATE), np.zeros(1, WORK)
    s, w = states[0], works[0]
    start_state(cell, s, w, 298.15)
    x = charged_stoichiometry(float(cell["voltage_max"])) if charged else 0.93
    full = s["capacity"]
    s["lithium"] += full * (s["mean_x"] - x)
    s["mean_x"] = s["before_x"] = x
    w["x"][:] = w["surface"][:] = x
    if aged is not None:
        s["coverage"] = aged.uniform(0.55, 0.9)
        s["connected"] *= aged.uniform(0.8, 0.95)
        s["void"] = aged.uniform(0.0, 0.5) * cell["void_capacity"]
        s["occluded"] = aged.uniform(0.0, 0.1) * cell["void_capacity"]
        s["contact"] = 1.0 - (s["void"] + s["occluded"]) / cell["void_capacity"]
        s["sei"] = aged.uniform(0.01, 0.08)
        s["cei"] = aged.uniform(1.0, 15.0)
    thermal_rates(cell, s)
    update_series(cell, s)
    s["voltage"] = 3.0 if not charged else 4.3
    return s, w


def half_cycle(
    cell: Any, rate: float, aged: np.random.Generator | None
) -> tuple[float, float] | None:
    """RMSE in mV over the common time and error of the capacity in percent, of one half cycle.

    None where both agree that the first instant already leaves the voltage window.
    """
    s, w = started(cell, aged=aged, charged=rate > 0)
    frozen = s.copy()
    segment = Segment(CURRENT, rate, STOP, duration=2 * 3600 / abs(rate))
    table = Protocol("half", ((segment,),), np.zeros(1, int), 1, False).tables()[0]
    samples = np.empty((400, N_SAMPLE))
    n = run_segment(cell, s, w, table[0], 0, 1.0, samples, 0)
    time, voltage = samples[:n, 0], samples[:n, 1]
    solution = highfidelity.run(cell, frozen, (segment,))
    empty = type(solution).__name__ == "EmptySolution" or "EmptySolution" in str(
        type(solution.cycles[0].steps[0])
    )
    if empty:
        if n and samples[n - 1, 0] > 60.0:
            raise SystemExit(f"the oracle refuses a half cycle that lasts {samples[n - 1, 0]} s")
        return None
    exact_time = np.asarray(solution.t)
    exact = np.asarray(solution["Voltage [V]"].entries)
    common = time < min(time[-1], exact_time[-1])
    error = voltage[common] - np.interp(time[common], exact_time, exact)
    grid = np.linspace(time[0], time[common][-1], 400)
    rmse = float(np.sqrt(np.mean(np.interp(grid, time[common], error) ** 2)) * 1e3)
    return rmse, float((time[-1] / exact_time[-1] - 1) * 100)


def voltage_cases(n: int) -> list[dict[str, Any]]:
    """``n`` random designs (half of them aged), each at C/3 and 1C, charge and discharge."""
    rows = []
    for number in range(n):
        draw = np.random.default_rng(1000 + number)
        kind = Kind("lithium", "engineered", "spring")
        quiet = {**QUIET, "reversible_contact": 0.25}
        cell = design(
            kind, draw.random(N_COORDINATES), set_pressure=float(draw.uniform(2, 20)),
            excess_lithium=20.0, **quiet,
        )  # fmt: skip
        kappa = composite_conductivity(
            float(cell["conductivity"]) * arrhenius(30.0, 298.15),
            float(cell["electrolyte_fraction"]), float(cell["tortuosity_exponent"]),
        )  # fmt: skip
        aged = number % 2 == 1
        for rate in (1 / 3, 1.0, -1 / 3, -1.0):
            drop = float(cell["rated"]) * float(cell["cathode_thickness"]) * 0.1 / kappa / 3
            ohmic = abs(rate) * drop
            damage = np.random.default_rng(2000 + number) if aged else None
            outcome = half_cycle(cell, rate, damage)
            if outcome is None:
                print(f"design {number} at {rate:+.2f}C: outside the window at once, both agree")
                continue
            rmse, capacity = outcome
            rows.append({
                "design": number, "aged": aged, "rate": rate, "ohmic": ohmic, "rmse": rmse,
                "capacity": capacity,
            })  # fmt: skip
    return rows


def slow_cases(n: int, cycles: int) -> list[tuple[str, float]]:
    """Relative error in percent of every slow state after ``cycles``, for ``n`` designs.

    A state is compared with its own size; voids with at least a hundredth of the capacity to
    contact loss, so that an error of nothing is not divided by nothing.
    """
    rows: list[tuple[str, float]] = []
    for number in range(n):
        draw = np.random.default_rng(77 + number)
        cell = design(
            Kind("lithium", "engineered", ("spring", "fixed_gap", "constant_force")[number % 3]),
            np.clip(draw.random(N_COORDINATES), 0.2, 0.8), excess_lithium=20.0,
            critical_current=60.0, voltage_max=4.2, **QUIET,
        )  # fmt: skip
        # just below the pressure at which stripping at C/2 opens no voids
        wanted = 0.5 * float(cell["rated"]) / float(cell["stripping_factor"]) * 0.9
        cell["set_pressure"] = 3 * ((wanted - 0.02) / 0.2) ** (1 / 1.9)
        keys = np.zeros(1, np.uint64)
        program = cccv(1 / 3, 0.5)
        protocol = Protocol("oracle", (program,), np.zeros(cycles, int), 1, False, Climate(25))
        lives = simulate(np.array([cell]), protocol, keys, causes=0, noisy=False)
        state = np.zeros(1, STATE)[0]
        start_state(cell, state, np.zeros(1, WORK)[0], 298.15)
        solution = highfidelity.run(cell, state, program, cycles)
        exact = highfidelity.slow_states(solution)
        mine = lives.states[0]
        floor = 0.01 * float(cell["void_capacity"])
        pairs = {
            "void": (mine["void"], exact["void"][-1], floor),
            "occluded": (mine["occluded"], exact["occluded"][-1], floor),
            "pressure": (mine["pressure"], exact["pressure"][-1], 0.1),
            "highest_pressure": (mine["highest_pressure"], exact["highest_pressure"][-1], 0.1),
            "relaxed_fast": (mine["relaxed_fast"], exact["relaxed_fast"][-1], 0.01),
            "relaxed_slow": (mine["relaxed_slow"], exact["relaxed_slow"][-1], 0.01),
            "sei": (mine["sei"], np.sqrt(exact["sei_square"][-1]), 1e-4),
            "cei": (mine["cei"], np.sqrt(exact["cei_square"][-1]), 1e-3),
            "least_contact": (
                lives.column("contact_least")[0].min(), exact["contact"].min(), 0.01
            ),
        }  # fmt: skip
        for name, (a, b, least) in pairs.items():
            rows.append((name, 100 * abs(float(a) - float(b)) / max(abs(float(b)), least)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.oracle", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer designs")
    options = parser.parse_args()
    designs, slow_designs, cycles = (10, 1, 20) if options.quick else (50, 6, 20)
    rows = voltage_cases(designs)
    print(f"{'':22}{'cases':>6}{'RMSE p50':>10}{'p90':>8}{'max':>8}{'|dQ| p90':>10}{'max':>8}")
    for aged in (False, True):
        for rate in (1 / 3, 1.0, -1 / 3, -1.0):
            part = [r for r in rows if r["aged"] == aged and r["rate"] == rate]
            label = f"{'aged' if aged else 'fresh'} {abs(rate):.2f}C {'out' if rate > 0 else 'in'}"
            print_row(label, part)
    counted = [r for r in rows if r["ohmic"] < FLAG_MV]
    flagged = [r for r in rows if r["ohmic"] >= FLAG_MV]
    print_row(f"i L/3κ < {FLAG_MV:.0f} mV", counted)
    print_row("flagged", flagged)
    for r in flagged:
        print(
            f"  flagged: design {r['design']}, {r['rate']:+.2f}C, i L/3κ {r['ohmic']:.0f} mV, "
            f"RMSE {r['rmse']:.2f} mV, dQ {r['capacity']:+.2f} %"
        )
    slow = slow_cases(slow_designs, cycles)
    print(f"\nslow states after {cycles} cycles, {slow_designs} designs: largest error in percent")
    for name in dict.fromkeys(name for name, _ in slow):
        print(f"  {name:18}{max(e for k, e in slow if k == name):8.3f}")
    figures = {
        "voltage_rmse_p90_mv": float(np.quantile([r["rmse"] for r in counted], 0.9)),
        "capacity_error_p90_percent": float(
            np.quantile([abs(r["capacity"]) for r in counted], 0.9)
        ),
        "slow_state_error_percent": max(e for _, e in slow),
        "designs": designs, "cases_counted": len(counted), "cases_flagged": len(flagged),
    }  # fmt: skip
    print(json.dumps({
        "benchmark": "oracle", "figures": figures, "targets": TARGETS,
        "met": {k: bool(figures[k] <= v) for k, v in TARGETS.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {p: version(p) for p in ("pybamm", "numba", "numpy")},
    }))  # fmt: skip


def print_row(label: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        rmse = [r["rmse"] for r in rows]
        capacity = [abs(r["capacity"]) for r in rows]
        print(
            f"{label:22}{len(rows):6}{np.median(rmse):10.2f}{np.quantile(rmse, 0.9):8.2f}"
            f"{max(rmse):8.2f}{np.quantile(capacity, 0.9):10.3f}{max(capacity):8.3f}"
        )


if __name__ == "__main__":
    main()
