"""Sections 7 and 8 of docs/physics.md: mechanical damage and the lumped heat balance."""

from __future__ import annotations

from fadecast.physics.jit import compiled


@compiled
def damage_per_cycle(
    swing: float, highest: float, fatigue_pressure: float, pressure_limit: float
) -> float:
    """Equation 7.1: fatigue by the pressure swing plus overload near the limit; pressures MPa."""
    fatigue = swing / fatigue_pressure
    overload = max(highest / pressure_limit - 0.8, 0.0)
    return fatigue * fatigue * fatigue * 1e-3 + overload * overload


@compiled
def temperature_after(
    kelvin: float,
    ambient: float,
    heat: float,
    heat_capacity: float,
    transfer: float,
    seconds: float,
) -> float:
    """Equation 8.1, implicit Euler: cell temperature; heat W/cm², J/(K cm²), W/(K cm²)."""
    ratio = seconds / heat_capacity
    return (kelvin + ratio * (heat + transfer * ambient)) / (1.0 + ratio * transfer)
