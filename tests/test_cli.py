"""The command line: help, exit codes, messages, and that a command gives what its layer gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

import fadecast
from fadecast.cell.store import Store
from fadecast.cli import app as cli
from fadecast.cli import main
from fadecast.cli.jobs import open_record, replay
from fadecast.cli.refusal import refuse
from fadecast.errors import ConfigError, FadecastError
from fadecast.forecast.forecast import score_columns
from fadecast.runtime import Session
from tests.bundles import TAUGHT, bundle, made_up_columns, made_up_cycles, made_up_record

__all__ = ["bundle"]

CELLS = "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v\nmade-up,2.0,2.5,4.2\n"


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def all_commands(command: object = None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    command = command or typer.main.get_command(cli)
    below = getattr(command, "commands", {})
    return [path, *(c for name, sub in below.items() for c in all_commands(sub, (*path, name)))]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The made-up cell as a Battery Data Format CSV, with its table of cells beside it."""
    columns = made_up_columns(6)
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f"{value:.9g}" for value in row) for row in rows)]
    (tmp_path / "made-up.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "cells.csv").write_text(CELLS)
    return tmp_path / "made-up.csv"


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_explains_itself(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--help") == 0
    said = capsys.readouterr().out
    assert "Usage" in said
    assert len(said) > 300


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"fadecast {fadecast.__version__}\n"


def test_python_dash_m_is_the_command_line() -> None:
    command = [sys.executable, "-m", "fadecast", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"fadecast {fadecast.__version__}\n"


def test_refusal_says_what_where_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        refuse(FadecastError("it is [bold]odd[/bold]", where="here", fix="mend it"))
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert said.err == "error: it is [bold]odd[/bold]\nwhere: here\nfix:   mend it\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ingest", "nowhere", "-o", "store"], "nowhere does not exist"),
        (["data", "get", "nothing"], "'nothing' is not known"),
        (["train", "-c", "none.yaml", "-s", "store"], "none.yaml"),
        (["export", "0123", "-o", "bundle"], "no run '0123'"),
        (["stream", "store", "-b", "bundle"], "store"),
        (["score", "store", "-b", "bundle", "-o", "s.parquet"], "manifest.json"),
        (["evaluate", "s.parquet", "-s", "store"], "s.parquet"),
        (["report", "s.parquet", "-o", "r.html"], "s.parquet"),
        (["demo", "-c", "none.yaml"], "none.yaml"),
        (["demo", "--data", "."], "--recorded"),
        (["simulate", "-c", "none.yaml", "-o", "out"], "none.yaml"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_without_a_traceback(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "fix: " in said
    assert expected in said
    assert "Traceback" not in said


def test_demo_needs_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text("name: none\n")
    (tmp_path / "empty").mkdir()
    assert run("demo", "--recorded", "--data", "empty", "-c", "job.yaml") == 2
    assert "no recorded set" in capsys.readouterr().err


@pytest.mark.parametrize(("library", "extra"), [("torch", "learn"), ("plotly", "report")])
def test_missing_library_names_its_extra(
    library: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(**_: object) -> None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=f"{library}.nn")

    monkeypatch.setattr("fadecast.cli.commands.app", lacking)
    assert run("train") == 2
    assert f"pip install 'fadecast[{extra}]'" in capsys.readouterr().err


def test_missing_module_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'fadecast.nothing'", name="fadecast.nothing")

    monkeypatch.setattr("fadecast.cli.commands.app", broken)
    with pytest.raises(ModuleNotFoundError):
        main(["train"])


def test_ingest_reads_the_good_and_names_the_bad(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recording.parent
    bad = folder / "bad.csv"
    bad.write_text("")
    store = folder / "store"
    code = run("ingest", recording, bad, "-o", store, "--cells", folder / "cells.csv")
    said = capsys.readouterr()
    assert code == 3
    assert "the file is empty" in said.out
    assert "1 quarantined" in said.err
    assert Store(store).cell_ids() == ["made-up"]
    assert run("ingest", recording, "-o", store, "--cells", folder / "cells.csv") == 0
    assert "kept" in capsys.readouterr().out


def test_from_a_recording_to_scores_and_their_judgement(
    recording: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Streaming the file, streaming the store and scoring the store say the same."""
    folder, cells = recording.parent, recording.parent / "cells.csv"
    store, scores, card = folder / "store", folder / "scores.parquet", folder / "card.json"
    assert run("ingest", recording, "-o", store, "--cells", cells) == 0
    capsys.readouterr()
    assert run("stream", recording, "-b", bundle, "--cells", cells) == 0
    from_file = capsys.readouterr().out
    assert run("stream", store, "-b", bundle, "--json") == 0
    from_store = capsys.readouterr().out
    assert run("score", store, "-b", bundle, "-o", scores) == 0
    rows = [json.loads(line) for line in from_file.splitlines()]
    assert len(rows) >= 5
    batch = pq.read_table(scores).to_pylist()
    taught = list(score_columns(TAUGHT))[-4:]
    assert [name for name in rows[0] if name.startswith("virtual_")] == taught
    for others in (map(json.loads, from_store.splitlines()), batch):
        for row, other in zip(rows, others, strict=True):
            assert row["cycle_count"] == other["cycle_count"]
            for name in ("rul_p50", "risk_any_50", "soh", *taught):
                assert row[name] == pytest.approx(other[name], rel=1e-5, abs=1e-6)
    (store / "truth").mkdir()
    hidden = np.array([[row["virtual_penetration"] + 0.1] for row in rows], np.float32)
    np.savez(
        store / "truth" / "shard-00000.npz", cell_id=np.array(["made-up"]),
        until=np.array([len(rows)]), columns=np.array(["penetration"]), hidden=hidden,
    )  # fmt: skip
    assert run("evaluate", scores, "-s", store, "-o", card) == 0
    judged = json.loads(card.read_text())
    assert judged["cells"] == 1
    assert judged["figures"]["any_cycle.penetration.sensor_mae"] == pytest.approx(0.1, abs=1e-3)
    assert run("report", scores, "-o", folder / "report.html", "-s", store) == 0
    assert "made-up" in (folder / "report.html").read_text()


def test_stream_shows_a_table(
    recording: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = recording.parent / "cells.csv"
    assert run("stream", recording, "-b", bundle, "--cells", cells, "--table") == 0
    said = capsys.readouterr()
    assert "cycles" in said.out
    assert "{" not in said.out
    assert "made-up: " in said.err


def test_score_goes_on_without_a_cell_and_says_so(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = made_up_columns(3)
    samples["stack_pressure"] = samples["surface_pressure_pa"]
    lines = ["cell_id," + ",".join(samples)]
    for cell in ("made-up", "stranger"):
        rows = zip(*samples.values(), strict=True)
        lines += [f"{cell}," + ",".join(f"{value:.9g}" for value in row) for row in rows]
    (tmp_path / "samples.csv").write_text("\n".join(lines))
    pq.write_table(pcsv.read_csv(tmp_path / "samples.csv"), tmp_path / "samples.parquet")
    (tmp_path / "cells.csv").write_text(CELLS)
    out = tmp_path / "scores.parquet"
    source, cells = tmp_path / "samples.parquet", tmp_path / "cells.csv"
    assert run("score", source, "-b", bundle, "-o", out, "--cells", cells) == 3
    said = capsys.readouterr().err
    assert "stranger" in said
    assert "columns that were not used: stack_pressure" in said
    assert set(pq.read_table(out).column("cell_id").to_pylist()) == {"made-up"}


def test_which_cell_is_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    store.write(made_up_record("one", 2))
    assert open_record(store.path, None, None).spec.cell_id == "one"
    store.write(made_up_record("two", 2))
    assert open_record(store.path, None, "two").spec.cell_id == "two"
    for wanted in (None, "three"):
        with pytest.raises(ConfigError, match="one, two"):
            open_record(store.path, None, wanted)


@pytest.fixture(scope="module")
def whole(bundle: Path) -> tuple[Session, np.ndarray]:
    """A session, and what it says of the made-up cell in one piece."""
    session = Session.load(bundle)
    record = made_up_record(cycles=4)
    assert record.samples is not None
    live = session.stream(record.spec)
    said = [*live.push(record.samples), *live.close()]
    return session, np.concatenate([forecast.rul for forecast in said])


@given(chunk=st.integers(1, 700))
def test_replay_is_the_same_in_any_chunks(whole: tuple[Session, np.ndarray], chunk: int) -> None:
    session, expected = whole
    record = made_up_record(cycles=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fadecast.cli.jobs.CHUNK", chunk)
        said = list(replay(session.stream(record.spec), record))
    np.testing.assert_allclose(np.concatenate([f.rul for f in said]), expected, rtol=1e-5)


def test_replay_of_summaries_goes_cycle_by_cycle(bundle: Path) -> None:
    record = made_up_cycles(cycles=5)
    said = list(replay(Session.load(bundle).stream(record.spec), record))
    assert record.summaries is not None
    assert [int(f.cycle_count[0]) for f in said] == record.summaries.cycle_count.tolist()


@pytest.mark.slow
def test_demo_simulates_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training" / "populations").mkdir(parents=True)
    (tmp_path / "training" / "populations" / "demo.yaml").write_text(
        "{name: few, cells: 24, cycles: 60, shard: 8, test: 0.4, groups: [{tier: lab}]}"
    )
    (tmp_path / "job.yaml").write_text("{name: short, training: {epochs: 2}, baselines: false}")
    assert run("demo", "-c", "job.yaml") == 0
    assert "stream and batch differ by" in capsys.readouterr().out
    assert (tmp_path / "demo" / "population" / "card" / "README.md").is_file()
    scored = set(pq.read_table("demo/scores.parquet").column("cell_id").to_pylist())
    assert scored
    assert scored == set(Store("demo/unseen").cell_ids())
    assert scored < set(Store("demo/population").cell_ids())


@pytest.mark.slow
def test_demo_runs_the_whole_line(
    recorded_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(
        "name: short\n"
        "data: {sources: [samsung30q, xjtu], split: {held_out: [samsung30q-cell2]}}\n"
        "training: {epochs: 2}\n"
        "baselines: false\n"
    )
    assert run("demo", "--recorded", "--data", recorded_data, "-c", "job.yaml") == 0
    said = capsys.readouterr().out
    assert "stream and batch differ by" in said
    assert Store("demo/unseen").cell_ids()[0] == "samsung30q-cell2"
    scored = set(pq.read_table("demo/scores.parquet").column("cell_id").to_pylist())
    assert scored == set(Store("demo/unseen").cell_ids())
    assert Session.load("demo/bundle").manifest["training"]["config"]["name"] == "short"
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000


def test_a_path_that_cannot_be_written_is_refused(
    recording: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    cells = tmp_path / "cells.csv"
    assert run("ingest", recording, "-o", tmp_path / "file", "--cells", cells) == 2
    assert "Not a directory" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert run("ingest", recording, "-o", tmp_path / "store", "--cells", cells) == 0
    assert run("score", tmp_path / "store", "-b", bundle, "-o", tmp_path / "folder") == 2
    assert "is a folder" in capsys.readouterr().err
    assert not list(tmp_path.glob(".folder*"))


@pytest.mark.parametrize(("factor", "word"), [(-1, "sign"), (1000, "mA")])
def test_stream_refuses_what_ingest_would(
    factor: float, word: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = made_up_columns(4)
    columns["current_ampere"] = columns["current_ampere"] * factor
    pq.write_table(pa.table(columns), tmp_path / "made-up.parquet")
    (tmp_path / "cells.csv").write_text(CELLS)
    cells = tmp_path / "cells.csv"
    assert run("stream", tmp_path / "made-up.parquet", "-b", bundle, "--cells", cells) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert said.out == ""
