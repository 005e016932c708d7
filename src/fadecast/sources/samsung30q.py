"""Samsung 30Q: three NCA cells with hoop strain, cycled to failure, as a time series.

The strain of the steel can is carried as strain; it is not a stack pressure and never becomes one.
Data: ARTS-Laboratory, Dataset Cycling with Strain Monitoring for Samsung 30Q Cell, CC BY-SA 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.sources.layout import Layout

LAYOUT: Final = Layout(
    columns={
        "time_s": ("test_time_second", "s"),
        "voltage_v": ("voltage_volt", "V"),
        "current_a": ("current_ampere", "A"),
        "cycle": ("cycle_count", "1"),
        "cell_temperature_c": ("surface_temperature_celsius", "°C"),
        "hoop_strain": ("hoop_strain_dimensionless", "1"),
    },
    signature=("cell_id", "cell_temperature_c", "hoop_strain"),
    counters={},
)


def read(path: Path) -> list[CellRecord]:
    """All cells of the table, each in time order."""
    table = pq.read_table(path, columns=["cell_id", *LAYOUT.columns])
    names = np.array(table.column("cell_id").cast(pa.string()).to_pylist())
    columns = LAYOUT.settle({n: table.column(n).to_numpy() for n in LAYOUT.columns})
    return [
        _record(str(cell), {n: v[names == cell] for n, v in columns.items()})
        for cell in sorted(set(names))
    ]


def _record(cell: str, columns: dict[str, NDArray[Any]]) -> CellRecord:
    spec = CellSpec(
        f"samsung30q-{cell}", 3.0, 2.5, 4.2,
        cathode="nca", anode="graphite", electrolyte="liquid", fixture="none",
    )  # fmt: skip
    metadata = CellMetadata(
        spec, "samsung30q", licence="CC BY-SA 4.0",
        citation="github.com/ARTS-Laboratory/dataset-cycling-with-strain-monitoring-for-samsung-30Q-cell",
        notes={"strain": "casing hoop strain; the gauges drift and saturate late in life"},
    )  # fmt: skip
    return CellRecord(metadata, samples=columns)
