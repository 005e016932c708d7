"""Sections 3 and 5 of docs/physics.md: contact of lithium and of the cathode with the electrolyte.

Units: pressure MPa, current density mA/cm², lithium (voids included) mAh/cm², time h, T in K.
"""

from __future__ import annotations

import math
from math import exp

from fadecast.physics.electrochemistry import arrhenius
from fadecast.physics.jit import compiled

LEAST_CONTACT = 0.02


@compiled
def contact_pressure(pressure: float, highest: float, memory: float) -> float:
    """Equation 3.1a: pressure the interface remembers, P + m (P_max − P)."""
    return pressure + memory * (highest - pressure)


@compiled
def interface_resistance(contact: float, reference: float, exponent: float) -> float:
    """Equation 3.1b: Li | electrolyte resistance in Ω cm², ``reference`` at 5 MPa."""
    return reference * math.pow(max(contact, 0.05) / 5.0, -exponent)


@compiled
def stripping_limit(
    pressure: float, kelvin: float, factor: float, base: float, gain: float, exponent: float,
    activation: float,
) -> float:  # fmt: skip
    """Equation 3.2: critical stripping current; creep brings no more lithium than this."""
    creep = base + gain * math.pow(pressure / 3.0, exponent)
    return factor * creep * arrhenius(activation, kelvin)


@compiled
def void_after_stripping(void: float, current: float, limit: float, hours: float) -> float:
    """Equation 3.3: void depth after stripping (``current`` > 0), or at rest (0)."""
    return max(0.0, void + (current - limit) * hours)


@compiled
def void_after_plating(
    void: float, occluded: float, current: float, filling: float, hours: float
) -> tuple[float, float]:
    """Equation 3.4: plating fills the void; a part 1 − ``filling`` of it stays occluded."""
    filled = min(void, current * hours)
    return void - filled, occluded + (1.0 - filling) * filled


@compiled
def healed(
    occluded: float, pressure: float, creep: float, healing_hours: float, hours: float
) -> float:
    """Equation 3.5: creep closes occluded voids, rate ∝ P²; ``creep`` is an Arrhenius factor."""
    square = pressure / 3.0
    return occluded / (1.0 + square * square * creep * hours / healing_hours)


@compiled
def contact_fraction(void: float, occluded: float, void_capacity: float) -> float:
    """Equation 3.6: part of the lithium interface in contact."""
    return max(1.0 - (void + occluded) / void_capacity, LEAST_CONTACT)


@compiled
def coverage_loss(
    coverage: float, rate: float, gain: float, mean_pressure: float, scale: float, strain: float
) -> float:
    """Equation 5.1: cathode particle coverage lost in one cycle of volumetric ``strain``."""
    severity = math.pow(max(strain, 0.0) / 0.05, 1.5)
    return coverage * (1.0 - exp(-rate * (1.0 + gain * exp(-mean_pressure / scale)) * severity))


@compiled
def reversible_contact(pressure: float, share: float, scale: float) -> float:
    """Equation 5.2: the part of cathode contact that pressure opens and closes."""
    return 1.0 - share * exp(-pressure / scale)


@compiled
def first_disconnection(cycle: int, total: float, step: float, cycles: float) -> float:
    """Equation 5.3: fraction disconnected by the first ``cycle`` cycles' contraction."""
    if cycle < 1:
        return 0.0
    return total * (step + (1.0 - step) * (1.0 - exp(-(cycle - 1) / cycles)))
