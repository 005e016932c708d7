"""Scoring equals streaming, for any layout of the input, and says what it left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS
from fadecast.errors import BundleError, ConfigError, ReadError
from fadecast.forecast.forecast import SCORE_COLUMNS
from fadecast.runtime import Session
from fadecast.scoring import local, tables
from fadecast.scoring.local import ScoreReport, score
from tests.bundles import made_up_columns, made_up_cycles, made_up_spec

CYCLES = {"a": 3, "b": 6, "c": 1, "007": 4}
SPECS = {name: made_up_spec(name, nominal_capacity_ah=1.0 + len(name)) for name in CYCLES}
SERIES = {
    name: made_up_columns(n, nominal_capacity_ah=SPECS[name].nominal_capacity_ah, seed=n)
    for name, n in CYCLES.items()
}


def write_cells(path: Path, specs: Mapping[str, CellSpec] = SPECS) -> Path:
    names = ("cell_id", "nominal_capacity_ah", "voltage_min_v", "voltage_max_v")
    rows = [",".join(names)]
    rows += [",".join(str(getattr(spec, name)) for name in names) for spec in specs.values()]
    path.write_text("\n".join(rows))
    return path


def as_table(cell_id: str, columns: Mapping[str, Any]) -> pa.Table:
    n = len(next(iter(columns.values())))
    return pa.table({"cell_id": pa.array([cell_id] * n), **columns})


def write(path: Path, *parts: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.concat_tables(parts, promote_options="default"), path, **options)
    return path


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cells.csv")


@pytest.fixture(scope="module")
def streamed(session: Session) -> dict[str, dict[str, np.ndarray]]:
    """What a stream of each cell says, as columns."""
    out = {}
    for name, columns in SERIES.items():
        stream = session.stream(SPECS[name])
        parts = [f.columns() for f in stream.push(columns) + stream.close()]
        out[name] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return out


def check(report: ScoreReport, streamed: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    table = pq.read_table(report.out)
    ids = np.array(table["cell_id"].to_pylist())
    assert set(ids) == set(streamed)
    assert len(ids) == report.cycles == sum(len(c["cycle_count"]) for c in streamed.values())
    for name, columns in streamed.items():
        for key, expected in columns.items():
            found = table[key].to_numpy(zero_copy_only=False)[ids == name]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.fixture(params=[5, 1 << 14], ids=["often", "once"])
def _enough(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecast after a few closed cycles, or all together: the same."""
    monkeypatch.setattr(local, "ENOUGH", request.param)


