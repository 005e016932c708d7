"""Section 1 of docs/physics.md: single-ion-conductor electrochemistry of cathode and cell.

Units: current density mA/cm² of cell area (discharge positive), charge mAh/cm², thickness µm,
conductivity mS/cm, potentials V, temperature K, time s. Because the transference number is one,
the electrolyte has no concentration gradient, and the full-order porous electrode reduces to
Ohm's law across its thickness coupled to a particle at every depth.

Two discretisations carry the accuracy. Across the thickness the reaction rate is a quadratic
through ``DEPTHS`` Gauss points, for which the ohmic potentials are integrated exactly. Inside the
particles, finite volumes on ``SHELLS`` shells use effective distances that make them exact for the
quasi-steady (parabolic) profile at constant diffusivity.
"""

from __future__ import annotations

import math
from math import exp, log, sqrt, tanh
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.physics.jit import compiled

FARADAY: Final = 96485.33212
GAS: Final = 8.31446261815324
REFERENCE_KELVIN: Final = 298.15

DEPTHS: Final = 2
SHELLS: Final = 6

_OCP_POINTS: Final = 2049


@compiled
def arrhenius(activation: float, kelvin: float) -> float:
    """Equation 1.1: factor on a rate constant given at 25 °C; activation energy in kJ/mol."""
    return exp(-activation * 1e3 / GAS * (1.0 / kelvin - 1.0 / REFERENCE_KELVIN))


@compiled
def cathode_potential(x: float) -> float:
    """Equation 1.2: open-circuit potential of NMC811 in V against Li at stoichiometry ``x``.

    Fit of Chen et al. 2020 (10.1149/1945-7111/ab9050) plus a term, below 10 mV for x < 0.95,
    that lets the potential collapse at full lithiation, where the published fit has no data.
    """
    chen = (
        4.4875
        - 0.8090 * x
        - 0.0428 * tanh(18.5138 * (x - 0.5542))
        - 17.7326 * tanh(15.7890 * (x - 0.3117))
        + 17.5842 * tanh(15.9308 * (x - 0.3120))
    )
    return chen - 0.1 * exp((x - 0.97) / 0.008)


def _potential_table() -> NDArray[np.float64]:
    x = np.linspace(0.0, 1.0, _OCP_POINTS)
    return np.array([cathode_potential(v) for v in x])


OCP: Final = _potential_table()
"""``(2049,)`` the cathode potential on a uniform grid of x in [0, 1]."""


@compiled
def diffusivity(x: float, reference: float, drop: float) -> float:
    """Equation 1.3: solid diffusivity; falls from x = 0.6 on by a factor 1 + ``drop`` at x = 1."""
    y = max(x - 0.6, 0.0) * 2.5
    return reference / (1.0 + drop * y * y)


@compiled
def exchange_current(x: float, reference: float) -> float:
    """Equation 1.4: exchange current density, ``reference`` at x = 0.5 (Chen et al. 2020)."""
    return reference * 2.0 * sqrt(max(x * (1.0 - x), 1e-8))


@compiled
def electrode_capacity(thickness: float, active_fraction: float, lithium_limit: float) -> float:
    """Equation 1.5: mAh/cm² between x = 0 and x = 1; ``lithium_limit`` in mol/m³, thickness µm."""
    return FARADAY * active_fraction * lithium_limit * thickness * 1e-6 / 36000.0


@compiled
def area_ratio(thickness: float, active_fraction: float, radius: float) -> float:
    """Equation 1.6: particle surface per cell area, 3 ε L / R."""
    return 3.0 * active_fraction * thickness / radius


@compiled
def composite_conductivity(bulk: float, electrolyte_fraction: float, exponent: float) -> float:
    """Equation 1.7: ionic conductivity of the composite, Bruggeman form."""
    return bulk * math.pow(electrolyte_fraction, exponent)


@compiled
def inverse_sinh(y: float) -> float:
    """asinh to 1e-16 absolute; a third of the library's cost."""
    a = abs(y)
    value = log(a + sqrt(a * a + 1.0))
    return value if y >= 0.0 else -value


@compiled
def surface_overpotential(current: float, exchange: float, kelvin: float) -> float:
    """Equation 1.8: symmetric Butler–Volmer, V; ``exchange`` on the same area as ``current``."""
    return 2.0 * GAS * kelvin / FARADAY * inverse_sinh(0.5 * current / exchange)


