"""The frozen definitions of a failure, cycle by cycle on a state made by hand."""

import numpy as np
import pytest

from fadecast.physics.design import Kind, central
from fadecast.physics.failure import (
    ALIVE,
    CAPACITY_FADE,
    CONTACT_LOSS,
    LITHIUM_PENETRATION,
    OVER_PRESSURE,
    WATCH,
    judge,
)
from fadecast.physics.state import STATE, WORK, start_state

REFERENCE = 8


class Judged:
    """A healthy anode-free cell past its reference cycle, judged as the test changes it."""

    def __init__(self, checkups: bool = False) -> None:
        self.cell = central(Kind("anode_free", "engineered"), set_pressure=5.0)
        self.state, self.watch = np.zeros(1, STATE)[0], np.zeros(1, WATCH)[0]
        start_state(self.cell, self.state, np.zeros(1, WORK)[0], 298.15)
        self.checkups = checkups
        self.state["voltage"] = 3.3
        for _ in range(REFERENCE):
            assert self.cycle(measured=not checkups)[0] == ALIVE
        if checkups:
            self.watch["last_good"] = REFERENCE

    def cycle(self, measured: bool = True, **changes: float) -> tuple[int, int, int]:
        """(cause, last cycle known alive, cycle) of one more cycle."""
        s = self.state
        s["cycle"] += 1
        s["q_charge"], s["q_discharge"], s["capacity_measured"] = 4.0, 3.996, 4.0
        s["self_discharge"] = 0.0
        for name, value in changes.items():
            s[name] = value
        cause, alive, _ = judge(
            self.cell, s, self.watch, measured, self.checkups, REFERENCE, 0b1111
        )
        return cause, alive, int(s["cycle"])


LOST = {"capacity_measured": 3.0, "end_lithium": 0.0, "sei": 0.9}
"""A quarter of the capacity gone, with the lithium."""


def test_the_life_is_the_third_of_three_low_cycles():
    cell = Judged()
    assert cell.cycle(**LOST)[0] == ALIVE
    assert cell.cycle(**LOST)[0] == ALIVE
    assert cell.cycle(**LOST) == (CAPACITY_FADE, REFERENCE + 2, REFERENCE + 3)


def test_a_good_cycle_in_between_begins_the_count_anew():
    cell = Judged()
    causes = [cell.cycle(**LOST)[0], cell.cycle(**LOST)[0], cell.cycle()[0], cell.cycle(**LOST)[0]]
    assert causes == [ALIVE] * 4


def test_one_checkup_suffices_and_tells_both_ends():
    cell = Judged(checkups=True)
    assert cell.cycle(measured=False, **LOST)[0] == ALIVE, "not measured, not judged"
    assert cell.cycle(**LOST) == (CAPACITY_FADE, REFERENCE, REFERENCE + 2)


def test_self_discharge_is_seen_at_checkups_so_one_suffices():
    cell = Judged(checkups=True)
    assert cell.cycle(self_discharge=0.01)[0] == ALIVE
    cell.cycle(measured=False)
    assert cell.cycle(self_discharge=0.04)[0] == ALIVE, "no lithium in the separator"
    good = int(cell.state["cycle"])
    cell.cycle(measured=False)
    assert cell.cycle(self_discharge=0.1, penetration=0.7)[:2] == (LITHIUM_PENETRATION, good)


def test_a_soft_short_needs_three_cycles_and_a_hard_one_none():
    cell = Judged()
    leaking = {"q_discharge": 3.7, "penetration": 0.7}
    assert [cell.cycle(**leaking)[0] for _ in range(3)] == [ALIVE, ALIVE, LITHIUM_PENETRATION]
    assert Judged().cycle(penetration=1.0)[0] == LITHIUM_PENETRATION


@pytest.mark.parametrize(("leak", "cause"), [(0.1, ALIVE), (30.0, LITHIUM_PENETRATION)])
def test_a_voltage_that_collapses_is_a_hard_short(leak, cause):
    assert Judged().cycle(penetration=0.9, leak=leak)[0] == cause


def test_of_several_causes_in_one_cycle_the_gravest_counts():
    everything = LOST | {"penetration": 1.0, "damage": 1.0, "least_contact": 0.02}
    order = []
    for calm in ({}, {"damage": 0.0}, {"damage": 0.0, "penetration": 0.0}):
        cell = Judged()
        for _ in range(2):
            cell.cycle(**LOST, least_contact=0.02)
        order.append(cell.cycle(**(everything | calm))[0])
    assert order == [OVER_PRESSURE, LITHIUM_PENETRATION, CONTACT_LOSS]
