"""Sensors: what they add, and what never gets out."""

import numpy as np
import pytest

from fadecast.cell.columns import COLUMNS
from fadecast.errors import ConfigError
from fadecast.physics.design import Kind, central
from fadecast.physics.measure import Sensors, log, measure_pressure, play
from fadecast.physics.protocol import laboratory
from fadecast.physics.simulate import simulate

SURE = Sensors(pressure_missing=0.0, pressure_dies=0.0, gap=0.0)


@pytest.fixture(scope="module")
def lives():
    cells = np.array([central(Kind("silver_carbon", "engineered"), set_pressure=8.0)])
    return simulate(cells, laboratory(30), np.zeros(1, np.uint64), causes=0, samples=True)


def logged(lives, sensors=SURE, seed=0):
    rows = lives.rows[0]
    draw = np.random.default_rng(seed)
    return log(lives.samples[0, : rows[-1]], rows, 10.0, 8.0, sensors, draw)


def test_columns_are_of_the_format_and_nothing_else(lives):
    columns = logged(lives)
    assert set(columns) <= set(COLUMNS)
    assert len({len(v) for v in columns.values()}) == 1


def test_current_is_in_amperes_and_positive_on_charge(lives):
    columns = logged(lives)
    rising = np.diff(columns["voltage_volt"][:10])
    assert rising.min() > 0
    assert np.all(columns["current_ampere"][:10] > 0)
    truth = lives.samples[0, : lives.rows[0, -1], 2]
    assert columns["current_ampere"] == pytest.approx(-truth * 0.01, rel=0.01)


def test_noise_has_the_size_it_says(lives):
    columns = logged(lives)
    error = columns["voltage_volt"] - lives.samples[0, : lives.rows[0, -1], 1]
    assert error.std() == pytest.approx(1e-3, rel=0.1)
    assert abs(error.mean()) < 1e-4


def test_cycles_are_counted_from_one(lives):
    count = logged(lives)["cycle_count"]
    assert count[0] == 1
    assert np.array_equal(np.unique(count), np.arange(1, 31))


def test_a_missing_sensor_leaves_no_column(lives):
    assert "surface_pressure_pa" not in logged(lives, Sensors(pressure_missing=1.0))


def test_a_dying_sensor_stays_silent(lives):
    seen = logged(lives, Sensors(pressure_missing=0.0, pressure_dies=1.0, gap=0.0))
    dead = np.isnan(seen["surface_pressure_pa"])
    assert 0 < dead.sum() < len(dead)
    assert np.all(np.diff(dead.astype(int)) >= 0)


def test_gaps_lose_samples(lives):
    whole, holed = logged(lives), logged(lives, Sensors(gap=1.0))
    assert len(holed["voltage_volt"]) < len(whole["voltage_volt"]) - 30


def test_pressure_is_quantised_clipped_and_follows():
    seconds = np.linspace(0, 3.6e6, 4000)
    pressure = 6 + np.sin(seconds / 2e4)
    draw = np.random.default_rng(2)
    kelvin = np.full(4000, 298.15)
    seen = measure_pressure(pressure, kelvin, seconds, SURE, draw)
    step = 20.0 / 4096
    assert np.allclose(seen / step, np.round(seen / step))
    assert np.corrcoef(seen, pressure)[0, 1] > 0.9
    assert np.abs(seen - pressure).mean() < 0.03 * 20


def test_play_holds_until_the_width_is_passed():
    out = play(np.array([0.0, 0.5, 2.0, 1.5, 0.5, -3.0]), 1.0)
    assert np.allclose(out, [0.0, 0.0, 1.0, 1.0, 1.0, -2.0])


def test_impossible_sensors_are_refused():
    with pytest.raises(ConfigError):
        Sensors(pressure_missing=1.5)
    with pytest.raises(ConfigError):
        Sensors(pressure_bits=0)
