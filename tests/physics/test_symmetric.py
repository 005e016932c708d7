"""Symmetric cells against hand calculations."""

import numpy as np
import pytest

from fadecast.errors import ConfigError
from fadecast.physics.design import Kind, central
from fadecast.physics.symmetric import cycle_symmetric, ramp_to_short

CELL = central(Kind("lithium", "lab"), density=0.82)


def test_contact_is_lost_when_the_void_capacity_is_stripped():
    sound = central(Kind("lithium", "lab"), density=0.95, critical_current=50.0)
    hours = cycle_symmetric(sound, 0.2, 0.0, one_way=True).hours_to_contact_loss
    assert hours == pytest.approx(0.95 * 3.0 / (0.2 - 0.02), rel=0.01)


def test_creep_alone_shorts_after_the_charge_it_needs():
    """At 10 MPa and little current, 17.8 mAh/cm² through an interface, half the time each."""
    result = cycle_symmetric(CELL, 0.075, 10.0, most_hours=1000)
    assert result.hours_to_short == pytest.approx(2 * 17.8 / 0.075, rel=0.01)
    assert result.plated == pytest.approx(17.8, rel=0.01)


def test_both_walls():
    """Lithium shorts sooner at low and at high pressure than in between."""
    dense = central(Kind("lithium", "lab"), density=0.94)
    hours = [cycle_symmetric(dense, 0.5, p).hours_to_short for p in (1.0, 5.0, 40.0)]
    assert hours[1] > 2 * max(hours[0], hours[2])


def test_a_ramp_ends_near_the_critical_current():
    assert ramp_to_short(CELL, 5.0) == pytest.approx(CELL["critical_current"], rel=0.2)


def test_nonsense_is_refused():
    with pytest.raises(ConfigError):
        cycle_symmetric(CELL, -1.0, 5.0)
    assert np.isfinite(ramp_to_short(CELL, 5.0))
