"""The table of cells: read from CSV and Parquet alike, and clear about what is wrong with it."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fadecast.cell.cellsfile import read_patterns, read_specs
from fadecast.cell.record import CellSpec
from fadecast.errors import CheckError, DataError, ReadError

HEADER = "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_csv_and_parquet_are_read_alike(tmp_path: Path) -> None:
    text = write(
        tmp_path / "cells.csv", f"{HEADER},cathode,applied_pressure_pa,pressure_limit_pa,files",
        "007,5,2.5,4.2,nmc,5e6,2e7,007_*.csv; other.csv", "x-1,0.002,2,3.7,,,,",
    )  # fmt: skip
    table = pa.table(
        {
            "cell_id": pa.array(["007", "x-1"]).dictionary_encode(),
            "nominal_capacity_ah": pa.array([5, 0.002], pa.float32()).cast(pa.float64()),
            "voltage_min_v": [2.5, 2],
            "voltage_max_v": [4.2, 3.7],
            "cathode": ["nmc", None],
            "applied_pressure_pa": [5_000_000, None],
            "pressure_limit_pa": [20_000_000, None],
            "files": ["007_*.csv; other.csv", None],
        }
    )
    pq.write_table(table, tmp_path / "cells.parquet")
    for path in (text, tmp_path / "cells.parquet"):
        specs = read_specs(path)
        assert specs["007"] == CellSpec(
            "007", 5, 2.5, 4.2, cathode="nmc", applied_pressure_pa=5e6, pressure_limit_pa=2e7
        )
        assert specs["x-1"].nominal_capacity_ah == pytest.approx(0.002)
        assert specs["x-1"].applied_pressure_pa is None
        assert specs["x-1"].pressure_limit_pa is None
        assert read_patterns(path) == {"007": ("007_*.csv", "other.csv")}


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["cell_id,nominal_capacity_ah", "a,2"], "voltage_min_v"),
        ([f"{HEADER},anode,anode", "a,2,3,4,lithium,silicon"], "occurs twice"),
        ([f"{HEADER},Anode", "a,2,3,4,lithium"], "misspelt columns ['Anode']"),
        ([f"{HEADER},aplied_pressure_pa", "a,2,3,4,5e6"], "aplied_pressure_pa"),
        ([HEADER, "a,2,3,4", "a,2,3,4"], "twice"),
        ([HEADER, "a,,3,4"], "nominal_capacity_ah"),
        ([HEADER, "a,nan,3,4"], "nominal_capacity_ah missing"),
        ([HEADER, "a,two,3,4"], "two"),
        ([HEADER, "a b,2,3,4"], "plain name"),
        ([HEADER, "a,2000000,3,4"], "not mAh"),
        ([HEADER, "a,2,3"], "Expected 4 columns"),
        ([], "cells.csv"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, lines: list[str], word: str) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_specs(path)
    assert word in str(caught.value)
    assert isinstance(caught.value, ReadError | CheckError)


def test_other_columns_are_not_used_and_nan_is_as_good_as_empty(tmp_path: Path) -> None:
    """As another laboratory or a table of pandas has it, its index included."""
    table = {
        "cell_id": ["a"], "nominal_capacity_ah": [2.0], "voltage_min_v": [2.5],
        "voltage_max_v": [4.2], "applied_pressure_pa": [math.nan], "colour": ["red"],
        "cycle_life": [900], "__index_level_0__": [3],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "cells.parquet")
    assert read_specs(tmp_path / "cells.parquet") == {"a": CellSpec("a", 2.0, 2.5, 4.2)}


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file"):
        read_specs(tmp_path / "nothing.csv")


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("cell_id,nominal_capacity_ah\na,2", encoding="utf-16")
    with pytest.raises(ReadError, match="UTF-8"):
        read_specs(path)
