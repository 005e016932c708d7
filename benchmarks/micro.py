"""The `micro` preset, trained, on a microcontroller: flash, RAM, instructions a step, agreement.

The network learns from fresh simulated cells by the settings of training/configs/assb.yaml, goes
out as a bundle, and is built for Cortex-M4 and M7 as `make micro` builds it; the first cycles of
its golden life, of a cell that trained nothing, are replayed under qemu. `--bundle` takes one that
is there. Needs emx-onnx-cgen, arm-none-eabi-gcc with newlib and qemu-system-arm. Quick: few cells.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import _common
from benchmarks._conditions import simulate
from benchmarks._contest import MICRO_DROPOUT
from benchmarks.assb import CONFIG, TRAINING
from fadecast.errors import FadecastError
from fadecast.export.bundle import export_bundle
from fadecast.learn.config import TrainConfig
from fadecast.learn.fit import fit
from fadecast.network.forecaster import PRESETS
from fadecast.network.summary import Summary
from fadecast.physics.population import Population
from serving.micro import build

CELLS = {"cells": 640, "seed": 9001, "latent": False}
QUICK = {"cells": 48, "cycles": 120}
TOLD = {"flash_bytes": 256 * 1024, "ram_bytes": 64 * 1024, "error": build.TOLERANCE}
"""Figures and what they may be at most."""


def main() -> None:
    """Train, export, build, replay, close."""
    parser = _common.parser(__doc__)
    parser.add_argument("--bundle", type=Path, help="build this bundle instead of a new one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            build.require(build.GENERATOR, build.COMPILER, build.EMULATOR)
            bundle = options.bundle or make_bundle(folder, options.quick)
            found = build.main(bundle.resolve(), folder / "build")
        except FadecastError as error:
            sys.exit(f"error: {error}")
    figures = {f"{core}.{key}": float(v) for core, told in found.items() for key, v in told.items()}
    keys = list(next(iter(found.values())))
    rows = [[core, *(f"{told[key]:,.4g}" if key == "error" else f"{told[key]:,}" for key in keys)]
            for core, told in found.items()]  # fmt: skip
    _common.table(["core", *keys], rows)
    targets = {f"{core}.{key}": f"at most {most:g}" for core in found for key, most in TOLD.items()}
    met = {name: figures[name] <= TOLD[name.partition(".")[2]] for name in targets}
    _common.close("micro", figures, targets, met, ("torch", "onnx", "emx-onnx-cgen"))


def make_bundle(folder: Path, quick: bool) -> Path:
    """A bundle of the preset, proven on a fifth of the cells; another fifth chooses its epoch."""
    config = TrainConfig.from_yaml(TRAINING)
    changes = CELLS | (QUICK if quick else {})
    cells = simulate(Population.from_yaml(CONFIG).model_copy(update=changes), folder / "cells")
    held = len(cells) // 5
    network = replace(PRESETS["micro"], dropout=MICRO_DROPOUT)
    trained = fit(cells[2 * held :], cells[held : 2 * held], network, config.training,
                  folder=folder)  # fmt: skip
    return export_bundle(
        Summary(), trained, folder / "bundle", training={},
        end_of_life=config.data.end_of_life, held_out=cells[:held],
    )  # fmt: skip


if __name__ == "__main__":
    main()
