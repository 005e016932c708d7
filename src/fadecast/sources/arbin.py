"""Arbin ``.xlsx`` exports (MITS Pro), through fastexcel.

Peculiar to them: the data are spread over sheets called ``Channel…``, continued one after another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fadecast.errors import ReadError
from fadecast.sources.layout import Layout
from fadecast.sources.part import Part, count_changes, make_part
from fadecast.sources.vendor import guarded, library

LAYOUT: Final = Layout(
    columns={
        "test_time(s)": ("test_time_second", "s"),
        "voltage(v)": ("voltage_volt", "V"),
        "current(a)": ("current_ampere", "A"),
        "date_time": ("unix_time_second", "s"),
        "cycle_index": ("cycle_count", "1"),
        "step_index": ("step_count", "1"),
        "aux_temperature_1(c)": ("surface_temperature_celsius", "°C"),
        "temperature(c)_1": ("surface_temperature_celsius", "°C"),
    },
    signature=("test_time(s)", "voltage(v)", "current(a)"),
    counters={
        "charge_capacity(ah)": ("charge", "Ah"),
        "discharge_capacity(ah)": ("discharge", "Ah"),
    },
)
"""Labels without spaces and in lower case: both vary between versions."""


def read(path: Path) -> list[Part]:
    """The file as one part.

    Raises:
        ConfigError: fastexcel is not installed.
        ReadError: the file is damaged or has no sheet of channel data.
    """
    fastexcel = library("fastexcel")
    sheets = guarded(path, lambda: _sheets(fastexcel, path))
    if not sheets:
        raise ReadError(
            f"no sheet with {', '.join(LAYOUT.signature)}", where=path.name,
            fix="Export the raw channel data, not only the statistics",
        )  # fmt: skip
    common = [n for n in sheets[0] if all(n in sheet for sheet in sheets)]
    table = {n: np.concatenate([sheet[n] for sheet in sheets]) for n in common}
    columns = LAYOUT.settle(table)
    if "step_count" in columns:
        columns["step_count"] = count_changes(columns["step_count"])
    return [
        make_part(
            columns,
            charged_ah=LAYOUT.counted(table, "charge"),
            discharged_ah=LAYOUT.counted(table, "discharge"),
        )
    ]


def _sheets(fastexcel: Any, path: Path) -> list[dict[str, NDArray[Any]]]:
    book = fastexcel.read_excel(str(path))
    out = []
    for name in book.sheet_names:
        if not name.lower().startswith("channel"):
            continue
        batch = book.load_sheet(name).to_arrow()
        table = {
            label.replace(" ", "").lower(): column
            for label, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        if set(LAYOUT.signature) <= set(table):
            known = {**LAYOUT.columns, **LAYOUT.counters}
            out.append({n: _numbers(c, n) for n, c in table.items() if n in known})
    return out


def _numbers(column: pa.Array, label: str) -> NDArray[np.float64]:
    """A column as numbers; dates as s since 1970, their zone unknown."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms")).cast(pa.int64())
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64) / 1e3
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ReadError(f"column {label} holds something that is not a number")
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
