"""BioLogic files, made up byte by byte: read, or refused with a way out."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.errors import ReadError
from fadecast.sources.readers import read_file
from tests.sources.made_up import GOOD, N, assert_good, part_of

GCPL = np.dtype(
    [("flags", "u1"), ("Ns", "<u2"), ("t", "<f8"), ("dq", "<f8"), ("q", "<f8"), ("control", "<f4"),
     ("E", "<f4"), ("range", "<u2"), ("Q", "<f8"), ("half", "<u4"), ("P", "<f4")]
)  # fmt: skip
GCPL_COLUMNS = (1, 2, 3, 21, 31, 65, 131, 4, 7, 13, 5, 6, 39, 467, 468, 70)


def module(name: str, version: int, body: bytes, *, long: bool) -> bytes:
    head = b"MODULE" + name.encode().ljust(10) + name.encode().ljust(25)
    if long:
        head += struct.pack("<IIII8s", 0xFFFFFFFF, len(body), 0, version, b"09/02/24")
    else:
        head += struct.pack("<II8s", len(body), version, b"09/02/24")
    return head + body


def mpr(version: int = 11, numbers: tuple[int, ...] = GCPL_COLUMNS) -> bytes:
    rows = np.zeros(N, GCPL)
    hours = np.diff(GOOD["test_time_second"], prepend=0) / 3600
    rows["t"], rows["E"] = GOOD["test_time_second"], GOOD["voltage_volt"]
    rows["dq"] = GOOD["current_ampere"] * hours * 1e3
    rows["half"] = 2 * GOOD["cycle_count"] + (GOOD["current_ampere"] < 0)
    head = struct.pack("<IB", N, len(numbers)) + (b"\0" if version >= 10 else b"")
    head += struct.pack(f"<{len(numbers)}H", *numbers)
    start = {2: 0x195, 3: 0x196, 11: 0x3EF}[version]
    log = bytearray(0x300)
    struct.pack_into("<d", log, 0x249, 45537.5)  # noon of 2 September 2024
    return (
        b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + b"\0" * 4
        + module("VMP Set", 10, b"\0" * 100, long=version >= 10)
        + module("VMP data", version, head.ljust(start, b"\0") + rows.tobytes(), long=version >= 10)
        + module("VMP LOG", 10, bytes(log), long=version >= 10)
    )  # fmt: skip


@pytest.mark.parametrize("version", [2, 3, 11])
def test_mpr(tmp_path: Path, version: int) -> None:
    path = tmp_path / "x.mpr"
    path.write_bytes(mpr(version))
    one = part_of(path, "biologic-mpr")
    np.testing.assert_allclose(one.columns["voltage_volt"], GOOD["voltage_volt"], atol=1e-6)
    np.testing.assert_allclose(
        one.columns["current_ampere"][1:], GOOD["current_ampere"][1:], atol=1e-9
    )
    np.testing.assert_array_equal(one.columns["cycle_count"], GOOD["cycle_count"])
    assert one.started == np.datetime64("2024-09-02T12:00:00").astype(float)


def test_mpr_with_an_unknown_column_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "x.mpr"
    path.write_bytes(mpr(numbers=(*GCPL_COLUMNS[:-1], 999)))
    with pytest.raises(ReadError, match=r"x\.mpr.*\[999\].*\.mpt"):
        read_file(path, "biologic-mpr")


def test_mpr_with_rows_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mpr"
    path.write_bytes(mpr(numbers=GCPL_COLUMNS[:-1]))
    with pytest.raises(ReadError, match="49 bytes"):
        read_file(path, "biologic-mpr")


@given(st.data())
def test_a_damaged_mpr_is_refused_or_read_but_never_breaks(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(mpr())
    cut = data.draw(st.integers(60, len(whole)))
    for at in data.draw(st.lists(st.integers(0, cut - 1), max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("mpr") / "x.mpr"
    path.write_bytes(bytes(whole[:cut]))
    with contextlib.suppress(ReadError):
        read_file(path, "biologic-mpr")


def test_mpt(tmp_path: Path) -> None:
    labels = "mode\tox/red\ttime/s\tEwe/V\t<I>/mA\tdq/mA.h\thalf cycle\tcycle number\tNs\t"
    lines = []
    for i in range(N):
        t, volt = GOOD["test_time_second"][i], GOOD["voltage_volt"][i]
        flow = 1e3 * GOOD["current_ampere"][i]
        numbers = [f"{x:.8E}".replace(".", ",") for x in (t, volt, flow, flow / 60)]
        lines.append("\t".join(["1", "0", *numbers, "0", f"{GOOD['cycle_count'][i]},0", "0"]))
    head = ["EC-Lab ASCII FILE", "Nb header lines : 6", "", "Surface : 1 cm²",
            "Acquisition started on : 09/02/2024 12:00:00.500", labels]  # fmt: skip
    path = tmp_path / "x.mpt"
    path.write_text("\r\n".join([*head, *lines]) + "\r\n", encoding="latin-1")
    one = part_of(path, "biologic-mpt")
    assert_good(one)
    assert one.started == np.datetime64("2024-09-02T12:00:00").astype(float)
    assert one.findings == ()
