"""Designs and cells: from unit-cube coordinates to rows of the cell table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics.electrochemistry import cathode_potential, electrode_capacity
from fadecast.physics.parameters import ANODES, CELL, FIXTURES, TABLE, TIERS

N_COORDINATES = len(TABLE)
"""Unit-cube coordinates of a design, one per constant."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is declared of a cell: anode, build tier and fixture."""

    anode: str = "lithium"
    tier: str = "lab"
    fixture: str = "spring"

    def __post_init__(self) -> None:
        for name, known in (("anode", ANODES), ("tier", TIERS), ("fixture", FIXTURES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r} is not known", fix=f"Use one of {known}"
                )


def charged_stoichiometry(voltage: float) -> float:
    """Stoichiometry at which the cathode's open-circuit potential is ``voltage``, by bisection."""
    low, high = 0.0, 0.98
    for _ in range(60):
        middle = 0.5 * (low + high)
        if cathode_potential(middle) > voltage:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def rated_capacity(cell: Any) -> float:
    """Declared areal capacity in mAh/cm²: 93 % of the cathode's between assembly and the top."""
    whole = electrode_capacity(
        float(cell["cathode_thickness"]),
        float(cell["active_fraction"]),
        float(cell["lithium_limit"]),
    )
    span = float(cell["initial_stoichiometry"]) - charged_stoichiometry(float(cell["voltage_max"]))
    return 0.93 * whole * span


def design(kind: Kind, coordinates: NDArray[np.float64], **fixed: float) -> np.void:
    """A record of dtype ``CELL``: priors of ``kind`` at ``coordinates`` in [0, 1].

    ``fixed`` sets constants by name. ``rated`` follows from the rest unless it is fixed too.
    """
    unknown = sorted(set(fixed) - set(CELL.names or ()))
    if unknown:
        raise ConfigError(f"unknown parameters {unknown}", fix="See physics.parameters.TABLE")
    cell: np.void = np.zeros(1, CELL)[0]
    for parameter, u in zip(TABLE, coordinates, strict=True):
        low, high = parameter.prior(kind.anode, kind.tier, kind.fixture)
        logarithmic = parameter.log and low > 0
        value = low * (high / low) ** u if logarithmic else low + (high - low) * u
        cell[parameter.name] = fixed.get(parameter.name, value)
    cell["rated"] = fixed.get("rated", rated_capacity(cell))
    return cell


def central(kind: Kind, **fixed: float) -> np.void:
    """The design in the middle of every prior."""
    return design(kind, np.full(N_COORDINATES, 0.5), **fixed)


def vary(cell: np.void, kind: Kind, normals: NDArray[np.float64]) -> np.void:
    """A cell of a design of ``kind``: each constant times exp(spread · normal), within its limits.

    The rated capacity is declared, hence the design's.
    """
    out: np.void = cell.copy()
    for parameter, z in zip(TABLE, normals, strict=True):
        low, high = parameter.limits
        spread = parameter.scatter.get(kind.fixture, parameter.spread)
        value = float(cell[parameter.name]) * np.exp(spread * float(np.clip(z, -4, 4)))
        out[parameter.name] = min(max(value, low), high)
    # The two spreads together may pass the whole volume, which neither does alone.
    out["electrolyte_fraction"] = min(
        out["electrolyte_fraction"], 1.0 - float(out["active_fraction"])
    )
    return out
