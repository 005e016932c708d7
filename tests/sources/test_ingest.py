"""Ingest: the good go in, the bad are quarantined, a rerun resumes, kill -9 changes nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fadecast.cell.store import Store
from fadecast.errors import ConfigError, DataError, StoreError
from fadecast.sources.ingest import IngestReport, ingest
from tests.sources.cells import columns, write_cells, write_csv, write_parquet

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path, cells: int = 4) -> Path:
    """A folder of cells, one in three files, and the table of cells in it."""
    folder.mkdir(parents=True)
    for i in range(cells):
        write_csv(folder / f"c{i}.csv", columns(3 + i))
    whole = columns(9)
    for k, rows in enumerate(np.split(np.arange(len(whole["voltage_volt"])), [400, 800])):
        piece = {name: np.asarray(values)[rows] for name, values in whole.items()}
        write_parquet(folder / f"long_{k}.parquet", piece)
    write_cells(
        folder / "cells.csv", *(f"c{i}" for i in range(cells)), "long",
        files={"long": "long_*.parquet"},
    )  # fmt: skip
    return folder


def run(folder: Path, store: Path, **options: Any) -> IngestReport:
    return ingest([folder], store, cells=folder / "cells.csv", **options)


def status(report: IngestReport) -> dict[str, str]:
    return {Path(row.file).name: row.status for row in report.rows}


def test_files_become_cells(tmp_path: Path) -> None:
    report = run(files_of(tmp_path / "raw"), tmp_path / "store")
    assert report.exit_code == 0
    assert set(status(report).values()) == {"read"}
    store = Store(tmp_path / "store")
    assert store.cell_ids() == ["c0", "c1", "c2", "c3", "long"]
    joined = store.read("long").samples
    whole = columns(9)
    assert joined is not None
    for name in whole:
        np.testing.assert_allclose(joined[name], whole[name], rtol=1e-6)
    rows = {row.cell: row for row in report.rows if row.cell != "long"}
    assert {cell: row.cycles for cell, row in rows.items()} == {"c0": 3, "c1": 4, "c2": 5, "c3": 6}
    assert store.metadata("c0").source == "bdf"
    assert not (tmp_path / "store" / "quarantine.json").exists()


def test_a_rerun_keeps_what_is_in_and_gives_the_same_store(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw")
    first = run(folder, tmp_path / "store")
    digest = Store(tmp_path / "store").digest()
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "store/cells").rglob("*.parquet")}
    second = run(folder, tmp_path / "store")
    assert set(status(second).values()) == {"kept"}
    assert Store(tmp_path / "store").digest() == digest
    assert {p: p.stat().st_mtime_ns for p in times} == times  # nothing was written again
    numbers = [(row.cell, row.cycles, row.samples, row.findings) for row in first.rows]
    assert [(r.cell, r.cycles, r.samples, r.findings) for r in second.rows] == numbers
    elsewhere = shutil.copytree(folder, tmp_path / "moved")
    assert set(status(run(elsewhere, tmp_path / "store")).values()) == {"kept"}


@pytest.mark.parametrize("change", ["content", "design", "removed", "damaged", "added"])
def test_only_what_changed_is_read_again(tmp_path: Path, change: str) -> None:
    folder = files_of(tmp_path / "raw")
    run(folder, tmp_path / "store")
    expected = {"c1.csv"}
    if change == "content":
        write_csv(folder / "c1.csv", columns(12))
    elif change == "design":
        text = (folder / "cells.csv").read_text().replace("c1,2.0", "c1,2.1")
        (folder / "cells.csv").write_text(text)
    elif change == "removed":
        shutil.rmtree(tmp_path / "store/cells/c1")
    elif change == "damaged":
        header = tmp_path / "store/cells/c1/metadata.json"
        header.write_text(header.read_text().replace("2.8", "2.7"))
    elif change == "added":
        shutil.copy(folder / "c1.csv", folder / "new.csv")
        with (folder / "cells.csv").open("a") as file:
            file.write("new,2.0,2.8,4.2,\n")
        expected = {"new.csv"}
    report = run(folder, tmp_path / "store")
    assert {name for name, s in status(report).items() if s == "read"} == expected
    run(folder, tmp_path / "fresh")
    assert Store(tmp_path / "store").digest() == Store(tmp_path / "fresh").digest()


def test_the_order_of_paths_does_not_matter(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw")
    paths = sorted(folder.glob("*.csv")) + sorted(folder.glob("*.parquet"))
    paths.remove(folder / "cells.csv")
    digests = set()
    for seed in range(3):
        random.Random(seed).shuffle(paths)
        ingest(paths, tmp_path / f"s{seed}", cells=folder / "cells.csv")
        digests.add(Store(tmp_path / f"s{seed}").digest())
    assert len(digests) == 1


def test_a_bad_file_is_quarantined_and_the_others_go_on(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw")
    (folder / "c1.csv").write_bytes(b"")
    write_csv(
        folder / "c2.csv", columns(5) | {"current_ampere": 1e3 * columns(5)["current_ampere"]}
    )
    (folder / "long_1.parquet").write_bytes(b"PAR1 and then nothing")
    report = run(folder, tmp_path / "store")
    assert report.exit_code == 1
    bad = {name for name, s in status(report).items() if s == "quarantined"}
    assert bad == {"c1.csv", "c2.csv", "long_1.parquet"}
    store = Store(tmp_path / "store")
    assert store.cell_ids() == ["c0", "c3", "long"]
    noted = json.loads((tmp_path / "store/quarantine.json").read_text())
    assert {Path(file).name for file in noted} == bad
    for entry in noted.values():
        assert entry["reasons"]
        assert len(entry["sha256"]) == 64
    (row, _) = [row for row in report.rows if row.cell == "long"]
    assert any("file_missing" in finding for finding in row.findings)

    assert run(folder, tmp_path / "store").exit_code == 1  # still bad, still said
    good = files_of(tmp_path / "good")
    for name in bad:
        shutil.copy(good / name, folder / name)
    assert run(folder, tmp_path / "store").exit_code == 0
    assert json.loads((tmp_path / "store/quarantine.json").read_text()) == {}
    run(good, tmp_path / "fresh")
    assert store.digest() == Store(tmp_path / "fresh").digest()


def test_one_bad_cell_of_a_file_does_not_cost_the_others(tmp_path: Path) -> None:
    good, bad = columns(3), columns(3)
    bad["current_ampere"] = -bad["current_ampere"]
    table = {k: np.concatenate([good[k], bad[k]]) for k in good}
    n = len(good["voltage_volt"])
    write_parquet(tmp_path / "fleet.parquet", {"cell_id": ["a"] * n + ["b"] * n, **table})
    cells = write_cells(tmp_path / "cells.csv", "a", "b")
    report = ingest([tmp_path / "fleet.parquet"], tmp_path / "store", cells=cells)
    assert {row.cell: row.status for row in report.rows} == {"a": "read", "b": "quarantined"}
    assert Store(tmp_path / "store").cell_ids() == ["a"]
    assert [row.cell for row in report.by_file()] == ["2 cells"]


def test_files_that_would_be_one_cell_by_accident_are_not_mixed(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / "data.csv", columns(3))
    cells = write_cells(tmp_path / "cells.csv", "data")
    report = ingest([tmp_path / "a", tmp_path / "b"], tmp_path / "store", cells=cells)
    assert [row.status for row in report.rows] == ["quarantined"] * 2
    assert "column 'files'" in report.rows[0].findings[0]
    cells = write_cells(
        tmp_path / "cells.csv", "x", "y", files={"x": "a/data.csv", "y": "b/data.csv"}
    )
    report = ingest([tmp_path / "a", tmp_path / "b"], tmp_path / "store", cells=cells)
    assert [(row.cell, row.status) for row in report.rows] == [("x", "read"), ("y", "read")]


def test_a_cell_is_not_overwritten_by_another_file(tmp_path: Path) -> None:
    good = columns(3)
    for name in ("first", "second"):
        table = {"cell_id": ["a"] * len(good["voltage_volt"]), **good}
        write_parquet(tmp_path / f"{name}.parquet", table)
    cells = write_cells(tmp_path / "cells.csv", "a")
    paths = [tmp_path / "first.parquet", tmp_path / "second.parquet"]
    for _ in range(2):
        report = ingest(paths, tmp_path / "store", cells=cells)
        assert status(report)["second.parquet"] == "quarantined"
        assert status(report)["first.parquet"] in ("read", "kept")
    assert "already read from" in report.rows[1].findings[0]


def test_a_cell_without_a_declared_design_says_what_to_add(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", columns(3))
    (row,) = ingest([tmp_path / "x.csv"], tmp_path / "store").rows
    assert row.status == "quarantined"
    assert "Add a row x,<nominal_capacity_ah>" in row.findings[0]


def test_folders_are_searched_for_known_files_only(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw")
    (folder / "README.md").write_text("not data")
    (folder / ".hidden.csv").write_text("not data")
    assert len(status(run(folder, folder / "store"))) == 7
    assert len(status(run(folder, folder / "store"))) == 7  # the store within is not searched


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        ingest([tmp_path / "nothing"], tmp_path / "store")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="holds other files"):
        ingest([tmp_path], tmp_path / "other")
    write_csv(tmp_path / "x.csv", columns(3))
    with pytest.raises(DataError, match="No such file"):
        ingest([tmp_path / "x.csv"], tmp_path / "store", cells=tmp_path / "nothing.csv")


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    run(files_of(tmp_path / "raw"), tmp_path / "store", progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == list(range(6))
    assert seen[-1] == (5, 5, "")
    assert seen[0][2].endswith("c0.csv")


def test_a_note_that_cannot_be_trusted_is_ignored(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw")
    run(folder, tmp_path / "store")
    digest = Store(tmp_path / "store").digest()
    damages = ["", "[]", "{}", '{"cells": {"../x": 1}, "rows": []}', '{"cells": [], "rows": 3}']
    notes = sorted((tmp_path / "store/ingest").glob("*.json"))
    assert len(notes) == len(damages)
    for note, text in zip(notes, damages, strict=True):
        note.write_text(text)
    assert set(status(run(folder, tmp_path / "store")).values()) == {"read"}
    assert Store(tmp_path / "store").digest() == digest


JOB = """
import sys
from pathlib import Path
from fadecast.sources.ingest import ingest
folder, store = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
report = ingest([folder], store, cells=folder / "cells.csv")
sys.exit(report.exit_code)
"""


def start(folder: Path, store: Path) -> subprocess.Popen[bytes]:
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, str(folder), str(store)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert job.stdout is not None
    job.stdout.readline()
    return job


def test_kill_9_at_any_moment_and_run_again(tmp_path: Path) -> None:
    """Killed again and again, each time some cells later, then run to its end: the same store."""
    folder = files_of(tmp_path / "raw", cells=16)
    run(folder, tmp_path / "undisturbed")
    expected = Store(tmp_path / "undisturbed").digest()
    store = tmp_path / "store"
    pause = random.Random(7)
    for enough in (0, 3, 7, 12):
        job = start(folder, store)
        while len(list((store / "cells").glob("*"))) < enough and job.poll() is None:
            time.sleep(0.001)
        time.sleep(pause.uniform(0, 0.02))
        job.send_signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL, "it had ended before it was killed"
        if (store / "store.json").exists():
            inside = Store(store)
            for cell in inside.cell_ids():
                inside.read(cell)  # whole, or StoreError
    assert start(folder, store).wait() == 0
    assert Store(store).digest() == expected
    assert {p.relative_to(store) for p in _data(store)} == {
        p.relative_to(tmp_path / "undisturbed") for p in _data(tmp_path / "undisturbed")
    }


def _data(store: Path) -> list[Path]:
    return [p for p in (store / "cells").rglob("*") if p.is_file()]


@pytest.mark.slow
def test_all_recorded_data_within_the_time_allowed(recorded_data: Path, tmp_path: Path) -> None:
    """Every recorded set, less than 40 s on one core."""
    names = "matr hust xjtu samsung30q_strain lpscl_tohoku assb_nmc811_liin"
    sets = [recorded_data / name for name in names.split()]
    began = time.process_time()
    report = ingest(sets, tmp_path / "store")
    assert time.process_time() - began < 40
    assert report.exit_code == 0
    assert len(Store(tmp_path / "store")) == 261


def test_calce_files_of_one_cell_are_stitched(recorded_data: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells.csv"
    cells.write_text(
        "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v,cathode,anode,files\n"
        "cs2_35,1.1,2.7,4.2,lco,graphite,arbin_calce_CS2_35_*.xlsx\n"
    )
    files = sorted((recorded_data / "cycler_files").glob("arbin*.xlsx"))
    report = ingest(files, tmp_path / "store", cells=cells)
    assert report.exit_code == 0
    joined = Store(tmp_path / "store").read("cs2_35").samples
    assert joined is not None
    assert np.unique(joined["cycle_count"]).tolist() == list(range(1, 9))
    assert (np.diff(joined["test_time_second"]) > 0).all()
    wall = joined["unix_time_second"]
    assert joined["test_time_second"][-1] - joined["test_time_second"][0] == pytest.approx(
        wall[-1] - wall[0], rel=1e-3
    )


def test_names_that_are_no_utf_8_or_no_cell(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw", cells=1)
    write_csv(folder / "Zelle ü.csv", columns(3))
    shutil.copy(folder / "Zelle ü.csv", os.fsdecode(os.fsencode(folder) + b"/Zelle_\xfc.csv"))
    report = run(folder, tmp_path / "store")
    assert Store(tmp_path / "store").cell_ids() == ["c0", "long"]
    refused = {row.file: row.findings[0] for row in report.rows if row.status == "quarantined"}
    assert set(refused) == {f"{folder}/Zelle_\\xfc.csv", f"{folder}/Zelle ü.csv"}
    assert "not UTF-8" in refused[f"{folder}/Zelle_\\xfc.csv"]
    assert "'files'" in refused[f"{folder}/Zelle ü.csv"]
    assert set(json.loads((tmp_path / "store" / "quarantine.json").read_text())) == set(refused)


def test_a_copy_of_a_file_is_not_counted_twice(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "raw", cells=1)
    run(folder, tmp_path / "once")
    shutil.copy(folder / "long_1.parquet", folder / "long_1 copy.parquet")
    report = run(folder, tmp_path / "store")
    refused = [row.findings[0] for row in report.rows if row.status == "quarantined"]
    assert len(refused) == 1
    assert "a copy of long_1" in refused[0]
    assert Store(tmp_path / "store").digest() == Store(tmp_path / "once").digest()
    assert not any("file_missing" in said for row in report.rows for said in row.findings)
