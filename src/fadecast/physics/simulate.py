"""Whole lives of many cells: the cycle loop and the parallel loop over cells.

A result depends on the cells, the protocol and the seed only: every cell has its own stream of
counter-based random numbers and shares nothing, so any number of threads gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics import contact, damage, noise, pressure
from fadecast.physics.electrode import potential_and_slope
from fadecast.physics.failure import (
    ALIVE,
    LITHIUM_PENETRATION,
    WATCH,
    judge,
    pulse_resistance,
)
from fadecast.physics.jit import compiled, compiled_parallel
from fadecast.physics.kernel import N_SAMPLE, ambient_kelvin, run_segment
from fadecast.physics.parameters import Cell, check_cells
from fadecast.physics.protocol import (
    CAPACITY,
    EVENT,
    REPRESS,
    Protocol,
    longest_samples,
)
from fadecast.physics.state import (
    N_TRUTH,
    STATE,
    TRUTH,
    WORK,
    State,
    start_state,
    thermal_rates,
    update_pressure,
    update_series,
)

ALL_CAUSES: Final = 0b1111
_DRAWS_PER_CYCLE: Final = 256


@compiled
def reconnect(s: State, w: Any, connected: float) -> None:
    """Change the connected fraction; the lithium of the particles that leave or join goes along.

    ``dead_lithium`` counts it in units of the fully connected cathode.
    """
    change = connected - s.connected
    if change < 0.0:
        s.dead_lithium += -change * s.mean_x
    elif change > 0.0:
        dead = 1.0 - s.connected
        joining = s.dead_lithium / dead if dead > 1e-12 else s.mean_x
        s.dead_lithium -= change * joining
        mean = (s.connected * s.mean_x + change * joining) / connected
        shift = mean - s.mean_x
        w.x[:, :] += shift
        w.surface[:] += shift
        s.mean_x = mean
    s.connected = connected


@compiled
def begin_cycle(cell: Cell, s: State, events: Any) -> None:
    """Reset the cycle's records and apply pressure events."""
    s.cycle += 1
    s.cycle_start = s.time
    s.q_charge = 0.0
    s.q_discharge = 0.0
    s.q_leak = 0.0
    s.pressure_time = 0.0
    s.kelvin_time = 0.0
    s.lowest_pressure = s.pressure
    s.peak_pressure = s.pressure
    s.least_x = s.mean_x
    s.most_x = s.mean_x
    s.least_contact = s.contact
    s.capacity_measured = 0.0
    s.self_discharge = 0.0
    s.growth = 0.0
    s.growth_creep = 0.0
    s.growth_void = 0.0
    s.growth_current = 0.0
    for k in range(len(events)):
        if events[k].cycle == s.cycle:
            if events[k].kind == REPRESS:
                s.coverage += cell.repress_recovery * (1.0 - s.coverage)
                s.disconnected *= 1.0 - cell.repress_recovery
            else:
                s.set_pressure *= events[k].value
            update_pressure(cell, s, 0.0)


@compiled
def end_cycle(cell: Cell, s: State, w: Any, key: np.uint64, noisy: bool) -> None:
    """Everything that moves once per cycle: equations 2.5, 4.4, 5.1 to 5.4 and 7.1."""
    counter = s.cycle * _DRAWS_PER_CYCLE
    growth = s.growth
    if growth > 0.0:
        if noisy:
            growth = cell.penetration_noise * noise.gamma(
                growth / cell.penetration_noise, key, counter
            )
        growth *= 1.0 - cell.penetration_healing
        s.penetration = min(s.penetration + growth, 1.0)
        if s.freeze_penetration:
            s.penetration = min(s.penetration, 0.6)
        s.grown_creep += s.growth_creep
        s.grown_void += s.growth_void
        s.grown_current += s.growth_current
    mean_pressure = s.pressure_time / max(s.time - s.cycle_start, 1e-9)
    strain = pressure.cathode_strain(s.least_x) - pressure.cathode_strain(s.most_x)
    lost = contact.coverage_loss(
        s.coverage, cell.coverage_rate, cell.coverage_pressure_gain, mean_pressure,
        cell.coverage_pressure, strain,
    )  # fmt: skip
    s.coverage -= lost
    slow = cell.disconnection_share * lost
    if noisy and slow > 0.0:
        slow = cell.disconnection_noise * noise.gamma(
            slow / cell.disconnection_noise, key, counter + 128
        )
    first = contact.first_disconnection(
        s.cycle, cell.first_disconnection, cell.disconnection_step, cell.disconnection_cycles
    ) - contact.first_disconnection(
        s.cycle - 1, cell.first_disconnection, cell.disconnection_step, cell.disconnection_cycles
    )
    s.disconnected = min(s.disconnected + first + slow, 0.95)
    held = contact.reversible_contact(
        mean_pressure, cell.reversible_contact, cell.reversible_pressure
    )
    reconnect(s, w, (1.0 - s.disconnected) * held)
    s.irreversible += 1e-3 * cell.irreversible_growth * s.q_charge
    s.damage += damage.damage_per_cycle(
        s.peak_pressure - s.lowest_pressure, s.peak_pressure, cell.fatigue_pressure,
        cell.pressure_limit,
    )  # fmt: skip
    update_pressure(cell, s, 0.0)
    thermal_rates(cell, s)
    update_series(cell, s)


