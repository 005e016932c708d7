"""A small part of benchmarks.oracle: independent solvers, always run."""

import numpy as np
import pytest

from fadecast.physics.design import Kind, central
from fadecast.physics.protocol import Climate, Protocol, cccv
from fadecast.physics.simulate import simulate
from fadecast.physics.state import STATE, WORK, start_state

pytest.importorskip("pybamm")
from benchmarks import oracle
from fadecast.physics import highfidelity


@pytest.mark.parametrize("rate", [1.0, -1.0])
@pytest.mark.parametrize("aged", [False, True])
def test_voltage_and_capacity_follow_the_full_order_cell(rate, aged):
    cell = central(
        Kind("lithium", "engineered"), set_pressure=8.0, excess_lithium=20.0, **oracle.QUIET
    )
    damage = np.random.default_rng(1) if aged else None
    rmse, capacity = oracle.half_cycle(cell, rate, damage)
    assert rmse < 5.0
    assert abs(capacity) < 0.5


def test_slow_states_follow_the_coupled_system():
    program = cccv(1 / 3, 0.5)
    cell = central(
        Kind("lithium", "engineered"), set_pressure=7.0, excess_lithium=20.0,
        critical_current=60.0, **oracle.QUIET,
    )  # fmt: skip
    state = np.zeros(1, STATE)[0]
    start_state(cell, state, np.zeros(1, WORK)[0], 298.15)
    exact = highfidelity.slow_states(highfidelity.run(cell, state, program, 3))
    protocol = Protocol("p", (program,), np.zeros(3, int), 1, False, Climate(25))
    mine = simulate(np.array([cell]), protocol, np.zeros(1, np.uint64), causes=0, noisy=False)
    s = mine.states[0]
    for name in ("void", "occluded", "relaxed_fast", "relaxed_slow", "highest_pressure"):
        assert s[name] == pytest.approx(exact[name][-1], rel=0.01, abs=1e-3), name
    assert s["pressure"] == pytest.approx(exact["pressure"][-1], rel=1e-3)
    assert s["sei"] == pytest.approx(np.sqrt(exact["sei_square"][-1]), rel=0.01)


def test_relaxation_follows_scipy():
    """Two modes at constant thickness against an adaptive solver at tight tolerance."""
    from scipy.integrate import solve_ivp

    from fadecast.physics.pressure import relaxed_after

    a, tau, total = (0.08, 0.03), (10.0, 150.0), 40.0

    def slope(t, r):
        held = total - r.sum()
        return [(a[m] * (held + r[m]) - r[m]) / tau[m] for m in range(2)]

    exact = solve_ivp(slope, (0, 200), [0, 0], rtol=1e-10, atol=1e-12).y[:, -1]
    r, n = np.zeros(2), 800
    for _ in range(n):
        held = total - r.sum()
        r = np.array([relaxed_after(r[m], held, a[m], tau[m], 3600 * 200 / n) for m in range(2)])
    assert r == pytest.approx(exact, rel=0.01)
