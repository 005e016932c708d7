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


def logged(lives, sensors=SURE, seed=0, cycles=30, lived=30):
    rows = lives.rows[0, :lived]
    draw = np.random.default_rng(seed)
    return log(lives.samples[0, : rows[-1]], rows, 10.0, 8.0, cycles, sensors, draw)


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


def test_a_sensor_does_not_know_how_long_the_cell_will_live(lives):
    """The reading of a cycle is the same whether the record ends there or goes on."""
    dying = Sensors(pressure_missing=0.0, pressure_dies=1.0, gap=0.0)
    ends = []
    for seed in range(40):
        dead = np.isnan(logged(lives, dying, seed, cycles=300)["surface_pressure_pa"])
        ends.append(dead.any())
    assert 0 < np.mean(ends) < 0.3, "a tenth of the schedule was lived"
    pressure = lives.samples[0, : lives.rows[0, -1], 4].copy()
    pressure[-50:] *= 9.0
    seconds, kelvin = np.arange(len(pressure)) * 60.0, np.full(len(pressure), 298.15)
    seen = measure_pressure(pressure, kelvin, seconds, 200, SURE, np.random.default_rng(1))
    assert seen.max() == 20.0, "saturated"


def test_discharge_is_measured_a_little_otherwise_than_charge(lives):
    truth = lives.samples[0, : lives.rows[0, -1], 2]
    found = []
    for seed in range(20):
        ratio = logged(lives, seed=seed)["current_ampere"] / -np.where(truth == 0, 1, truth)
        found.append(ratio[truth > 0].mean() / ratio[truth < 0].mean() - 1)
    assert np.all(np.abs(found) > 1e-4)
    assert np.all(np.abs(found) < 1.1e-3)
    assert np.min(found) < 0 < np.max(found)


def test_gaps_lose_samples(lives):
    whole, holed = logged(lives), logged(lives, Sensors(gap=1.0))
    assert len(holed["voltage_volt"]) < len(whole["voltage_volt"]) - 30


def test_a_logging_interval_thins_but_keeps_the_ends_of_steps(lives):
    whole, thin = logged(lives), logged(lives, Sensors(0, 0, 0, interval=1800.0, gap=0.0))
    assert len(thin["voltage_volt"]) < 0.8 * len(whole["voltage_volt"])
    steps = [100 * c["cycle_count"] + c["step_count"] for c in (whole, thin)]
    for end in (0, -1):
        times = [
            np.array([c["test_time_second"][s == step][end] for step in np.unique(steps[0])])
            for c, s in zip((whole, thin), steps, strict=True)
        ]
        assert np.array_equal(*times)
    inside = np.diff(steps[1]) == 0
    assert np.median(np.diff(thin["test_time_second"])[inside]) >= 900.0


def test_pressure_is_quantised_clipped_and_follows():
    seconds = np.linspace(0, 3.6e6, 4000)
    pressure = 6 + np.sin(seconds / 2e4)
    draw = np.random.default_rng(2)
    kelvin = np.full(4000, 298.15)
    seen = measure_pressure(pressure, kelvin, seconds, 4000, SURE, draw)
    step = 20.0 / 4096
    assert np.allclose(seen / step, np.round(seen / step))
    assert np.corrcoef(seen, pressure)[0, 1] > 0.9
    assert np.abs(seen - pressure).mean() < 0.03 * 20


def test_play_holds_until_the_width_is_passed():
    out = play(np.array([0.0, 0.5, 2.0, 1.5, 0.5, -3.0]), 1.0)
    assert np.allclose(out, [0.0, 0.0, 1.0, 1.0, 1.0, -2.0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"pressure_missing": 1.5}, {"pressure_bits": 0}, {"voltage_noise": -1.0},
        {"current_gain": float("nan")}, {"pressure_noise": (0.01, 0.003)},
        {"temperature_noise": float("inf")},
    ],
)  # fmt: skip
def test_impossible_sensors_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Sensors(**wrong)
