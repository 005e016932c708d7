"""``Store``: cell records in a folder, one sub-folder a cell, every write atomic.

    STORE/store.json                    format version
    STORE/cells/<cell_id>/metadata.json design, provenance and the digest of the data
    STORE/cells/<cell_id>/samples.parquet | summaries.parquet
    STORE/.partial/                     writes in progress; never read

Samples have a column each. Summaries are ``cycle_count`` and one list a cycle, whose fields the
schema names: hundreds of columns would cost more than the numbers in them.

A cell is written into ``.partial`` and then renamed, so a killed process leaves the cell whole or
absent. Nothing in a store is trusted: what is unknown, missing or altered is a ``StoreError``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.summaries import FIELDS, CycleSummaries
from fadecast.errors import CheckError, StoreError

VERSION: Final = 3
_STORE_HEADER: Final = {"format": "fadecast-store", "version": VERSION}
_HEADER_KEYS: Final = {"kind", "rows", "data_digest", "metadata"}
_KINDS: Final = ("samples", "summaries")
_FIELDS: Final = b"fadecast.fields"
_TEXT: Final = ("source", "licence", "citation")


class Store:
    """A folder of cell records.

    Args:
        path: the store's folder.
        create: make an empty store where there is none; otherwise a missing store is an error.

    Raises:
        StoreError: the folder is no store, or one of another version.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        self.path = Path(path)
        header = self.path / "store.json"
        if not header.exists():
            if not create:
                _fail("no store here", self.path, "Make one with `fadecast ingest PATHS -o STORE`")
            if self.path.is_dir() and not all(map(_is_a_beginning, self.path.iterdir())):
                _fail("the folder holds other files", self.path, "Choose a new or empty folder")
            self._cells.mkdir(parents=True, exist_ok=True)
            write_json(header, _STORE_HEADER)
        found = read_json(header)
        if found != _STORE_HEADER:
            _fail(
                f"store of format {found!r}, expected {_STORE_HEADER}", header,
                "Ingest the raw files again with this version of fadecast",
            )  # fmt: skip

    @property
    def _cells(self) -> Path:
        return self.path / "cells"

    def cell_ids(self) -> list[str]:
        """Names of all cells, sorted."""
        if not self._cells.is_dir():
            _fail("the folder of cells is missing", self.path, "Ingest the raw files again")
        return sorted(p.name for p in self._cells.iterdir() if not p.name.startswith("."))

    def __contains__(self, cell_id: object) -> bool:
        if not isinstance(cell_id, str) or not cell_id or cell_id.startswith("."):
            return False
        return Path(cell_id).name == cell_id and (self._cells / cell_id).is_dir()

    def __len__(self) -> int:
        return len(self.cell_ids())

    def write(self, record: CellRecord) -> None:
        """Write or replace one cell. Killed at any moment, the cell is whole or absent."""
        header, table = _header(record), _table(record)
        partial = self.path / ".partial"
        partial.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{record.spec.cell_id}.", dir=partial))
        new, old, place = work / "new", work / "old", self._cells / record.spec.cell_id
        new.mkdir()
        pq.write_table(
            table, new / f"{header['kind']}.parquet", compression="lz4", use_dictionary=False,
            write_statistics=False,
        )  # fmt: skip
        write_json(new / "metadata.json", header)
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(work)

    def metadata(self, cell_id: str) -> CellMetadata:
        """Design and provenance of one cell, without reading its data."""
        return self._read_header(cell_id)[1]

    def read(self, cell_id: str) -> CellRecord:
        """One cell, its data verified against the digest taken when it was written.

        Raises:
            StoreError: no such cell, or its files are damaged, altered or hostile.
        """
        header, metadata = self._read_header(cell_id)
        kind = header["kind"]
        path = self._cells / cell_id / f"{kind}.parquet"
        try:
            file = pq.ParquetFile(path)
            if file.metadata.num_rows != header["rows"]:
                raise ValueError(f"it has {file.metadata.num_rows} rows, not {header['rows']}")
            table = file.read(use_threads=False)
            data = _from_samples(table) if kind == "samples" else _from_summaries(table)
            record = CellRecord(metadata, **{kind: data})  # type: ignore[arg-type]
        except (
            OSError, pa.ArrowException, CheckError, ValueError, KeyError, TypeError, MemoryError,
        ) as error:  # fmt: skip
            _damaged(path, error)
        if data_digest(record) != header["data_digest"]:
            _damaged(path, "the data do not match their recorded digest")
        return record

    def digest(self) -> str:
        """SHA-256 of the content: the same whatever the order or the time of writing."""
        total = hashlib.sha256()
        for cell_id in self.cell_ids():
            total.update(f"{cell_id}\0{self.cell_digest(cell_id)}\n".encode())
        return total.hexdigest()

    def cell_digest(self, cell_id: str) -> str:
        """SHA-256 of one cell: its metadata and, through their own digest, its data."""
        return hashlib.sha256(_canonical(self._read_header(cell_id)[0])).hexdigest()

    def clear_partial(self, older_than_second: float = 3600.0) -> None:
        """Remove what killed writes left behind; younger leftovers may be somebody's write."""
        for work in (self.path / ".partial").glob("*"):
            if time.time() - work.stat().st_mtime > older_than_second:
                shutil.rmtree(work, ignore_errors=True)

    def _read_header(self, cell_id: str) -> tuple[dict[str, Any], CellMetadata]:
        if cell_id not in self:
            _fail(f"no cell {cell_id!r}", self.path, "`Store.cell_ids()` lists what is there")
        path = self._cells / cell_id / "metadata.json"
        header = read_json(path)
        if not isinstance(header, dict) or set(header) != _HEADER_KEYS:
            _damaged(path, f"its keys are not {sorted(_HEADER_KEYS)}")
        if header["kind"] not in _KINDS:
            _damaged(path, f"kind {header['kind']!r} is not one of {_KINDS}")
        if type(header["rows"]) is not int or header["rows"] < 0:
            _damaged(path, f"rows is {header['rows']!r}")
        try:
            _canonical(header)  # what cannot be written again was not written here
            metadata = _metadata(header["metadata"])
        except (
            CheckError, TypeError, ValueError, KeyError, AttributeError, OverflowError,
        ) as error:  # fmt: skip
            _damaged(path, error)
        if metadata.spec.cell_id != cell_id:
            _damaged(path, f"it describes cell {metadata.spec.cell_id!r}")
        return header, metadata


