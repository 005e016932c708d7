"""The coupled algebra of one time step: reaction distribution, current and voltage together.

Solves equations 1.8 to 1.12 of docs/physics.md for the local reaction currents under one of three
controls (current, voltage, power) by Newton's method. Charge is conserved exactly: the local
currents always sum to the cell's faradaic current.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

import numpy as np

from fadecast.physics.electrochemistry import (
    DEPTHS,
    FARADAY,
    GAS,
    NODES,
    OCP,
    TWICE,
    WEIGHTS,
    exchange_current,
    surface_overpotential,
)
from fadecast.physics.jit import compiled

CURRENT: Final = 0
VOLTAGE: Final = 1
POWER: Final = 2

IONIC = np.ascontiguousarray(NODES[:, None] * WEIGHTS[None, :] - TWICE)
"""``(DEPTHS, DEPTHS)`` ionic potential drop at a depth per local current, in units of L/κ."""
ELECTRONIC = np.ascontiguousarray((WEIGHTS * (1.0 - NODES))[None, :] - TWICE)
"""The same for the electronic network, in units of L/σ, measured from the current collector."""

_LAST: Final = len(OCP) - 2
_TOLERANCE: Final = 2e-4  # Newton's error after the last update is of the order of its square
_ITERATIONS: Final = 40


@compiled
def potential_and_slope(x: float) -> tuple[float, float]:
    """Cathode potential and dU/dx from the table of equation 1.2; linear outside [0, 1]."""
    position = x * (_LAST + 1)
    k = min(max(int(position), 0), _LAST)
    step = OCP[k + 1] - OCP[k]
    return OCP[k] + step * (position - k), step * (_LAST + 1)


@compiled
def close_step(
    control: int,
    target: float,
    local: Any,
    offset: Any,
    gain: Any,
    work: Any,
    exchange: float,
    ionic: float,
    electronic: float,
    series: float,
    anode_exchange: float,
    anode_potential: float,
    leak: float,
    kelvin: float,
) -> tuple[float, float, bool]:
    """Current and voltage at the end of a step.

    Args:
        control: ``CURRENT`` (mA/cm²), ``VOLTAGE`` (V) or ``POWER`` (mW/cm²) of ``target``.
        local: ``(DEPTHS,)`` reaction current at each depth in mA/cm²; first guess in, result out.
        offset, gain: ``(DEPTHS,)`` surface stoichiometry is offset + gain · local.
        work: ``(DEPTHS, DEPTHS + 2)`` scratch.
        exchange: cathode exchange current on cell area at x = 0.5, mA/cm².
        ionic, electronic: L/κ_p and L/σ_p in V per mA/cm²; series: all other resistances, same.
        anode_exchange: j₀ₐ φ_a in mA/cm²; anode_potential: V; leak: S/cm² in mA/cm²/V.

    Returns:
        Faradaic current in mA/cm², terminal voltage in V, and whether Newton's method converged.
        The terminal current is the faradaic one minus leak · voltage.
    """
    thermal = 2.0 * GAS * kelvin / FARADAY
    current = 0.0
    for i in range(DEPTHS):
        current += WEIGHTS[i] * local[i]
    total_previous = 1e300
    cathode = 0.0
    voltage = 0.0
    for iteration in range(_ITERATIONS):
        for i in range(DEPTHS):
            x = offset[i] + gain[i] * local[i]
            u, slope = potential_and_slope(x)
            j0 = exchange_current(x, exchange)
            drop = 0.0
            for k in range(DEPTHS):
                m = ionic * IONIC[i, k] + electronic * ELECTRONIC[i, k]
                work[i, k] = m
                drop += m * local[k]
            half = 0.5 * local[i] / j0
            work[i, i] += thermal * 0.5 / (j0 * sqrt(1.0 + half * half)) - slope * gain[i]
            residual = u - surface_overpotential(local[i], j0, kelvin) - drop
            if iteration == 0 and i == 0:
                cathode = residual
            work[i, DEPTHS] = residual - cathode
            work[i, DEPTHS + 1] = -1.0
        for i in range(DEPTHS):
            inverse = 1.0 / work[i, i]
            for row in range(i + 1, DEPTHS):
                factor = work[row, i] * inverse
                for k in range(i + 1, DEPTHS + 2):
                    work[row, k] -= factor * work[i, k]
        for i in range(DEPTHS - 1, -1, -1):
            a = work[i, DEPTHS]
            b = work[i, DEPTHS + 1]
            for k in range(i + 1, DEPTHS):
                a -= work[i, k] * work[k, DEPTHS]
                b -= work[i, k] * work[k, DEPTHS + 1]
            work[i, DEPTHS] = a / work[i, i]
            work[i, DEPTHS + 1] = b / work[i, i]
        sum_a = 0.0
        sum_b = 0.0
        for i in range(DEPTHS):
            sum_a += WEIGHTS[i] * work[i, DEPTHS]
            sum_b += WEIGHTS[i] * work[i, DEPTHS + 1]
        # V depends on the cathode potential and on the current; everything is linear in shift.
        half = 0.5 * current / anode_exchange
        resistance = series + thermal * 0.5 / (anode_exchange * sqrt(1.0 + half * half))
        voltage = (
            cathode
            - anode_potential
            - surface_overpotential(current, anode_exchange, kelvin)
            - series * current
        )
        v0 = voltage - resistance * sum_a
        v1 = 1.0 - resistance * sum_b
        i0 = current + sum_a
        if control == CURRENT:
            shift = (target - i0 + leak * v0) / (sum_b - leak * v1)
        elif control == VOLTAGE:
            shift = (target - v0) / v1
        else:
            t0 = i0 - leak * v0
            t1 = sum_b - leak * v1
            terminal = current - leak * voltage
            shift = (target + voltage * terminal - terminal * v0 - voltage * t0) / (
                terminal * v1 + voltage * t1
            )
        change = 0.0
        for i in range(DEPTHS):
            change = max(change, abs(work[i, DEPTHS] + shift * work[i, DEPTHS + 1]))
        scale = 1.0
        if iteration > 8 and change > 0.5 * total_previous:
            scale = 0.5
        total_previous = change
        current = 0.0
        for i in range(DEPTHS):
            local[i] += scale * (work[i, DEPTHS] + shift * work[i, DEPTHS + 1])
            current += WEIGHTS[i] * local[i]
        cathode += scale * shift
        if change < _TOLERANCE * (1.0 + abs(current)):
            return current, v0 + v1 * shift, True
    return current, voltage, False
