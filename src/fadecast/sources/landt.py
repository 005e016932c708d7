"""LANDT csv exports.

Peculiar to them: pressure in psi, and 0 in every row of a sensor that is not connected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fadecast.errors import ReadError
from fadecast.sources.layout import Layout, parse_dates, read_text
from fadecast.sources.part import Part, count_changes, make_part

LAYOUT: Final = Layout(
    columns={
        "test_time_s": ("test_time_second", "s"),
        "voltage_V": ("voltage_volt", "V"),
        "current_A": ("current_ampere", "A"),
        "cycle_index": ("cycle_count", "1"),
        "step_index": ("step_count", "1"),
        "Pressure_Psi": ("surface_pressure_pa", "psi"),
        "temperature_1_C": ("surface_temperature_celsius", "°C"),
    },
    signature=("test_time_s", "current_A", "voltage_V", "date_time_iso_string"),
    counters={
        "charge_capacity_Ah": ("charge", "Ah"),
        "discharge_capacity_Ah": ("discharge", "Ah"),
    },
    texts=("date_time_iso_string",),
)


def read(path: Path) -> list[Part]:
    """The file as one part.

    Raises:
        ReadError: the table is broken or a date is not one.
    """
    table = read_text(path, LAYOUT)
    columns = LAYOUT.settle(table.columns)
    texts = table.columns["date_time_iso_string"]
    wall = parse_dates(texts, ("%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"))
    if wall is None:
        raise ReadError(f"{texts[0]!r} is no date", where=path.name, fix="Export m/d/y h:m:s")
    columns["unix_time_second"] = wall
    if "step_count" in columns:
        columns["step_count"] = count_changes(columns["step_count"])
    return [
        make_part(
            columns,
            charged_ah=LAYOUT.counted(table.columns, "charge"),
            discharged_ah=LAYOUT.counted(table.columns, "discharge"),
            findings=table.findings,
        )
    ]