@compiled
def write_truth(cell: Cell, s: State, ref: Any, measured: bool, row: Any) -> None:
    """Fill one row of the truth table, in the order of ``TRUTH``."""
    span = max(s.time - s.cycle_start, 1e-9)
    row[0] = (s.capacity_measured if measured else s.q_discharge) / cell.rated
    row[1] = s.q_discharge / s.q_charge if s.q_charge > 0.0 else 0.0
    row[2] = s.pressure_time / span
    row[3] = s.lowest_pressure
    row[4] = s.peak_pressure
    row[5] = s.kelvin_time / span
    row[6] = s.void
    row[7] = s.occluded
    row[8] = s.least_contact
    row[9] = s.penetration
    row[10] = s.coverage
    row[11] = s.connected
    row[12] = s.sei
    row[13] = s.cei
    row[14] = s.damage
    row[15] = pulse_resistance(cell, s, s.least_contact)
    row[16] = s.leaked
    row[17] = ref.share_disconnected
    row[18] = ref.share_inventory
    row[19] = ref.share_anode
    row[20] = ref.share_coverage
    row[21] = ref.share_interphase
    row[22] = s.time / 86400.0
    row[23] = 1.0 if measured else 0.0


@compiled
def run_cell(
    cell: Cell, s: State, w: Any, ref: Any, key: np.uint64, segments: Any, programs: Any,
    schedule: Any, reference: int, checkups: bool, climate: Any, events: Any, enabled: int,
    follow: bool, noisy: bool, refine: float, samples: Any, rows: Any, truth: Any, verdict: Any,
    first: Any,
) -> None:  # fmt: skip
    """One life. ``rows[c]`` becomes the first sample row after cycle ``c``; see ``simulate``."""
    start_state(cell, s, w, ambient_kelvin(0.0, climate[0], climate[1], climate[2]))
    s.freeze_penetration = 0 if enabled & 4 else 1
    s.voltage, _ = potential_and_slope(s.mean_x)
    n = 0
    verdict[0] = ALIVE
    for c in range(len(schedule)):
        begin_cycle(cell, s, events)
        measured = not checkups
        s.end_lithium = s.lithium
        program = schedule[c]
        for g in range(programs[program, 0], programs[program, 1]):
            s.ambient = ambient_kelvin(s.time, climate[0], climate[1], climate[2])
            n = run_segment(cell, s, w, segments[g], g - programs[program, 0], refine, samples, n)
            if segments[g].measures == CAPACITY:
                measured = True
        if not checkups:
            s.capacity_measured = s.q_discharge
        end_cycle(cell, s, w, key, noisy)
        cause, alive, detail = judge(cell, s, ref, measured, checkups, reference, enabled)
        if verdict[0] == ALIVE:
            if len(truth) > 0:
                write_truth(cell, s, ref, measured, truth[c])
            rows[c] = n
            verdict[0] = cause
            verdict[1] = alive
            verdict[2] = s.cycle
            verdict[3] = detail
        if cause != ALIVE:
            first[cause] = s.cycle
            enabled &= ~(1 << cause)
            if not follow or cause == LITHIUM_PENETRATION or enabled == 0:
                break
            samples = samples[:0]


