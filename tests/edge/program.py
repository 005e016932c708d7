"""Building and running the C++ program, and feeding it what the Python runtime is fed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fadecast.cell.record import CellSpec
from fadecast.forecast.forecast import Forecasts
from tests.bundles import TAUGHT

SOURCE = Path(__file__).resolve().parents[2] / "serving" / "edge"
WHEEL = Path(onnxruntime.__file__).parent / "capi"
KINDS = {
    "native": [],
    "sanitized": ["-DFADECAST_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"],
    "aarch64": [
        "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
    ],
}  # fmt: skip


def library() -> Path:
    """onnxruntime's shared library, from the installed wheel."""
    return next(WHEEL.glob("libonnxruntime.so.*"))


@dataclass(frozen=True)
class Program:
    """The built programs; ``prefix`` is what runs a foreign one."""

    folder: Path
    runtime: Path
    prefix: tuple[str, ...] = ()

    def command(self, bundle: Path, *options: str | Path) -> list[str]:
        return [
            *self.prefix, str(self.folder / "fadecast-edge"), str(bundle), "--runtime",
            str(self.runtime), *map(str, options),
        ]  # fmt: skip

    def run(
        self, bundle: Path, *options: str | Path, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(bundle, *options),
            input=text,
            capture_output=True,
            text=True,
            timeout=600,
            errors="replace",
        )

    def ask(self, lines: Sequence[str]) -> list[str]:
        """Answers of ``fadecast-check``."""
        run = subprocess.run(
            [*self.prefix, str(self.folder / "fadecast-check")], input="\n".join(lines) + "\n",
            capture_output=True, text=True, check=True, errors="replace",
        )  # fmt: skip
        return run.stdout.splitlines()


def build(place: Path, kind: str) -> Program:
    """Configure and build, unless that was done with these very sources."""
    total = hashlib.sha256(repr(KINDS[kind]).encode())
    for path in sorted(SOURCE.rglob("*")):
        if path.suffix in {".cpp", ".h", ".txt"}:
            total.update(path.read_bytes())
    folder = place / f"{kind}-{total.hexdigest()[:12]}"
    with (place / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run(["cmake", "-S", SOURCE, "-B", folder, *KINDS[kind]])
            targets = ["--target", "fadecast-edge", "--target", "fadecast-check"]
            _run(["cmake", "--build", folder, "-j2", *targets])
            (folder / "done").touch()
    return Program(folder, library())


def emulated(arm: Path, core: str) -> tuple[str, ...]:
    """What runs a program of aarch64 here; ``arm`` is the folder that sysroot.sh filled."""
    # Its own /proc/cpuinfo has to stand in the place of this machine's.
    return ("qemu-aarch64-static", "-cpu", core, "-L", str(arm / "root"))


def build_foreign(place: Path, arm: Path, core: str) -> Program:
    """The programs for aarch64, run under qemu."""
    runtime = next((arm / "root/site/onnxruntime/capi").glob("libonnxruntime.so.*"))
    return replace(build(place, "aarch64"), prefix=emulated(arm, core), runtime=runtime)


def foreign_python(
    arm: Path, core: str, *words: str | Path, path: Sequence[Path]
) -> subprocess.CompletedProcess[str]:
    """Run Python for aarch64, with numpy, onnxruntime and the folders ``path`` to import from."""
    command = [*emulated(arm, core), arm / "root/usr/bin/python3.11", *words]
    places = ":".join(map(str, [arm / "root/site", *path]))
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True,
        env={"PYTHONPATH": places, "PYTHONHOME": str(arm / "root/usr")},
    )  # fmt: skip


def _run(command: Sequence[str | Path]) -> None:
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


def write_cells(path: Path, specs: Sequence[CellSpec]) -> Path:
    names = ("cell_id", "nominal_capacity_ah", "voltage_min_v", "voltage_max_v", "cathode", "anode",
             "electrolyte", "fixture", "applied_pressure_pa", "pressure_limit_pa")  # fmt: skip
    rows = [",".join(str(v) if (v := getattr(s, n)) is not None else "" for n in names)
            for s in specs]  # fmt: skip
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    return path


def to_csv(columns: Mapping[str, np.ndarray], cell_id: str | None = None) -> str:
    """Rows as the program reads them; numbers are written so that they read back the same."""
    names = list(columns)
    head = ",".join((["cell_id"] if cell_id else []) + names)
    lines = [
        ",".join(([cell_id] if cell_id else []) + [repr(float(value)) for value in row])
        for row in zip(*columns.values(), strict=True)
    ]
    return "\n".join([head, *lines]) + "\n"


def read(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def worst(said: Sequence[Mapping[str, Any]], expected: Forecasts) -> float:
    """Largest error, relative where a number is larger than 1; all columns must be there, and no
    virtual sensor that the network was not taught."""
    columns = expected.columns(TAUGHT)
    assert all(set(row) - {"cell_id", "faults"} == set(columns) for row in said)
    assert [row["cycle_count"] for row in said] == columns["cycle_count"].tolist()
    error = 0.0
    for name in columns:
        ours = np.array([row[name] for row in said], float)
        theirs = np.asarray(columns[name], float)
        off = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
        error = max(error, float(off.max(initial=0.0)))
    return error
