"""The C++ program says what the Python runtime says, whatever the sensors do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fadecast.cell.faults import ROW_FAULTS, Screen
from fadecast.cell.record import CellSpec
from fadecast.forecast.forecast import Forecasts
from fadecast.runtime import Session
from tests.bundles import made_up_columns, made_up_spec
from tests.edge.program import Program, read, to_csv, worst, write_cells
from tests.runtime.test_signature import reseal

TOLERANCE = 1e-5
SPEC = made_up_spec("cell-1", anode="silicon", applied_pressure_pa=5e6, pressure_limit_pa=8e6)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cells.csv", [SPEC])


def in_python(
    session: Session, columns: dict[str, np.ndarray], spec: CellSpec = SPEC
) -> tuple[Screen, Forecasts]:
    stream = session.stream(spec)
    parts = [*stream.push(columns), *stream.close()]
    names = Forecasts.__slots__
    return stream.faults, Forecasts(*(np.concatenate([getattr(p, n) for p in parts])
                                      for n in names))  # fmt: skip


def faulty(seed: int, cycles: int = 8) -> dict[str, np.ndarray]:
    """A life in which everything goes wrong that can."""
    rng = np.random.default_rng(seed)
    columns = made_up_columns(cycles, seed=seed, step=20.0)
    n = len(columns["voltage_volt"])
    columns["hoop_strain_dimensionless"] = rng.normal(0, 1e-4, n)

    def some(share: float) -> np.ndarray:
        return rng.random(n) < share

    jumps = {"voltage_volt": 1.6, "surface_temperature_celsius": 50.0, "surface_pressure_pa": 9e6}
    for name, jump in (jumps | {"hoop_strain_dimensionless": 0.02}).items():
        columns[name][some(0.01)] += jump
        columns[name][some(0.01)] = np.nan
        columns[name][some(0.002)] = rng.choice([np.inf, -np.inf, 1e30])
    columns["current_ampere"][some(0.005)] = np.nan
    columns["surface_pressure_pa"][n // 2 :] = 4.2e6  # the sensor dies in mid-life
    columns["surface_temperature_celsius"][n // 3 : n // 2] = np.nan
    time_ = columns["test_time_second"]
    time_[n // 4 :] += 9000.0  # hours of gap
    time_[n // 3 :] -= 400.0  # a clock that is set back
    time_[some(0.01)] -= 20.0  # duplicates
    time_[rng.choice(n, 8)] += 4e6  # a clock that leaps, and a rest of months
    time_[n // 2 :] += 6e6
    there = ~some(0.02)
    return {name: column[there] for name, column in columns.items()}


@pytest.mark.parametrize("kind", ["sound", "faulty", "numbered", "bare"])
def test_a_life_is_forecast_alike(
    program: Program, bundle: Path, session: Session, cells: Path, kind: str
) -> None:
    columns = made_up_columns(12, seed=3) if kind != "faulty" else faulty(3)
    if kind == "numbered":
        count = np.repeat([1.0, 2.0, np.nan, 4.0, 3.0, 7.0, 4000.0], 170)
        count[[300, 700, 701]] = 9e6, 5e6, 4e3
        columns = {name: column[: len(count)] for name, column in columns.items()}
        columns["cycle_count"] = count
    if kind == "bare":
        columns = dict(list(columns.items())[:3])
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, "--close", text=to_csv(columns))
    assert run.returncode == 0, run.stderr
    faults, expected = in_python(session, columns)
    assert len(expected) >= 3
    said = read(run.stdout)
    assert worst(said, expected) <= TOLERANCE
    counted = dict(zip(ROW_FAULTS, faults.dropped, strict=True))
    counted |= dict(zip(("masked_temperature", "masked_pressure", "masked_strain"), faults.masked,
                        strict=True)) | {"gaps": faults.gaps}  # fmt: skip
    assert said[-1]["faults"] == counted
    if kind == "faulty":
        assert all(count > 0 for name, count in counted.items() if name != "stuck")


def test_many_cells_at_once(
    program: Program, bundle: Path, session: Session, tmp_path: Path
) -> None:
    specs = [made_up_spec(f"cell-{i}") for i in range(4)]
    lives = {spec.cell_id: made_up_columns(6, seed=i) for i, spec in enumerate(specs)}
    texts = [to_csv(columns, name).splitlines() for name, columns in lives.items()]
    lines = [line for rows in zip(*(text[1:800] for text in texts), strict=False) for line in rows]
    cells = write_cells(tmp_path / "cells.csv", specs)
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, "--close",
                      text="\n".join([texts[0][0], *lines]))  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = read(run.stdout)
    length = min(len(text) - 1 for text in texts)
    for spec in specs:
        rows = [row for row in said if row["cell_id"] == spec.cell_id]
        columns = {n: c[: min(length, 799)] for n, c in lives[spec.cell_id].items()}
        assert worst(rows, in_python(session, columns, spec)[1]) <= TOLERANCE


def test_state_is_carried_over_restarts_and_a_torn_slot(
    program: Program, bundle: Path, session: Session, cells: Path, tmp_path: Path
) -> None:
    columns = made_up_columns(10, seed=5)
    text = to_csv(columns).splitlines(keepends=True)
    said, state = [], tmp_path / "state"
    state.mkdir()
    options = ("--allow-unsigned", "--cells", cells, "--state", state)
    for low in range(1, len(text), 333):
        run = program.run(bundle, *options, text=text[0] + "".join(text[low : low + 333]))
        assert run.returncode == 0, run.stderr
        said += read(run.stdout)
    _, expected = in_python(session, columns)
    assert worst(said, expected[: len(said)]) <= TOLERANCE

    slots = sorted(state.iterdir(), key=lambda path: path.read_bytes()[8:16][::-1])
    whole = slots[1].read_bytes()
    slots[1].write_bytes(whole[:-7])  # the power went while the latest was written
    run = program.run(bundle, *options, "--close", text="".join(text))
    assert run.returncode == 0, run.stderr
    again = read(run.stdout)
    assert worst(again, expected[len(expected) - len(again) :]) <= TOLERANCE


@pytest.mark.parametrize(
    ("options", "text", "code"),
    [
        ([], "", 64), (["--cells", "nowhere"], "", 64), (["--nonsense"], "", 64),
        (["--cells", "CELLS"], "time,volt\n", 64),
        (["--cells", "CELLS", "--max-cells", "0"], "", 75),
        (["--cells", "CELLS", "--state", "nowhere"], "ROWS", 73),
        (["--cells", "CELLS", "--runtime", "nowhere.so"], "", 69),
    ],
)  # fmt: skip
def test_exit_codes(
    program: Program, bundle: Path, cells: Path, options: list[str], text: str, code: int
) -> None:
    options = [str(cells) if option == "CELLS" else option for option in options]
    rows = to_csv(made_up_columns(2)) if text == "ROWS" else text
    run = program.run(bundle, "--allow-unsigned", *options, text=rows)
    assert run.returncode == code, run.stderr
    assert run.stderr.startswith("fadecast-edge: ")


@pytest.mark.parametrize(
    ("column", "value"),
    [("applied_pressure_pa", "-1"), ("pressure_limit_pa", "3e4"), ("pressure_limit_pa", "2e9")],
)
def test_a_pressure_that_is_not_in_pascal_is_refused(
    program: Program, bundle: Path, tmp_path: Path, column: str, value: str
) -> None:
    table = tmp_path / "cells.csv"
    head = "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v"
    table.write_text(f"{head},{column}\na,2,3,4,{value}\n")
    run = program.run(bundle, "--allow-unsigned", "--cells", table)
    assert run.returncode == 64
    assert f"{column} is not pascal" in run.stderr


def test_a_line_that_is_none_is_counted_and_passed_over(
    program: Program, bundle: Path, cells: Path
) -> None:
    text = to_csv(made_up_columns(3)).splitlines()
    text[10:10] = [
        "",
        "x" * 5000,
        "1,2",
        ",,,,",
        "nan,inf,-inf,0x1p3,1e999",
        "\x00\x01",
        "é,é,é,é,é",
    ]
    run = program.run(bundle, "--allow-unsigned", "--cells", cells, text="\n".join(text))
    assert run.returncode == 0
    assert "malformed" in run.stderr
    assert read(run.stdout)[0]["faults"]["unusable"] == 3


def test_state_of_another_bundle_is_refused(
    program: Program, bundle: Path, cells: Path, tmp_path: Path
) -> None:
    options = ("--allow-unsigned", "--cells", cells, "--state", tmp_path)
    program.run(bundle, *options, text=to_csv(made_up_columns(2)))
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    reseal(other, training={"run_id": "another"})
    run = program.run(other, *options)
    assert run.returncode == 65
    assert "another bundle" in run.stderr


def test_sensors_that_are_none_are_refused(program: Program, bundle: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    reseal(other, virtual_sensors=["temperature"])
    run = program.run(other, "--allow-unsigned", "--verify")
    assert run.returncode == 65
    assert "virtual sensors" in run.stderr


def test_verify_says_how_near_the_golden_vectors_are(program: Program, bundle: Path) -> None:
    run = program.run(bundle, "--allow-unsigned", "--verify", "--timing")
    assert run.returncode == 0, run.stderr
    assert "golden vectors within" in run.stdout
    assert json.dumps("golden")[1:-1] in run.stderr
