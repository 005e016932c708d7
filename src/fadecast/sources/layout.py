"""``Layout``: a vendor's column labels as data, and the engine that reads a table by one.

A format is a ``Layout`` (which label is which Battery Data Format column, in which unit) plus
whatever is peculiar to it; the rest is here: finding the header, decimal commas, dates, cut files.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from fadecast.cell.checks import Finding
from fadecast.errors import ReadError
from fadecast.sources.units import to_base, to_column

HEAD_BYTES: Final = 65536
"""How much of a file is looked at to recognise it; a text header must lie within."""
_DELIMITERS: Final = ("\t", ",", ";")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the labels of one format mean.

    Args:
        columns: label → (Battery Data Format column, unit in the file). Where several labels
            stand for one column, the first that is present counts.
        signature: labels that the header line must hold for the format to be recognised.
        counters: label → (``"charge"`` or ``"discharge"``, unit): the cycler's own charge counters.
        texts: labels of columns that are text (dates, modes).
    """

    columns: Mapping[str, tuple[str, str]]
    signature: tuple[str, ...]
    counters: Mapping[str, tuple[str, str]]
    texts: tuple[str, ...] = ()

    def settle(self, table: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The columns of ``table`` that are known, under their own names and units."""
        out: dict[str, NDArray[Any]] = {}
        for label, (column, unit) in self.columns.items():
            if label in table and column not in out:
                out[column] = to_column(table[label], unit, column)
        return out

    def counted(self, table: Mapping[str, NDArray[Any]], way: str) -> NDArray[Any] | None:
        """The cycler's counter of charge or discharge in Ah, if there is one."""
        for label, (direction, unit) in self.counters.items():
            if direction == way and label in table:
                return to_base(table[label], unit, "Ah")
        return None


@dataclass(frozen=True, slots=True)
class TextTable:
    """A text file's table: columns by label, the lines above it, and what was odd about it."""

    columns: dict[str, NDArray[Any]]
    preamble: tuple[str, ...]
    decimal_comma: bool
    findings: tuple[Finding, ...]


def decode(head: bytes) -> tuple[str, str]:
    """Text of a file's first bytes and its encoding: UTF-16 by mark, else UTF-8, else Latin-1."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) & ~1].decode("utf-16", "ignore"), "utf-16"
    try:
        return head.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError as error:
        if error.start > len(head) - 4:  # a character cut in two at the end
            return head[: error.start].decode("utf-8-sig"), "utf-8"
        return head.decode("latin-1"), "latin-1"


def find_header(text: str, signature: Sequence[str]) -> tuple[int, str, list[str]] | None:
    """Line number, delimiter and labels of the line that holds all of ``signature``."""
    for number, line in enumerate(text.split("\n")):
        if signature[0] not in line:
            continue
        for delimiter in _DELIMITERS:
            labels = [label.strip() for label in next(csv.reader([line], delimiter=delimiter), [])]
            if set(signature) <= set(labels):
                return number, delimiter, labels
    return None


def read_text(path: Path, layout: Layout) -> TextTable:
    """The table of a text file.

    Raises:
        ReadError: there is no header as the layout wants it, a row is broken, or a number is not
            one. A cut last line is left out and told as a finding.
    """
    text, encoding = decode(read_head(path))
    found = find_header(text, layout.signature)
    if found is None:
        raise ReadError(
            f"no header line with {', '.join(layout.signature)}", where=path.name,
            fix="Export the raw data again, with its header",
        )  # fmt: skip
    number, delimiter, labels = found
    lines = text.split("\n")
    below = [line.rstrip("\r") for line in lines[number + 1 :] if line.strip()]
    if not below:
        raise ReadError("no rows below the header", where=path.name, fix="Export the data again")
    names = _unique(labels)
    wanted = [n for n in names if n in layout.columns or n in layout.counters or n in layout.texts]
    rows = list(csv.reader(below[:100], delimiter=delimiter))
    while len(names) > len(rows[0]) and not names[-1].strip("·0123456789"):
        names.pop()  # a header that ends in a delimiter
    names += [f"·{i}" for i in range(len(rows[0]) - len(names))]  # rows that do
    numeric = [i for i, n in enumerate(names) if n in wanted and n not in layout.texts]
    comma = any("," in row[i] for row in rows for i in numeric if i < len(row))
    body = _Body(path, encoding, number + 1, delimiter, comma, names, wanted, layout.texts)
    columns, findings = _parse(body)
    return TextTable(columns, tuple(lines[:number]), comma, findings)


def read_head(path: Path) -> bytes:
    """The first ``HEAD_BYTES`` of a file."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


@dataclass(frozen=True, slots=True)
class _Body:
    """Where the rows of a text file are and how they are written."""

    path: Path
    encoding: str
    skip: int
    delimiter: str
    decimal_comma: bool
    names: list[str]
    wanted: list[str]
    texts: tuple[str, ...]

    def last_line(self) -> str:
        with self.path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - HEAD_BYTES))
            tail = file.read()
        return tail.decode(self.encoding, "ignore").rstrip("\r\n").rsplit("\n", 1)[-1].rstrip("\r")


