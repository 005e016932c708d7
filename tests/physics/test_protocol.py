"""Protocols: contradictions are refused, programs do what they say."""

import numpy as np
import pytest

from fadecast.errors import ConfigError
from fadecast.physics.design import Kind, central
from fadecast.physics.electrode import CURRENT, POWER
from fadecast.physics.protocol import (
    GO,
    NOMINAL_VOLTAGE,
    Climate,
    Protocol,
    Segment,
    cccv,
    checkup,
    drive,
    laboratory,
    longest_samples,
    rest,
    vehicle,
)
from fadecast.physics.simulate import simulate

KEY = np.zeros(1, np.uint64)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Segment(7, 1.0),
        lambda: Segment(CURRENT, np.nan),
        lambda: Segment(CURRENT, 1.0, duration=0.0),
        lambda: Segment(CURRENT, 1.0, duration=-5.0),
        lambda: Segment(CURRENT, 0.0, GO, duration=1e9),
        lambda: Segment(POWER, 1.0, GO),
        lambda: Climate(200.0),
        lambda: laboratory(3),
        lambda: Protocol("p", (cccv(1, 1),), np.array([0, 1]), 1, False),
        lambda: Protocol("p", (cccv(1, 1),), np.array([], int), 1, False),
        lambda: Protocol("p", (cccv(1, 1),), np.zeros(4, int), 9, False),
        lambda: Protocol("p", (cccv(1, 1),), np.zeros(4, int), 1, True),
        lambda: Protocol("p", ((),), np.zeros(4, int), 1, False),
    ],
)
def test_contradictions_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def one(program, cell=None):
    cell = central(Kind("lithium", "engineered"), set_pressure=15.0) if cell is None else cell
    protocol = Protocol("one", (program,), np.zeros(1, int), 1, False, Climate(25.0))
    lives = simulate(np.array([cell]), protocol, KEY, causes=0, samples=True)
    return cell, lives.samples[0, : lives.rows[0, 0]]


def test_cccv_charges_to_the_top_and_holds_it():
    cell, samples = one(cccv(1 / 3, 0.5))
    assert samples[:, 1].max() == pytest.approx(cell["voltage_max"], abs=1e-6)
    charging = samples[samples[:, 2] < 0]
    assert charging[0, 2] == pytest.approx(-cell["rated"] / 3)
    assert -charging[-1, 2] == pytest.approx(0.05 * cell["rated"], rel=0.1)
    assert samples[samples[:, 2] > 0][-1, 1] == pytest.approx(3.0, abs=2e-3)


def test_a_checkup_has_pulses_at_three_charges_and_a_day_of_rest():
    cell, samples = one(checkup())
    assert np.ptp(samples[samples[:, 5] == 5, 0]) > 6 * 3600
    pulsed = np.isclose(samples[:, 2], cell["rated"])
    assert np.count_nonzero(np.diff(pulsed.astype(int)) == 1) == 3


def test_drives_are_reproducible_and_spend_their_energy():
    assert drive(3, 0.3) == drive(3, 0.3)
    assert drive(3, 0.3) != drive(4, 0.3)
    spent = sum(s.value * s.duration for s in drive(3, 0.3)) / 3600
    assert 0.3 <= spent < 0.4
    assert min(s.value for s in drive(3, 0.3)) < 0 < max(s.value for s in drive(3, 0.3))


def test_power_is_held():
    program = (*cccv(0.3, 0.3)[:2], Segment(POWER, 0.4, duration=1800.0))
    cell, samples = one(program)
    driven = samples[samples[:, 5] == 2]
    watts = driven[:, 1] * driven[:, 2]
    assert watts == pytest.approx(0.4 * cell["rated"] * NOMINAL_VOLTAGE, rel=1e-6)


def test_samples_fit_into_their_bound():
    for protocol in (laboratory(30, checkup_every=10), vehicle(20)):
        cells = np.array([central(Kind("silver_carbon", "engineered"), set_pressure=8.0)])
        lives = simulate(cells, protocol, KEY, causes=0, samples=True)
        n = np.diff(lives.rows[0], prepend=0)
        room = [longest_samples(protocol.programs[p]) for p in protocol.schedule]
        assert np.all(n < room)
        assert n.min() >= 60


def test_seasons_reach_the_cell():
    cells = np.array([central(Kind("silicon", "engineered"), set_pressure=8.0)])
    protocol = vehicle(40, climate=Climate(20.0, 0.0, 15.0))
    lives = simulate(cells, protocol, KEY, causes=0)
    kelvin = lives.column("temperature_mean")[0]
    assert kelvin[0] < 273.15 + 10
    assert kelvin.max() > kelvin.min() + 0.5
    assert rest(60.0).control == CURRENT
