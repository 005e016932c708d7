"""Scoring equals streaming, for any layout of the input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fadecast.cell.cycles import assign_cycles
from fadecast.cell.record import CellMetadata, CellRecord
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, CycleSummaries
from fadecast.errors import ReadError
from fadecast.forecast.forecast import SCORE_COLUMNS, score_columns
from fadecast.runtime import Session
from fadecast.runtime.summarise import summarise_samples
from fadecast.scoring import scorer, tables
from fadecast.scoring.local import score
from tests.bundles import TAUGHT
from tests.scoring.cells import SERIES, SPECS, as_table, check, write


@pytest.fixture(params=[5, 1 << 14], ids=["often", "once"])
def _enough(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecast after a few closed cycles, or all together: the same."""
    monkeypatch.setattr(scorer, "ENOUGH", request.param)


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
            record = CellRecord(record.metadata, summaries=summaries_of(session, name))
        store.write(record)
    seen: list[tuple[int, int]] = []
    report = score(
        store.path, None, session, tmp_path / "s.parquet", progress=lambda *x: seen.append(x)
    )
    assert report.ok
    check(report, streamed)
    assert seen[-1] == (4, 4)


def summaries_of(session: Session, name: str) -> CycleSummaries:
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
        s = summaries_of(session, name)
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
    columns = score_columns(TAUGHT)
    assert list(columns)[-4:] == [
        "virtual_anode_contact", "virtual_anode_contact_std", "virtual_penetration",
        "virtual_penetration_std",
    ]  # fmt: skip
    assert schema.names == ["cell_id", "cycle_count", *columns]
    assert schema.metadata[b"fadecast.bundle"].decode() == session.fingerprint
    assert json.loads(schema.metadata[b"fadecast.units"])["rul_p50"] == "cycles"
    assert json.loads(schema.metadata[b"fadecast.end_of_life"])["fraction"] == 0.8
    assert schema.field("rul_p50").metadata[b"unit"] == b"cycles"
    assert {schema.field(n).type for n in columns if n != "valid"} == {pa.float32()}
    assert schema.field("valid").type == pa.bool_()
    assert schema.field("cycle_count").type == pa.int64()
    assert [p.name for p in report.out.parent.iterdir()] == ["scores.parquet"]


def test_missing_null_and_extra_channels(session: Session, tmp_path: Path, cells: Path) -> None:
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


def test_a_cell_over_many_numbered_files(
    session: Session, tmp_path: Path, cells: Path, streamed: dict[str, Any]
) -> None:
    """part-10 comes after part-9, and a folder that ends in .parquet is no file."""
    folder = tmp_path / "in" / "cells.parquet"
    folder.mkdir(parents=True)
    for part, rows in enumerate(np.array_split(np.arange(len(SERIES["b"]["voltage_volt"])), 12)):
        columns = {name: values[rows] for name, values in SERIES["b"].items()}
        write(folder / f"part-{part}.parquet", as_table("b", columns))
    report = score(folder.parent, cells, session, tmp_path / "s.parquet")
    assert report.problems == {}
    check(report, {"b": streamed["b"]})


def test_a_recorded_count_may_be_null_for_whole_batches(
    session: Session, tmp_path: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a log that writes the count only where it changes: it goes on until the next one."""
    count = assign_cycles(SERIES["b"], SPECS["b"].nominal_capacity_ah)
    sparse = np.where(np.diff(count, prepend=-1) > 0, count.astype(float), np.nan)
    columns = SERIES["b"] | {"cycle_count": pa.array(sparse, from_pandas=True)}
    path = write(tmp_path / "x.parquet", as_table("b", columns))
    whole = pq.read_table(score(path, cells, session, tmp_path / "whole.parquet").out)
    monkeypatch.setattr("fadecast.scoring.tables.SAMPLE_ROWS", 7)
    report = score(path, cells, session, tmp_path / "s.parquet")
    assert report.problems == {}
    for name in ("cycle_count", "rul_p50", "soh"):
        np.testing.assert_allclose(pq.read_table(report.out)[name], whole[name], 1e-5, 1e-5)


def test_a_path_that_is_not_there_is_told_before_a_missing_table(
    tmp_path: Path, session: Session
) -> None:
    with pytest.raises(ReadError, match="no such file"):
        score(tmp_path / "nothing", None, session, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").exists()