@compiled_parallel
def _run_all(
    cells: Any, states: Any, works: Any, watches: Any, keys: Any, segments: Any, programs: Any,
    schedule: Any, reference: int, checkups: bool, climate: Any, events: Any, enabled: Any,
    follow: bool, noisy: bool, refine: float, samples: Any, rows: Any, truth: Any, verdicts: Any,
    first: Any,
) -> None:  # fmt: skip
    for i in numba.prange(len(cells)):
        run_cell(
            cells[i], states[i], works[i], watches[i], keys[i], segments, programs, schedule,
            reference, checkups, climate, events[i], enabled[i], follow, noisy, refine,
            samples[i], rows[i], truth[i], verdicts[i], first[i],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lives:
    """What happened to ``n`` cells over at most ``c`` cycles.

    Args:
        cause: ``(n,)`` int64 index into ``fadecast.cell.life.CAUSES``, −1 if censored.
        after: ``(n,)`` int64 last cycle known alive. until: ``(n,)`` int64 the cycle of failure,
            or the last one. What follows below ends there too.
        first: ``(n, 4)`` int64 cycle at which each cause was met, 0 where it was not.
        detail: ``(n,)`` int64 index of ``failure.DRIVERS`` or ``ORIGINS``.
        truth: ``(n, c, N_TRUTH)`` float32 hidden states after each cycle, columns of ``TRUTH``
            (c = 0 if not asked for); rows after ``until`` are zero.
        samples: ``(n, m, N_SAMPLE)`` float64 time steps (m = 0 if not asked for).
        rows: ``(n, c)`` int64 number of samples up to the end of each cycle.
        states: ``(n,)`` states where the simulation ended, dtype ``STATE``.
    """

    cause: NDArray[np.int64]
    after: NDArray[np.int64]
    until: NDArray[np.int64]
    first: NDArray[np.int64]
    detail: NDArray[np.int64]
    truth: NDArray[np.float32]
    samples: NDArray[np.float64]
    rows: NDArray[np.int64]
    states: NDArray[Any]

    def column(self, name: str) -> NDArray[np.float32]:
        """``(n, c)`` one column of the truth table."""
        return self.truth[:, :, list(TRUTH).index(name)]


def simulate(
    cells: NDArray[Any], protocol: Protocol, keys: NDArray[np.uint64], *,
    events: NDArray[Any] | None = None, causes: NDArray[np.int64] | int = ALL_CAUSES,
    follow: bool = False, noisy: bool = True, refine: float = 1.0, samples: bool = False,
    truth: bool = True,
) -> Lives:  # fmt: skip
    """Simulate every cell until its first failure or the end of the schedule.

    Args:
        cells: ``(n,)`` of dtype ``CELL``. keys: ``(n,)`` uint64, one random stream per cell.
        events: ``(n, k)`` of dtype ``EVENT``; cycle 0 is no event.
        causes: bit mask of causes that are looked for, one for all cells or ``(n,)``; a disabled
            penetration also leaks nothing.
        follow: go on after a failure, keeping no more than ``first``, until every cause that is
            looked for was met; a short is the end, for what follows is a leaking cell's.
        noisy: whether process noise acts. refine: divides every time step.
        samples, truth: what is kept.

    Raises:
        ConfigError: a cell is impossible, or shapes disagree.
    """
    check_cells(cells)
    n, cycles = len(cells), len(protocol.schedule)
    if keys.shape != (n,) or (events is not None and len(events) != n):
        raise ConfigError(f"{n} cells need {n} keys and rows of events", where="simulate")
    if not (np.isfinite(refine) and refine > 0):
        raise ConfigError(f"refine is {refine}", where="simulate", fix="Give a positive number")
    segments, programs = protocol.tables()
    most = np.array([longest_samples(p) for p in protocol.programs])
    room = int(np.ceil(most[protocol.schedule].sum() * max(refine, 1.0))) if samples else 0
    climate = protocol.climate
    verdicts = np.zeros((n, 4), np.int64)
    out = Lives(
        cause=verdicts[:, 0], after=verdicts[:, 1], until=verdicts[:, 2],
        first=np.zeros((n, 4), np.int64), detail=verdicts[:, 3],
        truth=np.zeros((n, cycles if truth else 0, N_TRUTH), np.float32),
        samples=np.empty((n, room, N_SAMPLE)), rows=np.zeros((n, cycles), np.int64),
        states=np.zeros(n, STATE),
    )  # fmt: skip
    _run_all(
        cells, out.states, np.zeros(n, WORK), np.zeros(n, WATCH), keys, segments, programs,
        protocol.schedule, protocol.reference, protocol.checkups,
        np.array([climate.mean, climate.daily, climate.seasonal]),
        np.zeros((n, 0), EVENT) if events is None else events,
        np.broadcast_to(np.asarray(causes, np.int64), (n,)).copy(), follow, noisy, float(refine),
        out.samples, out.rows, out.truth, verdicts, out.first,
    )  # fmt: skip
    return out
