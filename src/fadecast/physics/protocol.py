"""What a tester or a vehicle does to a cell, as tables that compiled code runs.

A *segment* is one control with its limits; a *program* is the segments of one cycle; a *schedule*
names the program of every cycle. Rates are in C of the rated capacity, discharge positive here
(current is negated to the Battery Data Format's sign where it is logged).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics.electrode import CURRENT, POWER, VOLTAGE

GO, STOP, HOLD = 0, 1, 2
"""At a voltage limit: go on, end the segment, or hold the limit until the current falls to cut."""

NOTHING, CAPACITY, SELF_DISCHARGE = 0, 1, 2
"""What a segment measures."""

NOMINAL_VOLTAGE: Final = 3.7

SEGMENT: Final = np.dtype([
    ("control", "i8"), ("value", "f8"), ("at_limit", "i8"), ("cut", "f8"), ("duration", "f8"),
    ("charge", "f8"), ("first", "f8"), ("measures", "i8"),
])  # fmt: skip

EVENT: Final = np.dtype([("cycle", "i8"), ("kind", "i8"), ("value", "f8")])
REPRESS, LOOSEN = 1, 2
"""Kinds of pressure event: re-press the cathode (value unused), scale the set pressure by value."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One control.

    Args:
        control: ``CURRENT`` (C, 0 is rest), ``VOLTAGE`` (V) or ``POWER`` (C at 3.7 V).
        value: set point; discharge positive.
        at_limit: ``GO``, ``STOP`` or ``HOLD`` at the cell's voltage window.
        cut: C at which a hold ends. duration: longest time in s. charge: most charge passed, a
            fraction of the rated capacity (0: no limit). first: first step in s (0: automatic).
        measures: ``NOTHING``, ``CAPACITY`` or ``SELF_DISCHARGE``.
    """

    control: int
    value: float
    at_limit: int = STOP
    cut: float = 0.05
    duration: float = 3.6e5
    charge: float = 0.0
    first: float = 0.0
    measures: int = NOTHING

    def __post_init__(self) -> None:
        if self.control not in (CURRENT, VOLTAGE, POWER):
            raise ConfigError(f"unknown control {self.control}", where="protocol")
        values = (self.value, self.cut, self.duration, self.charge, self.first)
        if not all(np.isfinite(values)) or min(values[1:]) < 0:
            raise ConfigError(
                f"a segment holds {values}",
                where="protocol",
                fix="Give finite limits, none negative",
            )
        if self.duration == 0:
            raise ConfigError("a segment lasts no time", where="protocol")
        if self.control == CURRENT and self.value == 0 and self.duration > 1e7:
            raise ConfigError("a rest never ends", where="protocol", fix="Give duration")
        if self.at_limit == GO and self.control != CURRENT:
            raise ConfigError("only current may pass the voltage window", where="protocol")


def rest(seconds: float, *, first: float = 0.0, measures: int = NOTHING) -> Segment:
    """Open circuit."""
    return Segment(CURRENT, 0.0, GO, duration=seconds, first=first, measures=measures)


def charge(rate: float, *, hold_to: float = 0.05, up_to: float = 0.0) -> Segment:
    """Constant current, then constant voltage until ``hold_to`` C; ``up_to`` limits the charge."""
    longest = 2.0 * 3600.0 / rate + 4.0 * 3600.0
    return Segment(CURRENT, -rate, HOLD, cut=hold_to, charge=up_to, duration=longest)


def discharge(rate: float, *, measures: int = NOTHING, up_to: float = 0.0) -> Segment:
    """Constant current to the lower limit; ``up_to`` limits the charge."""
    return Segment(
        CURRENT, rate, STOP, charge=up_to, measures=measures, duration=1.5 * 3600.0 / rate
    )


@dataclass(frozen=True, slots=True)
class Climate:
    """Ambient temperature in °C: mean, daily and seasonal amplitude."""

    mean: float = 25.0
    daily: float = 0.0
    seasonal: float = 0.0

    def __post_init__(self) -> None:
        swing = abs(self.daily) + abs(self.seasonal)
        if not (self.mean - swing >= -40 and self.mean + swing <= 120):
            raise ConfigError(f"ambient temperature {self} leaves −40…120 °C", where="protocol")


@dataclass(frozen=True, slots=True)
class Protocol:
    """Programs and the order in which cycles run them.

    Args:
        name: for the data card.
        programs: the segments of each program. schedule: ``(n_cycles,)`` program of each cycle.
        reference: cycle (from 1) whose capacity is the reference.
        checkups: whether capacity is judged at cycles with a ``CAPACITY`` segment only.
    """

    name: str
    programs: tuple[tuple[Segment, ...], ...]
    schedule: NDArray[np.int64]
    reference: int
    checkups: bool
    climate: Climate = field(default_factory=Climate)

    def __post_init__(self) -> None:
        where = f"protocol {self.name!r}"
        schedule = np.asarray(self.schedule, np.int64)
        if not len(schedule) or schedule.min() < 0 or schedule.max() >= len(self.programs):
            raise ConfigError("the schedule names programs that do not exist", where=where)
        if not 1 <= self.reference <= len(schedule):
            raise ConfigError(f"reference cycle {self.reference} is not scheduled", where=where)
        program = self.programs[schedule[self.reference - 1]]
        if self.checkups and not any(s.measures == CAPACITY for s in program):
            raise ConfigError("the reference cycle measures no capacity", where=where)
        if any(not program for program in self.programs):
            raise ConfigError("a program has no segments", where=where)
        object.__setattr__(self, "schedule", schedule)

    def tables(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """All segments ``(n,)`` of dtype ``SEGMENT`` and each program's ``[start, stop)``."""
        rows = [
            (s.control, s.value, s.at_limit, s.cut, s.duration, s.charge, s.first, s.measures)
            for program in self.programs
            for s in program
        ]
        ends = np.cumsum([len(p) for p in self.programs])
        starts = ends - [len(p) for p in self.programs]
        return np.array(rows, SEGMENT), np.stack([starts, ends], 1).astype(np.int64)


