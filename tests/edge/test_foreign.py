"""Other processors and other versions: the same numbers. Slow; run by `make test-edge`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import fadecast
from fadecast.cell.life import EndOfLife
from fadecast.export.bundle import export_bundle
from fadecast.network.forecaster import PRESETS
from fadecast.runtime import Session
from tests.bundles import TAUGHT, made_up_columns, made_up_cycles, made_up_spec, tiny_network
from tests.edge.program import (
    Program,
    build_foreign,
    foreign_python,
    read,
    to_csv,
    worst,
    write_cells,
)
from tests.edge.test_program import TOLERANCE, faulty, in_python

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SPEC = made_up_spec("cell-1")
OLDEST = ("1.15.1", "1.16.3", "1.17.3", "1.18.1", "1.19.2", "1.20.1", "1.21.1", "1.22.1", "1.23.2")
"""Versions of onnxruntime before the pinned one; the oldest need numpy 1."""


def needs(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)} (see docs/edge.md)", pytrace=False)


@pytest.fixture(scope="module")
def arm(pytestconfig: pytest.Config) -> Path:
    needs("qemu-aarch64-static", "aarch64-linux-gnu-g++", "apt-get")
    assert pytestconfig.cache is not None
    place = Path(os.environ.get("FADECAST_ARM") or pytestconfig.cache.mkdir("arm"))
    subprocess.run(["bash", ROOT / "tests/edge/sysroot.sh", place], cwd=ROOT, check=True)
    return place


@pytest.fixture(scope="module", params=["cortex-a53", "cortex-a76"])
def core(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def arm_program(pytestconfig: pytest.Config, arm: Path, core: str) -> Program:
    assert pytestconfig.cache is not None
    return build_foreign(Path(pytestconfig.cache.mkdir("edge")), arm, core)


def test_the_program_on_aarch64(
    arm_program: Program, bundle: Path, session: Session, tmp_path: Path
) -> None:
    cells = write_cells(tmp_path / "cells.csv", [SPEC])
    for columns in (made_up_columns(8, seed=2), faulty(4, 4)):
        run = arm_program.run(
            bundle, "--allow-unsigned", "--cells", cells, "--close", text=to_csv(columns)
        )
        assert run.returncode == 0, run.stderr
        assert worst(read(run.stdout), in_python(session, columns, SPEC)[1]) <= TOLERANCE


def test_the_python_runtime_on_aarch64(
    arm: Path, core: str, bundle: Path, session: Session
) -> None:
    columns = made_up_columns(4, seed=2)
    source = Path(fadecast.__file__).parents[1]
    run = foreign_python(arm, core, "-c", _script(bundle, 4), path=[source])
    assert run.returncode == 0, run.stderr[-2000:]
    assert worst(json.loads(run.stdout), in_python(session, columns, SPEC)[1]) <= TOLERANCE


def _script(bundle: Path, cycles: int) -> str:
    """A life through the runtime, in an interpreter that has numpy and onnxruntime alone."""
    columns = {k: v.tolist() for k, v in made_up_columns(cycles, seed=2).items()}
    return (
        "import json, numpy as np\n"
        "from fadecast.runtime import Session\n"
        "from fadecast.cell.record import CellSpec\n"
        f"stream = Session.load({str(bundle)!r}).stream(CellSpec(**{asdict(SPEC)!r}))\n"
        f"columns = json.loads('''{json.dumps(columns)}''')\n"
        "columns = {k: np.array(v) for k, v in columns.items()}\n"
        "said = [*stream.push(columns), *stream.close()]\n"
        f"rows = [f.columns({TAUGHT}) for f in said]\n"
        "print(json.dumps([{k: v[0].item() for k, v in row.items()} for row in rows]))"
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="wheels are looked up for x86-64")
@pytest.mark.parametrize("version", OLDEST)
def test_versions_of_onnxruntime(
    version: str, program: Program, bundle: Path, session: Session, tmp_path: Path
) -> None:
    """Both the Python runtime and the C++ program, from the oldest version on."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    numpy = "numpy<2" if version < "1.19" else "numpy"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", f"onnxruntime=={version}", numpy],
        capture_output=True, text=True,
    )  # fmt: skip
    if "No matching distribution" in installed.stderr:
        pytest.skip(f"no wheel of onnxruntime {version} for Python {sys.version_info.minor}")
    assert installed.returncode == 0, installed.stderr
    expected = in_python(session, made_up_columns(4, seed=2), SPEC)[1]
    run = subprocess.run(
        [python, "-c", _script(bundle, 4)], capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(fadecast.__file__).parents[1])},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert worst(json.loads(run.stdout), expected) <= TOLERANCE
    libraries = list(place.glob("lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*"))
    if libraries:  # early wheels hold the library only inside of the Python module
        run = replace(program, runtime=libraries[0]).run(bundle, "--allow-unsigned", "--verify")
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("preset", ["micro"])
def test_a_microcontroller(preset: str, tmp_path: Path) -> None:
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    from serving.micro.build import main

    config = PRESETS[preset]
    summary, forecaster = tiny_network(hidden=config.hidden, averages=config.averages)
    made = export_bundle(
        summary, forecaster, tmp_path / "bundle", training={}, end_of_life=EndOfLife(),
        held_out=[made_up_cycles("held-out", cycles=60, seed=7)],
    )  # fmt: skip
    for core, figures in main(made, tmp_path / "out").items():
        assert figures["error"] <= 1e-4, core
        assert figures["flash_bytes"] <= 256 << 10, core
        assert figures["ram_bytes"] <= 64 << 10, core
