"""The declared design as numbers: what the network is told of a cell before it sees a cycle."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.record import ANODES, CATHODES, ELECTROLYTES, FIXTURES, CellSpec

_CATEGORIES: Final = {
    "cathode": CATHODES, "anode": ANODES, "electrolyte": ELECTROLYTES, "fixture": FIXTURES,
}  # fmt: skip

DESIGN_FIELDS: Final[tuple[str, ...]] = (
    "voltage_min_v", "voltage_max_v", "log10_nominal_capacity_ah",
    "applied_pressure_known", "log1p_applied_pressure_mpa",
    "pressure_limit_known", "log1p_pressure_limit_mpa",
    *(f"{kind}={name}" for kind, names in _CATEGORIES.items() for name in names[1:]),
    "per_pressure_limit_mpa",
)  # fmt: skip
"""Entries of a design vector; a category that is not known has zeros everywhere."""

N_DESIGN: Final = len(DESIGN_FIELDS)


def encode_design(spec: CellSpec) -> NDArray[np.float32]:
    """``(N_DESIGN,)`` float32 in the order of ``DESIGN_FIELDS``."""
    pressure, limit = spec.applied_pressure_pa, spec.pressure_limit_pa
    numbers = [
        spec.voltage_min_v,
        spec.voltage_max_v,
        np.log10(spec.nominal_capacity_ah),
        float(pressure is not None),
        np.log1p((pressure or 0.0) * 1e-6),
        float(limit is not None),
        np.log1p((limit or 0.0) * 1e-6),
    ]
    flags = [
        float(getattr(spec, kind) == name)
        for kind, names in _CATEGORIES.items()
        for name in names[1:]
    ]
    return np.array([*numbers, *flags, 1e6 / (limit or np.inf)], np.float32)