def _gauss() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Nodes, weights and the twice-integrated Lagrange basis on [0, 1], ``G[i, j]``."""
    nodes, weights = np.polynomial.legendre.leggauss(DEPTHS)
    nodes, weights = (nodes + 1) / 2, weights / 2
    twice = np.empty((DEPTHS, DEPTHS))
    for j in range(DEPTHS):
        basis = np.poly1d([1.0])
        for k in range(DEPTHS):
            if k != j:
                basis = basis * np.poly1d([1.0, -nodes[k]]) / (nodes[j] - nodes[k])
        twice[:, j] = np.polyval(np.polyint(basis, 2), nodes)
    return nodes, weights, twice


NODES, WEIGHTS, TWICE = _gauss()


def _shells() -> tuple[NDArray[np.float64], ...]:
    """Volumes, face conductances and the surface distance of the radial finite volumes.

    Faces crowd towards the surface. With mean r² of a shell ``m``, the flux between neighbours is
    2 r_f³/(m_{k+1} − m_k) · D (x_{k+1} − x_k), exact for x = c₀ + c₁ r².
    """
    faces = 1.0 - (1.0 - np.linspace(0.0, 1.0, SHELLS + 1)) ** 1.5
    volume = np.diff(faces**3) / 3.0
    mean_square = np.diff(faces**5) / 5.0 / volume
    conductance = 2.0 * faces[1:-1] ** 3 / np.diff(mean_square)
    return volume, conductance, np.array([0.5 * (1.0 - mean_square[-1])])


VOLUME, CONDUCTANCE, _SURFACE = _shells()
SURFACE: Final = float(_SURFACE[0])


@compiled
def eliminate(
    x: Any,
    surface: float,
    ahead: float,
    rate: float,
    drop: float,
    dt: float,
    upper: Any,
    right: Any,
) -> tuple[float, float]:
    """Equation 1.9, implicit Euler: forward elimination of one particle.

    Args:
        x: ``(SHELLS,)`` stoichiometry at the start of the step, centre first; surface: at r = R.
        rate: D φ_c / R² in 1/s at x ≤ 0.6; drop: of equation 1.3; dt: s.
        upper, right: ``(SHELLS,)`` scratch, kept for ``substitute``.

    Returns:
        (a, b): the surface stoichiometry is a + b·f where f is the mean dx/dt in 1/s.
    """
    before = 0.0
    previous_upper = 0.0
    previous_right = 0.0
    for k in range(SHELLS - 1):
        g = dt * CONDUCTANCE[k] * diffusivity(0.5 * (x[k] + x[k + 1]) + ahead, rate, drop)
        inverse = 1.0 / (VOLUME[k] + before * (1.0 - previous_upper) + g)
        upper[k] = g * inverse
        right[k] = (VOLUME[k] * x[k] + before * previous_right) * inverse
        previous_upper = upper[k]
        previous_right = right[k]
        before = g
    k = SHELLS - 1
    inverse = 1.0 / (VOLUME[k] + before * (1.0 - previous_upper))
    right[k] = (VOLUME[k] * x[k] + before * previous_right) * inverse
    upper[k] = dt / 3.0 * inverse
    distance = SURFACE / (3.0 * diffusivity(0.5 * (x[k] + surface) + ahead, rate, drop))
    return right[k], upper[k] + distance


@compiled
def substitute(x: Any, f: float, upper: Any, right: Any) -> None:
    """Back substitution after ``eliminate`` once the mean rate ``f`` (1/s) is known."""
    last = right[SHELLS - 1] + upper[SHELLS - 1] * f
    x[SHELLS - 1] = last
    for k in range(SHELLS - 2, -1, -1):
        last = right[k] + upper[k] * last
        x[k] = last


@compiled
def mean_stoichiometry(x: Any) -> float:
    """Volume mean of one particle."""
    total = 0.0
    for k in range(SHELLS):
        total += VOLUME[k] * x[k]
    return 3.0 * total


@compiled
def anode_potential(
    lithium: float,
    rated: float,
    branch: float,
    sweep_fraction: float,
    sweep_height: float,
    plateau: float,
    branch_gap: float,
) -> float:
    """Equation 1.13: anode potential in V against Li.

    Zero for lithium; rises to ``sweep_height`` when the last ``sweep_fraction`` of the rated
    capacity is withdrawn; silicon adds a plateau falling by 70 % at full lithiation, and a gap
    between its charge (``branch`` −1) and discharge (+1) branches.
    """
    s = max(lithium / rated, -0.5)
    missing = max(0.0, 1.0 - s / sweep_fraction)
    sweep = sweep_height * missing * missing
    return sweep + plateau * (1.0 - 0.7 * min(max(s, 0.0), 1.2)) + 0.5 * branch_gap * branch


@compiled
def branch_after(branch: float, charge: float, rated: float) -> float:
    """Equation 1.14: hysteresis state after ``charge`` mAh/cm² (discharge positive)."""
    side = 1.0 if charge > 0.0 else -1.0
    return side + (branch - side) * exp(-abs(charge) / (0.04 * rated))
