"""Section 2 of docs/physics.md: stack pressure between breathing electrodes and a fixture.

Units: pressure MPa, thickness µm, capacity mAh/cm², time s unless named ``hours``.
"""

from __future__ import annotations

from fadecast.physics.jit import compiled


@compiled
def cathode_strain(x: float) -> float:
    """Equation 2.4: volumetric shrinkage of NMC811, 0 at x = 0.95.

    Linear to 2.6 % at 4.2 V (x = 0.302), then to 5 % at 4.3 V (x = 0.261) and 7 % at 4.6 V
    (x = 0.093); Kondrakov 2017, de Biasi 2017 (second-hand).
    """
    if x >= 0.302:
        return 0.026 * (0.95 - x) / 0.648
    if x >= 0.261:
        return 0.026 + 0.024 * (0.302 - x) / 0.041
    return 0.050 + 0.020 * (0.261 - x) / 0.168


@compiled
def thickness_change(
    plated: float,
    strain: float,
    active_thickness: float,
    anode_breathing: float,
    cathode_breathing: float,
    irreversible: float,
) -> float:
    """Equation 2.2: stack thickening in µm; ``plated`` lithium in mAh/cm² since assembly."""
    return anode_breathing * plated - cathode_breathing * strain * active_thickness + irreversible


@compiled
def elastic_pressure(
    set_pressure: float, stiffness: float, thickening: float, thermal: float, warming: float
) -> float:
    """Equation 2.1 before relaxation: P_set + k_f Δh + β_T (T − T₀)."""
    return set_pressure + stiffness * thickening + thermal * warming


@compiled
def relaxed_after(
    relaxed: float, pressure: float, fraction: float, hours: float, seconds: float
) -> float:
    """Equation 2.3, implicit Euler: stress lost to one viscoelastic mode.

    dP_r/dt = (a (P + P_r) − P_r)/τ.
    """
    ratio = seconds / (3600.0 * hours)
    return (relaxed + ratio * fraction * (pressure + relaxed)) / (1.0 + ratio)
