"""What the C++ program does at its edges: pipes, a supervisor, tables, state, broken output."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from fadecast.runtime import Session
from tests.bundles import made_up_columns, made_up_spec
from tests.edge.program import Program, read, to_csv, worst, write_cells
from tests.edge.test_program import SPEC, TOLERANCE, in_python
from tests.runtime.test_signature import reseal

HEAD = "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v"


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cells.csv", [SPEC])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An empty folder for the state."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def test_a_named_pipe_outlives_its_writers(
    program: Program, bundle: Path, session: Session, cells: Path, state: Path, tmp_path: Path
) -> None:
    """Ready before anyone writes; one that starts anew sends its header again; SIGTERM ends."""
    columns = made_up_columns(6, seed=4)
    lines = to_csv(columns).splitlines(keepends=True)
    pipe, heard = tmp_path / "samples", tmp_path / "notify"
    os.mkfifo(pipe)
    command = program.command(
        bundle, "--allow-unsigned", "--cells", cells, "--state", state, "--input", pipe
    )
    half = len(lines) // 2
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor,
        (tmp_path / "said").open("w") as said,
    ):
        supervisor.bind(str(heard))
        supervisor.settimeout(30)
        env = os.environ | {"NOTIFY_SOCKET": str(heard)}
        run = subprocess.Popen(command, stdout=said, stderr=subprocess.PIPE, env=env)
        try:
            assert supervisor.recv(100) == b"READY=1"
            for part in (lines[:half], [lines[0], *lines[half:]]):
                with pipe.open("w") as writer:
                    writer.writelines(part)
            last = in_python(session, columns)[1].cycle_count[-1]
            until = time.monotonic() + 30
            while f'"cycle_count": {last - 1},' not in (tmp_path / "said").read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
            assert supervisor.recv(100) == b"WATCHDOG=1"
            assert run.poll() is None
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=30) == 0
        assert run.stderr is not None
        assert run.stderr.read() == b""
        run.stderr.close()
    told = read((tmp_path / "said").read_text())
    expected = in_python(session, columns)[1]
    assert worst(told, expected[: len(told)]) <= TOLERANCE

    # The open cycle was kept too: nothing is fed again, and its forecast is the right one.
    rest = program.run(bundle, "--allow-unsigned", "--cells", cells, "--state", state, "--close",
                       text=lines[0])  # fmt: skip
    assert worst(read(rest.stdout), expected[len(told) :]) <= TOLERANCE


def test_a_program_started_below_a_writer_waits_for_the_header(
    program: Program, bundle: Path, session: Session, cells: Path, tmp_path: Path
) -> None:
    """On a named pipe alone: of a file or of standard input the first line must be the header."""
    columns = made_up_columns(3, seed=4)
    lines = to_csv(columns).splitlines(keepends=True)
    pipe, out = tmp_path / "samples", tmp_path / "said"
    os.mkfifo(pipe)
    command = program.command(bundle, "--allow-unsigned", "--cells", cells, "--input")

    def start(*rows: str) -> subprocess.Popen[str]:
        with out.open("w") as said:
            run = subprocess.Popen([*command, pipe], stdout=said, stderr=subprocess.PIPE, text=True)
        with pipe.open("w") as writer:
            writer.writelines(rows)
        return run

    before = ["4.5,-1.25,25\n", "\n", *lines[1:40], "x" * 2000 + "\n"]
    run = start(*before, *lines, lines[0])
    last = in_python(session, columns)[1].cycle_count[-1]
    until = time.monotonic() + 30
    while f'"cycle_count": {last - 1},' not in out.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    _, noted = run.communicate(timeout=30)
    assert run.returncode == 0
    assert noted.count("lines before the header are passed over") == 1
    assert f"{len(before)} lines malformed" in noted
    told = read(out.read_text())
    assert worst(told, in_python(session, columns)[1][: len(told)]) <= TOLERANCE

    run = start(lines[1], "test_time_second,voltage_volt\n")
    _, noted = run.communicate(timeout=30)
    assert (run.returncode, "must name current_ampere" in noted) == (64, True)
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(lines[1:]))
    assert subprocess.run([*command, rows], capture_output=True).returncode == 64


def test_what_cannot_be_told_or_read_ends_the_program(
    program: Program, bundle: Path, cells: Path, tmp_path: Path
) -> None:
    command = program.command(bundle, "--allow-unsigned", "--cells", cells, "--input")
    rows = tmp_path / "rows.csv"
    rows.write_text(to_csv(made_up_columns(3)))
    with Path("/dev/full").open("w") as full:
        run = subprocess.run([*command, rows], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 74
    assert "standard output cannot be written: No space left" in run.stderr
    outlet, inlet = os.pipe()
    os.close(outlet)
    run = subprocess.run([*command, rows], stdout=inlet, stderr=subprocess.PIPE, text=True)
    os.close(inlet)
    assert run.returncode == 74
    assert subprocess.run([*command, tmp_path], capture_output=True).returncode == 64


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (f"{HEAD},cathode\na,2,3,4,NMC\n", "cathode 'NMC' is not known"),
        (f'{HEAD},anode\na,2,3,4,"silicon"\n', "quotes are not read"),
        (f"{HEAD},presure_limit_pa\na,2,3,4,8e6\n", "misspelt: pressure_limit_pa"),
        (f"{HEAD},Anode\na,2,3,4,silicon\n", "misspelt: anode"),
        (f"{HEAD},anode,anode\na,2,3,4,silicon,lithium\n", "anode stands there twice"),
        (f"{HEAD}\na,0x2,3,4\n", "nominal_capacity_ah is '0x2'"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(
    program: Program, bundle: Path, tmp_path: Path, table: str, what: str
) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(table)
    run = program.run(bundle, "--allow-unsigned", "--cells", path)
    assert run.returncode == 64
    assert what in run.stderr


def test_what_is_not_read_is_told(program: Program, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(f"{HEAD},anode,remark\na,2,3,4,unknown,none\n")
    text = "test_time_second,voltage_volt,current_ampere,step_index\n0,3,1,1\n"
    run = program.run(bundle, "--allow-unsigned", "--cells", path, text=text)
    assert run.returncode == 0
    assert "of the table of cells not read: remark" in run.stderr
    assert "of the input not read: step_index" in run.stderr


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("test_time_second,voltage_volt,current_ampere,surface_pressure_Pa", "misspelt"),
        ("test_time_second,voltage_volt,current_ampere,cycle_count,cycle_count", "twice"),
        ("test_time_second,voltage_volt,current_ampere", "must name cell_id"),
        ("test_time_second,voltage_volt,cell_id", "must name current_ampere"),
    ],
)
def test_a_header_that_would_be_misread_is_refused(
    program: Program, bundle: Path, tmp_path: Path, header: str, what: str
) -> None:
    cells = write_cells(tmp_path / "cells.csv", [made_up_spec("a"), made_up_spec("b")])
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, text=header + "\n")
    assert run.returncode == 64
    assert what in run.stderr


def test_another_header_in_the_middle_is_refused(
    program: Program, bundle: Path, cells: Path
) -> None:
    lines = to_csv(made_up_columns(2)).splitlines()
    names = lines[0].split(",")
    other = ",".join([names[0], names[2], names[1], *names[3:]])
    again = "\n".join([*lines[:50], lines[0], *lines[50:]])
    assert program.run(bundle, "--allow-unsigned", "--cells", cells, text=again).returncode == 0
    changed = "\n".join([*lines[:50], other, *lines[50:]])
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, text=changed)
    assert run.returncode == 64
    assert "another header" in run.stderr


@pytest.mark.parametrize(
    "changes",
    [{"anode": "lithium"}, {"pressure_limit_pa": 9e6}, {"voltage_max_v": 4.3},
     {"nominal_capacity_ah": 2.1}],
)  # fmt: skip
def test_a_state_of_another_design_is_refused(
    program: Program,
    bundle: Path,
    cells: Path,
    state: Path,
    tmp_path: Path,
    changes: dict[str, object],
) -> None:
    options = ("--allow-unsigned", "--state", state, "--cells")
    assert program.run(bundle, *options, cells, text=to_csv(made_up_columns(2))).returncode == 0
    own = {"anode": "silicon", "applied_pressure_pa": 5e6, "pressure_limit_pa": 8e6}
    other = write_cells(tmp_path / "other.csv", [made_up_spec("cell-1", **(own | changes))])
    run = program.run(bundle, *options, other)
    assert run.returncode == 65
    assert "another design" in run.stderr


def test_numbered_rows_do_not_follow_rows_without_numbers(
    program: Program, bundle: Path, cells: Path, state: Path
) -> None:
    options = ("--allow-unsigned", "--cells", cells, "--state", state)
    columns = made_up_columns(2)
    assert program.run(bundle, *options, text=to_csv(columns)).returncode == 0
    columns["cycle_count"] = columns["test_time_second"] * 0 + 3
    run = program.run(bundle, *options, text=to_csv(columns))
    assert run.returncode == 64
    assert "cycle_count is in some rows" in run.stderr


def test_state_that_was_there_and_is_no_more_is_refused(
    program: Program, bundle: Path, cells: Path, state: Path
) -> None:
    """But for the very first write, which a power cut may leave in part."""
    options = ("--allow-unsigned", "--cells", cells, "--state", state)
    text = to_csv(made_up_columns(4))
    said = program.run(bundle, *options, text=text).stdout
    for slot in state.iterdir():
        slot.write_bytes(b"\0" * 100)
    run = program.run(bundle, *options, text=text)
    assert run.returncode == 65
    assert "no whole state" in run.stderr
    (state / "cell-1.0").unlink()
    assert program.run(bundle, *options, text=text).stdout == said


def test_state_of_another_version_is_refused_as_such(
    program: Program, bundle: Path, cells: Path, state: Path
) -> None:
    """Also where only one slot was ever written."""
    options = ("--allow-unsigned", "--cells", cells, "--state", state)
    assert program.run(bundle, *options, text=to_csv(made_up_columns(1))).returncode == 0
    (slot,) = state.iterdir()
    body = b"FCSTATE2" + slot.read_bytes()[8:-32]
    slot.write_bytes(body + hashlib.sha256(body).digest())
    run = program.run(bundle, *options)
    assert run.returncode == 65
    assert "another version" in run.stderr


def test_a_cell_that_has_fallen_silent_is_told_of(
    program: Program, bundle: Path, cells: Path
) -> None:
    """A leap of the clock by less than has to be confirmed holds back the rows after it."""
    lines = to_csv(made_up_columns(12)).splitlines()
    assert len(lines) > 1200
    lines.insert(100, ",".join(["2e6", *lines[100].split(",")[1:]]))
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, text="\n".join(lines))
    assert run.returncode == 0
    assert "the last 1000 rows of cell-1 were not used; its latest time is 2000000 s" in run.stderr


def test_a_state_that_cannot_be_kept_is_not_told(
    program: Program, bundle: Path, cells: Path
) -> None:
    text = "".join(to_csv(made_up_columns(3)).splitlines(keepends=True)[:40])
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, "--state", "nowhere", "--close",
                      text=text)  # fmt: skip
    assert (run.returncode, run.stdout) == (73, "")


@pytest.mark.parametrize("value", ["abc", "-1", "", "1e3"])
def test_a_limit_is_a_number(program: Program, bundle: Path, cells: Path, value: str) -> None:
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, "--max-cells", value)
    assert run.returncode == 64


@pytest.mark.parametrize("name", ["manifest.json", "forecast.onnx", "MODEL_CARD.md"])
def test_a_link_out_of_the_bundle_is_refused(
    program: Program, bundle: Path, tmp_path: Path, name: str
) -> None:
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    (other / name).rename(tmp_path / name)
    (other / name).symlink_to(tmp_path / name)
    run = program.run(other, "--allow-unsigned", "--verify")
    assert run.returncode == 65
    assert "leads out of the bundle" in run.stderr
    (other / name).unlink()
    os.mkfifo(other / name)
    run = program.run(other, "--allow-unsigned", "--verify")
    assert (run.returncode, "is no file" in run.stderr) == (65, True)


def test_tables_in_other_units_or_too_short_are_refused(
    program: Program, bundle: Path, tmp_path: Path, session: Session
) -> None:
    tables, graphs = session.manifest["tables"], session.manifest["graphs"]
    channels = [[n, "bar" if u == "Pa" else u] for n, u in tables["channels"]]
    narrow = dict(graphs["forecast.onnx"])
    narrow["inputs"] = [
        [n, s[:1], w] if n == "state" else [n, s, w] for n, s, w in narrow["inputs"]
    ]
    wide = dict(graphs["forecast.onnx"])
    wide["outputs"] = [[n, [1, 90000, 90000], w] if n == "incidence" else [n, s, w]
                       for n, s, w in wide["outputs"]]  # fmt: skip
    for change in (
        {"tables": tables | {"channels": channels}},
        {"tables": tables | {"channels": [[], *tables["channels"][1:]]}},
        {"graphs": graphs | {"forecast.onnx": narrow}},
        {"graphs": graphs | {"forecast.onnx": wide}},
    ):
        other = Path(shutil.copytree(bundle, tmp_path / "other"))
        reseal(other, **change)
        run = program.run(other, "--allow-unsigned", "--verify")
        assert run.returncode == 65, run.stderr
        shutil.rmtree(other)
