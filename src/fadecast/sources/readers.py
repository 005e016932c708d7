"""The readers by name, and how a file finds its own.

A file is recognised by what is in it; its suffix only decides between zipped formats. Files are
hostile until read: nothing here loads a pickle, and what no reader recognises is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from fadecast.cell.record import CellRecord, CellSpec, is_cell_id
from fadecast.errors import ReadError
from fadecast.sources import (
    arbin,
    assb,
    bdf,
    biologic,
    landt,
    maccor,
    matr,
    neware,
    pinn4soh,
    samsung30q,
)  # fmt: skip
from fadecast.sources.layout import decode, find_header, read_head
from fadecast.sources.part import Part
from fadecast.sources.stitch import to_record
from fadecast.sources.vendor import guarded


class Head:
    """The beginning of a file: what readers recognise it by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suffix = path.suffix.lower()
        self.data = read_head(path)

    @cached_property
    def text(self) -> str:
        """Its text; empty for a binary file."""
        text, encoding = decode(self.data)
        return "" if "\0" in text and encoding != "utf-16" else text

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of a Parquet file; empty for any other.

        Raises:
            ReadError: it begins as a Parquet file but is not a whole one.
        """
        if self.data[:4] != b"PAR1":
            return ()
        return guarded(self.path, lambda: tuple(pq.read_schema(self.path).names))

    def has_header(self, signature: tuple[str, ...]) -> bool:
        """Whether some line of the text holds these labels."""
        return bool(self.text) and find_header(self.text, signature) is not None


@dataclass(frozen=True, slots=True)
class Reader:
    """One format.

    Args:
        what: the format in words.
        suffixes: of files that are looked at when a whole folder is read.
        recognises: whether a file is of this format.
        read: gives parts, time series whose cell's design must be declared (cycler files), or
            whole records, for sets whose design is published.
        declared: whether the user must declare the cells' design.
        beside: another file that is read along with a file, if any.
    """

    what: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Head], bool]
    read: Callable[[Path], Sequence[Part | CellRecord]]
    declared: bool = True
    beside: Callable[[Path], Path] | None = None


def _is_bdf(head: Head) -> bool:
    first = head.text.lstrip().split("\n", 1)[0]
    labels = [label.strip().strip('"\r') for label in first.split(max("\t,;", key=first.count))]
    return bdf.recognise(head.columns or labels)


READERS: Final[dict[str, Reader]] = {
    "matr": Reader(
        "MATR discharge curves (one table)", (".parquet",),
        lambda h: set(matr.COLUMNS) <= set(h.columns), matr.read_parquet, declared=False,
    ),
    "matr-published": Reader(
        "MATR discharge curves (publisher's folder)", (".csv",),
        lambda h: matr.is_published(h.path), matr.read_published,
        declared=False, beside=matr.lives_of,
    ),
    "matr-lives": Reader(
        "MATR cycle lives, read along with the curves", (".csv",),
        lambda h: matr.is_lives(h.path), lambda path: [], declared=False,
    ),
    "pinn4soh": Reader(
        "HUST and XJTU per-cycle tables", (".parquet",),
        lambda h: set(pinn4soh.COLUMNS) <= set(h.columns), pinn4soh.read, declared=False,
    ),
    "samsung30q": Reader(
        "Samsung 30Q with hoop strain", (".parquet",),
        lambda h: set(samsung30q.LAYOUT.signature) <= set(h.columns), samsung30q.read,
        declared=False,
    ),
    "lpscl": Reader(
        "LPSCl cell of Tohoku University", (".csv",),
        lambda h: h.has_header(assb.LPSCL.signature), assb.read_lpscl, declared=False,
    ),
    "nmc811": Reader(
        "NMC811 / Li-In cycle", (".csv",),
        lambda h: assb.is_nmc811(h.path) and h.has_header(assb.NMC811.signature),
        assb.read_nmc811, declared=False,
    ),
    "neware": Reader(
        "Neware .nda, .ndax", (".nda", ".ndax"),
        lambda h: h.data[:6] == b"NEWARE" or (h.suffix == ".ndax" and h.data[:2] == b"PK"),
        neware.read,
    ),
    "biologic-mpr": Reader(
        "BioLogic .mpr", (".mpr",),
        lambda h: h.data[:22] == b"BIO-LOGIC MODULAR FILE", biologic.read_mpr,
    ),
    "biologic-mpt": Reader(
        "BioLogic .mpt", (".mpt",),
        lambda h: h.has_header(biologic.LAYOUT.signature), biologic.read_mpt,
    ),
    "arbin": Reader(
        "Arbin .xlsx", (".xlsx",),
        lambda h: h.suffix == ".xlsx" and h.data[:2] == b"PK", arbin.read,
    ),
    "maccor": Reader(
        "Maccor text", (".txt",),
        lambda h: h.has_header(maccor.LAYOUT.signature), maccor.read,
    ),
    "landt": Reader(
        "LANDT csv", (".csv",), lambda h: h.has_header(landt.LAYOUT.signature), landt.read
    ),
    "bdf": Reader(
        "Battery Data Format CSV or Parquet", (".csv", ".parquet"), _is_bdf, bdf.read
    ),
}  # fmt: skip
"""Every reader by name, the particular before the general."""

SUFFIXES: Final = frozenset(s for reader in READERS.values() for s in reader.suffixes)


def detect(path: Path) -> str:
    """The name of the reader for a file.

    Raises:
        ReadError: the file is missing, empty, damaged, a pickle or of no known format.
    """
    try:
        head = Head(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(reason, where=path.name, fix="Check the path and its rights") from None
    if not head.data.strip():
        raise ReadError("the file is empty", where=path.name, fix="Export or copy it again")
    if head.data[:1] == b"\x80" or head.suffix in (".pkl", ".pickle", ".joblib"):
        raise ReadError(
            "this is a Python pickle, which could run any code and is never loaded",
            where=path.name, fix="Ask for the data as CSV or Parquet",
        )  # fmt: skip
    for name, reader in READERS.items():
        if reader.recognises(head):
            return name
    raise ReadError(
        "the format is not recognised", where=path.name,
        fix=f"Known are: {'; '.join(reader.what for reader in READERS.values())}. "
        "Or write time, voltage and current as Battery Data Format CSV",
    )  # fmt: skip


def read_file(path: Path, name: str) -> Sequence[Part | CellRecord]:
    """What the reader ``name`` makes of a file.

    Raises:
        ConfigError: a library that this format needs is not installed.
        ReadError: naming the file.
    """
    try:
        return guarded(path, lambda: READERS[name].read(path))
    except ReadError as error:
        if error.where:
            raise
        raise ReadError(error.what, where=path.name, fix=error.fix) from None


def read(path: Path, specs: Mapping[str, CellSpec] | None = None) -> list[CellRecord]:
    """The records in one file.

    Args:
        path: the file.
        specs: designs by cell id, for cycler files; a file that names no cell has its stem's.

    Raises:
        ReadError: the file cannot be read, or the design of its cell is not declared.
    """
    name = detect(path)
    records: list[CellRecord] = []
    for item in read_file(path, name):
        if isinstance(item, Part):
            spec = design(item.cell_id or path.stem, specs or {}, path.name)
            item = to_record(item, spec, name)
        records.append(item)
    return records


def design(cell_id: str, specs: Mapping[str, CellSpec], where: str) -> CellSpec:
    """The declared design of a cell.

    Raises:
        ReadError: it is not declared.
    """
    if cell_id not in specs:
        what = f"the design of cell {cell_id!r} is not declared"
        if not is_cell_id(cell_id):
            raise ReadError(
                f"{what}, and that is no name that a cell may have", where=where,
                fix=f"Name a cell in the table of cells (--cells) and give {where} in its column "
                "'files'; a cell_id written in the data must be 1–128 letters, digits or ._+=@-",
            )  # fmt: skip
        raise ReadError(
            what, where=where,
            fix=f"Add a row {cell_id},<nominal_capacity_ah>,<voltage_min_v>,<voltage_max_v> to the "
            "table of cells (--cells)",
        )  # fmt: skip
    return specs[cell_id]
