"""Single equations against hand calculations, limits and shapes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.physics import contact, damage, interphase, noise, penetration, pressure
from fadecast.physics import electrochemistry as ec

POSITIVE = st.floats(0.01, 100.0)


def test_arrhenius_is_one_at_25_degrees_and_doubles_where_it_should():
    assert ec.arrhenius(50.0, 298.15) == 1.0
    kelvin = 308.15
    activation = math.log(2) * 8.31446261815324 / (1 / 298.15 - 1 / kelvin) * 1e-3
    assert ec.arrhenius(activation, kelvin) == pytest.approx(2.0)


def test_cathode_potential_is_the_published_fit_below_95_percent():
    x = 0.5
    chen = (
        -0.8090 * x
        + 4.4875
        - 0.0428 * math.tanh(18.5138 * (x - 0.5542))
        - 17.7326 * math.tanh(15.7890 * (x - 0.3117))
        + 17.5842 * math.tanh(15.9308 * (x - 0.3120))
    )
    assert ec.cathode_potential(x) == pytest.approx(chen, abs=1e-9)


def test_cathode_potential_falls_everywhere():
    assert np.all(np.diff(ec.OCP) < 0)


def test_capacity_of_a_millimole():
    # 1 mol/m³ × 100 µm × fraction 1 = 1e-4 mol/m² = 9.6485 C/m² = 2.68e-4 mAh/cm²
    assert ec.electrode_capacity(100.0, 1.0, 1.0) == pytest.approx(9.6485e0 / 36000, rel=1e-4)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4))
def test_inverse_sinh_is_the_librarys(y):
    assert ec.inverse_sinh(y) == pytest.approx(math.asinh(y), rel=1e-12, abs=1e-15)


@settings(deadline=None)
@given(st.floats(-5, 5), POSITIVE, st.floats(250, 350))
def test_overpotential_inverts_butler_volmer(current, exchange, kelvin):
    eta = ec.surface_overpotential(current, exchange, kelvin)
    back = 2 * exchange * math.sinh(ec.FARADAY * eta / (2 * ec.GAS * kelvin))
    assert back == pytest.approx(current, rel=1e-9, abs=1e-9)


@settings(deadline=None)  # the first example compiles
@given(st.floats(0.05, 0.94), st.floats(1e-6, 1e-2), st.floats(0, 8), st.floats(1, 1e5))
def test_particles_keep_their_lithium(start, rate, drop, dt):
    x = np.full(ec.SHELLS, start)
    upper, right = np.empty(ec.SHELLS), np.empty(ec.SHELLS)
    ec.eliminate(x, start, 0.0, rate, drop, dt, upper, right)
    ec.substitute(x, 1e-6, upper, right)
    assert ec.mean_stoichiometry(x) == pytest.approx(start + 1e-6 * dt, rel=1e-10)


def test_steady_diffusion_is_exact_on_few_shells():
    """At constant flux the surface leads the mean by R²f/(15 D)."""
    x = np.full(ec.SHELLS, 0.5)
    upper, right = np.empty(ec.SHELLS), np.empty(ec.SHELLS)
    rate, f = 1e-3, 1e-6
    for _ in range(200):
        a, b = ec.eliminate(x, 0.5, 0.0, rate, 0.0, 500.0, upper, right)
        ec.substitute(x, f, upper, right)
    lead = a + b * f - ec.mean_stoichiometry(x)
    assert lead == pytest.approx(f / (15 * rate), rel=1e-9)


def test_strain_meets_its_published_points():
    assert pressure.cathode_strain(0.95) == pytest.approx(0.0)
    assert pressure.cathode_strain(0.302) == pytest.approx(0.026)
    assert pressure.cathode_strain(0.261) == pytest.approx(0.050)
    assert pressure.cathode_strain(0.093) == pytest.approx(0.070)


def test_a_rigid_fixture_sees_no_thickness_and_a_stiff_one_all_of_it():
    assert pressure.elastic_pressure(5.0, 0.0, 20.0, 0.0, 0.0) == 5.0
    assert pressure.elastic_pressure(5.0, 0.4, 20.0, 0.0, 0.0) == pytest.approx(13.0)


def test_relaxation_ends_at_its_fraction():
    """At constant elastic stress P + P_r, the lost part tends to a of it."""
    lost, total = 0.0, 30.0
    for _ in range(2000):
        lost = pressure.relaxed_after(lost, total - lost, 0.05, 10.0, 3600.0)
    assert lost == pytest.approx(0.05 * total, rel=1e-6)


def test_stripping_limit_meets_its_published_points():
    limit = [contact.stripping_limit(p, 298.15, 1, 0.02, 0.2, 1.9, 37) for p in (0, 3, 7)]
    assert limit[0] == pytest.approx(0.02)
    assert limit[1] == pytest.approx(0.22)
    assert limit[2] == pytest.approx(1.0, rel=0.05)


@settings(deadline=None)
@given(POSITIVE, POSITIVE, POSITIVE)
def test_voids_are_filled_by_plating_and_never_negative(void, current, hours):
    left, hidden = contact.void_after_plating(void, 0.0, current, 0.95, hours)
    assert left == pytest.approx(max(0.0, void - current * hours))
    assert hidden == pytest.approx(0.05 * (void - left))


def test_contact_never_vanishes():
    assert contact.contact_fraction(100.0, 3.0, 3.0) == contact.LEAST_CONTACT
    assert contact.contact_fraction(0.0, 0.0, 3.0) == 1.0


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0, 30))
def test_coverage_only_falls_and_pressure_protects_it(p, strain):
    low = contact.coverage_loss(0.9, 6e-4, 1.5, p, 4.4, strain / 100)
    high = contact.coverage_loss(0.9, 6e-4, 1.5, p + 10, 4.4, strain / 100)
    assert 0 <= high <= low <= 0.9


def test_penetration_by_creep_has_a_wall_at_high_pressure():
    grow = [
        penetration.creep_growth(p, 0.82, 1, 25, 1 / 17.8, 1.35, 22, 1 / 8.3)
        for p in (5, 10, 20, 25, 75)
    ]
    assert np.all(np.diff(grow) > 0)
    assert grow[1] == pytest.approx(1 / 17.8)
    assert grow[4] > 50 * grow[1]


@settings(deadline=None)
@given(st.floats(0, 1e6), st.floats(0.02, 1), POSITIVE)
def test_current_growth_is_finite(current, contact_left, critical):
    assert 0 <= penetration.current_growth(current, contact_left, critical, 2.0) <= 10.0


def test_a_sound_separator_does_not_leak():
    assert penetration.leak_conductance(0.6, 1e5, 10) == 0.0
    assert penetration.leak_conductance(0.61, 1e5, 10) > 0
    assert math.isfinite(penetration.leak_conductance(1e9, 1e5, 400))


def test_interphases_grow_with_the_square_root_of_time():
    rate = interphase.sei_square_rate(3e-3, 47.0, 298.15)
    amount = 0.0
    for _ in range(100):
        amount = interphase.parabolic_after(amount, rate, 1.0)
    assert amount == pytest.approx(3e-3 * 10)


def test_damage_needs_swing_or_overload():
    assert damage.damage_per_cycle(0.0, 30.0, 10.0, 100.0) == 0.0
    assert damage.damage_per_cycle(10.0, 30.0, 10.0, 100.0) == pytest.approx(1e-3)
    assert damage.damage_per_cycle(0.0, 100.0, 10.0, 100.0) == pytest.approx(0.04)


def test_a_cell_without_heat_takes_the_ambient_temperature():
    kelvin = 320.0
    for _ in range(200):
        kelvin = damage.temperature_after(kelvin, 290.0, 0.0, 0.2, 1e-3, 60.0)
    assert kelvin == pytest.approx(290.0, abs=1e-6)


@pytest.mark.parametrize("shape", [0.05, 0.7, 1.0, 4.0, 60.0])
def test_gamma_variates_have_their_moments(shape):
    key = np.uint64(17)
    draws = np.array([noise.gamma(shape, key, 200 * i) for i in range(20_000)])
    assert draws.mean() == pytest.approx(shape, rel=5 * shape**-0.5 / math.sqrt(20_000))
    assert draws.var() == pytest.approx(shape, rel=0.25)


def test_uniform_draws_are_uniform_and_independent_of_order():
    key = np.uint64(3)
    draws = np.array([noise.uniform(key, i) for i in range(50_000)])
    assert np.abs(np.histogram(draws, 20, (0, 1))[0] / 2500 - 1).max() < 0.08
    assert noise.uniform(key, 777) == draws[777]
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02
