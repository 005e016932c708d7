"""Time stepping of one cell: a step, a segment, a cycle. Compiled; called by ``simulate``.

Every step is implicit in the particles, the reaction distribution and the control (BDF2 with
variable step, implicit Euler for the first step of a segment), and sequential in the slow states,
which move by less than a thousandth per step.
"""

from __future__ import annotations

from math import cos, pi
from typing import Any, Final

from fadecast.physics import electrochemistry
from fadecast.physics.electrochemistry import DEPTHS, SHELLS
from fadecast.physics.electrode import CURRENT, POWER, VOLTAGE, close_step, potential_and_slope
from fadecast.physics.jit import compiled
from fadecast.physics.parameters import Cell
from fadecast.physics.protocol import CAPACITY as MEASURES_CAPACITY
from fadecast.physics.protocol import GO, HOLD, NOMINAL_VOLTAGE, SELF_DISCHARGE
from fadecast.physics.state import (
    State,
    expected_contact,
    update_interface,
    update_interphases,
    update_pressure,
    update_series,
    update_temperature,
)

N_SAMPLE: Final = 6
"""Columns of a sample: time s, voltage V, terminal current mA/cm² (discharge positive),
temperature K, pressure MPa, segment number."""

_PER_CAPACITY: Final = 21.0
"""Time steps per rated capacity passed."""
_FIRST_REST: Final = 4.0
"""Longest first step of a rest in s: half of it is what a trapezoidal sum of the samples gets wrong
where the current stops."""
_VOLTAGE_STEP: Final = 0.06
_LINEARISATIONS: Final = 12
_STEPS: Final = 160


@compiled
def try_step(
    cell: Cell, s: State, w: Any, control: int, target: float, dt: float
) -> tuple[float, float, bool]:
    """Faradaic current and voltage after ``dt`` under a control; nothing is committed.

    Variable-step BDF2 has the form of an implicit Euler step of length dt/a₀ from a combination of
    the last two profiles, so one elimination serves both.
    """
    per_charge = 1.0 / (3600.0 * s.capacity)
    ratio = dt / s.previous_dt if s.previous_dt > 0.0 else 0.0
    if ratio > 2.3 or s.leak > 0.0:
        ratio = 0.0  # a leak would overshoot the empty cell by the momentum of the second order
    a0 = (1.0 + 2.0 * ratio) / (1.0 + ratio)
    now = (1.0 + ratio) / a0
    before = ratio * ratio / ((1.0 + ratio) * a0)
    effective = dt / a0
    s.base_x = now * s.mean_x - before * s.before_x
    s.effective_dt = effective
    expected = 0.0
    for m in range(DEPTHS):
        w.local[m] = w.guess[m]
        expected += 0.5 * w.guess[m]
    if control == CURRENT:
        expected = target + s.leak * s.voltage
    for m in range(DEPTHS):
        for k in range(SHELLS):
            w.base[m, k] = now * w.x[m, k] - before * w.before[m, k]
        w.offset[m], gain = electrochemistry.eliminate(
            w.base[m], w.surface[m] + w.local[m] * per_charge * (dt - effective),
            w.local[m] * per_charge * effective, s.diffusion, s.diffusivity_drop, effective,
            w.upper[m], w.right[m],
        )  # fmt: skip
        w.gain[m] = gain * per_charge
    # The anode's potential rises steeply where its lithium ends: linear in the current here, about
    # the current that is expected; a leak empties it in one step, so there about the one found.
    moved = dt / 3600.0
    span = cell.sweep_fraction * cell.rated
    current, voltage, good = expected, s.voltage, False
    for _ in range(_LINEARISATIONS):
        left = s.lithium - expected * moved
        potential = electrochemistry.anode_potential(
            left, cell.rated, s.branch, cell.sweep_fraction, cell.sweep_height, cell.plateau,
            cell.branch_gap,
        )  # fmt: skip
        touching = expected_contact(cell, s, expected, moved)
        rise = 2.0 * cell.sweep_height * max(0.0, 1.0 - left / span) / span * moved
        current, voltage, good = close_step(
            control, target, w.local, w.offset, w.gain, w.newton, s.exchange, s.ionic,
            s.electronic, s.series + s.constriction / touching + rise, s.anode_exchange * touching,
            potential - rise * expected, s.leak, s.kelvin,
        )  # fmt: skip
        s.anode_voltage = potential + rise * (current - expected)
        if s.leak == 0.0 or not good or abs(rise * (current - expected)) < 1e-3:
            break
        expected = current
    # A long step of a shorted cell has a second solution, beyond full lithiation.
    filled = s.base_x + current * per_charge * effective
    return current, voltage, good and 0.0 < filled < 1.0


