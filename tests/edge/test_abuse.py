"""Power cuts, mutated input and forged bundles. Slow; run by `make test-edge`."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from fadecast.cell.design import encode_design
from fadecast.cell.summaries import CycleSummaries
from fadecast.export.parity import torch_forecasts
from fadecast.runtime import Session
from fadecast.runtime.bundle import FILES, MANIFEST
from fadecast.runtime.golden import OUTPUTS, answer_error
from fadecast.runtime.signature import SIGNATURE
from fadecast.runtime.summarise import summarise_samples
from tests.bundles import made_up_columns, made_up_spec, tiny_network
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


def feed(rows: bytes, pipe: IO[bytes]) -> None:
    """Write until done, or until nobody reads any more; the pipe stays open."""
    with suppress(BrokenPipeError):
        pipe.write(rows)
        pipe.flush()


def until_cut(command: list[str], rows: bytes, after: float, out: Path) -> list[dict[str, Any]]:
    """What is said until the power goes, ``after`` so many seconds."""
    with out.open("wb") as said:
        run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, bufsize=0)
        assert run.stdin is not None
        feeder = threading.Thread(target=feed, args=(rows, run.stdin))
        feeder.start()
        time.sleep(after)
        run.kill()
        assert run.wait() == -9
        feeder.join()
        run.stdin.close()
    text = out.read_text(errors="replace")
    return read(text[: text.rfind("\n") + 1])


def test_a_thousand_power_cuts(
    program: Program, bundle: Path, session: Session, cells: Path, tmp_path: Path
) -> None:
    """Killed at a random moment while rows come in; started again, fed again from the beginning.

    The logger keeps its rows, so what is asked is that the state loads, and that what is said after
    each start goes on where the state was, with the numbers of an undisturbed run: no cycle is told
    twice, and each start may have kept one that it had not told yet.
    """
    columns = made_up_columns(60, seed=6)
    expected = in_python(session, columns, SPEC)[1]
    text, rng = to_csv(columns).encode(), random.Random(0)
    rows, state, latest, starts, told = text.splitlines(keepends=True), tmp_path / "state", 0, 0, 0
    command = program.command(bundle, "--allow-unsigned", "--cells", cells, "--state", state)
    began = time.perf_counter()
    program.run(bundle, "--allow-unsigned", "--verify")
    start = time.perf_counter() - began
    for kill in range(KILLS):
        if kill % 40 == 0:  # a life goes by in so many starts
            shutil.rmtree(state, ignore_errors=True)
            state.mkdir()
            latest = starts = 0
        share = rng.randrange(1, 6) * len(rows) // 40
        end = min(len(rows), (kill % 40) * len(rows) // 40 + share)
        after = rng.uniform(0.5, 2.0) * start
        whole, starts = (
            until_cut(command, b"".join(rows[:end]), after, tmp_path / "said"),
            starts + 1,
        )
        if not whole:
            continue
        told += 1
        counts = [row["cycle_count"] for row in whole]
        assert latest + 1 <= counts[0] <= latest + 1 + starts
        assert counts == list(range(counts[0], counts[-1] + 1))
        assert worst(whole, expected[counts[0] - 1 : counts[-1]]) <= TOLERANCE
        latest, starts = counts[-1], 0
    assert told >= KILLS / 4  # the others were killed before they had anything to say


def mutated(rng: random.Random, text: bytes) -> bytes:
    """A text changed as transmission, software and malice change lines."""
    line = bytearray(text)
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
    return bytes(line)


def test_a_million_mutated_lines(sanitized: Program, bundle: Path, tmp_path: Path) -> None:
    """Every second line of the lives of many cells is changed: of one cell in ten anywhere, of the
    others after their name and time, for a clock that has leapt ahead by days holds back what
    follows."""
    rng, path = random.Random(1), tmp_path / "lines.csv"
    specs = [made_up_spec(f"cell-{number}") for number in range(LINES // 4000)]
    texts = [to_csv(faulty(seed, 24), "NAME").encode().splitlines() for seed in range(8)]
    changed = 0
    with path.open("wb") as file:
        file.write(texts[0][0] + b"\n")
        for number, spec in enumerate(specs):
            for turn, row in enumerate(texts[number % len(texts)][1:]):
                line = row.replace(b"NAME", spec.cell_id.encode(), 1)
                if turn % 2:
                    kept = 0 if number % 10 == 0 else line.index(b",", line.index(b",") + 1) + 1
                    line = line[:kept] + mutated(rng, line[kept:])
                    changed += 1
                file.write(line + b"\n")
    assert changed >= LINES
    cells = write_cells(tmp_path / "cells.csv", specs)
    run = subprocess.run(
        sanitized.command(bundle, "--allow-unsigned", "--cells", cells, "--input", path, "--close"),
        capture_output=True, timeout=1800,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    said = read(run.stdout.decode())
    for row in said:
        assert all(v is None or np.isfinite(v) for k, v in row.items()
                   if k not in ("cell_id", "faults"))  # fmt: skip
    last = {row["cell_id"]: row for row in said}
    tame = [last[spec.cell_id] for number, spec in enumerate(specs) if number % 10]
    assert min(row["cycle_count"] for row in tame) >= 3  # they lived on
    for fault in (
        "unusable",
        "late",
        "leaping",
        "spiking",
        "masked_temperature",
        "masked_pressure",
    ):
        assert sum(row["faults"][fault] for row in tame) > len(tame)


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


def test_manifests_that_were_sealed_in_a_wrong_form(
    sanitized: Program, bundle: Path, tmp_path: Path
) -> None:
    rng = random.Random(4)
    folder = Path(shutil.copytree(bundle, tmp_path / "copy"))
    manifest = json.loads((folder / MANIFEST).read_text())
    refused = 0
    for _ in range(500):
        changes = json.loads(json.dumps({k: manifest[k] for k in ("tables", "graphs")}))
        changes["virtual_sensors"] = list(manifest["virtual_sensors"])
        place: Any = changes
        while True:  # down to a part of it, drawn at random
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
                break
            place = place[key]
        place[key] = rng.choice([None, True, -1, 0, 1e5, 1e300, "", "x", [], {}, [[]], [1, 2, 3]])
        reseal(folder, **changes)
        run = sanitized.run(folder, "--allow-unsigned", "--verify")
        assert run.returncode in (0, 65), (key, place[key], run.returncode, run.stderr[-2000:])
        refused += run.returncode == 65
        (folder / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes())
    assert refused > 100


def test_a_million_carried_steps(session: Session) -> None:
    """No drift: of a cell that stays as it is, what float32 says after a million cycles, each one
    carried, is what double precision says at that age, met in 5000 steps. Nor does memory grow."""
    life = summarise_samples(session, made_up_columns(2, seed=2), SPEC)
    values, observed = life.values[:1], life.observed[:1].astype(np.float32)
    design, elapsed = encode_design(SPEC)[None], np.ones((1, 1), np.float32)
    state = np.zeros((1, session.forecast_state_size), np.float32)
    steps, before = 1_000_000, 0.0
    for step in range(steps):
        state, said = session.forecast(state, values, observed, design, elapsed)
        if step == 10_000:
            before = resident()
    assert resident() - before < 4.0
    count = np.arange(200, steps + 1, 200)
    alike = CycleSummaries(count, *(np.repeat(part[:1], len(count), 0)
                                    for part in (life.values, life.observed)))  # fmt: skip
    exact = torch_forecasts(tiny_network(0)[1], [(SPEC, alike)])[0]
    for name in OUTPUTS:
        assert answer_error(name, getattr(said, name)[0], getattr(exact, name)[-1]) <= 1e-4, name


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
