"""Maccor, LANDT and Arbin on made-up files: units, signs, dates and decimal commas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fadecast.errors import ReadError
from fadecast.sources import READERS
from fadecast.sources.readers import read_file
from tests.sources.made_up import GOOD, N, assert_good, dates, part_of


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


def test_every_reader_is_described() -> None:
    for name, reader in READERS.items():
        assert reader.what, name
        assert all(suffix.startswith(".") for suffix in reader.suffixes)