def formation() -> tuple[Segment, ...]:
    """C/10 charge and discharge."""
    return charge(0.1), rest(600), discharge(0.1), rest(600)


def cccv(charge_rate: float, discharge_rate: float) -> tuple[Segment, ...]:
    """CC-CV charge, 10-min rest, CC discharge, 10-min rest."""
    return charge(charge_rate), rest(600), discharge(discharge_rate), rest(600)


def checkup() -> tuple[Segment, ...]:
    """C/10 capacity; 10-min and 24-h rests; 30-s pulses at 80, 50 and 20 % of the charge."""
    pulses: list[Segment] = []
    for fraction in (0.2, 0.3, 0.3):
        pulses += [
            discharge(1 / 3, up_to=fraction),
            rest(600),
            Segment(CURRENT, 1.0, STOP, duration=30.0, first=1.0),
            rest(60),
        ]
    return (
        charge(0.2), rest(600), discharge(0.1, measures=CAPACITY), rest(600),
        charge(0.2), rest(86400.0, measures=SELF_DISCHARGE), *pulses, discharge(1 / 3), rest(600),
    )  # fmt: skip


def laboratory(
    cycles: int, charge_rate: float = 1 / 3, discharge_rate: float = 0.5,
    checkup_every: int = 0, climate: Climate | None = None,
) -> Protocol:  # fmt: skip
    """Three formation cycles, then CC-CV cycles; a check-up every so many of them (0: never)."""
    if cycles < 9:
        raise ConfigError(f"{cycles} cycles are too few", where="protocol", fix="Give 9 or more")
    programs = (formation(), cccv(charge_rate, discharge_rate), checkup())
    schedule = np.ones(cycles, np.int64)
    schedule[:3] = 0
    if checkup_every:
        schedule[7::checkup_every] = 2
    return Protocol(
        f"laboratory C{charge_rate:.2g}/D{discharge_rate:.2g}", programs, schedule, 8,
        bool(checkup_every), climate or Climate(),
    )  # fmt: skip


def drive(seed: int, share: float) -> tuple[Segment, ...]:
    """Accelerating, cruising and regenerating with a large saloon, ``share`` of the rated energy.

    A 2.4 t car with a 100 kWh pack: 20 kW on the road on average, 100–180 kW for overtaking and up
    to 50 kW of regeneration; segments are drawn pseudo-randomly until the energy is spent.
    """
    draw = np.random.default_rng(seed)
    out: list[Segment] = []
    spent = 0.0
    while spent < share:
        kind = draw.choice(4, p=(0.55, 0.2, 0.15, 0.1))
        low, high = ((0.12, 0.3), (0.4, 0.9), (-0.5, -0.1), (1.0, 1.8))[kind]
        shortest, longest = ((240, 900), (30, 120), (5, 30), (4, 12))[kind]
        power, seconds = float(draw.uniform(low, high)), float(draw.uniform(shortest, longest))
        out.append(Segment(POWER, power, HOLD, cut=0.0, duration=seconds))
        spent += power * seconds / 3600.0
    return tuple(out)


_LEGS: Final = (
    ((1 / 8, 1.0),), ((1 / 5, 0.55), (1 / 8, 0.45)), ((1.0, 0.5), (1 / 5, 0.5)),
    ((1 / 3, 0.7), (1.0, 0.3)), ((1 / 5, 1.0),), ((1.0, 0.6), (1.0, 0.4)),
)  # fmt: skip
"""Charges of one vehicle cycle: rate (1.0 stands for a fast charge) and share of the capacity."""


def vehicle(
    cycles: int, seed: int = 0, fast: float = 0.8, checkup_every: int = 50,
    climate: Climate | None = None,
) -> Protocol:  # fmt: skip
    """Partial and fast charges, drives and parking; about one rated capacity a cycle.

    ``fast`` is the rate of a fast charge in C.
    """
    if cycles < 9:
        raise ConfigError(f"{cycles} cycles are too few", where="protocol", fix="Give 9 or more")
    programs: list[tuple[Segment, ...]] = [formation(), checkup()]
    for k, legs in enumerate(_LEGS):
        program: list[Segment] = []
        for leg, (rate, share) in enumerate(legs):
            route = drive(1000 * seed + 10 * k + leg, 0.85 * share)
            half = len(route) // 2
            program += [
                charge(fast if rate == 1.0 else rate, hold_to=0.1, up_to=share), rest(1200.0),
                *route[:half], rest(4 * 3600.0), *route[half:], rest(2 * 3600.0),
            ]  # fmt: skip
        programs.append(tuple(program))
    schedule = 2 + np.random.default_rng(seed).integers(0, len(_LEGS), cycles)
    schedule[:3] = 0
    schedule[7::checkup_every] = 1
    return Protocol("vehicle", tuple(programs), schedule, 8, True, climate or Climate(25, 3, 5))


def longest_samples(segments: Sequence[Segment]) -> int:
    """An upper bound of the time steps of one program, at the default step."""
    return sum(_longest(s) for s in segments)


def _longest(segment: Segment) -> int:
    if segment.control == CURRENT and segment.value == 0:
        return 16
    return 20 if segment.duration <= 90 else 100