@compiled
def commit(cell: Cell, s: State, w: Any, current: float, voltage: float, dt: float) -> float:
    """Advance every state by a solved step; return the charge passed, mAh/cm²."""
    per_charge = 1.0 / (3600.0 * s.capacity)
    hours = dt / 3600.0
    for m in range(DEPTHS):
        for k in range(SHELLS):
            w.before[m, k] = w.x[m, k]
        w.surface[m] = w.offset[m] + w.gain[m] * w.local[m]
        electrochemistry.substitute(w.x[m], w.local[m] * per_charge, w.upper[m], w.right[m])
        w.guess[m] = w.local[m]
    potential, _ = potential_and_slope(s.mean_x)
    s.before_x = s.mean_x
    s.mean_x = s.base_x + current * per_charge * s.effective_dt
    s.previous_dt = dt
    leaked = s.leak * voltage
    s.current = current - leaked
    # From here on the charge that passed counts, not the current at the end of the step.
    current = (s.mean_x - s.before_x) / (per_charge * dt)
    terminal = current - leaked
    s.lithium -= current * hours
    if cell.branch_gap > 0.0 and current != 0.0:
        s.branch = electrochemistry.branch_after(s.branch, current * hours, cell.rated)
    heat = 1e-3 * (current * (potential - s.anode_voltage) - terminal * voltage)
    s.work += 1e-3 * terminal * voltage * dt
    s.heat += heat * dt
    if terminal > 0.0:
        s.q_discharge += terminal * hours
        s.discharged += terminal * hours
    else:
        s.q_charge -= terminal * hours
        s.charged -= terminal * hours
    s.q_leak += leaked * hours
    s.leaked += leaked * hours
    s.time += dt
    s.voltage = voltage
    update_temperature(cell, s, heat, dt)
    update_interphases(cell, s, hours)
    update_pressure(cell, s, dt)
    update_interface(cell, s, current, hours)
    update_series(cell, s)
    s.pressure_time += s.pressure * dt
    s.kelvin_time += s.kelvin * dt
    s.lowest_pressure = min(s.lowest_pressure, s.pressure)
    s.peak_pressure = max(s.peak_pressure, s.pressure)
    s.least_x = min(s.least_x, s.mean_x)
    s.most_x = max(s.most_x, s.mean_x)
    passed: float = abs(terminal) * hours
    return passed


@compiled
def beyond(cell: Cell, voltage: float, current: float) -> float:
    """By how many volts a step overshot the window in the direction it moves; ≤ 0 inside."""
    low: float = cell.voltage_min
    high: float = cell.voltage_max
    return low - voltage if current > 0.0 else voltage - high


