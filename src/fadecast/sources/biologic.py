"""BioLogic EC-Lab: ``.mpt`` text exports and ``.mpr`` binary files.

The readers of ``.mpr`` that exist are GPL, so the layout below was worked out from pairs of a
binary file and EC-Lab's own text export of it: with these types every column of 26 such pairs
(module versions 2, 3 and 11) agrees to 1e-3 of its range. A file with a column that is not in the
table is refused rather than guessed at.

Where a file holds no current (GCPL), the current is the charge passed since the row before over
the time since then, which is what EC-Lab exports as ``<I>/mA`` (equal to 1e-7 mA in those pairs).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ReadError
from fadecast.sources.layout import Layout, parse_dates, read_text
from fadecast.sources.part import Part, count_changes, make_part
from fadecast.sources.vendor import guarded

LAYOUT: Final = Layout(
    columns={
        "time/s": ("test_time_second", "s"),
        "Ewe/V": ("voltage_volt", "V"), "<Ewe>/V": ("voltage_volt", "V"),
        "<Ewe/V>": ("voltage_volt", "V"), "Ecell/V": ("voltage_volt", "V"),
        "I/mA": ("current_ampere", "mA"), "<I>/mA": ("current_ampere", "mA"),
        "cycle number": ("cycle_count", "1"),
        "Ns": ("step_count", "1"),
    },
    signature=("time/s", "mode"),
    counters={"dq/mA.h": ("passed", "mAh")},
    texts=("half cycle",),
)  # fmt: skip

FLAGS: Final = (1, 2, 3, 21, 31, 65)
"""Columns that share the one byte of flags: mode, ox/red, error, control, Ns, counter."""

FIELDS: Final[dict[int, tuple[str, str]]] = {
    4: ("time/s", "<f8"), 5: ("control/V/mA", "<f4"), 6: ("Ewe/V", "<f4"), 7: ("dq/mA.h", "<f8"),
    8: ("I/mA", "<f4"), 9: ("Ece/V", "<f4"), 11: ("<I>/mA", "<f8"), 13: ("(Q-Qo)/mA.h", "<f8"),
    16: ("Analog IN 1/V", "<f4"), 17: ("Analog IN 2/V", "<f4"), 19: ("control/V", "<f4"),
    20: ("control/mA", "<f4"), 23: ("dQ/mA.h", "<f8"), 24: ("cycle number", "<f8"),
    39: ("I Range", "<u2"), 70: ("P/W", "<f4"), 74: ("|Energy|/W.h", "<f8"), 131: ("Ns", "<u2"),
    123: ("Energy charge/W.h", "<f8"), 124: ("Energy discharge/W.h", "<f8"),
    125: ("Capacitance charge/µF", "<f8"), 126: ("Capacitance discharge/µF", "<f8"),
    168: ("Rcmp/Ohm", "<f4"), 174: ("<Ewe>/V", "<f4"), 434: ("(Q-Qo)/C", "<f4"),
    435: ("dQ/C", "<f4"), 438: ("step time/s", "<f8"), 441: ("<Ece>/V", "<f4"),
    467: ("Q charge/discharge/mA.h", "<f8"), 468: ("half cycle", "<u4"),
}  # fmt: skip
"""Label and type of every column number whose meaning is established."""

_ROWS_AT: Final = {2: 0x195, 3: 0x196, 10: 0x3EF, 11: 0x3EF}
"""Where the rows begin in the data module, by its version."""
_MAGIC: Final = b"BIO-LOGIC MODULAR FILE"
_OLE_EPOCH: Final = datetime(1899, 12, 30, tzinfo=UTC)
_OLE_AT: Final = 0x249
_STARTED: Final = re.compile(r"Acquisition started on : (\S+ \S+)")
_DATES: Final = ("%m/%d/%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S")


def read_mpt(path: Path) -> list[Part]:
    """A text export as one part.

    Raises:
        ReadError: the table is broken or without time, voltage or current.
    """
    table = read_text(path, LAYOUT)
    found = _STARTED.search("".join(table.preamble))
    started = None
    if found:
        stamp = parse_dates(np.array([found[1].split(".")[0].split(",")[0]]), _DATES)
        started = None if stamp is None else float(stamp[0])
    return [_part(table.columns, started, path.name)]


def read_mpr(path: Path) -> list[Part]:
    """A binary file as one part.

    Raises:
        ReadError: the file is damaged, of an unknown version, or holds columns whose meaning is
            not established (impedance spectra among them).
    """
    modules = dict(guarded(path, lambda: list(_modules(path.read_bytes()))))
    if "VMP data" not in modules:
        raise ReadError("no data module", where=path.name, fix="Copy the file again")
    version, body = modules["VMP data"]
    table = guarded(path, lambda: _rows(version, body))
    started = None
    if "VMP LOG" in modules and len(modules["VMP LOG"][1]) >= _OLE_AT + 8:
        days = struct.unpack_from("<d", modules["VMP LOG"][1], _OLE_AT)[0]
        if 30000 < days < 80000:
            started = (_OLE_EPOCH + timedelta(days=days)).timestamp()
    return [_part(table, started, path.name)]


def _modules(data: bytes) -> Iterator[tuple[str, tuple[int, bytes]]]:
    """Name, version and body of each module."""
    at = 52
    if not data.startswith(_MAGIC):
        raise ReadError("not a BioLogic file", fix="Give an .mpr file of EC-Lab")
    while at < len(data):
        magic, name, _, length = struct.unpack_from("<6s10s25sI", data, at)
        at += 45
        if magic != b"MODULE":
            raise ReadError("the file is cut off or damaged", fix="Copy it again from the cycler")
        if length == 0xFFFFFFFF:
            length, _, version, _ = struct.unpack_from("<III8s", data, at)
            at += 20
        else:
            version, _ = struct.unpack_from("<I8s", data, at)
            at += 12
        if at + length > len(data):
            raise ReadError("the file is cut off", fix="Copy it again from the cycler")
        yield name.decode("ascii").strip(), (version, data[at : at + length])
        at += length


def _rows(version: int, body: bytes) -> dict[str, NDArray[Any]]:
    """The columns of the data module by label."""
    text = "Export the file from EC-Lab as text (.mpt) and read that"
    if version not in _ROWS_AT:
        raise ReadError(f"data module of version {version} is not known", fix=text)
    n, n_columns = struct.unpack_from("<IB", body)
    numbers = struct.unpack_from(f"<{n_columns}H", body, 6 if version >= 10 else 5)
    unknown = [number for number in numbers if number not in FIELDS and number not in FLAGS]
    if unknown:
        raise ReadError(
            f"it holds columns {unknown} whose meaning is not established (impedance?)", fix=text
        )
    flags = [("flags", "u1")] if set(numbers) & set(FLAGS) else []
    dtype = np.dtype(flags + [FIELDS[number] for number in numbers if number in FIELDS])
    if len(body) - _ROWS_AT[version] != n * dtype.itemsize:
        raise ReadError(f"rows are not of {dtype.itemsize} bytes as expected", fix=text)
    rows = np.frombuffer(body, dtype, n, _ROWS_AT[version])
    return {name: rows[name].astype(np.float64) for name in rows.dtype.names or ()}


def _part(table: dict[str, NDArray[Any]], started: float | None, where: str) -> Part:
    columns = LAYOUT.settle(table)
    if not len(columns.get("test_time_second", ())):
        raise ReadError("no rows", where=where, fix="The technique recorded nothing: leave it out")
    passed = LAYOUT.counted(table, "passed")
    if passed is not None and "current_ampere" not in columns:
        hours = np.diff(columns["test_time_second"], prepend=np.nan) / 3600
        flow = np.divide(passed, hours, where=hours > 0, out=np.zeros_like(passed))
        columns["current_ampere"] = flow
        passed = None  # no longer independent evidence
    if "half cycle" in table and "cycle_count" not in columns:
        columns["cycle_count"] = table["half cycle"].astype(np.float64) // 2
    if "step_count" in columns:
        columns["step_count"] = count_changes(columns["step_count"])
    if started is not None:
        columns["unix_time_second"] = started + columns["test_time_second"]
    if "current_ampere" not in columns:
        raise ReadError("no current and no charge column", where=where, fix="Export <I>/mA too")
    return make_part(
        columns,
        charged_ah=None if passed is None else np.cumsum(np.maximum(passed, 0)),
        discharged_ah=None if passed is None else np.cumsum(np.maximum(-passed, 0)),
    )