def _unique(labels: Sequence[str]) -> list[str]:
    """Labels with the repeated ones (Maccor's "Units") numbered."""
    seen: dict[str, int] = {}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(label if seen[label] == 1 else f"{label}·{seen[label]}")
    return out


def _parse(body: _Body) -> tuple[dict[str, NDArray[Any]], tuple[Finding, ...]]:
    broken: list[str] = []

    def note(row: pcsv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    where = body.path.name
    types = {n: pa.string() if n in body.texts else pa.float64() for n in body.wanted}
    try:
        table = pcsv.read_csv(
            body.path,
            pcsv.ReadOptions(
                column_names=body.names, skip_rows=body.skip, encoding=body.encoding,
                use_threads=False,
            ),
            pcsv.ParseOptions(delimiter=body.delimiter, invalid_row_handler=note),
            pcsv.ConvertOptions(
                include_columns=body.wanted, column_types=types,
                decimal_point="," if body.decimal_comma else ".",
                null_values=["", "NaN", "nan", "NA", "N/A", "null", "None", "-"],
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise ReadError(
            str(error).split("\n")[0], where=where, fix="Mend or remove that row and try again"
        ) from None
    last = body.last_line() if broken else ""
    for text in broken:
        if text != last:
            raise ReadError(
                f"a row has {text.count(body.delimiter) + 1} fields, expected {len(body.names)}: "
                f"{text[:60]!r}", where=where, fix="Mend or remove that row and try again",
            )  # fmt: skip
    if not table.num_rows:
        raise ReadError("no complete row", where=where, fix="Export the data again")
    findings = [
        Finding(
            "warning", "cut_off", "last row", "the file ends in the middle of a row",
            "The row is left out; copy the file again if more is missing",
        )
    ] * len(broken)  # fmt: skip
    return {name: _array(table.column(name)) for name in body.wanted}, tuple(findings)


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), object)
    return np.asarray(column.to_numpy(), np.float64)


def parse_dates(texts: NDArray[Any], formats: Sequence[str]) -> NDArray[np.float64] | None:
    """``(n,)`` s since 1970 by the first format that fits every text; the zone is not known.

    NaN where there is no text; ``None`` where no format fits.
    """
    strings = pc.utf8_trim_whitespace(pa.array(texts, pa.string()))
    present = pc.is_valid(strings)
    for form in formats:
        stamps = pc.strptime(strings, form, "s", error_is_null=True)
        if pc.all(pc.equal(pc.is_valid(stamps), present)).as_py():
            seconds = stamps.cast(pa.int64())
            return np.asarray(seconds.to_numpy(zero_copy_only=False), np.float64)
    return None
