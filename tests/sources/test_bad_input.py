"""Bad input, item by item: each is refused or told, with a message a user can act on."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fadecast.cell.checks import check_strict
from fadecast.cell.store import Store
from fadecast.errors import CheckError, DataError, ReadError
from fadecast.sources import detect, read
from fadecast.sources.ingest import ingest
from fadecast.sources.part import Part
from fadecast.sources.readers import read_file
from tests.sources.cells import columns, spec, write_cells, write_csv, write_parquet

GOOD = columns()


def read_x(path: Path) -> list[Any]:
    return read(path, {"x": spec("x")})


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nda", "ndax", "mpr", "mpt", "xlsx", "txt"])
@pytest.mark.parametrize("content", [b"", b"\n  \n"])
def test_an_empty_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=rf"x\.{suffix}: the file is empty. Export"):
        read_x(path)


def test_a_header_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("test_time_second,voltage_volt,current_ampere\n")
    with pytest.raises(ReadError, match="no rows below the header"):
        read_x(path)


@pytest.mark.parametrize(
    "name",
    ["neware_m50t.ndax", "biologic_gcpl.mpr",
     "arbin_calce_CS2_35_9_8_10.xlsx", "legacy.bdf.parquet"],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_binary_file(
    recorded_data: Path, tmp_path: Path, name: str, share: float
) -> None:
    path = cut(recorded_data / "cycler_files" / name, tmp_path, share)
    with pytest.raises(ReadError, match=r"damaged|cut off") as caught:
        read_x(path)
    assert caught.value.where.startswith("x.")
    assert caught.value.fix


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_nda_is_read_as_far_as_it_goes_and_says_so(
    recorded_data: Path, tmp_path: Path, share: float
) -> None:
    """Its rows are whole by themselves; only the closing summary is gone."""
    name = "neware_issue72.nda"
    source = recorded_data / "cycler_files" / name
    (full,) = read_file(source, "neware")
    (part,) = read_file(cut(source, tmp_path, share), "neware")
    assert isinstance(full, Part)
    assert isinstance(part, Part)
    assert 0 < len(part) < len(full)
    volt = "voltage_volt"
    np.testing.assert_array_equal(part.columns[volt], full.columns[volt][: len(part)])
    assert [finding.code for finding in part.findings] == ["cut_off"]
    assert "copy the file again" in part.findings[0].fix


def cut(source: Path, folder: Path, share: float) -> Path:
    whole = source.read_bytes()
    path = folder / f"x{source.suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def test_a_truncated_text_file_loses_its_last_row_and_says_so(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", GOOD)
    whole = (tmp_path / "x.csv").read_bytes()
    (tmp_path / "x.csv").write_bytes(whole[:-10])
    report = ingest(
        [tmp_path / "x.csv"], tmp_path / "store", cells=write_cells(tmp_path / "c", "x")
    )
    (row,) = report.rows
    assert row.status == "read"
    assert row.samples == len(GOOD["voltage_volt"]) - 1
    assert any("cut_off" in finding for finding in row.findings)


def test_a_row_broken_in_the_middle_is_shown(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", GOOD)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    lines[50] = lines[50][:10]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(ReadError, match=r"fields, expected 6.*Mend or remove that row"):
        read_x(tmp_path / "x.csv")


def test_text_among_the_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", GOOD)
    text = (tmp_path / "x.csv").read_text().replace("4.1,", "overload,", 1)
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ReadError, match=r"overload.*Mend or remove that row"):
        read_x(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["test_time_second", "voltage_volt", "current_ampere"])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_missing_column_is_named(tmp_path: Path, name: str, write: Any) -> None:
    path = tmp_path / ("x.csv" if write is write_csv else "x.parquet")
    write(path, {k: v for k, v in GOOD.items() if k != name})
    with pytest.raises(ReadError, match=rf"x\.\w+: no column for {name}.*the file has .*cycle"):
        read_x(path)


WRONG = {
    "mA": ({"current_ampere": 1e3 * GOOD["current_ampere"]}, "current looks like mA"),
    "ms": ({"test_time_second": 1e3 * GOOD["test_time_second"]}, "time looks like ms"),
    "mV": ({"voltage_volt": 1e3 * GOOD["voltage_volt"]}, "voltage looks like mV"),
    "sign": ({"current_ampere": -GOOD["current_ampere"]}, "change the sign of the current"),
    "back": ({"test_time_second": GOOD["test_time_second"][::-1]}, "time goes back"),
    "nan": (
        {"voltage_volt": np.where(np.arange(776) % 2, GOOD["voltage_volt"], np.nan)}, "NaN",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_data_are_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    changes, words = WRONG[kind]
    write_csv(tmp_path / "x.csv", GOOD | changes)
    (one,) = read_x(tmp_path / "x.csv")
    with pytest.raises(CheckError, match=words):
        check_strict(one)
    cells = write_cells(tmp_path / "cells.csv", "x")
    report = ingest([tmp_path / "x.csv"], tmp_path / "store", cells=cells)
    (row,) = report.rows
    assert (row.status, report.exit_code) == ("quarantined", 1)
    assert any(words in finding for finding in row.findings)
    assert Store(tmp_path / "store").cell_ids() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"test_time_second": np.maximum(GOOD["test_time_second"], 60.0)}, "time_duplicate"),
        ({"voltage_volt": np.where(np.arange(776) == 9, np.nan, GOOD["voltage_volt"])},
         "not_finite"),
    ],
    ids=["duplicate time", "a NaN"],
)  # fmt: skip
def test_usable_data_are_taken_with_a_warning(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    write_csv(tmp_path / "x.csv", GOOD | changes)
    cells = write_cells(tmp_path / "cells.csv", "x")
    (row,) = ingest([tmp_path / "x.csv"], tmp_path / "store", cells=cells).rows
    assert row.status == "read"
    assert any(f"warning {code}" in finding for finding in row.findings)


def test_a_cell_with_one_cycle(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", columns(1))
    cells = write_cells(tmp_path / "cells.csv", "x")
    (row,) = ingest([tmp_path / "x.csv"], tmp_path / "store", cells=cells).rows
    assert (row.status, row.cycles) == ("read", 1)
    assert any("single_cycle" in finding for finding in row.findings)


class _Bomb:
    """Runs a command when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize(
    "suffix", ["pkl", "parquet", "csv", "nda", "ndax", "mpr", "mpt", "xlsx", "txt"]
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_hostile_pickle_is_never_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(pickle.dumps(_Bomb(), protocol))
    with pytest.raises(ReadError) as caught:
        read_x(path)
    if protocol or suffix == "pkl":
        assert "pickle" in str(caught.value)
        assert "never loaded" in str(caught.value)
    assert caught.value.fix
    assert not (tmp_path / "exploded").exists()


def test_noise_is_refused_by_every_suffix(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for suffix in ("parquet", "csv", "nda", "ndax", "mpr", "mpt", "xlsx", "txt", "dat"):
        for magic in (b"", b"PAR1", b"NEWARE", b"PK\x03\x04", b"BIO-LOGIC MODULAR FILE"):
            path = tmp_path / f"x.{suffix}"
            path.write_bytes(magic + rng.bytes(5000))
            with pytest.raises(DataError) as caught:
                read_x(path)
            assert caught.value.fix


def test_an_unknown_format_lists_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Dear diary")
    with pytest.raises(ReadError, match=r"not recognised.*Neware.*Maccor.*Battery Data Format"):
        detect(tmp_path / "x.txt")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file"):
        detect(tmp_path / "nothing.csv")