def data_digest(record: CellRecord) -> str:
    """SHA-256 of a record's data: names, dtypes and values."""
    total = hashlib.sha256()
    for name, values in _arrays(record).items():
        total.update(f"{name} {values.dtype.str} {len(values)}\n".encode())
        total.update(np.ascontiguousarray(values).view(np.uint8).data)
    return total.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Canonical JSON, written beside ``path`` and renamed over it."""
    text = _canonical(value, indent=1) + b"\n"
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with partial.open("xb") as file:  # not mkstemp: others may read a store where the umask lets
        file.write(text)
    partial.replace(path)


def read_json(path: Path) -> Any:
    """JSON without NaN or infinity.

    Raises:
        StoreError: the file is missing or is not such JSON.
    """
    try:
        return json.loads(path.read_bytes(), parse_constant=_reject_constant)
    except (OSError, ValueError, RecursionError) as error:
        _damaged(path, error)


def _canonical(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent
    ).encode()


def _is_a_beginning(path: Path) -> bool:
    """Whether this is what a store holds that was killed before its header stood."""
    empty = path.name == "cells" and path.is_dir() and not any(path.iterdir())
    return empty or path.name.startswith(".store.json.")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


def _fail(what: str, where: Path, fix: str) -> NoReturn:
    raise StoreError(what, where=str(where), fix=fix)


def _damaged(path: Path, why: object) -> NoReturn:
    _fail(f"damaged ({why})", path, "Remove the cell's folder and ingest it again")


def _header(record: CellRecord) -> dict[str, Any]:
    kind = "samples" if record.samples is not None else "summaries"
    arrays = _arrays(record)
    return {
        "kind": kind,
        "rows": len(next(iter(arrays.values()))),
        "data_digest": data_digest(record),
        "metadata": record.metadata.to_json() | {"spec": _plain_spec(record.spec)},
    }


def _plain_spec(spec: CellSpec) -> dict[str, Any]:
    """Numbers as floats, so that 3 and 3.0 Ah are written (and hashed) alike."""
    return {k: float(v) if isinstance(v, int) else v for k, v in asdict(spec).items()}


def _arrays(record: CellRecord) -> dict[str, NDArray[Any]]:
    """Columns in declared order; of summaries the cycles, and by their names the fields ``(n, k)``
    that were ever observed, NaN where they were not."""
    if record.samples is not None:
        return {name: record.samples[name] for name in COLUMNS if name in record.samples}
    table = record.summaries
    assert table is not None  # CellRecord holds one of the two
    seen: NDArray[np.bool_] = np.any(table.observed, axis=0)
    values = np.where(table.observed, table.values, np.float32(np.nan))[:, seen]
    names = " ".join(name for name, some in zip(FIELDS, seen, strict=True) if some)
    return {"cycle_count": table.cycle_count, names: values}


def _table(record: CellRecord) -> pa.Table:
    arrays = _arrays(record)
    if record.samples is not None:
        return pa.table(arrays)
    names, values = arrays.popitem()
    columns: dict[str, Any] = dict(arrays)
    if names:  # Arrow has no lists of length 0
        rows = pa.array(values.ravel())
        columns["fields"] = pa.FixedSizeListArray.from_arrays(rows, values.shape[1])
    table = pa.table(columns)
    return table.replace_schema_metadata({_FIELDS: names.encode()})


def _column(table: pa.Table, name: str, dtype: str) -> NDArray[Any]:
    column = table.column(name)
    if column.type != pa.from_numpy_dtype(np.dtype(dtype)):
        raise TypeError(f"column {name} is {column.type}, expected {dtype}")
    return np.array(column.to_numpy())


def _from_samples(table: pa.Table) -> Mapping[str, NDArray[Any]]:
    unknown = set(table.column_names) - set(COLUMNS)
    if unknown:
        raise KeyError(f"unknown columns {sorted(unknown)}")
    return {name: _column(table, name, COLUMNS[name].dtype) for name in table.column_names}


def _from_summaries(table: pa.Table) -> CycleSummaries:
    names = (table.schema.metadata or {})[_FIELDS].decode().split()
    expected = {"cycle_count": pa.int64()}
    if names:
        expected["fields"] = pa.list_(pa.float32(), len(names))
    if dict(zip(table.column_names, table.schema.types, strict=True)) != expected:
        raise TypeError(f"expected columns {expected}, found {table.schema}")
    fields: dict[str, NDArray[np.float32]] = {}
    if names:
        values = table.column("fields").combine_chunks().flatten().to_numpy()
        fields = dict(zip(names, values.reshape(-1, len(names)).T, strict=True))
    return CycleSummaries.from_fields(_column(table, "cycle_count", "int64"), fields)


def _metadata(data: Any) -> CellMetadata:
    """``CellMetadata.from_json`` that refuses missing, unknown and wrongly typed entries."""
    names = {f.name for f in fields(CellMetadata)}
    if set(data) != names:
        raise KeyError(f"metadata keys differ by {sorted(set(data) ^ names)}")
    if set(data["spec"]) != {f.name for f in fields(CellSpec)}:
        raise KeyError("the keys of spec are not those of a CellSpec")
    life, notes, split = data["published_life"], data["notes"], data["split"]
    if life is not None and set(life) != {f.name for f in fields(PublishedLife)}:
        raise KeyError("the keys of published_life are not those of a PublishedLife")
    texts = [*(data[k] for k in _TEXT), *notes.keys(), *notes.values()]
    if split is not None:
        texts.append(split)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text entry of the metadata is not text")
    if life is not None and not (isinstance(life["cycle"], int) and life["cycle"] > 0):
        raise TypeError(f"published_life.cycle is {life['cycle']!r}")
    if life is not None and not (life["after"] is None or isinstance(life["after"], int)):
        raise TypeError(f"published_life.after is {life['after']!r}")
    return CellMetadata.from_json(data)
