"""The coupled algebra of one step."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.physics import electrochemistry as ec
from fadecast.physics.electrode import (
    CURRENT,
    POWER,
    VOLTAGE,
    close_step,
    potential_and_slope,
)


def close(control, target, *, x=0.6, ionic=2e-3, exchange=14.0, series=0.01, leak=0.0):
    local = np.full(ec.DEPTHS, 0.1)
    offset = np.full(ec.DEPTHS, x)
    gain = np.full(ec.DEPTHS, 1e-3)
    work = np.empty((ec.DEPTHS, ec.DEPTHS + 2))
    current, voltage, good = close_step(
        control, target, local, offset, gain, work, exchange, ionic, ionic / 100, series, 3.0,
        0.0, leak, 298.15,
    )  # fmt: skip
    assert good
    assert ec.WEIGHTS @ local == pytest.approx(current, abs=1e-12)
    return current, voltage, local


def test_table_follows_the_potential():
    for x in np.linspace(0.05, 0.96, 300):
        assert potential_and_slope(x)[0] == pytest.approx(ec.cathode_potential(x), abs=2e-5)


def test_no_current_gives_the_open_circuit_potential():
    current, voltage, _ = close(CURRENT, 0.0)
    assert current == pytest.approx(0, abs=1e-12)
    assert voltage == pytest.approx(ec.cathode_potential(0.6), abs=1e-6)


def test_a_perfect_conductor_reacts_evenly():
    _, voltage, local = close(CURRENT, 4.0, ionic=0.0)
    thermal = 2 * ec.GAS * 298.15 / ec.FARADAY
    x = 0.6 + 4.0e-3
    expected = (
        ec.cathode_potential(x)
        - thermal * math.asinh(2.0 / ec.exchange_current(x, 14.0))
        - thermal * math.asinh(4.0 / 6.0)
        - 0.04
    )
    assert voltage == pytest.approx(expected, abs=1e-3)
    assert np.ptp(local) < 1e-9


def test_small_currents_see_a_third_of_the_ionic_resistance():
    """With slow kinetics the reaction is even, and its ohmic loss is i L/3κ."""
    with_loss = close(CURRENT, 1e-3, ionic=1e-3, exchange=1e-3)[1]
    without = close(CURRENT, 1e-3, ionic=0.0, exchange=1e-3)[1]
    assert without - with_loss == pytest.approx(1e-3 * 1.01e-3 / 3, rel=0.02)


@settings(deadline=None, max_examples=60)
@given(st.floats(-6, 6), st.floats(0.1, 0.9), st.floats(0, 0.05))
def test_the_three_controls_agree(current, x, leak):
    terminal, voltage, _ = close(CURRENT, current, x=x, leak=leak)
    assert terminal - leak * voltage == pytest.approx(current, abs=1e-6)
    again = close(VOLTAGE, voltage, x=x, leak=leak)
    assert again[0] == pytest.approx(terminal, abs=2e-5)
    if abs(current) > 0.01:
        power = close(POWER, current * voltage, x=x, leak=leak)
        assert power[0] == pytest.approx(terminal, abs=2e-5)


def test_the_separator_side_reacts_first():
    local = close(CURRENT, 4.0, ionic=2e-2)[2]
    assert local[0] > local[-1]