@pytest.mark.usefixtures("_enough")
@pytest.mark.parametrize("rows", [97, 1 << 19])
@pytest.mark.parametrize("layout", ["one after the other", "interleaved", "many files"])
def test_scoring_equals_streaming(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch, rows: int, layout: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(tables, "SAMPLE_ROWS", rows)
    parts = [as_table(name, columns) for name, columns in SERIES.items()]
    if layout == "interleaved":
        whole = pa.concat_tables(parts).sort_by("test_time_second")
        write(tmp_path / "in" / "x.parquet", whole, row_group_size=150)
    elif layout == "many files":
        for number in range(4):  # each cell in every file
            cuts = [(number * len(p) // 4, (number + 1) * len(p) // 4) for p in parts]
            pieces = [p.slice(a, b - a) for p, (a, b) in zip(parts, cuts, strict=True)]
            write(tmp_path / "in" / f"day-{number}.parquet", *pieces)
    else:
        write(tmp_path / "in" / "x.parquet", *parts)
    report = score(tmp_path / "in", cells, session, tmp_path / "scores.parquet")
    assert report.problems == {}
    assert report.ok
    assert report.cells == 4
    assert report.rows == sum(len(c["voltage_volt"]) for c in SERIES.values())
    assert report.dropped == 0
    check(report, streamed)


def test_a_store_of_samples_and_of_cycles(
    session: Session, tmp_path: Path, streamed: dict[str, Any]
) -> None:
    store = Store(tmp_path / "store", create=True)
    for name, columns in SERIES.items():
        record = CellRecord(CellMetadata(SPECS[name], source="made-up"), columns)
        if name == "b":
            record = CellRecord(record.metadata, summaries=local_summaries(session, name))
        store.write(record)
    seen: list[tuple[int, int]] = []
    report = score(
        store.path, None, session, tmp_path / "s.parquet", progress=lambda *x: seen.append(x)
    )
    assert report.ok
    check(report, streamed)
    assert seen[-1] == (4, 4)


def local_summaries(session: Session, name: str) -> Any:
    from fadecast.runtime.summarise import summarise_samples

    return summarise_samples(session, SERIES[name], SPECS[name])


@pytest.mark.usefixtures("_enough")
@pytest.mark.parametrize("rows", [3, 1 << 14])
@pytest.mark.parametrize("interleaved", [False, True])
def test_cycle_summaries_as_a_table(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch, rows: int, interleaved: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(tables, "SUMMARY_ROWS", rows)
    parts = []
    for name in SERIES:
        s = local_summaries(session, name)
        fields = {
            field: pa.array(s.field(field), from_pandas=True)
            for field in FIELDS
            if np.isfinite(s.field(field)).any()
        }
        parts.append(as_table(name, {"cycle_count": s.cycle_count, **fields}))
    whole = pa.concat_tables(parts, promote_options="default")
    if interleaved:
        whole = whole.sort_by("cycle_count")
    path = write(tmp_path / "summaries.parquet", whole)
    report = score(path, cells, session, tmp_path / "scores.parquet")
    assert report.problems == {}
    check(report, streamed)


def test_the_table_says_what_it_holds(session: Session, tmp_path: Path, cells: Path) -> None:
    path = write(tmp_path / "x.parquet", as_table("a", SERIES["a"]))
    report = score(path, cells, session, tmp_path / "new" / "scores.parquet")
    schema = pq.read_schema(report.out)
    assert schema.names == ["cell_id", "cycle_count", *SCORE_COLUMNS]
    assert schema.metadata[b"fadecast.bundle"].decode() == session.fingerprint
    assert json.loads(schema.metadata[b"fadecast.units"])["rul_p50"] == "cycles"
    assert json.loads(schema.metadata[b"fadecast.end_of_life"])["fraction"] == 0.8
    assert schema.field("rul_p50").metadata[b"unit"] == b"cycles"
    assert {schema.field(n).type for n in SCORE_COLUMNS if n != "valid"} == {pa.float32()}
    assert schema.field("valid").type == pa.bool_()
    assert schema.field("cycle_count").type == pa.int64()
    assert [p.name for p in report.out.parent.iterdir()] == ["scores.parquet"]


def test_missing_null_and_extra_channels(
    session: Session, tmp_path: Path, cells: Path
) -> None:
    columns = {k: v for k, v in SERIES["a"].items() if k != "surface_pressure_pa"}
    n = len(columns["voltage_volt"])
    bare = {k: v for k, v in columns.items() if k != "surface_temperature_celsius"}
    table = as_table("a", bare | {
        "surface_temperature_celsius": pa.nulls(n),
        "cycle_count": pa.nulls(n, pa.int32()),
        "step_count": np.arange(n),
        "Operator's note": ["fine"] * n,
    })  # fmt: skip
    report = score(write(tmp_path / "x.parquet", table), cells, session, tmp_path / "s.parquet")
    assert report.ok
    assert report.ignored == ("Operator's note", "step_count")
    stream = session.stream(SPECS["a"])
    expected = np.concatenate([f.rul for f in stream.push(bare) + stream.close()])
    found = pq.read_table(report.out).to_pandas()[[c for c in SCORE_COLUMNS if "rul" in c]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_other_number_and_text_types(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any]
) -> None:
    table = as_table("b", SERIES["b"])
    types = {"cell_id": pa.dictionary(pa.int8(), pa.large_string()), "test_time_second": pa.int32()}
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    report = score(write(tmp_path / "x.parquet", table), cells, session, tmp_path / "s.parquet")
    assert report.ok
    check(report, {"b": streamed["b"]})


def test_bad_cells_are_said_and_the_others_go_on(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any]
) -> None:
    n = len(SERIES["c"]["voltage_volt"])
    c = SERIES["c"]
    bad = ("not-a-number", "mv", "unsigned", "twice")
    write_cells(cells, SPECS | {name: made_up_spec(name) for name in bad})
    parts = [
        as_table("a", SERIES["a"]),
        as_table("stranger", c),
        as_table("not-a-number", c | {"current_ampere": np.full(n, np.nan)}),
        as_table("mv", c | {"voltage_volt": c["voltage_volt"] * 1000}),
        as_table("unsigned", c | {"current_ampere": np.abs(c["current_ampere"])}),
        as_table("twice", {k: np.repeat(v, 3) for k, v in c.items()}),
        as_table("b", SERIES["b"]),
    ]
    report = score(write(tmp_path / "x.parquet", *parts), cells, session, tmp_path / "s.parquet")
    assert not report.ok
    reasons = {
        "stranger": "not in the table", "not-a-number": "none of its", "mv": "in s, V and A",
        "unsigned": "charge positive", "twice": "not usable",
    }  # fmt: skip
    assert set(report.problems) == set(reasons)
    for name, reason in reasons.items():
        assert reason in report.problems[name]
    table = pq.read_table(report.out)
    ids = set(table["cell_id"].to_pylist())
    assert ids == {"a", "b", "unsigned", "twice"}
    assert report.cells == 4


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
