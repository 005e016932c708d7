"""Parquet tables of many cells: read in bounded batches, taken apart by cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.columns import REQUIRED
from fadecast.cell.samples import SENSOR_COLUMNS
from fadecast.cell.summaries import FIELDS
from fadecast.errors import ReadError

SAMPLE_ROWS: Final = 1 << 19
SUMMARY_ROWS: Final = 1 << 14
"""Rows read at once: about 40 MB of either kind."""

_SAMPLE_COLUMNS: Final = (*REQUIRED, *SENSOR_COLUMNS, "cycle_count")


@dataclass(frozen=True, slots=True)
class Table:
    """One Parquet file of samples or of cycle summaries.

    Args:
        path: the file.
        samples: whether it holds raw samples; otherwise cycle summaries.
        columns: those that are read, ``cell_id`` first.
        ignored: those that are not.
        rows: how many.
    """

    path: Path
    samples: bool
    columns: tuple[str, ...]
    ignored: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table.

    Args:
        cell_ids: the cells in it, each once.
        cell: ``(n,)`` index into ``cell_ids`` of each row, rising; a cell's rows stay in order.
        columns: ``(n,)`` numbers each; NaN where the table has no value.
        unnamed: rows that were passed over because they have no ``cell_id``.
    """

    cell_ids: list[str]
    cell: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]
    unnamed: int = 0


def find_tables(paths: Iterable[Path]) -> list[Path]:
    """The files, and the ``*.parquet`` of the folders, by name with numbers in it by value.

    Raises:
        ReadError: a path does not exist, or there is no Parquet file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ReadError("no such file or folder", where=str(path), fix="Check the path")
        inside = (file for file in path.rglob("*.parquet") if file.is_file())
        found += sorted(inside, key=_natural) if path.is_dir() else [path]
    if not found:
        raise ReadError(
            "no Parquet file here", where=", ".join(map(str, paths)),
            fix="Give Parquet files, a folder of them, or a store made by `fadecast ingest`",
        )  # fmt: skip
    return found


def open_table(path: Path) -> Table:
    """Look at a file's columns.

    Raises:
        ReadError: it is no Parquet file, is truncated, or misses a column.
    """
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise ReadError(
            f"not a readable Parquet file ({_first_line(error)})", where=str(path),
            fix="Write it again; `fadecast ingest` reads cycler files of other formats",
        ) from None  # fmt: skip
    with file:
        names, rows = file.schema_arrow.names, file.metadata.num_rows
    if len(set(names)) < len(names):
        raise ReadError("a column name occurs twice", where=str(path))
    samples = not set(names) & set(FIELDS)
    needed = ("cell_id", *REQUIRED) if samples else ("cell_id", "cycle_count")
    missing = [name for name in needed if name not in names]
    if missing:
        raise ReadError(
            f"columns {', '.join(missing)} are missing", where=str(path),
            fix="Samples need cell_id and the Battery Data Format's "
            f"{', '.join(REQUIRED)}; cycle summaries need cell_id, cycle_count and fields of "
            "fadecast.cell.summaries.FIELDS",
        )  # fmt: skip
    wanted = _SAMPLE_COLUMNS if samples else ("cycle_count", *FIELDS)
    columns = ("cell_id", *(name for name in wanted if name in names))
    ignored = tuple(name for name in names if name not in columns)
    return Table(path, samples, columns, ignored, rows)


def read_batches(table: Table) -> Iterator[Batch]:
    """The rows of a table, ``SAMPLE_ROWS`` or ``SUMMARY_ROWS`` at a time.

    Raises:
        ReadError: the file is damaged, or a column does not hold numbers.
    """
    size = SAMPLE_ROWS if table.samples else SUMMARY_ROWS
    try:
        with pq.ParquetFile(table.path, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(size, columns=list(table.columns)):
                yield _take_apart(table, batch)
    except (OSError, pa.ArrowException) as error:
        raise ReadError(
            f"damaged ({_first_line(error)})", where=str(table.path), fix="Write or copy it again"
        ) from None


def _take_apart(table: Table, batch: pa.RecordBatch) -> Batch:
    try:
        ids = batch.column("cell_id").cast(pa.string())
    except pa.ArrowException:
        raise ReadError("cell_id does not hold names", where=str(table.path)) from None
    unnamed = ids.null_count
    if unnamed:
        batch, ids = batch.filter(pc.is_valid(ids)), ids.drop_null()
    encoded = ids.dictionary_encode()
    cell = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    together = bool(np.all(np.diff(cell) >= 0))
    order = np.argsort(cell, kind="stable")
    columns = {}
    for name in table.columns[1:]:
        kind = pa.float64() if table.samples or name == "cycle_count" else pa.float32()
        try:
            numbers = batch.column(name).cast(kind, safe=False)
        except pa.ArrowException:
            raise ReadError(
                f"column {name} does not hold numbers ({batch.column(name).type})",
                where=str(table.path), fix="Write it as a number in the unit of its name",
            ) from None  # fmt: skip
        array = numbers.to_numpy(zero_copy_only=False)
        columns[name] = array if together else array[order]
    cell = cell if together else cell[order]
    return Batch(encoded.dictionary.to_pylist(), cell, columns, unnamed)


def _natural(path: Path) -> list[tuple[str, int]]:
    """So that part-10 comes after part-9: a cell that is split over files must be in time order."""
    return [(text, int(number)) for text, number in re.findall(r"(\D*)(\d+)", f"{path}\0" + "0")]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
