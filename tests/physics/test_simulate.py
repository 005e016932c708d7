"""Whole lives: balances, determinism, convergence, labels."""

import numba
import numpy as np
import pytest

from fadecast.errors import ConfigError
from fadecast.physics.design import N_COORDINATES, Kind, central, design
from fadecast.physics.electrochemistry import DEPTHS, electrode_capacity
from fadecast.physics.parameters import ANODES, FIXTURES
from fadecast.physics.protocol import EVENT, LOOSEN, REPRESS, laboratory, vehicle
from fadecast.physics.simulate import simulate
from fadecast.physics.state import N_TRUTH, TRUTH


def mixed_cells(n=12, seed=3, tier="engineered"):
    rng = np.random.default_rng(seed)
    kinds = [Kind(ANODES[k % 4], tier, FIXTURES[k % 3]) for k in range(n)]
    return np.array([
        design(kind, rng.random(N_COORDINATES), set_pressure=float(2 * 12 ** rng.random()))
        for kind in kinds
    ])  # fmt: skip


def keys(n, seed=0):
    return np.arange(n, dtype=np.uint64) + np.uint64(1000 * seed)


CELLS = mixed_cells()


@pytest.fixture(scope="module", params=["laboratory", "vehicle"])
def run(request):
    protocol = laboratory(60, checkup_every=20) if request.param == "laboratory" else vehicle(30)
    return protocol, simulate(CELLS, protocol, keys(len(CELLS)), samples=True)


def test_lithium_is_neither_made_nor_lost(run):
    _, lives = run
    s = lives.states
    whole = np.array([
        electrode_capacity(c["cathode_thickness"], c["active_fraction"], c["lithium_limit"])
        for c in CELLS
    ])  # fmt: skip
    cathode = whole * (s["connected"] * s["mean_x"] + s["dead_lithium"])
    total = cathode + s["lithium"] + s["consumed"]
    start = whole * CELLS["initial_stoichiometry"] + CELLS["excess_lithium"]
    assert total == pytest.approx(start, abs=1e-10)


def test_charge_is_accounted_for(run):
    _, lives = run
    s = lives.states
    plated = s["lithium"] + s["consumed"] - CELLS["excess_lithium"]
    assert plated == pytest.approx(s["charged"] - s["discharged"] - s["leaked"], abs=1e-9)


def test_heat_is_stored_or_lost(run):
    protocol, lives = run
    s, climate = lives.states, protocol.climate
    start = 273.15 + climate.mean - climate.daily - climate.seasonal
    stored = CELLS["heat_capacity"] * (s["kelvin"] - start)
    assert s["heat"] == pytest.approx(s["lost_heat"] + stored, abs=1e-8)
    assert np.all(s["heat"] > 0), "a life of cycling dissipates"


def test_samples_move_forward_and_stay_in_the_window(run):
    _, lives = run
    for i, cell in enumerate(CELLS):
        n = lives.rows[i, lives.until[i] - 1]
        samples = lives.samples[i, :n]
        assert n >= 60 * lives.until[i]
        assert np.all(np.diff(samples[:, 0]) > 0)
        assert np.isfinite(samples).all()
        charging = samples[:, 2] < 0
        assert samples[charging, 1].max() <= cell["voltage_max"] + 1e-3
        assert samples[:, 4].min() >= 0


def test_charge_of_the_samples_is_the_ledgers(run):
    """A cycler integrates the current it logs; the ledger holds the charge that moved."""
    _, lives = run
    for i in range(len(CELLS)):
        samples = lives.samples[i, : lives.rows[i, lives.until[i] - 1]]
        hours = np.diff(samples[:, 0], prepend=0.0) / 3600
        out = (samples[:, 2].clip(0) * hours).sum()
        assert out == pytest.approx(lives.states["discharged"][i], rel=1e-2)


def test_no_step_failed(run):
    assert run[1].states["failures"].sum() == 0


def test_threads_and_neighbours_do_not_matter():
    protocol = laboratory(20)
    together = simulate(CELLS, protocol, keys(len(CELLS)))
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = [simulate(CELLS[i : i + 1], protocol, keys(len(CELLS))[i : i + 1]) for i in (0, 5)]
    finally:
        numba.set_num_threads(threads)
    for i, one in zip((0, 5), alone, strict=True):
        assert one.truth[0].tobytes() == together.truth[i].tobytes()


def test_the_seed_matters_only_through_noise():
    cell = np.array([central(Kind("lithium", "lab"), set_pressure=10.0, critical_current=6.0)] * 2)
    protocol = laboratory(40, 0.1, 0.1)
    noisy = simulate(cell, protocol, keys(2))
    calm = simulate(cell, protocol, keys(2), noisy=False)
    assert noisy.column("penetration")[0, 10] != noisy.column("penetration")[1, 10]
    assert calm.truth[0].tobytes() == calm.truth[1].tobytes()


