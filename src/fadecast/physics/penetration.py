"""Section 4 of docs/physics.md: lithium penetration of the separator, 0 (none) to 1 (short).

Units: current density mA/cm², pressure MPa, plated charge mAh/cm², T in K.
"""

from __future__ import annotations

import math
from math import exp

from fadecast.physics.electrochemistry import arrhenius
from fadecast.physics.jit import compiled

SOFT = 0.6


@compiled
def critical_current(reference: float, activation: float, kelvin: float) -> float:
    """Equation 4.1: critical current density at temperature."""
    return reference * arrhenius(activation, kelvin)


@compiled
def creep_growth(
    pressure: float, density: float, factor: float, density_exponent: float,
    slow: float, exponent: float, yield_pressure: float, flow: float,
) -> float:  # fmt: skip
    """Equation 4.2: growth per plated charge as pressure creeps lithium into pores and cracks."""
    above = max(pressure - yield_pressure, 0.0)
    pores = exp(-density_exponent * (density - 0.82))
    return factor * pores * (slow * math.pow(pressure / 10.0, exponent) + flow * above)


@compiled
def current_growth(current: float, contact: float, critical: float, gain: float) -> float:
    """Equation 4.3: growth per plated charge as the local current density nears the critical one.

    Capped at 10 per mAh/cm²: beyond it the short is immediate on any scale of interest.
    """
    ratio = min(current / (contact * critical), 10.0)
    square = ratio * ratio
    return min(gain * square * square * square, 10.0)


@compiled
def leak_conductance(penetration: float, resistance: float, decades: float) -> float:
    """Equation 4.5: electronic leak in mA/(cm² V), zero below the soft short."""
    if penetration <= SOFT:
        return 0.0
    exponent = min(decades * (min(penetration, 1.0) - SOFT), 12.0)
    return min(1e3 / resistance * exp(2.302585092994046 * exponent), 100.0)


@compiled
def path_conductivity(penetration: float, gain: float) -> float:
    """Equation 4.6: factor on the separator's conductance by lithium in it."""
    return 1.0 + gain * min(penetration, 1.0)
