"""What cannot be scored is said, with its reason; the rest goes on, and no half table appears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fadecast.cell.cycles import assign_cycles
from fadecast.errors import BundleError, ConfigError, ReadError
from fadecast.runtime import Session
from fadecast.scoring.local import score
from tests.bundles import made_up_columns, made_up_cycles, made_up_spec
from tests.scoring.cells import SERIES, SPECS, as_table, check, write, write_cells


def test_bad_cells_are_said_and_the_others_go_on(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any]
) -> None:
    n = len(SERIES["c"]["voltage_volt"])
    c = SERIES["c"]
    bad = ("not-a-number", "mv", "ms", "unsigned", "swapped", "twice")
    write_cells(cells, SPECS | {name: made_up_spec(name) for name in bad})
    parts = [
        as_table("a", SERIES["a"]),
        as_table("stranger", c),
        as_table("not-a-number", c | {"current_ampere": np.full(n, np.nan)}),
        as_table("mv", c | {"voltage_volt": c["voltage_volt"] * 1000}),
        as_table("ms", c | {"test_time_second": c["test_time_second"] * 1000}),
        as_table("swapped", SERIES["b"] | {"current_ampere": -SERIES["b"]["current_ampere"]}),
        as_table("unsigned", c | {"current_ampere": np.abs(c["current_ampere"])}),
        as_table("twice", {k: np.repeat(v, 3) for k, v in c.items()}),
        as_table("b", SERIES["b"]),
    ]
    report = score(write(tmp_path / "x.parquet", *parts), cells, session, tmp_path / "s.parquet")
    assert not report.ok
    reasons = {
        "stranger": "not in the table", "not-a-number": "none of its", "mv": "in s, V and A",
        "ms": "time in s", "unsigned": "charge positive", "swapped": "sign of the current swapped",
        "twice": "not usable",
    }  # fmt: skip
    assert set(report.problems) == set(reasons)
    for name, reason in reasons.items():
        assert reason in report.problems[name]
    table = pq.read_table(report.out)
    ids = set(table["cell_id"].to_pylist())
    assert ids == {"a", "b", "ms", "unsigned", "swapped", "twice"}
    assert report.cells == 6


def test_bad_cells_among_summaries(session: Session, tmp_path: Path, cells: Path) -> None:
    cycles = made_up_cycles(cycles=4).summaries
    assert cycles is not None
    charge = {"discharge_throughput": cycles.field("discharge_throughput")}
    none = {"discharge_throughput": np.zeros(4, np.float32)}
    parts = [
        as_table("stranger", {"cycle_count": cycles.cycle_count, **charge}),
        as_table("a", {"cycle_count": cycles.cycle_count, **charge}),
        as_table("b", {"cycle_count": np.array([1, 2, 2, 3]), **charge}),
        as_table("c", {"cycle_count": pa.array([1, None, 2, 3]), **charge}),
        as_table("007", {"cycle_count": np.arange(4), **none}),
    ]
    report = score(write(tmp_path / "x.parquet", *parts), cells, session, tmp_path / "s.parquet")
    assert set(report.problems) == {"stranger", "b", "c", "007"}
    assert "rise" in report.problems["b"]
    assert "missing" in report.problems["c"]
    assert "discharge" in report.problems["007"]
    table = pq.read_table(report.out)
    assert table["cell_id"].to_pylist() == ["a"] * 4 + ["007"] * 4
    assert table["valid"].to_pylist() == [True] * 4 + [False] * 4


def test_a_bad_file_is_said_and_the_others_go_on(
    session: Session, tmp_path: Path, cells: Path
) -> None:
    folder = tmp_path / "in"
    write(folder / "1.parquet", as_table("a", SERIES["a"]))
    whole = write(folder / "2.parquet", as_table("b", SERIES["b"]))
    whole.write_bytes(whole.read_bytes()[:-40])
    (folder / "3.parquet").write_bytes(b"")
    (folder / "4.parquet").write_bytes(b"\x80\x04K\x01.")
    write(folder / "5.parquet", as_table("c", {"voltage_volt": np.ones(3)}))
    text = {k: pa.array(v.astype(str)) for k, v in SERIES["c"].items()}
    text["voltage_volt"] = pa.array(["three"] * len(SERIES["c"]["voltage_volt"]))
    write(folder / "6.parquet", as_table("c", text))
    report = score(folder, cells, session, tmp_path / "s.parquet")
    assert sorted(Path(p).name for p in report.problems) == [f"{i}.parquet" for i in range(2, 7)]
    reason = {Path(path).name: reason for path, reason in report.problems.items()}
    assert "test_time_second, current_ampere are missing" in reason["5.parquet"]
    assert "voltage_volt does not hold numbers" in reason["6.parquet"]
    assert set(pq.read_table(report.out)["cell_id"].to_pylist()) == {"a"}


def test_damage_inside_a_file(session: Session, tmp_path: Path, cells: Path) -> None:
    path = write(tmp_path / "in" / "1.parquet", as_table("a", SERIES["a"]), compression="zstd")
    data = bytearray(path.read_bytes())
    data[200:4000] = bytes(3800)
    path.write_bytes(data)
    write(tmp_path / "in" / "2.parquet", as_table("b", SERIES["b"]))
    report = score(tmp_path / "in", cells, session, tmp_path / "s.parquet")
    assert "damaged" in report.problems[str(path)]
    assert "b" in pq.read_table(report.out)["cell_id"].to_pylist()


def test_refusals(session: Session, tmp_path: Path, cells: Path) -> None:
    out = tmp_path / "s.parquet"
    path = write(tmp_path / "in" / "x.parquet", as_table("a", SERIES["a"]))
    with pytest.raises(ReadError, match="no such"):
        score(tmp_path / "nowhere", cells, session, out)
    with pytest.raises(ConfigError, match="cell designs"):
        score(path, None, session, out)
    with pytest.raises(BundleError):
        score(path, cells, tmp_path / "in", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="no Parquet"):
        score(tmp_path / "empty", cells, session, out)
    (tmp_path / "empty" / "bad.parquet").write_text("cell_id,voltage_volt")
    with pytest.raises(ReadError, match="not a readable Parquet"):
        score(tmp_path / "empty", cells, session, out)
    summaries = as_table("b", {"cycle_count": np.arange(2), "discharge_throughput": np.ones(2)})
    other = write(tmp_path / "in" / "y.parquet", summaries)
    with pytest.raises(ReadError, match="apart"):
        score([path, other], cells, session, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".s.parquet*"))


def test_a_folder_in_place_of_the_scores(session: Session, tmp_path: Path, cells: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder.*Give a file"):
        score(tmp_path, cells, session, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [cells.name]


def test_an_input_without_rows(session: Session, tmp_path: Path, cells: Path) -> None:
    table = as_table("a", {k: v[:0] for k, v in SERIES["a"].items()})
    table = table.set_column(0, "cell_id", pa.array([], pa.string()))
    report = score(write(tmp_path / "x.parquet", table), cells, session, tmp_path / "s.parquet")
    assert "row" in report.problems["input"]
    assert len(pq.read_table(report.out)) == 0


def test_a_failure_leaves_the_older_table(
    session: Session, tmp_path: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.parquet", as_table("a", SERIES["a"]))
    out = tmp_path / "out" / "s.parquet"
    score(path, cells, session, out)
    before = out.read_bytes()

    def killed(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(path, cells, session, out, progress=killed)
    assert out.read_bytes() == before
    assert [p.name for p in out.parent.iterdir()] == ["s.parquet"]


def test_the_bundle_may_be_given_as_a_folder(
    bundle: Path, session: Session, tmp_path: Path, cells: Path
) -> None:
    path = write(tmp_path / "x.parquet", as_table("c", SERIES["c"]))
    report = score(str(path), str(cells), str(bundle), str(tmp_path / "s.parquet"))
    assert report.fingerprint == session.fingerprint


def test_rows_without_a_cell_are_passed_over(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any]
) -> None:
    lost = as_table("x", SERIES["c"]).drop_columns("cell_id")
    lost = lost.append_column("cell_id", pa.nulls(len(lost), pa.string()))
    path = write(tmp_path / "x.parquet", as_table("a", SERIES["a"]), lost)
    report = score(path, cells, session, tmp_path / "s.parquet")
    check(report, {"a": streamed["a"]})
    assert "without a cell_id" in report.problems["input"]


def test_what_is_doubtful_is_said(session: Session, tmp_path: Path, cells: Path) -> None:
    series = SERIES["b"]
    count = assign_cycles(series, SPECS["b"].nominal_capacity_ah)
    small = made_up_spec("small", nominal_capacity_ah=0.002)
    write_cells(cells, SPECS | {"small": small})
    milliampere = made_up_columns(3, nominal_capacity_ah=2.0)  # a cell of 2 mAh, its current in mA
    parts = [
        as_table("b", series | {"cycle_count": np.where(count > 4, count - 4, count)}),
        as_table("small", milliampere),
    ]
    report = score(write(tmp_path / "x.parquet", *parts), cells, session, tmp_path / "s.parquet")
    assert "cycle_count goes back" in report.problems["b"]
    assert "nominal capacities: are current in A" in report.problems["small"]


def test_counts_of_cycles_out_of_range(session: Session, tmp_path: Path, cells: Path) -> None:
    charge = {"discharge_throughput": np.ones(2, np.float32)}
    table = as_table("a", {"cycle_count": np.array([1.0, 1e300]), **charge})
    report = score(write(tmp_path / "x.parquet", table), cells, session, tmp_path / "s.parquet")
    assert "out of range" in report.problems["a"]


def test_an_only_file_that_is_bad_is_said_once(
    session: Session, tmp_path: Path, cells: Path
) -> None:
    stamps = pa.array(np.arange(3), pa.timestamp("us"))
    table = as_table("a", {"test_time_second": stamps, "voltage_volt": [3.0] * 3,
                           "current_ampere": [1.0] * 3})  # fmt: skip
    path = write(tmp_path / "x.parquet", table)
    report = score(path, cells, session, tmp_path / "s.parquet")
    assert list(report.problems) == [str(path)]
    assert "test_time_second does not hold numbers (timestamp[us])" in report.problems[str(path)]
