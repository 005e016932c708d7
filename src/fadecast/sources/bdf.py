"""Battery Data Format, CSV and Parquet: names of ontology 1.3.0 and the labels that came before.

A label is a quantity and a unit, either ``voltage_volt`` or ``Voltage / V``. One file may hold many
cells, told apart by a ``cell_id`` column. Labels: Battery Data Alliance, Battery Data Format
ontology 1.3.0, https://w3id.org/battery-data-alliance/ontology/battery-data-format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.checks import Finding
from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.errors import ReadError
from fadecast.sources.layout import Layout, decode, read_head, read_text
from fadecast.sources.part import Part, make_part, require
from fadecast.sources.units import UNITS, unit_of
from fadecast.sources.vendor import guarded

QUANTITIES: Final = {
    "test_time": "test_time_second", "time": "test_time_second",
    "voltage": "voltage_volt", "current": "current_ampere",
    "unix_time": "unix_time_second", "date_time": "unix_time_second",
    "cycle_count": "cycle_count", "cycle": "cycle_count",
    "step_count": "step_count",
    "surface_temperature": "surface_temperature_celsius",
    "temperature_t1": "surface_temperature_celsius",
    "surface_temperature_t1": "surface_temperature_celsius",
    "ambient_temperature": "ambient_temperature_celsius",
    "surface_pressure": "surface_pressure_pa", "applied_pressure": "applied_pressure_pa",
    "hoop_strain": "hoop_strain_dimensionless",
}  # fmt: skip
"""Battery Data Format quantity, new or legacy, → column."""

COUNTERS: Final = {
    f"{prefix}{way}{suffix}": direction
    for prefix in ("", "cycle_", "step_", "schedule_")
    for way, direction in (("charg", "charge"), ("discharg", "discharge"))
    for suffix in ("ing_capacity", "e_capacity")
}
"""Charge counters; they serve to cross-check the integrated current."""

CELL: Final = "cell_id"
_WHOLE: Final = ("cycle_count", "step_count")


def parse_label(label: str) -> tuple[str, str] | None:
    """Column (``charge`` or ``discharge`` for a counter) and unit of a label, if it is known."""
    name, slash, unit = label.partition(" / ")
    key = name.strip().lower().replace(" ", "_")
    if not slash:
        if key in _WHOLE:
            return key, "1"
        key, _, unit = key.rpartition("_")
    target = QUANTITIES.get(key, COUNTERS.get(key))
    unit = unit_of(unit.strip())
    base = "Ah" if key in COUNTERS else COLUMNS[target].unit if target else ""
    return (target, unit) if target and unit in UNITS[base] else None


def recognise(labels: Iterable[str]) -> bool:
    """Whether the labels are of this format: two of the three required columns are there."""
    found = {parsed[0] for label in labels if (parsed := parse_label(label))}
    return len(found & set(REQUIRED)) >= 2


def read(path: Path) -> list[Part]:
    """One part for each cell in the file.

    Raises:
        ReadError: a required column is missing, a value is not a number, or the file is damaged.
    """
    parquet = read_head(path)[:4] == b"PAR1"
    labels, table, findings = _read_parquet(path) if parquet else _read_csv(path)
    layout = _layout(labels)
    columns = layout.settle(table)
    require(columns, labels)
    ignored = [n for n in labels if n not in layout.columns and n not in layout.counters]
    ignored = [n for n in ignored if n != CELL]
    if ignored:
        findings = (
            *findings,
            Finding(
                "note", "ignored_columns", ", ".join(ignored)[:80], "not used",
                "Name columns as the Battery Data Format does if they matter",
            ),
        )  # fmt: skip
    return [
        make_part(
            {k: v[rows] for k, v in columns.items()},
            charged_ah=_rows(layout.counted(table, "charge"), rows),
            discharged_ah=_rows(layout.counted(table, "discharge"), rows),
            cell_id=cell, findings=findings,
        )
        for cell, rows in _cells(table.get(CELL), len(columns[REQUIRED[0]]))
    ]  # fmt: skip


def _layout(labels: Iterable[str]) -> Layout:
    parsed = {label: found for label in labels if (found := parse_label(label))}
    # An exact name comes before a legacy one for the same column.
    exact_first = sorted(parsed, key=lambda label: label not in COLUMNS)
    return Layout(
        columns={n: parsed[n] for n in exact_first if parsed[n][0] in COLUMNS},
        signature=(),
        counters={n: p for n, p in parsed.items() if p[0] not in COLUMNS},
        texts=(CELL,),
    )


def _rows(values: NDArray[Any] | None, rows: Any) -> NDArray[Any] | None:
    return None if values is None else values[rows]


def _cells(names: NDArray[Any] | None, n: int) -> list[tuple[str | None, Any]]:
    if names is None:
        return [(None, slice(None))]
    cells, place = np.unique(names.astype(str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=len(cells)))
    return [
        (str(cell), order[start:end])
        for cell, start, end in zip(cells, [0, *ends[:-1]], ends, strict=True)
    ]


_Table = tuple[list[str], Mapping[str, NDArray[Any]], tuple[Finding, ...]]


def _read_csv(path: Path) -> _Table:
    first = decode(read_head(path))[0].split("\n", 1)[0].rstrip("\r")
    delimiter = max("\t,;", key=first.count)
    labels = [label.strip().strip('"') for label in first.split(delimiter)]
    layout = _layout(labels)
    signature = tuple(n for n in labels if parse_label(n))
    whole = Layout(layout.columns, signature, layout.counters, layout.texts)
    table = read_text(path, whole)
    return labels, table.columns, table.findings


def _read_parquet(path: Path) -> _Table:
    def load() -> _Table:
        with pq.ParquetFile(path) as file:
            labels = list(file.schema_arrow.names)
            layout = _layout(labels)
            wanted = [n for n in labels if n in layout.columns or n in layout.counters or n == CELL]
            table = file.read(wanted)
        return labels, {n: _numbers(n, table.column(n)) for n in wanted}, ()

    return guarded(path, load)


def _numbers(label: str, column: pa.ChunkedArray) -> NDArray[Any]:
    if label == CELL:
        return np.array(column.cast(pa.string()).to_pylist(), object)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
        return np.asarray(column.to_numpy(), np.float64) / 1e6
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ReadError(f"column {label} is {kind}, not a number", fix="Write it as a number")
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