def test_halving_the_time_step_changes_little():
    protocol = laboratory(150)
    cells = mixed_cells(24, 5)
    lives = [simulate(cells, protocol, keys(24), noisy=False, refine=r) for r in (1.0, 2.0)]
    change = np.abs(lives[1].until / lives[0].until - 1)
    assert np.median(change) < 0.002
    assert change[lives[1].until >= 20].mean() < 0.01, "one cycle of a shorter life is over 5 %"
    assert (lives[0].cause == lives[1].cause).mean() > 0.9
    both = np.minimum(lives[0].until, lives[1].until)
    last = both.min() - 1
    a, b = (x.column("capacity")[:, last] for x in lives)
    assert np.median(np.abs(a / b - 1)) < 0.002


def test_zero_current_changes_nothing_but_films():
    from fadecast.physics.protocol import Climate, Protocol, Segment, rest

    protocol = Protocol(
        "rest", ((rest(3600.0), Segment(0, 0.0, 0, duration=60.0, measures=1)),),
        np.zeros(9, int), 1, False, Climate(25),
    )  # fmt: skip
    cells = np.array([central(Kind("lithium", "lab", "constant_force"))])
    lives = simulate(cells, protocol, keys(1), causes=0)
    s = lives.states[0]
    assert s["mean_x"] == pytest.approx(cells["initial_stoichiometry"][0], abs=1e-13)
    assert s["void"] == 0
    assert s["penetration"] == 0
    assert s["sei"] == pytest.approx(cells["sei_rate"][0] * np.sqrt(s["time"] / 3600), rel=1e-9)


def test_a_disabled_cause_is_not_the_first():
    protocol = laboratory(60)
    cells = np.array([central(Kind("lithium", "lab"), set_pressure=5.0)])
    first = simulate(cells, protocol, keys(1))
    assert first.cause[0] == 2
    later = simulate(cells, protocol, keys(1), causes=0b1011)
    assert later.cause[0] != 2
    assert later.until[0] > first.until[0]
    assert later.states["leaked"][0] == 0


def test_over_pressure_is_immediate():
    cells = np.array(
        [central(Kind("silicon", "lab", "fixed_gap"), set_pressure=50.0, stiffness=0.4)]
    )
    cells["pressure_limit"] = 50.5
    lives = simulate(cells, laboratory(60), keys(1))
    assert lives.cause[0] == 3
    assert lives.until[0] <= 2


def test_a_cell_that_lives_on_is_censored():
    cells = np.array([central(Kind("silicon", "engineered"), set_pressure=10.0)])
    lives = simulate(cells, laboratory(20), keys(1))
    assert lives.cause[0] == -1
    assert lives.after[0] == lives.until[0] == 20


def test_checkup_lives_are_interval_censored():
    cells = np.array([central(
        Kind("anode_free", "engineered", "constant_force"), set_pressure=8.0, sei_rate=0.02,
        stripping_factor=50.0, critical_current=100.0, penetration_creep=0.0,
    )])  # fmt: skip
    lives = simulate(cells, laboratory(200, checkup_every=20), keys(1))
    assert lives.cause[0] == 0
    assert lives.until[0] - lives.after[0] == 20


def test_pressure_events_act():
    cells = np.array([central(Kind("silicon", "lab"), set_pressure=10.0, coverage_rate=5e-3)] * 3)
    events = np.zeros((3, 1), EVENT)
    events[1] = (30, REPRESS, 0.0)
    events[2] = (30, LOOSEN, 0.4)
    lives = simulate(cells, laboratory(40), keys(3), events=events, causes=0, noisy=False)
    coverage, pressure = lives.column("coverage"), lives.column("pressure_mean")
    assert coverage[0, 28] == coverage[1, 28]
    assert coverage[1, 30] > coverage[0, 30] + 0.01
    assert pressure[2, 32] < 0.5 * pressure[0, 32]


def test_impossible_requests_are_refused():
    cells = np.array([central(Kind())])
    with pytest.raises(ConfigError, match="keys"):
        simulate(cells, laboratory(20), keys(2))
    with pytest.raises(ConfigError, match="refine"):
        simulate(cells, laboratory(20), keys(1), refine=0.0)


def test_truth_has_a_unit_for_every_column():
    assert len(TRUTH) == N_TRUTH
    assert all(TRUTH.values())
    assert DEPTHS == 2


def test_a_shorted_cell_in_a_vehicle_stays_a_cell():
    """Held at the end of its window it would be charged by its load, without end."""
    cells = mixed_cells(40, seed=8)
    cells["leak_resistance"], cells["leak_decades"], cells["critical_current"] = 1e3, 12.0, 3.0
    lives = simulate(cells, vehicle(120, fast=1.0), keys(40), causes=1 << 2, samples=True)
    assert (lives.cause == 2).all()
    for i, until in enumerate(lives.until):
        samples = lives.samples[i, : lives.rows[i, until - 1]]
        assert samples[:, 1].min() > -0.1
        assert samples[:, 1].max() < 4.4
        assert samples[:, 3].max() < 273.15 + 200
        assert 0 < lives.states["mean_x"][i] < 1
