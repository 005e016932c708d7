"""Summaries in a store: one list a cycle, believed only if schema, names and digest agree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fadecast.cell.record import CellMetadata, CellRecord
from fadecast.cell.store import Store, data_digest
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import StoreError
from tests.bundles import made_up_spec

NAMES = ("discharge_throughput", "pressure.mean")
KEY = b"fadecast.fields"


def record(**fields: list[float]) -> CellRecord:
    summaries = CycleSummaries.from_fields([1, 2, 5], fields)
    return CellRecord(CellMetadata(made_up_spec("x"), "made-up"), summaries=summaries)


WHOLE = record(discharge_throughput=[1.0, 0.9, np.nan], **{"pressure.mean": [np.nan, 2.0, 3.0]})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    out = Store(tmp_path / "store", create=True)
    out.write(WHOLE)
    return out


def test_what_was_not_observed_stays_so(store: Store) -> None:
    back = store.read("x").summaries
    assert back is not None
    assert WHOLE.summaries is not None
    assert np.array_equal(back.values, WHOLE.summaries.values)
    assert np.array_equal(back.observed, WHOLE.summaries.observed)
    table = pq.read_table(store.path / "cells/x/summaries.parquet")
    assert table.column_names == ["cycle_count", "fields"]
    assert table.schema.metadata[KEY].decode().split() == list(NAMES)


def test_cycles_of_which_nothing_was_observed_are_kept(tmp_path: Path) -> None:
    out = Store(tmp_path, create=True)
    out.write(record())
    back = out.read("x").summaries
    assert back is not None
    assert back.cycle_count.tolist() == [1, 2, 5]
    assert not back.observed.any()


def lists(values: list[list[float | None] | None], width: int = 2) -> pa.Array:
    return pa.array(values, pa.list_(pa.float32(), width))


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        pq.write_table(change(pq.read_table(path)), path)

    return damage


def named(names: str) -> Callable[[Path], None]:
    return rewritten(lambda t: t.replace_schema_metadata({KEY: names.encode()}))


def fields(values: pa.Array) -> Callable[[Path], None]:
    def change(table: pa.Table) -> pa.Table:
        columns = {"cycle_count": table["cycle_count"], "fields": values}
        return pa.table(columns).replace_schema_metadata(table.schema.metadata)

    return rewritten(change)


DAMAGES = {
    "no names": rewritten(lambda t: t.replace_schema_metadata(None)),
    "a name too many": named(" ".join((*NAMES, "capacity.charge.00"))),
    "a name too few": named(NAMES[0]),
    "no name at all": named(""),
    "an unknown name": named(f"{NAMES[0]} evil"),
    "a name twice": named(f"{NAMES[0]} {NAMES[0]}"),
    "names exchanged": named(" ".join(reversed(NAMES))),
    "names that are no text": rewritten(lambda t: t.replace_schema_metadata({KEY: b"\xff\xfe"})),
    "a null list": fields(lists([[1.0, None], None, [2.0, 3.0]])),
    "a null number": fields(lists([[1.0, None], [0.9, 2.0], [None, 3.0]])),
    "longer lists": fields(lists([[1.0, 2.0, 3.0]] * 3, 3)),
    "infinity": fields(lists([[1.0, np.nan], [0.9, np.inf], [np.nan, 3.0]])),
    "text": fields(pa.array(["1", "2", "3"])),
    "no count": rewritten(lambda t: t.drop_columns(["cycle_count"])),
    "no fields": rewritten(lambda t: t.drop_columns(["fields"])),
    "another column": rewritten(lambda t: t.append_column("evil", pa.array([1, 2, 3]))),
    "a cycle less": rewritten(lambda t: t.slice(1)),
    "cycles backwards": rewritten(lambda t: t.take([2, 1, 0])),
    "no cycle": rewritten(lambda t: t.slice(3)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_and_never_believed(store: Store, damage: str) -> None:
    DAMAGES[damage](store.path / "cells/x/summaries.parquet")
    with pytest.raises(StoreError, match="damaged") as caught:
        store.read("x")
    assert caught.value.where
    assert caught.value.fix


HEADERS = {
    "rows of another file": lambda text: text.replace('"rows": 3', '"rows": 4'),
    "rows beyond numbers": lambda text: text.replace('"rows": 3', '"rows": 1e999'),
    "rows in words": lambda text: text.replace('"rows": 3', '"rows": "three"'),
    "rows below none": lambda text: text.replace('"rows": 3', '"rows": -3'),
    "a capacity beyond numbers": lambda text: text.replace(
        '"nominal_capacity_ah": ', f'"nominal_capacity_ah": 1{400 * "0"}'
    ),
    "half a character": lambda text: text.replace('"made-up"', '"\\ud800"'),
}


@pytest.mark.parametrize("damage", HEADERS)
def test_a_header_that_was_not_written_here_is_refused(store: Store, damage: str) -> None:
    path = store.path / "cells/x/metadata.json"
    before = path.read_text(encoding="utf-8")
    path.write_text(HEADERS[damage](before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(StoreError, match="damaged"):
        store.read("x")


def test_more_rows_than_memory_holds_are_refused_unread(store: Store) -> None:
    path = store.path / "cells/x/summaries.parquet"
    table = pa.table({"cycle_count": np.arange(2_000_000)}).replace_schema_metadata({KEY: b""})
    pq.write_table(table, path)
    with pytest.raises(StoreError, match="2000000 rows, not 3"):
        store.read("x")


def test_the_digest_is_of_names_and_numbers() -> None:
    digests = {
        data_digest(one)
        for one in (
            WHOLE,
            record(discharge_throughput=[1.0, 0.9, np.nan]),
            record(charge_throughput=[1.0, 0.9, np.nan]),
            record(discharge_throughput=[1.0, 0.9, 0.0]),
            record(),
        )
    }
    assert len(digests) == 5
