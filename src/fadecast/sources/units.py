"""The one place where a unit is converted: whatever a file holds leaves as a column's own unit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.errors import ReadError

UNITS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "s": {"s": (1, 0), "ms": (1e-3, 0), "min": (60, 0), "h": (3600, 0), "d": (86400, 0)},
    "V": {"V": (1, 0), "mV": (1e-3, 0)},
    "A": {"A": (1, 0), "mA": (1e-3, 0), "µA": (1e-6, 0)},
    "°C": {"°C": (1, 0), "K": (1, -273.15)},
    "Pa": {
        "Pa": (1, 0), "kPa": (1e3, 0), "MPa": (1e6, 0), "bar": (1e5, 0),
        "psi": (6894.757293168361, 0),
    },
    "1": {"1": (1, 0), "%": (1e-2, 0), "µε": (1e-6, 0)},
    "Ah": {"Ah": (1, 0), "mAh": (1e-3, 0)},
}  # fmt: skip
"""Scale and offset of every accepted unit, by the unit it is turned into."""

_SPELLINGS: Final = {
    "second": "s", "seconds": "s", "sec": "s", "millisecond": "ms", "minute": "min", "hour": "h",
    "volt": "V", "v": "V", "millivolt": "mV", "mv": "mV", "ampere": "A", "a": "A", "amp": "A",
    "milliampere": "mA", "ma": "mA", "uA": "µA", "μA": "µA",
    "celsius": "°C", "degC": "°C", "degc": "°C", "C": "°C", "c": "°C", "kelvin": "K",
    "pa": "Pa", "pascal": "Pa", "kpa": "kPa", "megapascal": "MPa", "Psi": "psi", "PSI": "psi",
    "dimensionless": "1", "ah": "Ah", "A.h": "Ah", "mah": "mAh", "mA.h": "mAh",
    "ue": "µε", "microstrain": "µε", "percent": "%",
}  # fmt: skip


def unit_of(text: str) -> str:
    """The unit that ``text`` spells, as ``UNITS`` has it; ``text`` itself where none is known."""
    return _SPELLINGS.get(text, text)


def to_base(values: NDArray[Any], unit: str, base: str) -> NDArray[np.float64]:
    """``values`` in ``unit`` as float64 in ``base``.

    Raises:
        ReadError: the unit does not belong to ``base``.
    """
    known = UNITS[base]
    if unit not in known:
        raise ReadError(f"unit {unit!r} is not one of {', '.join(known)}", fix="Convert the file")
    scale, offset = known[unit]
    return np.asarray(values, np.float64) * scale + offset


def to_column(values: NDArray[Any], unit: str, column: str) -> NDArray[np.float64]:
    """``values`` in ``unit`` as float64 in the unit of a Battery Data Format ``column``."""
    return to_base(values, unit, COLUMNS[column].unit)
