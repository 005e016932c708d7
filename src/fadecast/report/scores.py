"""Reading a score table: one row per cell and cycle, as ``fadecast score`` writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.life import CAUSES, EndOfLife
from fadecast.cell.record import CellSpec
from fadecast.errors import CheckError, ReadError
from fadecast.forecast.forecast import (
    HORIZONS,
    QUANTILES,
    RISKS,
    SCORE_COLUMNS,
    VIRTUAL_SENSORS,
    Forecasts,
    score_columns,
)

BUNDLE_KEY: Final = b"fadecast.bundle"
END_OF_LIFE_KEY: Final = b"fadecast.end_of_life"
"""Entries of the file's metadata: the bundle's fingerprint, and what it calls a failure (JSON)."""

_RUL: Final = [name for name in SCORE_COLUMNS if name.startswith("rul_")]
_RISK: Final = [name for name in SCORE_COLUMNS if name.startswith("risk_")]


@dataclass(frozen=True, slots=True)
class Scores:
    """A score table.

    Args:
        forecasts: by cell, sorted by name; their incidence is empty, a table does not hold it, and
            a virtual sensor is NaN where it has no columns.
        bundle: fingerprint of the bundle that made them; empty if not stated.
        end_of_life: what that bundle calls a failure; the default if not stated.
    """

    forecasts: Mapping[str, Forecasts]
    bundle: str
    end_of_life: EndOfLife


def read_scores(path: str | os.PathLike[str]) -> Scores:
    """Read and check a score table.

    Raises:
        ReadError: the file is missing or is not Parquet.
        CheckError: a column is missing or not numeric, there is no row, a cycle comes twice, or a
            valid forecast is not finite, not a probability or not in the order of its quantiles.
    """
    where = str(path)
    try:
        table = pq.ParquetFile(Path(path)).read()
    except (OSError, pa.ArrowException) as error:
        raise ReadError(
            f"not a readable Parquet file ({error})",
            where=where,
            fix="Make it with: fadecast score",
        ) from None
    if len(set(table.column_names)) < table.num_columns:
        raise CheckError("a column name occurs twice", where=where, fix="Score the cells again")
    missing = [c for c in ("cell_id", "cycle_count", *SCORE_COLUMNS) if c not in table.column_names]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise CheckError(
            f"no column {', '.join(missing[:5])}{more}", where=where,
            fix="Give the table that fadecast score writes",
        )  # fmt: skip
    if not table.num_rows:
        raise CheckError("the table has no row", where=where, fix="Score at least one cell")
    cell, names = _cells(table, where)
    counts = _numbers(table, "cycle_count", where)
    known = COLUMNS["cycle_count"]
    if not ((counts >= known.low) & (counts <= known.high)).all():
        raise CheckError(
            "cycle_count has an entry that is empty or out of range", where=where,
            fix="Score the cells again",
        )  # fmt: skip
    order = np.lexsort((counts, cell))
    known_columns = score_columns(VIRTUAL_SENSORS).keys() & set(table.column_names)
    columns = {name: _numbers(table, name, where)[order] for name in known_columns}
    cell, cycle = cell[order], counts[order].astype(np.int64)
    _check(names, cell, cycle, columns, where)
    whole = _forecasts(cycle, columns)
    bounds = np.searchsorted(cell, np.arange(len(names) + 1))
    forecasts = {name: whole[slice(*bounds[i : i + 2])] for i, name in enumerate(names)}
    metadata = table.schema.metadata or {}
    return Scores(
        forecasts, metadata.get(BUNDLE_KEY, b"").decode(errors="replace"),
        _end_of_life(metadata.get(END_OF_LIFE_KEY), where),
    )  # fmt: skip


def _cells(table: pa.Table, where: str) -> tuple[NDArray[np.int64], list[str]]:
    """Index of every row's cell in the sorted names of the cells."""
    column = table.column("cell_id")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if not pa.types.is_dictionary(column.type):
            raise CheckError(f"cell_id is {column.type}, not text", where=where)
        column = column.cast(pa.string())
    if column.null_count:
        raise CheckError("cell_id has an empty entry", where=where, fix="Name every cell")
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    for name in names:
        CellSpec(name, 1.0, 0.0, 1.0)  # a name that no cell may have is refused
    rank = np.argsort(np.argsort(np.array(names, object)))
    return rank[encoded.indices.to_numpy()], sorted(names)


def _numbers(table: pa.Table, name: str, where: str) -> NDArray[np.float64]:
    """A column as float64, NaN where it is empty."""
    try:
        return np.asarray(table.column(name).cast(pa.float64()).to_numpy(), np.float64)
    except pa.ArrowException:
        raise CheckError(
            f"{name} is {table.column(name).type}, not a number", where=where
        ) from None


def _check(
    names: list[str],
    cell: NDArray[np.int64],
    cycle: NDArray[np.int64],
    columns: Mapping[str, NDArray[np.float64]],
    where: str,
) -> None:
    """Refuse rows that no forecast can be; forecasts marked as not valid may be empty."""
    rul = np.stack([columns[name] for name in _RUL])
    risk = np.stack([columns[name] for name in _RISK])
    finite = np.isfinite(rul).all(axis=0) & np.isfinite(risk).all(axis=0)
    with np.errstate(invalid="ignore"):
        ordered = (rul[0] >= 0) & (np.diff(rul, axis=0) >= -1e-3).all(axis=0)
        likely = ((risk >= -1e-6) & (risk <= 1 + 1e-6)).all(axis=0)
    valid = columns["valid"] > 0
    again = np.append(False, (np.diff(cell) == 0) & (np.diff(cycle) == 0))
    for bad, what in (
        (np.isnan(columns["valid"]), "valid is empty"),
        (again, "the cycle comes twice"),
        (valid & ~finite, "a valid forecast is empty or not finite"),
        (np.isinf(columns["soh"]) | np.isinf(columns["novelty"]), "soh or novelty is infinite"),
        (valid & ~ordered, "the quantiles of the remaining life are negative or out of order"),
        (valid & ~likely, "a risk is not between 0 and 1"),
    ):
        if bad.any():
            row = int(bad.argmax())
            raise CheckError(
                f"{what} (cell {names[cell[row]]!r}, cycle {cycle[row]})", where=where,
                fix="Score the cells again",
            )  # fmt: skip


def _forecasts(cycle: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> Forecasts:
    single: Any = {name: values.astype(np.float32) for name, values in columns.items()}
    risk = np.stack([single[name] for name in _RISK], axis=1)
    untold = np.full(len(cycle), np.nan, np.float32)
    sensed, spread = (
        np.stack([single.get(f"virtual_{n}{end}", untold) for n in VIRTUAL_SENSORS], axis=1)
        for end in ("", "_std")
    )
    return Forecasts(
        cycle,
        np.stack([single[name] for name in _RUL], axis=1).reshape(-1, len(QUANTILES)),
        risk.reshape(-1, len(RISKS), len(HORIZONS)),
        np.zeros((len(cycle), len(CAUSES), 0), np.float32),
        single["soh"], single["novelty"], columns["valid"] > 0, sensed, spread,
    )  # fmt: skip


def _end_of_life(entry: bytes | None, where: str) -> EndOfLife:
    if entry is None:
        return EndOfLife()
    try:
        return EndOfLife(**json.loads(entry))
    except (ValueError, TypeError) as error:
        raise CheckError(f"the stated end of life cannot be read ({error})", where=where) from None
