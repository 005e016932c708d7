"""A bundle on a microcontroller: its forecast as C, built for Cortex-M4 and M7, run and compared.

    python -m serving.micro.build BUNDLE OUT

Needs emx-onnx-cgen, arm-none-eabi-gcc with newlib, and qemu-system-arm. The golden life is replayed
on an emulated board without an operating system; the result must be that of the trained network to
1e-4. OUT keeps the C files: they are what a firmware takes over.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fadecast.cell.cycles import elapsed_cycles
from fadecast.errors import FadecastError
from fadecast.runtime.bundle import FORECAST, GOLDEN, Bundle, read_bundle
from fadecast.runtime.golden import OUTPUTS, Golden, worst_error
from serving.micro.arena import share_buffers
from serving.micro.constants import narrow
from serving.micro.single import single

HERE = Path(__file__).parent
TOLERANCE = 1e-4
CYCLES = 200
"""Golden cycles that are replayed at most."""
BOARDS = {
    "cortex-m4": ("mps2-an386", "fpv4-sp-d16"),
    "cortex-m7": ("mps2-an500", "fpv5-sp-d16"),
}
GENERATOR = Path(sys.executable).with_name("emx-onnx-cgen")
COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
TICK_INSTRUCTIONS = 40
"""qemu counts a nanosecond an instruction (icount, shift 0); SysTick runs at 25 MHz."""


def main(bundle: Path, out: Path) -> dict[str, Any]:
    """Build and replay for every board; the figures by board."""
    read, golden = read_bundle(bundle), Golden.from_bytes((bundle / GOLDEN).read_bytes())
    out.mkdir(parents=True, exist_ok=True)
    generate(bundle / FORECAST, read, golden, out)
    figures = {core: measure(core, golden, out) for core in BOARDS}
    off = max(figure["error"] for figure in figures.values())
    if not off <= TOLERANCE:
        raise FadecastError(f"the microcontroller is off by {off:.2g} (allowed {TOLERANCE:g})")
    return figures


def generate(graph: Path, bundle: Bundle, golden: Golden, out: Path) -> None:
    """``forecast.c`` and ``forecast.h`` of the graph, ``golden.h`` of its life."""
    onnx.save(single(graph), out / FORECAST)
    run(
        GENERATOR, "compile", FORECAST, "forecast.c", "--model-name", "forecast",
        "--emit-data-file", "--large-temp-threshold", 0, "--large-weight-threshold", 0,
        "--input-dim", "batch=1",
        cwd=out,
    )  # fmt: skip
    source, constants = out / "forecast.c", out / "forecast_data.c"
    code, data = narrow(source.read_text(), constants.read_text())
    source.write_text(share_buffers(code, "forecast"))
    constants.write_text(data)
    found = re.search(r"^void forecast\(.*\)(?= \{)", source.read_text(), re.M)
    if found is None:
        raise FadecastError("emx-onnx-cgen wrote no function forecast")
    declared = re.sub(r"\bvirtual\b", "virtual_mean", found[0])  # a firmware may be in C++
    (out / "forecast.h").write_text(f"#pragma once\n{declared};\n")
    shapes = {name: shape for name, shape, _ in bundle.manifest["graphs"][FORECAST]["outputs"]}
    sizes = {
        "STATE": shapes["state_out"][1], "RUL": shapes["rul"][1], "RISK_ROWS": shapes["risk"][1],
        "RISK_COLUMNS": shapes["risk"][2], "CAUSES": shapes["incidence"][1],
        "INTERVALS": shapes["incidence"][2], "SENSORS": shapes["virtual"][1],
        "CYCLES": min(CYCLES, len(golden.cycle_count)),
    }  # fmt: skip
    elapsed = elapsed_cycles(golden.cycle_count)[:CYCLES, None]
    arrays = {
        "golden_values": golden.values[:CYCLES], "golden_design": golden.design[None],
        "golden_observed": golden.observed[:CYCLES].astype(np.float32), "golden_elapsed": elapsed,
    }  # fmt: skip
    lines = ["#pragma once", *(f"#define {name} {size}" for name, size in sizes.items())]
    for name, array in arrays.items():
        numbers = ",\n".join(",".join(float(x).hex() + "f" for x in row) for row in array)
        lines.append(
            f'__attribute__((section(".golden"))) static const float {name}'
            f"[{len(array)}][{array.shape[1]}] = {{\n{numbers}}};"
        )
    (out / "golden.h").write_text("\n".join(lines) + "\n")


def measure(core: str, golden: Golden, out: Path) -> dict[str, Any]:
    """Build for one core, replay, compare: flash and RAM in bytes, instructions a step, error."""
    board, unit = BOARDS[core]
    program = out / f"{core}.elf"
    run(
        COMPILER, f"-mcpu={core}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={unit}", "-Os",
        "-Wno-missing-braces", "-ffunction-sections", "-fdata-sections", "-nostartfiles",
        "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections", "-T", HERE / "mps2.ld",
        "-I.", HERE / "replay.c", "forecast.c", "forecast_data.c", "-lm", "-o", program, cwd=out,
    )  # fmt: skip
    said = run(
        EMULATOR, "-M", board, "-display", "none", "-monitor", "none", "-serial", "none",
        "-chardev", "stdio,id=out", "-icount", "shift=0", "-kernel", program,
        "-semihosting-config", "enable=on,target=native,chardev=out",
        cwd=out,
    ).split("\n")  # fmt: skip
    cycles = min(CYCLES, len(golden.cycle_count))
    words = np.array(
        [[int(word, 16) for word in line.split()] for line in said[:cycles]], np.uint32
    )
    answers, at, errors = words.view(np.float32), 0, []
    for name in OUTPUTS:
        expected = np.asarray(getattr(golden, name)[:cycles], np.float32).reshape(cycles, -1)
        errors.append(worst_error(answers[:, at : at + expected.shape[1]], expected))
        at += expected.shape[1]
    ticks, stack = (int(word, 16) for word in said[cycles].split())
    sections = dict(re.findall(r"^(\.\S+)\s+(\d+)", run("arm-none-eabi-size", "-A", program), re.M))
    code, data, zeros = (int(sections.get(name, 0)) for name in (".text", ".data", ".bss"))
    inputs = 4 * (golden.values.shape[1] * 2 + len(golden.design) + 1)
    return {
        "flash_bytes": code + data, "ram_bytes": data + zeros + stack + inputs,
        "instructions_a_step": ticks * TICK_INSTRUCTIONS // cycles, "cycles": cycles,
        "error": max(errors),
    }  # fmt: skip


def require(*programs: str | Path) -> None:
    """Raises ``FadecastError`` for the first program that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            raise FadecastError(
                f"{program} is not installed",
                fix="pip install emx-onnx-cgen; apt install gcc-arm-none-eabi "
                "libnewlib-arm-none-eabi qemu-system-arm",
            )


def run(*command: Any, cwd: Path | None = None) -> str:
    """What a program prints.

    Raises:
        FadecastError: it is not there, or it fails.
    """
    words = [str(word) for word in command]
    require(words[0])
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise FadecastError(f"{Path(words[0]).name} failed: {done.stdout}{done.stderr}"[-3000:])
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(json.dumps(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()), indent=1))
