"""Made-up cells and rows for the tests of `python -m benchmarks.assb`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._cells import Rows
from fadecast.cell.life import CAUSES
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries

PRESSURE = CAUSES.index("contact_loss")
FADE = CAUSES.index("capacity_fade")


def rows_of(
    lives: list[tuple[float, float, int]], every: int = 5, cycles: int = 1000, **kinds: Any
) -> Rows:
    """Rows of cells given as (after, until, cause)."""
    after, until, cause = np.array(lives, np.float64).T
    count = [np.arange(every, min(a, cycles) + 1, every) for a in after]
    cell = np.repeat(np.arange(len(lives)), [len(c) for c in count])
    named = {n: np.array(kinds.get(n, ["x"] * len(lives))) for n in ("anode", "tier", "protocol")}
    cycle = np.concatenate(count).astype(np.int64)
    return Rows(**named, after=after, until=until, cause=cause.astype(int), cell=cell,
                row=cycle - 1, cycle=cycle)  # fmt: skip


def random_lives(n: int, seed: int = 0, end: float = 400.0) -> list[tuple[float, float, int]]:
    """Some fail, some are lost on the way, some are alive at the end."""
    draw = np.random.default_rng(seed)
    life, lost = np.ceil(draw.exponential(150, n)), np.ceil(draw.uniform(10, 2 * end, n))
    cause = draw.integers(0, len(CAUSES), n)
    out = []
    for t, c, k in zip(life, np.minimum(lost, end), cause, strict=True):
        out.append((t - 1, t, int(k)) if t <= c else (c, np.inf, -1))
    return out


def made_up_cells(folder: Path, lives: list[PublishedLife]) -> Store:
    """A store of fading cells with a measured pressure."""
    store = Store(folder, create=True)
    for i, life in enumerate(lives):
        n = int(life.cycle)
        count = np.arange(1, n + 1)
        fade = 1 - 0.2 * count / (n + 1)
        summaries = CycleSummaries.from_fields(count, {
            "charge_throughput": fade, "discharge_throughput": fade, "resistance": 0.1 + count / n,
            "pressure.mean": 5 + 0.01 * count, "capacity.charge.03": fade / 28,
        })  # fmt: skip
        anode = ("lithium", "silicon")[i % 2]
        spec = CellSpec(f"cell-{i}", 1.0, 2.5, 4.2, "nmc", anode, "sulfide", "spring", 5e6)
        notes = {"tier": "lab", "protocol": "laboratory 1C"}
        metadata = CellMetadata(spec, "simulated", "train", life, notes=notes)
        store.write(CellRecord(metadata, summaries=summaries))
    return store
