"""From a trained network to a bundle folder that has been proven equal to it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from fadecast import __version__
from fadecast.cell.cycles import CycleCounter
from fadecast.cell.design import encode_design
from fadecast.cell.life import EndOfLife
from fadecast.cell.record import CellRecord
from fadecast.cell.samples import CHANNELS, OBSERVED
from fadecast.errors import BundleError
from fadecast.export.card import write_card
from fadecast.export.onnx import export_graphs
from fadecast.export.parity import HeldOut, parity_errors, require_parity, torch_forecasts
from fadecast.network.forecaster import Forecaster
from fadecast.network.summary import Summary
from fadecast.runtime.bundle import (
    CARD,
    FORMAT,
    GOLDEN,
    MANIFEST,
    VERSION,
    seal,
    tables,
)
from fadecast.runtime.golden import OUTPUTS, Golden
from fadecast.runtime.session import Session
from fadecast.runtime.signature import SIGNATURE, sign
from fadecast.runtime.summarise import cut

GOLDEN_CYCLES: Final = 50
"""Cycles that the golden life has at least, where any held-out life has as many."""


def export_bundle(
    summary: Summary,
    forecaster: Forecaster,
    out: str | os.PathLike[str],
    *,
    training: Mapping[str, Any],
    end_of_life: EndOfLife,
    held_out: Sequence[HeldOut],
    records: Sequence[CellRecord] = (),
    model_card: str | None = None,
    key: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a bundle folder, or nothing.

    Args:
        summary, forecaster: the trained network.
        out: the folder; an older bundle there is replaced at once when the new one is proven.
        training: how it was trained, as plain JSON values: data digest, data sets, run id,
            configuration, metrics. Goes into the manifest and the model card.
        end_of_life: the definition of failure it was trained for.
        held_out: cells that trained nothing, with all of their cycles; at least one.
        records: held-out cells with raw samples, where there are any.
        model_card: Markdown; by default it is written from ``training``.
        key: PEM file of the Ed25519 private key to sign with; unsigned without.

    Returns:
        ``out``.

    Raises:
        BundleError: ``out`` holds something else, there is no held-out cell, or a graph came out
            other than declared.
        ParityError: onnxruntime differs from torch by more than 3e-5 on any held-out cycle.
    """
    place = Path(out)
    _may_write(place)
    if not any(len(cell.summaries) for cell in held_out):
        raise BundleError(
            "no held-out cell to prove the bundle on", fix="Give at least one with its cycles"
        )
    files, declared = export_graphs(summary, forecaster)
    files[GOLDEN] = _golden(summary, forecaster, held_out, records).to_bytes()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "tables": tables(),
        "graphs": declared,
        "training": dict(training),
        "end_of_life": asdict(end_of_life),
        "virtual_sensors": list(forecaster.virtual.names),
        "versions": _versions(),
    }
    card = model_card if model_card is not None else write_card(manifest)
    files[CARD] = card.encode()
    manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[MANIFEST] = seal(manifest)
    if key is not None:
        files[SIGNATURE] = sign(files[MANIFEST], key)

    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        new = work / "new"
        new.mkdir()
        for name, data in files.items():
            (new / name).write_bytes(data)
        session = Session.load(new)
        require_parity(parity_errors(session, forecaster, held_out, records))
        if place.exists():
            place.rename(work / "old")
        new.rename(place)
    finally:
        shutil.rmtree(work)
    return place


def _may_write(place: Path) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / MANIFEST).is_file():
        raise BundleError(
            "this is no bundle and would be overwritten", where=str(place),
            fix="Choose a new or empty folder",
        )  # fmt: skip


def _is_limited(cell: HeldOut) -> bool:
    seen = bool(np.isfinite(cell.summaries.field("pressure.highest")).any())
    return seen and cell.metadata.spec.pressure_limit_pa is not None


def _golden(
    summary: Summary,
    forecaster: Forecaster,
    held_out: Sequence[HeldOut],
    records: Sequence[CellRecord],
) -> Golden:
    """A whole held-out life, and the first recorded cycle (or a made-up one).

    The shortest life that is long enough: the vectors are replayed at every start of a vehicle.
    One with measured pressures and a limit to them is preferred.
    """
    known = [(not _is_limited(cell), len(cell.summaries)) for cell in held_out]
    least = min(GOLDEN_CYCLES, max(cycles for _, cycles in known))
    enough = [number for number, (_, cycles) in enumerate(known) if cycles >= least]
    cell = held_out[min(enough, key=known.__getitem__)]
    spec, life = cell.metadata.spec, cell.summaries
    forecasts = torch_forecasts(forecaster, [(spec, life)])[0]
    samples, seen, window = _first_cycle(records[0]) if records else _made_up_cycle()
    with torch.no_grad():
        _, values, observed = summary(
            summary.start(1),
            *(torch.from_numpy(array).unsqueeze(0) for array in (samples, seen, window)),
        )
    return Golden(
        samples, seen, window, values[0].numpy(), observed[0].numpy(),
        life.cycle_count, life.values, life.observed, encode_design(spec),
        **{name: getattr(forecasts, name) for name in OUTPUTS},
    )  # fmt: skip


Cycle = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def _first_cycle(record: CellRecord) -> Cycle:
    assert record.samples is not None
    samples, count = CycleCounter(record.spec.nominal_capacity_ah).number(record.samples)
    _, end = cut(count)[0]
    return samples.values[:end], samples.observed[:end], record.spec.window


def _made_up_cycle(seed: int = 0) -> Cycle:
    """Charge, rest, discharge, rest with every channel, each missing now and then."""
    rng = np.random.default_rng(seed)
    n = 400
    values = np.zeros((n, len(CHANNELS)), np.float32)
    phase = np.arange(n) * 4 // n
    values[:, 0] = rng.uniform(5.0, 25.0, n)
    charge = np.interp(np.arange(n), [0, 100, 200, 300, n], [0.0, 1.0, 1.0, 0.0, 0.0])
    values[:, 2] = np.array([2.0, 0.0, -2.0, 0.0])[phase]
    values[:, 1] = 2.6 + 1.5 * charge + 0.05 * values[:, 2] + rng.normal(0, 1e-3, n)
    values[:, 3] = 25 + np.abs(values[:, 2]) + rng.normal(0, 0.1, n)
    values[:, 4] = 5e6 * (1 + 0.1 * charge + rng.normal(0, 1e-3, n))
    values[:, 5] = 1e-3 * charge
    observed = np.ones((n, len(OBSERVED)), np.float32)
    observed[:, 1:] = rng.random((n, 3)) > 0.05
    values[:, 3:] *= observed[:, 1:]
    return values, observed, np.array([2.0, 2.5, 4.2], np.float32)


def _versions() -> dict[str, str]:
    libraries = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
    return {
        "fadecast": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
