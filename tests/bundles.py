"""A tiny real bundle and made-up cells for tests: real graphs, random weights, a fitted scaler."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import fadecast
from fadecast.cell.life import EndOfLife
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.export.bundle import export_bundle
from fadecast.forecast.forecast import VIRTUAL_SENSORS
from fadecast.network.batch import summarise_record
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.summary import Summary
from fadecast.runtime import Session

TAUGHT = ("anode_contact", "penetration")
"""Virtual sensors of ``tiny_network``."""


def made_up_columns(
    cycles: int = 12, *, nominal_capacity_ah: float = 2.0, seed: int = 0, step: float = 60.0
) -> dict[str, np.ndarray]:
    """A fading cell: charge, rest, discharge, rest, with temperature and pressure.

    ``seed`` chooses its rate, polarisation, fade and surroundings. It has no ``cycle_count``; its
    discharge is always a little above the nominal capacity, so the rule counts every cycle.
    """
    rng = np.random.default_rng(seed)
    rate, fade, drop = rng.uniform(0.7, 1.4), rng.uniform(0.02, 0.1), rng.uniform(0.0, 0.05)
    warm, pressed, breath = rng.uniform(15, 35), rng.uniform(2e6, 2e7), rng.uniform(0.02, 0.1)
    voltage, current, swing = [], [], []
    for cycle in range(cycles):
        age = cycle / cycles
        n = round(3600 / step / rate * (1.15 - fade * age))
        level, loss = np.linspace(0, 1, n), drop * rate * (1 + age)
        voltage += [2.9 + 1.1 * level + loss, np.full(4, 4.0), 4.0 - 1.1 * level - loss]
        voltage += [np.full(4, 2.9)]
        current += [np.full(n, rate), np.zeros(4), np.full(n, -rate), np.zeros(4)]
        swing += [level, np.ones(4), 1 - level, np.zeros(4)]
    volt, amp, level = (np.concatenate(parts) for parts in (voltage, current, swing))
    n = len(volt)
    return {
        "test_time_second": np.arange(n) * step,
        "voltage_volt": volt + rng.normal(0, 2e-3, n),
        "current_ampere": (amp + rng.normal(0, 1e-4, n)) * nominal_capacity_ah,
        "surface_temperature_celsius": warm + 2 * np.abs(amp) + rng.normal(0, 0.3, n),
        "surface_pressure_pa": pressed * (1 + breath * level + rng.normal(0, 2e-3, n)),
    }


def made_up_spec(cell_id: str = "made-up", **changes: object) -> CellSpec:
    """Its design."""
    fields = {
        "nominal_capacity_ah": 2.0, "voltage_min_v": 2.5, "voltage_max_v": 4.2,
        "pressure_limit_pa": 8e6,
    } | changes  # fmt: skip
    return CellSpec(cell_id, **fields)  # type: ignore[arg-type]


def made_up_record(cell_id: str = "made-up", cycles: int = 12, seed: int = 0) -> CellRecord:
    """Both as a record."""
    columns = made_up_columns(cycles, seed=seed)
    return CellRecord(CellMetadata(made_up_spec(cell_id), source="made-up"), columns)


def made_up_cycles(cell_id: str = "made-up", cycles: int = 12, seed: int = 0) -> CellRecord:
    """The same cell, published as cycle summaries."""
    record = made_up_record(cell_id, cycles, seed)
    return CellRecord(record.metadata, summaries=summarise_record(record))


def tiny_network(
    seed: int = 0, hidden: int = 16, averages: tuple[float, ...] = (10.0, 100.0, 100_000.0)
) -> tuple[Summary, Forecaster]:
    """Random weights, with the scaler, the novelty and the design fitted to made-up cells."""
    torch.manual_seed(seed)
    config = ForecasterConfig(hidden=hidden, reference_cycles=3, averages=averages)
    forecaster = Forecaster(config).eval()
    with torch.no_grad():
        forecaster.health.weight.normal_(0, 0.1)
        forecaster.hazards.linear.weight.mul_(2)
        forecaster.recalibration.offset.normal_(0, 0.1)
        forecaster.virtual.linear.weight.normal_(0, 0.2)
        forecaster.virtual.scale.uniform_(0.5, 2)
        forecaster.encoder.design_scale[-4:-1] = 0.0  # these never varied
        taught = [float(name in TAUGHT) for name in VIRTUAL_SENSORS]
        forecaster.virtual.supervised.copy_(torch.tensor(taught))
    cells = [made_up_cycles(cycles=24, seed=seed) for seed in range(8)]
    rows = [cell.summaries for cell in cells if cell.summaries is not None]
    values = [torch.tensor(s.values) for s in rows]
    seen = [torch.tensor(s.observed, dtype=torch.float32) for s in rows]
    changes = [forecaster.scaler.changes_of(*pair) for pair in zip(values, seen, strict=True)]
    forecaster.scaler.fit(torch.cat(values), torch.cat(seen), torch.cat(changes))
    # Recorded cells vary by more than these few, and what hardly varies magnifies rounding errors.
    forecaster.scaler.scale.clamp_(min=0.01)
    forecaster.scaler.change_scale.clamp_(min=0.01)
    forecaster.novelty.fit(0.3 * torch.randn(1000, hidden))
    return Summary(), forecaster


def tiny_bundle(out: Path, seed: int = 0) -> Path:
    """A bundle of ``tiny_network(seed)`` in the folder ``out``."""
    summary, forecaster = tiny_network(seed)
    return export_bundle(
        summary, forecaster, out,
        training={"run_id": "none", "datasets": ["made-up"], "data_digest": "0" * 64,
                  "config": {"hidden": 16}, "metrics": {}},
        end_of_life=EndOfLife(), held_out=[made_up_cycles("held-out", seed=7)],
        records=[made_up_record("held-out", seed=7)],
    )  # fmt: skip


@pytest.fixture(scope="session")
def bundle(pytestconfig: pytest.Config) -> Path:
    """The folder of a tiny real bundle; read only.

    Exporting takes ten seconds, so it is kept in pytest's cache under a name made of every source
    file and version that has a part in it; workers that run side by side wait for the first one.
    """
    total = hashlib.sha256(f"{torch.__version__} {onnxruntime.__version__}".encode())
    for layer in ("cell", "forecast", "network", "runtime", "export"):
        for path in sorted((Path(fadecast.__file__).parent / layer).glob("*.py")):
            total.update(path.read_bytes())
    total.update(Path(__file__).read_bytes())
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("bundles") / total.hexdigest()[:16]
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder if folder.exists() else tiny_bundle(folder)


@pytest.fixture(scope="session")
def session(bundle: Path) -> Session:
    """That bundle, open."""
    return Session.load(bundle)
