"""Section 6 of docs/physics.md: interphases growing with the square root of time.

Growth is integrated in its square, d(q²)/dt = k², so that it starts from zero without a singular
rate. Units: mAh/cm², h, Ω cm², V, K.
"""

from __future__ import annotations

from math import exp, sqrt

from fadecast.physics.electrochemistry import arrhenius
from fadecast.physics.jit import compiled


@compiled
def sei_square_rate(rate: float, activation: float, kelvin: float) -> float:
    """Equation 6.1: d(q_SEI²)/dt in (mAh/cm²)²/h; ``rate`` per √h at 25 °C."""
    k = rate * arrhenius(activation, kelvin)
    return k * k


@compiled
def sei_resistance(lithium: float, thickness: float, conductivity: float) -> float:
    """Equation 6.2: resistance of the anode interphase; thickness µm per mAh/cm², S/cm."""
    return lithium * thickness * 1e-4 / conductivity


@compiled
def cei_square_rate(
    rate: float, activation: float, kelvin: float, voltage_max: float, scale: float
) -> float:
    """Equation 6.3: d(R_CEI²)/dt in (Ω cm²)²/h, steeper with the upper voltage."""
    k = rate * arrhenius(activation, kelvin) * exp((voltage_max - 4.2) / scale)
    return k * k


@compiled
def parabolic_after(amount: float, square_rate: float, hours: float) -> float:
    """Equations 6.1 and 6.3, exact for constant temperature: amount after ``hours`` more."""
    return sqrt(amount * amount + square_rate * hours)
