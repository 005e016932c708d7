"""Units are converted once, to the columns' own."""

from __future__ import annotations

import numpy as np
import pytest

from fadecast.cell.columns import COLUMNS
from fadecast.errors import ReadError
from fadecast.sources.units import UNITS, to_column


@pytest.mark.parametrize(
    ("value", "unit", "column", "expected"),
    [
        (1500.0, "ms", "test_time_second", 1.5),
        (2.0, "h", "test_time_second", 7200.0),
        (3700.0, "mV", "voltage_volt", 3.7),
        (-250.0, "mA", "current_ampere", -0.25),
        (298.15, "K", "surface_temperature_celsius", 25.0),
        (725.188689, "psi", "surface_pressure_pa", 5e6),  # 5 MPa
        (50.0, "bar", "surface_pressure_pa", 5e6),
        (120.0, "µε", "hoop_strain_dimensionless", 1.2e-4),
    ],
)
def test_units_become_the_columns_own(
    value: float, unit: str, column: str, expected: float
) -> None:
    assert to_column(np.array([value]), unit, column)[0] == pytest.approx(expected, rel=1e-6)


def test_a_unit_of_another_quantity_is_refused() -> None:
    with pytest.raises(ReadError, match="'mV' is not one of"):
        to_column(np.array([1.0]), "mV", "current_ampere")


def test_every_column_has_its_own_unit() -> None:
    for column in COLUMNS.values():
        assert UNITS[column.unit][column.unit] == (1, 0)