@compiled
def run_segment(
    cell: Cell, s: State, w: Any, segment: Any, number: int, refine: float, samples: Any, n: int
) -> int:
    """Run one segment; append its steps to ``samples`` from row ``n`` on; return the next row.

    ``samples`` has no rows where none are wanted.
    """
    rated = cell.rated
    control = segment.control
    target = segment.value
    if control == CURRENT:
        target *= rated
    elif control == POWER:
        target *= rated * NOMINAL_VOLTAGE
    start = s.time
    s.previous_dt = 0.0
    passed = 0.0
    first_voltage = s.voltage
    longest = segment.duration
    if control == CURRENT and target == 0.0:
        largest = segment.duration
        dt = min(segment.duration / 12.0, _FIRST_REST)
        growth = 2.2
    elif control == VOLTAGE:
        largest = 3600.0
        dt = 10.0
        growth = 2.0
    else:
        rate = abs(target) / rated
        if control == POWER:
            rate /= NOMINAL_VOLTAGE
        largest = 3600.0 / (max(rate, 1e-3) * _PER_CAPACITY)
        dt = min(largest / 32.0, 0.5 * segment.duration)
        growth = 2.0
    if segment.first > 0.0:
        dt = segment.first
    largest /= refine
    dt /= refine
    growth = growth ** (1.0 / refine)
    holding = control == VOLTAGE
    mode = control
    aim = target
    for m in range(DEPTHS):
        w.guess[m] = (
            target if control == CURRENT else (target / 3.7 if control == POWER else w.guess[m])
        )
    for _ in range(int(_STEPS * refine)):
        remaining = longest - (s.time - start)
        last = dt >= remaining * (1.0 - 1e-9)
        step = min(dt, remaining)
        current, voltage, good = try_step(cell, s, w, mode, aim, step)
        if not good and mode == POWER and segment.at_limit == HOLD:
            # More power than the cell can give: it gives what it can at the end of its window.
            bound = cell.voltage_min if target > 0.0 else cell.voltage_max
            current, voltage, good = try_step(cell, s, w, VOLTAGE, bound, step)
        tries = 0
        while not good and tries < 10:
            step *= 0.25
            last = False
            tries += 1
            current, voltage, good = try_step(cell, s, w, mode, aim, step)
        if not good:
            s.failures += 1
            break
        ends = False
        if segment.at_limit != GO and not holding:
            over = beyond(cell, voltage, target)
            if over > 0.0 and segment.at_limit == HOLD:
                bound = cell.voltage_min if target > 0.0 else cell.voltage_max
                c2, v2, good = try_step(cell, s, w, VOLTAGE, bound, step)
                if not good:
                    s.failures += 1
                    break
                current = c2
                voltage = v2
                if control == CURRENT:
                    holding = True
                    mode = VOLTAGE
                    aim = bound
            elif over > 0.0:
                ends = True
                low = 0.0
                low_over = beyond(cell, s.voltage, target)
                if passed == 0.0 and low_over > -0.002:
                    break
                if passed == 0.0:
                    low_over = -0.05
                high = step
                high_over = over
                for _trial in range(12):
                    if abs(over) < 5e-4 or high - low < 1e-2:
                        break
                    share = -low_over / (high_over - low_over)
                    step = low + (high - low) * min(max(share, 0.1), 0.9)
                    current, voltage, good = try_step(cell, s, w, mode, aim, step)
                    over = beyond(cell, voltage, target)
                    if over > 0.0:
                        high = step
                        high_over = over
                    else:
                        low = step
                        low_over = over
                if not good:
                    s.failures += 1
                    break
        terminal = current - s.leak * voltage
        if control != VOLTAGE and terminal * target < 0.0:
            break  # a shorted cell below its window: holding it there would charge it
        cut = segment.cut * rated
        if holding and abs(terminal) < cut:
            ends = True
            if abs(s.current) > cut and passed > 0.0:
                step *= max((abs(s.current) - cut) / (abs(s.current) - abs(terminal)), 0.05)
                current, voltage, good = try_step(cell, s, w, mode, aim, step)
        if segment.charge > 0.0:
            left = segment.charge * rated - passed
            moved = abs(terminal) * step / 3600.0
            if moved >= left:
                ends = True
                step *= left / moved
                current, voltage, good = try_step(cell, s, w, mode, aim, step)
                if not good:
                    s.failures += 1
                    break
        change = abs(voltage - s.voltage)
        drop = abs(terminal) / max(abs(s.current), 1e-9)
        passed += commit(cell, s, w, current, voltage, step)
        if len(samples) > 0 and n < len(samples):
            samples[n, 0] = s.time
            samples[n, 1] = s.voltage
            samples[n, 2] = s.current
            samples[n, 3] = s.kelvin
            samples[n, 4] = s.pressure
            samples[n, 5] = number
            n += 1
        if ends or (last and step >= remaining * (1.0 - 1e-9)):
            break
        if segment.charge > 0.0 and passed >= segment.charge * rated * (1.0 - 1e-9):
            break
        if holding and mode == VOLTAGE:
            if drop < 0.75:
                dt = step * 0.7
            elif drop > 0.85:
                dt = min(step * 1.5, largest)
            else:
                dt = step
        elif change > _VOLTAGE_STEP / refine and control == CURRENT and passed > 0.02 * rated:
            dt = max(step * 0.6, largest / 64.0)
        else:
            dt = min(step * growth, largest)
    if target > 0.0:
        s.end_lithium = s.lithium
    if segment.measures == MEASURES_CAPACITY:
        s.capacity_measured = passed
    elif segment.measures == SELF_DISCHARGE:
        s.self_discharge = first_voltage - s.voltage
    return n


@compiled
def ambient_kelvin(seconds: float, mean: float, daily: float, seasonal: float) -> float:
    """Equation 8.2: ambient temperature, coldest at the start of the year and of the day."""
    year = cos(2.0 * pi * seconds / 31557600.0)
    day = cos(2.0 * pi * seconds / 86400.0)
    return 273.15 + mean - daily * day - seasonal * year
