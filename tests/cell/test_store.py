"""The store: what goes in comes out, whatever the order; nothing damaged or hostile is believed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.cell.record import CellMetadata, CellRecord, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import FIELDS, N_FIELDS, CycleSummaries
from fadecast.errors import StoreError
from tests.sources.cells import record, spec

OPTIONAL = [name for name in COLUMNS if name not in REQUIRED]
TEXT = st.text(max_size=20).filter(lambda t: t.isprintable())


@st.composite
def sample_records(draw: st.DrawFn) -> CellRecord:
    n = draw(st.integers(0, 20))
    names = [*REQUIRED, *draw(st.lists(st.sampled_from(OPTIONAL), unique=True, max_size=4))]
    data = {name: draw(hnp.arrays(COLUMNS[name].dtype, n)) for name in names}
    return CellRecord(draw(metadata()), samples=data)


@st.composite
def summary_records(draw: st.DrawFn) -> CellRecord:
    n = draw(st.integers(0, 8))
    fields = draw(st.lists(st.sampled_from(list(FIELDS)), unique=True, max_size=5))
    count = np.cumsum(draw(hnp.arrays(np.int64, n, elements=st.integers(1, 50))))
    finite = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))
    data = {f: draw(hnp.arrays(np.float32, n, elements=finite)) for f in fields}
    return CellRecord(draw(metadata()), summaries=CycleSummaries.from_fields(count, data))


@st.composite
def metadata(draw: st.DrawFn) -> CellMetadata:
    life = draw(st.none() | st.builds(PublishedLife, st.integers(1, 9999), st.just("contact_loss")))
    cell = spec(
        draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+=@-]{0,9}", fullmatch=True)),
        nominal_capacity_ah=draw(st.floats(1e-6, 1e4)),
        applied_pressure_pa=draw(st.none() | st.floats(0, 1e9)),
        pressure_limit_pa=draw(st.none() | st.just(1e9)),
        cathode=draw(st.sampled_from(["unknown", "nmc"])),
    )
    notes = draw(st.dictionaries(TEXT, TEXT, max_size=3))
    return CellMetadata(cell, draw(TEXT), draw(st.none() | TEXT), life, draw(TEXT), notes=notes)


def assert_same(a: CellRecord, b: CellRecord) -> None:
    assert a.metadata == b.metadata
    if a.samples is not None:
        assert b.samples is not None
        assert set(a.samples) == set(b.samples)
        for name, values in a.samples.items():
            np.testing.assert_array_equal(values, b.samples[name], strict=True)
    else:
        for name in ("cycle_count", "values", "observed"):
            np.testing.assert_array_equal(
                getattr(a.summaries, name), getattr(b.summaries, name), strict=True
            )


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(sample_records() | summary_records())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, one: CellRecord) -> None:
    store = Store(tmp_path_factory.mktemp("store"), create=True)
    store.write(one)
    assert_same(one, store.read(one.spec.cell_id))
    assert store.metadata(one.spec.cell_id) == one.metadata
    assert store.cell_ids() == [one.spec.cell_id]


def filled(path: Path, cells: list[str]) -> Store:
    store = Store(path, create=True)
    for cell in cells:
        store.write(record(cell))
    return store


def test_digest_does_not_depend_on_order_or_rewriting(tmp_path: Path) -> None:
    one = filled(tmp_path / "a", ["x", "y", "z"])
    other = filled(tmp_path / "b", ["z", "x", "y", "x"])
    assert one.digest() == other.digest()
    assert one.cell_ids() == ["x", "y", "z"]


def test_digest_sees_every_change(tmp_path: Path) -> None:
    store = filled(tmp_path, ["x"])
    digests = {store.digest()}
    changed = record("x", voltage_volt=record("x").samples["voltage_volt"] + np.float32(1e-6))
    for other in (
        changed,
        record("x").with_metadata(split="train"),
        record("x").with_metadata(spec=spec("x", nominal_capacity_ah=2.1)),
        record("x", surface_pressure_pa=None),
    ):
        store.write(other)
        digests.add(store.digest())
    store.write(record("y"))
    digests.add(store.digest())
    assert len(digests) == 6


def test_whole_numbers_and_floats_of_a_design_are_one(tmp_path: Path) -> None:
    a, b = Store(tmp_path / "a", create=True), Store(tmp_path / "b", create=True)
    a.write(record("x").with_metadata(spec=spec("x", nominal_capacity_ah=3)))
    b.write(record("x").with_metadata(spec=spec("x", nominal_capacity_ah=3.0)))
    assert a.digest() == b.digest()


def test_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store here.*fadecast ingest"):
        Store(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_folder_with_other_files_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="holds other files"):
        Store(tmp_path, create=True)


def test_unknown_cells_and_paths_are_refused(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", ["x"])
    (tmp_path / "secret").mkdir()
    for name in ("y", "../secret", "..", ".", "", "x/../x", "/etc"):
        assert name not in store
        with pytest.raises(StoreError, match="no cell"):
            store.read(name)
    assert "x" in store
    assert 7 not in store


def edit(path: Path, change: object) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))  # type: ignore[operator]


DAMAGES = {
    "another version": lambda s: edit(s / "store.json", lambda v: v | {"version": 99}),
    "header cut off": lambda s: (s / "cells/x/metadata.json").write_text('{"kind": "sam'),
    "header missing": lambda s: (s / "cells/x/metadata.json").unlink(),
    "header not a dictionary": lambda s: (s / "cells/x/metadata.json").write_text("[]"),
    "deeply nested": lambda s: (s / "cells/x/metadata.json").write_text("[" * 100_000),
    "unknown key": lambda s: edit(s / "cells/x/metadata.json", lambda v: v | {"extra": 1}),
    "unknown metadata": lambda s: edit(
        s / "cells/x/metadata.json", lambda v: v | {"metadata": v["metadata"] | {"extra": 1}}
    ),
    "not a number": lambda s: (s / "cells/x/metadata.json").write_text(
        (s / "cells/x/metadata.json").read_text().replace("2.8", "NaN")
    ),
    "design out of range": lambda s: (s / "cells/x/metadata.json").write_text(
        (s / "cells/x/metadata.json").read_text().replace("2.8", "28.0")
    ),
    "of another cell": lambda s: (s / "cells/x/metadata.json").write_text(
        (s / "cells/x/metadata.json").read_text().replace('"x"', '"y"')
    ),
    "kind outside the folder": lambda s: edit(
        s / "cells/x/metadata.json", lambda v: v | {"kind": "../y/samples"}
    ),
    "notes not text": lambda s: edit(
        s / "cells/x/metadata.json", lambda v: v | {"metadata": v["metadata"] | {"notes": {"a": 1}}}
    ),
    "data missing": lambda s: (s / "cells/x/samples.parquet").unlink(),
    "data empty": lambda s: (s / "cells/x/samples.parquet").write_bytes(b""),
    "data cut off": lambda s: (s / "cells/x/samples.parquet").write_bytes(
        (s / "cells/x/samples.parquet").read_bytes()[:-100]
    ),
    "data of another cell": lambda s: (s / "cells/x/samples.parquet").write_bytes(
        (s / "cells/y/samples.parquet").read_bytes()
    ),
    "a pickle for data": lambda s: (s / "cells/x/samples.parquet").write_bytes(
        pickle.dumps({"voltage_volt": [1.0]})
    ),
    "unknown column": lambda s: pq.write_table(
        pq.read_table(s / "cells/x/samples.parquet").append_column("evil", pa.array([1] * 776)),
        s / "cells/x/samples.parquet",
    ),
    "text for numbers": lambda s: pq.write_table(
        pa.table({name: ["1"] for name in REQUIRED}), s / "cells/x/samples.parquet"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_and_never_believed(tmp_path: Path, damage: str) -> None:
    filled(tmp_path, ["x"]).write(record("y", cycles=5))
    DAMAGES[damage](tmp_path)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path).read("x")
    assert caught.value.where
    assert caught.value.fix


def test_altered_values_are_noticed(tmp_path: Path) -> None:
    store = filled(tmp_path, ["x"])
    path = tmp_path / "cells/x/samples.parquet"
    table = pq.read_table(path)
    volt = table["voltage_volt"].to_numpy().copy()
    volt[3] += 0.001
    pq.write_table(table.set_column(1, "voltage_volt", pa.array(volt)), path)
    with pytest.raises(StoreError, match="do not match their recorded digest"):
        store.read("x")


def test_summaries_keep_their_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    shape = (7, N_FIELDS)
    table = CycleSummaries(np.arange(7), rng.normal(size=shape), rng.random(shape) > 0.5)
    one = CellRecord(CellMetadata(spec("x"), "made-up"), summaries=table)
    store = Store(tmp_path, create=True)
    store.write(one)
    assert_same(one, store.read("x"))


WRITER = """
import sys
from fadecast.cell.store import Store
from tests.sources.cells import record
store = Store(sys.argv[1], create=True)
print("ready", flush=True)
while True:
    for name, cycles in (("a", 40), ("b", 60), ("a", 50), ("b", 30)):
        store.write(record(name, cycles))
"""


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.17, 0.23, 0.3])
def test_a_killed_write_leaves_whole_cells_only(tmp_path: Path, delay: float) -> None:
    root = Path(__file__).resolve().parents[2]
    path = f"{root / 'src'}{os.pathsep}{root}"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    store = Store(tmp_path / "store")
    for name in store.cell_ids():
        assert store.read(name).spec.cell_id == name
    store.write(record("a", 40))
    assert_same(store.read("a"), record("a", 40))
    store.clear_partial(older_than_second=-1.0)
    assert not list((tmp_path / "store/.partial").iterdir())


def test_a_store_that_was_killed_before_its_header_stood_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / ".store.json.a1b2").write_bytes(b"")
    store = Store(tmp_path, create=True)
    store.write(record("x"))
    assert Store(tmp_path).cell_ids() == ["x"]


def test_a_folder_of_cells_that_is_no_beginning_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "cells" / "mine").mkdir(parents=True)
    with pytest.raises(StoreError, match="holds other files"):
        Store(tmp_path, create=True)


def test_a_store_may_be_read_by_those_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        filled(tmp_path / "store", ["x"])
    finally:
        os.umask(before)
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "store").rglob("*") if p.is_file()}
    assert modes == {0o644}
