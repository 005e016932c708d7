"""Lithium | electrolyte | lithium cells at constant pressure: the experiments behind sections 3, 4.

No cathode, no fixture: both interfaces follow equations 3.2 to 3.6 and 4.1 to 4.3 without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fadecast.errors import ConfigError
from fadecast.physics import contact, penetration
from fadecast.physics.electrochemistry import arrhenius
from fadecast.physics.jit import compiled
from fadecast.physics.parameters import Cell

_STEP_HOURS = 0.02


@dataclass(frozen=True, slots=True)
class SymmetricResult:
    """Hours until each event (infinite if it did not happen) and the state at the end.

    ``hours_to_contact_loss``: an interface's contact fell below 5 %. ``hours_to_short``: an
    interface was penetrated. ``plated``: mAh/cm² through one interface until then.
    """

    hours_to_contact_loss: float
    hours_to_short: float
    plated: float
    least_contact: float


@compiled
def _run(
    cell: Cell, current: float, half_hours: float, most_hours: float, pressure: float,
    kelvin: float, one_way: bool, step: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    void = np.zeros(2)
    occluded = np.zeros(2)
    depth = np.zeros(2)
    limit = contact.stripping_limit(
        pressure, kelvin, cell.stripping_factor, cell.stripping_base, cell.stripping_gain,
        cell.stripping_exponent, cell.creep_activation,
    )  # fmt: skip
    creep = penetration.creep_growth(
        pressure, cell.density, cell.creep_factor, cell.density_exponent, cell.penetration_creep,
        cell.penetration_exponent, cell.penetration_yield, cell.penetration_flow,
    )  # fmt: skip
    critical = penetration.critical_current(cell.critical_current, cell.critical_activation, kelvin)
    speed = arrhenius(cell.creep_activation, kelvin)
    lost = np.inf
    short = np.inf
    plated = 0.0
    least = 1.0
    hours = 0.0
    while hours < most_hours:
        half = 0 if one_way else int(hours / half_hours + 1e-9) % 2
        plating = half
        stripping = 1 - half
        void[stripping] = contact.void_after_stripping(void[stripping], current, limit, step)
        touching = contact.contact_fraction(void[plating], occluded[plating], cell.void_capacity)
        grow = creep + penetration.current_growth(current, touching, critical, cell.critical_gain)
        depth[plating] += grow * current * step
        void[plating], occluded[plating] = contact.void_after_plating(
            void[plating], occluded[plating], current, cell.void_filling, step
        )
        for k in range(2):
            occluded[k] = contact.healed(occluded[k], pressure, speed, cell.healing_hours, step)
            touching = contact.contact_fraction(void[k], occluded[k], cell.void_capacity)
            least = min(least, touching)
        if plating == 0:
            plated += current * step
        hours += step
        if least < 0.05 and lost == np.inf:
            lost = hours
        if max(depth[0], depth[1]) >= 1.0:
            short = hours
            break
    return lost, short, plated, least


def cycle_symmetric(
    cell: Cell, current: float, pressure: float, *, half_hours: float = 1.0,
    most_hours: float = 2000.0, celsius: float = 25.0, one_way: bool = False,
) -> SymmetricResult:  # fmt: skip
    """Cycle (or, ``one_way``, only plate) at ``current`` mA/cm² until a short or ``most_hours``."""
    if current <= 0 or pressure < 0 or half_hours <= 0:
        raise ConfigError(f"{current} mA/cm², {pressure} MPa, {half_hours} h", where="symmetric")
    return SymmetricResult(
        *_run(
            cell, current, half_hours, most_hours, pressure, celsius + 273.15, one_way,
            min(_STEP_HOURS, half_hours / 20),
        )
    )  # fmt: skip


def ramp_to_short(
    cell: Cell, pressure: float, *, first: float = 0.1, increment: float = 0.1,
    capacity: float = 0.3, celsius: float = 25.0,
) -> float:  # fmt: skip
    """Current density in mA/cm² at which a ramp, plating ``capacity`` at each step, shorts."""
    kelvin = celsius + 273.15
    critical = penetration.critical_current(
        float(cell["critical_current"]), float(cell["critical_activation"]), kelvin
    )
    creep = penetration.creep_growth(
        pressure, *(float(cell[n]) for n in (
            "density", "creep_factor", "density_exponent", "penetration_creep",
            "penetration_exponent", "penetration_yield", "penetration_flow",
        ))
    )  # fmt: skip
    depth, current = 0.0, first
    while current < 1e3:
        gain = float(cell["critical_gain"])
        depth += capacity * (creep + penetration.current_growth(current, 1.0, critical, gain))
        if depth >= 1.0:
            return current
        current += increment
    return current
