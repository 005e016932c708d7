"""Power cuts, mutated input and forged bundles. Slow; run by `make test-edge`."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fadecast.cell.design import encode_design
from fadecast.runtime import Session
from fadecast.runtime.bundle import FILES, MANIFEST
from fadecast.runtime.golden import OUTPUTS, worst_error
from fadecast.runtime.signature import SIGNATURE
from fadecast.runtime.summarise import summarise_samples
from tests.bundles import made_up_columns, made_up_spec
from tests.edge.program import Program, build, read, to_csv, worst, write_cells
from tests.edge.test_program import TOLERANCE, faulty, in_python
from tests.runtime.test_signature import make_keys, reseal

pytestmark = pytest.mark.slow
SPEC = made_up_spec("cell-1")
KILLS = 1000
LINES = 1_000_000
FORGERIES = 10_000


@pytest.fixture(scope="module")
def sanitized(pytestconfig: pytest.Config) -> Program:
    assert pytestconfig.cache is not None
    return build(Path(pytestconfig.cache.mkdir("edge")), "sanitized")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cells.csv", [SPEC])


def test_a_thousand_power_cuts(
    program: Program, bundle: Path, session: Session, cells: Path, tmp_path: Path
) -> None:
    """Killed at a random moment while rows come in; started again, fed again from the beginning.

    The logger keeps its rows, so what is asked is that the state loads, and that what is said after
    each start goes on where the state was, with the numbers of an undisturbed run.
    """
    columns = made_up_columns(60, seed=6)
    expected = in_python(session, columns, SPEC)[1]
    text, rng = to_csv(columns).encode(), random.Random(0)
    rows, state, latest, starts = text.splitlines(keepends=True), tmp_path / "state", 0, 0
    command = program.command(bundle, "--allow-unsigned", "--cells", cells, "--state", state)
    state.mkdir()
    for kill in range(KILLS):
        if kill % 40 == 0:  # a life goes by in so many starts
            shutil.rmtree(state)
            state.mkdir()
            latest = starts = 0
        run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert run.stdin is not None
        assert run.stdout is not None
        share = rng.randrange(1, 6) * len(rows) // 40
        end = min(len(rows), (kill % 40) * len(rows) // 40 + share)
        run.stdin.write(b"".join(rows[:end]))
        run.stdin.flush()
        try:
            run.wait(timeout=rng.uniform(0.06, 0.16))
        except subprocess.TimeoutExpired:
            run.kill()
        said = run.stdout.read().decode(errors="replace")
        run.stdin.close()
        run.stdout.close()
        code = run.wait()
        assert code == -9, code
        whole, starts = read(said[: said.rfind("\n") + 1]), starts + 1
        if not whole:
            continue
        counts = [row["cycle_count"] for row in whole]
        # It goes on from where it was: each start may have kept one cycle that it had not told yet.
        assert counts[0] <= latest + 1 + starts
        assert counts == list(range(counts[0], counts[-1] + 1))
        assert worst(whole, expected[counts[0] - 1 : counts[-1]]) <= TOLERANCE
        latest, starts = counts[-1], 0


def mutated(rng: random.Random, lines: list[bytes]) -> bytes:
    """A line changed as transmission, software and malice change lines."""
    line = bytearray(rng.choice(lines))
    for _ in range(rng.randrange(1, 4)):
        way, at = rng.randrange(6), rng.randrange(len(line) + 1)
        if way == 0:
            line[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif way == 1:
            del line[at : at + rng.randrange(1, 20)]
        elif way == 2 and at < len(line):
            line[at] = rng.randrange(256)
        elif way == 3:
            line[at:at] = rng.choice([b",", b"nan", b"-inf", b"1e999", b"-", b"0x", b"\0", b"\r\n"])
        elif way == 4:
            line *= rng.randrange(1, 4)
        else:
            line = line[:at]
    return bytes(line) + b"\n"


def test_a_million_mutated_lines(
    sanitized: Program, bundle: Path, cells: Path, tmp_path: Path
) -> None:
    rng = random.Random(1)
    lines = to_csv(faulty(8, 6)).encode().splitlines()
    path = tmp_path / "lines.csv"
    with path.open("wb") as file:
        file.write(lines[0] + b"\n")
        for _ in range(LINES):
            file.write(mutated(rng, lines[1:]))
    run = subprocess.run(
        sanitized.command(bundle, "--allow-unsigned", "--cells", cells, "--input", path, "--close"),
        capture_output=True, timeout=1200,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    for row in read(run.stdout.decode()):
        assert all(v is None or np.isfinite(v) for k, v in row.items()
                   if k not in ("cell_id", "faults"))  # fmt: skip


def test_ten_thousand_forgeries(sanitized: Program, bundle: Path, tmp_path: Path) -> None:
    """Every changed bundle is refused, and the sanitizers find nothing."""
    private, public = make_keys(tmp_path)
    signed = Path(shutil.copytree(bundle, tmp_path / "signed"))
    reseal(signed, private)
    names = (MANIFEST, SIGNATURE, *FILES)
    whole, rng = {name: (signed / name).read_bytes() for name in names}, random.Random(2)
    command = sanitized.command(signed, "--key", public, "--verify")
    for _ in range(FORGERIES):
        name = rng.choice(names)
        data = bytearray(whole[name])
        for _ in range(rng.randrange(1, 4)):
            way, at = rng.randrange(3), rng.randrange(len(data) or 1)
            if way == 0 and data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            elif way == 1:
                del data[at : at + rng.randrange(1, 100)]
            else:
                data[at:at] = rng.randbytes(rng.randrange(1, 50))
        if bytes(data) == whole[name]:
            continue
        (signed / name).write_bytes(data)
        run = subprocess.run(command, capture_output=True, timeout=60)
        assert run.returncode == 65, (name, run.returncode, run.stderr[-2000:])
        (signed / name).write_bytes(whole[name])


def test_forgeries_behind_a_broken_seal(sanitized: Program, bundle: Path, tmp_path: Path) -> None:
    """Whoever has the key can sign nonsense too: it is refused or computes, but never crashes."""
    rng = random.Random(3)
    folder = Path(shutil.copytree(bundle, tmp_path / "copy"))
    whole = {name: (folder / name).read_bytes() for name in FILES}
    for _ in range(300):
        name = rng.choice(FILES[:3])
        data = bytearray(whole[name])
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(min(len(data), 4000))] = rng.randrange(256)
        (folder / name).write_bytes(data)
        reseal(folder)
        run = sanitized.run(folder, "--allow-unsigned", "--verify")
        assert run.returncode in (0, 65), (name, run.returncode, run.stderr[-2000:])
        (folder / name).write_bytes(whole[name])
        reseal(folder)


def test_a_million_carried_steps(session: Session) -> None:
    """No drift: what is said of a cell that stays as it is stays as it is."""
    life = summarise_samples(session, made_up_columns(2, seed=2), SPEC)
    values, observed = life.values[:1], life.observed[:1].astype(np.float32)
    design, elapsed = encode_design(SPEC)[None], np.zeros((1, 1), np.float32)
    state = np.zeros((1, session.forecast_state_size), np.float32)
    settled = None
    for step in range(1_000_000):
        state, said = session.forecast(state, values, observed, design, elapsed)
        if step == 10_000:
            settled = said
    assert settled is not None
    for name in OUTPUTS:
        assert worst_error(getattr(said, name), getattr(settled, name)) <= 1e-4
