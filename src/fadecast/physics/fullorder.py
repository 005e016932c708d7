"""Whole lives in PyBaMM: the high-fidelity mode, with the interface of ``simulate``.

Within a cycle everything is one system of equations (``highfidelity``); between cycles the same
maps, labels and truth table as in the kernel apply. A cycle takes about a second, so this is for a
few cells. The cell is isothermal at the ambient temperature of the cycle's start, its particles are
uniform at the start of every cycle (programs end with a rest), and a record ends, censored, where
a soft short begins to leak, which the full-order model does not have.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics import highfidelity
from fadecast.physics.failure import ALIVE, WATCH, judge
from fadecast.physics.kernel import N_SAMPLE, ambient_kelvin
from fadecast.physics.parameters import check_cells
from fadecast.physics.protocol import CAPACITY, SELF_DISCHARGE, Protocol, Segment
from fadecast.physics.simulate import ALL_CAUSES, Lives, begin_cycle, end_cycle, write_truth
from fadecast.physics.state import N_TRUTH, STATE, WORK, start_state, thermal_rates, update_series

_PERIOD: Final = 120.0
"""Seconds between the samples of a solution."""


def simulate(
    cells: NDArray[Any], protocol: Protocol, keys: NDArray[np.uint64], *, events: NDArray[Any]
) -> Lives:
    """As ``fadecast.physics.simulate.simulate`` with samples and truth.

    Raises:
        ConfigError: a cell is impossible, or has an anode that the full-order model lacks.
    """
    check_cells(cells)
    lives = [
        _live(cell, protocol, np.uint64(key), event)
        for cell, key, event in zip(cells, keys, events, strict=True)
    ]
    cycles = len(protocol.schedule)
    longest = max(len(samples) for samples, *_ in lives)
    samples = np.empty((len(cells), longest, N_SAMPLE))
    rows = np.zeros((len(cells), cycles), np.int64)
    truth = np.zeros((len(cells), cycles, N_TRUTH), np.float32)
    states = np.zeros(len(cells), STATE)
    verdicts = np.zeros((len(cells), 4), np.int64)
    first = np.zeros((len(cells), 4), np.int64)
    for i, (logged, ends, hidden, state, verdict) in enumerate(lives):
        samples[i, : len(logged)] = logged
        rows[i, : len(ends)] = ends
        truth[i, : len(hidden)] = hidden
        states[i], verdicts[i] = state, verdict
        if verdict[0] != ALIVE:
            first[i, verdict[0]] = verdict[2]
    return Lives(
        cause=verdicts[:, 0], after=verdicts[:, 1], until=verdicts[:, 2], first=first,
        detail=verdicts[:, 3], truth=truth, samples=samples, rows=rows, states=states,
    )  # fmt: skip


def _live(
    cell: Any, protocol: Protocol, key: np.uint64, events: NDArray[Any]
) -> tuple[NDArray[np.float64], list[int], list[NDArray[np.float32]], Any, tuple[int, ...]]:
    """One life: samples, rows by cycle, truth by cycle, the last state, the verdict."""
    state, work, watch = np.zeros(1, STATE)[0], np.zeros(1, WORK)[0], np.zeros(1, WATCH)[0]
    climate = protocol.climate
    swings = (climate.mean, climate.daily, climate.seasonal)
    start_state(cell, state, work, ambient_kelvin(0.0, *swings))
    parts: list[NDArray[np.float64]] = []
    ends: list[int] = []
    hidden: list[NDArray[np.float32]] = []
    verdict = (ALIVE, 0, 0, 0)
    for program in (protocol.programs[k] for k in protocol.schedule):
        if state["leak"] > 0:
            break
        begin_cycle(cell, state, events)
        state["kelvin"] = state["ambient"] = ambient_kelvin(float(state["time"]), *swings)
        thermal_rates(cell, state)
        update_series(cell, state)
        samples = _cycle(cell, state, program)
        parts.append(samples)
        ends.append(sum(map(len, parts)))
        measured = not protocol.checkups or any(s.measures == CAPACITY for s in program)
        if not protocol.checkups:
            state["capacity_measured"] = state["q_discharge"]
        end_cycle(cell, state, work, key, True)
        cause, alive, detail = judge(
            cell, state, watch, measured, protocol.checkups, protocol.reference, ALL_CAUSES
        )
        row = np.zeros(N_TRUTH, np.float32)
        write_truth(cell, state, watch, measured, row)
        hidden.append(row)
        verdict = (cause, alive, int(state["cycle"]), detail)
        if cause != ALIVE:
            break
    if not parts:
        raise ConfigError("no cycle could be run", where="the pybamm engine")
    return np.concatenate(parts), ends, hidden, state, verdict


def _cycle(cell: Any, s: Any, program: tuple[Segment, ...]) -> NDArray[np.float64]:
    """Solve one cycle, move the slow states, and return its samples ``(n, N_SAMPLE)``."""
    solution = highfidelity.run(cell, s, program, period=_PERIOD)
    slow = highfidelity.slow_states(solution)
    seconds, voltage, current = (
        np.asarray(solution[name].entries) for name in ("Time [s]", "Voltage [V]", "Current [A]")
    )
    current = 1e3 * current  # A to mA at 1 cm²
    hours = np.diff(seconds, prepend=seconds[0]) / 3600.0
    middle = 0.5 * (current + np.concatenate([current[:1], current[:-1]]))
    s["q_discharge"] = float((np.maximum(middle, 0) * hours).sum())
    s["q_charge"] = float((np.maximum(-middle, 0) * hours).sum())
    s["pressure_time"] = float((slow["pressure"] * hours).sum() * 3600.0)
    s["kelvin_time"] = float(s["kelvin"]) * float(seconds[-1])
    s["lowest_pressure"], s["peak_pressure"] = slow["pressure"].min(), slow["pressure"].max()
    s["least_x"], s["most_x"] = slow["mean_x"].min(), slow["mean_x"].max()
    s["least_contact"] = slow["contact"].min()
    for name in ("lithium", "mean_x", "occluded", "relaxed_fast", "relaxed_slow"):
        s[name] = slow[name][-1]
    s["void"] = max(float(slow["void"][-1]), 0.0)
    s["contact"], s["pressure"] = slow["contact"][-1], slow["pressure"][-1]
    s["highest_pressure"] = slow["highest_pressure"][-1]
    s["sei"], s["cei"] = np.sqrt(slow["sei_square"][-1]), np.sqrt(slow["cei_square"][-1])
    for name in ("growth_creep", "growth_void", "growth_current"):
        s[name] = slow[name][-1]
    s["growth"] = s["growth_creep"] + s["growth_void"] + s["growth_current"]
    start = float(s["time"])
    s["time"] = start + float(seconds[-1])
    s["voltage"] = voltage[-1]
    number = _judge_steps(s, solution, program, seconds, voltage, current, slow["lithium"])
    kelvin = np.full(len(seconds), float(s["kelvin"]))
    return np.stack([start + seconds, voltage, current, kelvin, slow["pressure"], number], 1)


def _judge_steps(
    s: Any, solution: Any, program: tuple[Segment, ...], seconds: NDArray[np.float64],
    voltage: NDArray[np.float64], current: NDArray[np.float64], lithium: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """What single segments measure; the segment of every sample."""
    segments = highfidelity.segments_of_steps(program)
    number = np.zeros(len(seconds))
    for place, step in zip(segments, solution.cycles[0].steps, strict=False):
        times = np.asarray(step["Time [s]"].entries)
        inside = (seconds >= times[0]) & (seconds <= times[-1])
        number[inside] = place
        segment = program[place]
        if segment.value > 0:
            s["end_lithium"] = lithium[inside][-1]
        if segment.measures == CAPACITY:
            s["capacity_measured"] = float(np.trapezoid(current[inside], seconds[inside])) / 3600.0
        elif segment.measures == SELF_DISCHARGE:
            s["self_discharge"] = float(voltage[inside][0] - voltage[inside][-1])
    return number
