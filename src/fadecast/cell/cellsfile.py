"""The table of cells: what the user declares of each cell, as CSV or Parquet.

Columns ``cell_id, nominal_capacity_ah, voltage_min_v, voltage_max_v``; optionally ``cathode, anode,
electrolyte, fixture, applied_pressure_pa, pressure_limit_pa``, and ``files``: patterns separated by
``;`` that say which files belong to the cell. Other columns are not used, unless one is a required
or optional name misspelt: that is refused, as its values would be missed.
"""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from fadecast.cell.record import CellSpec
from fadecast.errors import CheckError, ReadError

_NUMBERS: Final = (
    "nominal_capacity_ah", "voltage_min_v", "voltage_max_v",
    "applied_pressure_pa", "pressure_limit_pa",
)  # fmt: skip
_REQUIRED: Final = ("cell_id", *_NUMBERS[:3])
_COLUMNS: Final = tuple(f.name for f in fields(CellSpec))
FILES: Final = "files"


def read_specs(path: Path) -> dict[str, CellSpec]:
    """The design of every cell in the table, by cell id.

    Raises:
        ReadError: the table cannot be read, lacks a column, or has a misspelt one.
        CheckError: a value is out of range, or a cell stands there twice.
    """
    out: dict[str, CellSpec] = {}
    for row in _rows(path):
        values = {k: v for k, v in row.items() if k != FILES and v not in (None, "") and v == v}
        missing = [name for name in _REQUIRED if name not in values]
        if missing:
            raise CheckError(
                f"{', '.join(missing)} missing in the row of {row.get('cell_id')!r}",
                where=path.name, fix="Fill it in: Ah and V",
            )  # fmt: skip
        spec = CellSpec(**values)
        if spec.cell_id in out:
            raise CheckError(f"cell {spec.cell_id!r} stands there twice", where=path.name)
        out[spec.cell_id] = spec
    return out


def read_patterns(path: Path) -> dict[str, tuple[str, ...]]:
    """File patterns by cell id, for the cells that have any.

    Raises:
        ReadError: as ``read_specs``.
    """
    rows = {str(row["cell_id"]): row.get(FILES) for row in _rows(path)}
    return {
        cell: tuple(p.strip() for p in text.split(";") if p.strip())
        for cell, text in rows.items()
        if text
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        table = _read(path)
        names = [name for name in table.column_names if name in (*_COLUMNS, FILES)]
        others = [name for name in table.column_names if name not in names]
        if len(set(names)) < len(names):
            raise ReadError("a column name occurs twice", where=path.name, fix="Remove one of them")
        table = table.select(names)
        numbers = [i for i, name in enumerate(names) if name in _NUMBERS]
        for i in numbers:
            table = table.set_column(i, names[i], table.column(i).cast(pa.float64()))
        rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise ReadError(
            str(error).split("\n")[0], where=path.name,
            fix="Give a table of cells as Parquet or as CSV (UTF-8, commas, decimal points)",
        ) from None  # fmt: skip
    missing = [name for name in _REQUIRED if name not in names]
    absent = [name for name in (*_COLUMNS, FILES) if name not in names]
    misspelt = [n for n in others if get_close_matches(n.strip().lower(), absent, cutoff=0.85)]
    if missing or misspelt:
        raise ReadError(
            f"missing columns {missing}, misspelt columns {misspelt}", where=path.name,
            fix=f"Columns are {', '.join((*_COLUMNS, FILES))}; the first four are required",
        )  # fmt: skip
    return rows


def _read(path: Path) -> pa.Table:
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            table = pq.read_table(path)
            texts = [n for n in table.column_names if n not in _NUMBERS]
            for name in texts:
                i = table.column_names.index(name)
                table = table.set_column(i, name, table.column(i).cast(pa.string()))
            return table
    # All text first: a cell called 007 must not become the number 7.
    everything = {name: pa.string() for name in (*_COLUMNS, FILES)}
    options = pcsv.ConvertOptions(column_types=everything, strings_can_be_null=True)
    return pcsv.read_csv(path, convert_options=options)
