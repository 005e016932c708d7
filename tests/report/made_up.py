"""Score tables and stores of a made-up fleet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries
from tests.forecast.fleet import Fleet

BUNDLE = "3f9c" * 16


def score_table(fleet: Fleet) -> pa.Table:
    """What ``fadecast score`` writes."""
    parts = [forecast.columns() for forecast in fleet.forecasts.values()]
    lengths = [len(part["cycle_count"]) for part in parts]
    table = {"cell_id": np.repeat(list(fleet.forecasts), lengths)}
    table |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pa.table(table).replace_schema_metadata({b"fadecast.bundle": BUNDLE.encode()})


def write_scores(fleet: Fleet, path: Path) -> Path:
    """``score_table`` as a file."""
    pq.write_table(score_table(fleet), path)
    return path


def write_store(fleet: Fleet, path: Path) -> Path:
    """A store whose cells live as those of the fleet do."""
    store = Store(path, create=True)
    for name, forecast in fleet.forecasts.items():
        life = fleet.lives[name]
        stated = PublishedLife(int(life.until), life.cause) if life.cause else None
        capacity = np.maximum(forecast.soh, 0.85)
        cycles = CycleSummaries.from_fields(
            forecast.cycle_count, {"discharge_throughput": capacity}
        )
        spec = CellSpec(name, 1.1, 2.0, 3.6)
        metadata = CellMetadata(spec, "made-up", published_life=stated)
        store.write(CellRecord(metadata, summaries=cycles))
    return path
