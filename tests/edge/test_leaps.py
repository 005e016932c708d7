"""Clocks and cycle counts that leap: the C++ program judges them as the Python runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fadecast.cell.faults import ROW_FAULTS
from fadecast.runtime import Session
from tests.bundles import made_up_columns, made_up_spec
from tests.edge.program import Program, read, to_csv, worst, write_cells
from tests.edge.test_program import SPEC, TOLERANCE, in_python

CELLS = 30
DAY = 86400.0


def leaping(seed: int, numbered: bool) -> dict[str, np.ndarray]:
    """A life with leaps of every size and length, true ones and wrong ones, at its ends as well."""
    rng = np.random.default_rng(seed)
    columns = made_up_columns(7, seed=seed)
    time = columns["test_time_second"]
    n = len(time)
    time += rng.choice([0.0, 1e8])
    for at in rng.integers(1, n, 3):
        time[at:] += rng.choice([29.0, 31.0, 60.0, 400.0]) * DAY
    for at in [*rng.integers(0, n, 12), *rng.choice([0, 1, n - 2, n - 1], 2)]:
        time[at : at + rng.integers(1, 4)] += rng.choice([-400.0, -31.0, 31.0, 60.0, 9e3]) * DAY
    for name in ("voltage_volt", "current_ampere"):
        columns[name][rng.integers(0, n, 20)] = np.nan
    if numbered:
        count = np.arange(n) * 7 // n + 1.0
        for at in rng.integers(1, n, 2):
            count[at:] += rng.choice([900, 1000, 1001, 4000])
        for at in [*rng.integers(1, n, 12), n - 1]:
            count[at : at + rng.integers(1, 3)] += rng.choice([-1, 1001, 4000, 9e6])
        count[rng.integers(0, n, 40)] = np.nan
        columns["cycle_count"] = count
    return columns


@pytest.mark.parametrize("numbered", [False, True], ids=["counted", "numbered"])
def test_lives_full_of_leaps_are_forecast_alike(
    program: Program, bundle: Path, session: Session, tmp_path: Path, numbered: bool
) -> None:
    specs = [made_up_spec(f"cell-{number}") for number in range(CELLS)]
    lives = [leaping(number, numbered) for number in range(CELLS)]
    texts = [to_csv(life, spec.cell_id) for spec, life in zip(specs, lives, strict=True)]
    text = texts[0] + "".join(one.split("\n", 1)[1] for one in texts[1:])
    cells = write_cells(tmp_path / "cells.csv", specs)
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, "--close", text=text)
    assert run.returncode == 0, run.stderr
    said, leaps = read(run.stdout), 0
    for spec, life in zip(specs, lives, strict=True):
        faults, expected = in_python(session, life, spec)
        rows = [row for row in said if row["cell_id"] == spec.cell_id]
        assert worst(rows, expected) <= TOLERANCE
        counted = dict(zip(ROW_FAULTS, faults.dropped, strict=True))
        assert {name: rows[-1]["faults"][name] for name in ROW_FAULTS} == counted
        leaps += counted["leaping"]
    assert leaps > 3 * CELLS


def test_a_restart_in_the_middle_of_a_leap(
    program: Program, bundle: Path, session: Session, tmp_path: Path
) -> None:
    """Restarted before and after each row that leaps, and after the one that confirms it."""
    columns = made_up_columns(6, seed=5)
    n = len(columns["test_time_second"])
    columns["cycle_count"] = np.arange(n) * 6 // n + 1.0
    columns["cycle_count"][n // 2 :] += 3000
    columns["cycle_count"][n // 5] = 9e6
    columns["test_time_second"][n // 3 :] += 60 * DAY
    columns["test_time_second"][n // 4] = 3e9
    text = to_csv(columns).splitlines(keepends=True)
    state = tmp_path / "state"
    state.mkdir()
    cells = write_cells(tmp_path / "cells.csv", [SPEC])
    options = ("--allow-unsigned", "--cells", cells, "--state", state)
    said, cuts = [], [at + k for at in (n // 5, n // 4, n // 3, n // 2) for k in (0, 1, 2)]
    for low, high in zip([0, *cuts], [*cuts, n], strict=True):
        close = ["--close"] * (high == n)
        part = "".join([text[0], *text[1 + low : 1 + high]])
        run = program.run(bundle, *options, *close, text=part)
        assert run.returncode == 0, run.stderr
        said += read(run.stdout)
    faults, expected = in_python(session, columns)
    assert worst(said, expected) <= TOLERANCE
    assert said[-1]["faults"]["leaping"] == faults.dropped[ROW_FAULTS.index("leaping")] == 2
