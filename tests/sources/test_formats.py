"""Formats on made-up files: labels, units, signs, dates and decimal commas of every kind."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.columns import COLUMNS
from fadecast.errors import ReadError
from fadecast.sources import READERS, bdf, detect, read
from fadecast.sources.part import Part
from fadecast.sources.readers import read_file
from fadecast.sources.units import UNITS, to_column
from tests.sources.cells import columns, spec, write_csv, write_parquet

GOOD = columns(3)
N = len(GOOD["voltage_volt"])


def part_of(path: Path, reader: str) -> Part:
    assert detect(path) == reader
    (one,) = read_file(path, reader)
    assert isinstance(one, Part)
    return one


def assert_good(one: Part, tolerance: float = 1e-6) -> None:
    for name in ("test_time_second", "voltage_volt", "current_ampere"):
        np.testing.assert_allclose(one.columns[name], GOOD[name], atol=tolerance, err_msg=name)


# ── units ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "unit", "column", "expected"),
    [
        (1500.0, "ms", "test_time_second", 1.5),
        (2.0, "h", "test_time_second", 7200.0),
        (3700.0, "mV", "voltage_volt", 3.7),
        (-250.0, "mA", "current_ampere", -0.25),
        (298.15, "K", "surface_temperature_celsius", 25.0),
        (725.188689, "psi", "surface_pressure_pa", 5e6),  # 5 MPa
        (50.0, "bar", "surface_pressure_pa", 5e6),
        (120.0, "µε", "hoop_strain_dimensionless", 1.2e-4),
    ],
)
def test_units_become_the_columns_own(
    value: float, unit: str, column: str, expected: float
) -> None:
    assert to_column(np.array([value]), unit, column)[0] == pytest.approx(expected, rel=1e-6)


def test_a_unit_of_another_quantity_is_refused() -> None:
    with pytest.raises(ReadError, match="'mV' is not one of"):
        to_column(np.array([1.0]), "mV", "current_ampere")


def test_every_column_has_its_own_unit() -> None:
    for column in COLUMNS.values():
        assert UNITS[column.unit][column.unit] == (1, 0)


# ── Battery Data Format ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("voltage_volt", ("voltage_volt", "V")),
        ("Voltage / V", ("voltage_volt", "V")),
        ("Voltage / mV", ("voltage_volt", "mV")),
        ("voltage_v", ("voltage_volt", "V")),
        ("current_a", ("current_ampere", "A")),
        ("test_time_s", ("test_time_second", "s")),
        ("Test Time / h", ("test_time_second", "h")),
        ("test_time_millisecond", ("test_time_second", "ms")),
        ("unix_time_millisecond", ("unix_time_second", "ms")),
        ("date_time_millisecond", ("unix_time_second", "ms")),
        ("cycle_dimensionless", ("cycle_count", "1")),
        ("cycle_count", ("cycle_count", "1")),
        ("Cycle Count / 1", ("cycle_count", "1")),
        ("step_count", ("step_count", "1")),
        ("Ambient Temperature / degC", ("ambient_temperature_celsius", "°C")),
        ("temperature_t1_celsius", ("surface_temperature_celsius", "°C")),
        ("Surface Pressure / Pa", ("surface_pressure_pa", "Pa")),
        ("applied_pressure_pa", ("applied_pressure_pa", "Pa")),
        ("Cycle Discharging Capacity / Ah", ("discharge", "Ah")),
        ("step_charge_capacity_ah", ("charge", "Ah")),
        ("ambient_pressure_pa", None),
        ("step_index", None),
        ("Voltage / A", None),
        ("Voltage", None),
        ("", None),
    ],
)
def test_labels(label: str, expected: tuple[str, str] | None) -> None:
    assert bdf.parse_label(label) == expected


def test_every_column_is_understood_under_its_own_name() -> None:
    for name in COLUMNS:
        parsed = bdf.parse_label(name)
        assert parsed is not None
        assert parsed[0] == name


@pytest.mark.slow
def test_the_released_library_agrees_on_required_labels() -> None:
    specification = pytest.importorskip("bdf.normalize.spec")
    for label in specification.required_labels():
        assert bdf.parse_label(label) is not None, label
    for name in ("test_time_second", "voltage_volt", "current_ampere", "unix_time_second"):
        assert name in specification.COLUMNS


LEGACY = {
    "Test Time / ms": 1e3 * GOOD["test_time_second"],
    "Voltage / mV": 1e3 * GOOD["voltage_volt"],
    "Current / mA": 1e3 * GOOD["current_ampere"],
    "Cycle Count / 1": GOOD["cycle_count"],
    "Surface Pressure / MPa": GOOD["surface_pressure_pa"] / 1e6,
}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize("table", [GOOD, LEGACY], ids=["names", "labels"])
def test_bdf(tmp_path: Path, write: Any, table: dict[str, Any]) -> None:
    path = tmp_path / ("x.bdf.csv" if write is write_csv else "x.bdf.parquet")
    write(path, table)
    one = part_of(path, "bdf")
    assert_good(one)
    np.testing.assert_allclose(one.columns["surface_pressure_pa"], GOOD["surface_pressure_pa"])
    np.testing.assert_array_equal(one.columns["cycle_count"], GOOD["cycle_count"])


def test_bdf_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    rows = zip(GOOD["test_time_second"], GOOD["voltage_volt"], GOOD["current_ampere"], strict=True)
    text = "\n".join(";".join(f"{x:.6f}".replace(".", ",") for x in row) for row in rows)
    path = tmp_path / "x.csv"
    path.write_text(f"Test Time / s;Voltage / V;Current / A\n{text}\n", encoding="utf-8-sig")
    assert_good(part_of(path, "bdf"))


def test_bdf_of_many_cells(tmp_path: Path) -> None:
    names = np.where(np.arange(N) % 2, "b", "a")
    write_parquet(tmp_path / "fleet.parquet", {"cell_id": names, **GOOD})
    records = read(tmp_path / "fleet.parquet", {c: spec(c) for c in "ab"})
    assert [one.spec.cell_id for one in records] == ["a", "b"]
    assert records[1].samples is not None
    np.testing.assert_allclose(records[1].samples["voltage_volt"], GOOD["voltage_volt"][1::2])


def test_bdf_with_missing_values_and_unknown_columns(tmp_path: Path) -> None:
    pressure = [None, *GOOD["surface_pressure_pa"][1:].tolist()]
    cycles = [*GOOD["cycle_count"][:-1].tolist(), None]
    table = GOOD | {"surface_pressure_pa": pa.array(pressure), "cycle_count": pa.array(cycles)}
    write_parquet(tmp_path / "x.parquet", table | {"colour": ["red"] * N})
    one = part_of(tmp_path / "x.parquet", "bdf")
    assert np.isnan(one.columns["surface_pressure_pa"][0])
    assert one.columns["cycle_count"][-1] == GOOD["cycle_count"][-1]
    assert [f.code for f in one.findings] == ["ignored_columns"]
    assert "colour" in one.findings[0].where


@given(st.text(max_size=40))
def test_any_label_is_parsed_or_not_but_never_breaks(label: str) -> None:
    bdf.parse_label(label)


def test_counters_that_disagree_are_told(tmp_path: Path) -> None:
    hours = np.diff(GOOD["test_time_second"], prepend=0) / 3600
    counted = np.cumsum(np.maximum(GOOD["current_ampere"], 0) * hours)
    for factor, severity in ((1.0, None), (1.2, "warning"), (1e3, "error")):
        write_csv(tmp_path / "x.csv", GOOD | {"charging_capacity_ah": factor * counted})
        found = [f.severity for f in part_of(tmp_path / "x.csv", "bdf").findings]
        assert found == ([severity] if severity else [])


# ── Maccor ───────────────────────────────────────────────────────────────────────────────────────


def maccor(times: list[str], dates: list[str], *, comma: bool = False, new: bool = True) -> str:
    modes = np.where(GOOD["current_ampere"] > 0, "C", "R")
    modes = np.where(GOOD["current_ampere"] < 0, "D", modes)
    labels = ("Rec\tCycle P\tCycle C\tStep\tTestTime\tStepTime\tCap. [Ah]\tEner. [Wh]\t"
              "Current [A]\tVoltage [V]\tMd\tES\tDPT Time")  # fmt: skip
    scale = 1.0
    if not new:
        labels = ("Rec#\tCyc#\tStep\tTestTime\tStepTime\tmAmp-hr\tmWatt-hr\tmAmps\tVolts\tState\t"
                  "ES\tDPt Time")  # fmt: skip
        scale = 1e3
    lines = []
    for i in range(N):
        volt, flow = GOOD["voltage_volt"][i], scale * abs(GOOD["current_ampere"][i])
        numbers = [f"{x:.7f}" for x in (0.0, 0.0, flow, volt)]
        head = [str(i + 1), *(["0"] if new else []), str(GOOD["cycle_count"][i]), "1"]
        lines.append("\t".join([*head, times[i], "0", *numbers, modes[i], "1", dates[i]]))
    text = f"Name:\tmade-up\nStarted\tsome day\n\n{labels}\n\n" + "\n".join(lines) + "\n"
    return text.replace(".", ",") if comma else text


def dates(form: str) -> list[str]:
    start = np.datetime64("2021-05-06T11:00:00")
    stamps = start + GOOD["test_time_second"].astype("timedelta64[s]")
    return [stamp.item().strftime(form) for stamp in stamps]


DAYS = [
    f"  {int(t // 86400)}d {int(t // 3600 % 24):02d}:{int(t // 60 % 60):02d}:{t % 60:05.2f}"
    for t in GOOD["test_time_second"]
]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (maccor([f"{t / 60:.6f}" for t in GOOD["test_time_second"]],
                dates("%d/%m/%Y %H:%M:%S"), comma=True), "2021-05-06"),
        (maccor([f"{t / 60:.6f}" for t in GOOD["test_time_second"]],
                dates("%m/%d/%Y %I:%M:%S %p")), "2021-05-06"),
        (maccor([f"{t:.6f}" for t in GOOD["test_time_second"]],
                dates("%m/%d/%Y %H:%M:%S")), "2021-05-06"),
        (maccor([f"{t / 3600:.8f}" for t in GOOD["test_time_second"]],
                dates("%m/%d/%Y %H:%M:%S")), "2021-05-06"),
        (maccor(DAYS, dates("%m/%d/%Y %I:%M:%S %p"), new=False), "2021-05-06"),
    ],
    ids=["minutes, commas, day first", "minutes, am/pm", "seconds", "hours", "days, mA"],
)  # fmt: skip
def test_maccor(tmp_path: Path, text: str, first: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text(text, encoding="latin-1")
    one = part_of(path, "maccor")
    assert_good(one, tolerance=1e-2)
    assert np.datetime64(int(one.started or 0), "s").astype("datetime64[D]") == np.datetime64(first)
    assert one.columns["cycle_count"][-1] == 3


def test_maccor_current_of_an_unknown_mode_is_missing_not_guessed(tmp_path: Path) -> None:
    text = maccor([f"{t:.6f}" for t in GOOD["test_time_second"]], dates("%m/%d/%Y %H:%M:%S"))
    path = tmp_path / "x.txt"
    path.write_text(text.replace("\tC\t1\t", "\tQ\t1\t"))
    ampere = part_of(path, "maccor").columns["current_ampere"]
    assert np.isnan(ampere[GOOD["current_ampere"] > 0]).all()
    assert (ampere[GOOD["current_ampere"] == 0] == 0).all()


def test_maccor_time_of_unknown_unit_is_refused(tmp_path: Path) -> None:
    text = maccor([f"{t / 7:.6f}" for t in GOOD["test_time_second"]], dates("%m/%d/%Y %H:%M:%S"))
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(ReadError, match="unit of TestTime is not known"):
        read_file(path, "maccor")


# ── LANDT ────────────────────────────────────────────────────────────────────────────────────────


def test_landt_pressure_is_converted_from_psi(tmp_path: Path) -> None:
    lines = ["cell model:,,,", "test_time_s,current_A,voltage_V,date_time_iso_string,"
             "cycle_index,step_index,Pressure_Psi,temperature_1_C,step_name"]  # fmt: skip
    for i, when in enumerate(dates("%m/%d/%Y %H:%M:%S")):
        psi = GOOD["surface_pressure_pa"][i] / 6894.757293
        lines.append(
            f"{GOOD['test_time_second'][i]},{GOOD['current_ampere'][i]},{GOOD['voltage_volt'][i]},"
            f"{when},{GOOD['cycle_count'][i]},1,{psi:.6f},25.0,rest,"
        )
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    one = part_of(path, "landt")
    assert_good(one)
    np.testing.assert_allclose(
        one.columns["surface_pressure_pa"], GOOD["surface_pressure_pa"], rtol=1e-6
    )
    assert (one.columns["surface_temperature_celsius"] == 25).all()
    assert one.findings == ()


# ── BioLogic ─────────────────────────────────────────────────────────────────────────────────────

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


# ── Arbin ────────────────────────────────────────────────────────────────────────────────────────


def test_arbin_sheets_are_joined(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("fastexcel")
    book = openpyxl.Workbook()
    book.active.title = "Info"
    for number, rows in enumerate((range(200), range(200, N))):
        sheet = book.create_sheet(f"Channel_1-008_{number}")
        sheet.append(["Data_Point", "Test_Time (s)", "Date_Time", "Step_Index", "Cycle_Index",
                      "Current (A)", "Voltage (V)"])  # fmt: skip
        for i in rows:
            when = np.datetime64("2021-05-06T11:00:00") + np.timedelta64(
                int(GOOD["test_time_second"][i]), "s"
            )
            sheet.append([i, float(GOOD["test_time_second"][i]), when.item(), 1 + i // 100,
                          int(GOOD["cycle_count"][i]), float(GOOD["current_ampere"][i]),
                          float(GOOD["voltage_volt"][i])])  # fmt: skip
    book.create_sheet("Statistics_1").append(["Test_Time (s)", "Current (A)", "Voltage (V)"])
    book.save(tmp_path / "x.xlsx")
    one = part_of(tmp_path / "x.xlsx", "arbin")
    assert_good(one)
    assert one.columns["step_count"][-1] == 1 + (N - 1) // 100
    assert one.started == np.datetime64("2021-05-06T11:00:00").astype(float)


# ── the table of readers ─────────────────────────────────────────────────────────────────────────


def test_every_reader_is_described() -> None:
    for name, reader in READERS.items():
        assert reader.what, name
        assert all(suffix.startswith(".") for suffix in reader.suffixes)
