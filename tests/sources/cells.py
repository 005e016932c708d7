"""Made-up cells, as a cycler would log them, for tests of checks, store and sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec

NOMINAL = 2.0


def spec(cell_id: str = "cell-1", **changes: Any) -> CellSpec:
    values = {"nominal_capacity_ah": NOMINAL, "voltage_min_v": 2.8, "voltage_max_v": 4.2}
    return CellSpec(cell_id, **{**values, **changes})


def columns(cycles: int = 6, *, fade: float = 0.002, sensor: bool = True) -> dict[str, Any]:
    """1 C charge, rest, 1 C discharge, rest; a sample a minute; 25 °C swinging by 2, 5 MPa by 1."""
    pieces = []
    for cycle in range(1, cycles + 1):
        n = round(60 * (1 - fade * cycle))
        level = np.linspace(0, 1, n)
        zero, one = np.zeros(5), np.ones(5)
        pieces.append(
            np.stack(
                [
                    np.concatenate([2.9 + 1.25 * level, 4.1 * one, 4.05 - 1.2 * level, 2.85 * one]),
                    np.concatenate([np.full(n, NOMINAL), zero, np.full(n, -NOMINAL), zero]),
                    np.concatenate([level, one, 1 - level, zero]),
                    np.full(2 * n + 10, cycle),
                ]
            )
        )
    volt, ampere, level, cycle = np.concatenate(pieces, axis=1)
    out: dict[str, Any] = {
        "test_time_second": 60.0 * np.arange(len(volt)),
        "voltage_volt": volt,
        "current_ampere": ampere,
        "cycle_count": cycle.astype(int),
    }
    if sensor:
        out["surface_temperature_celsius"] = 25 + 2 * level
        out["surface_pressure_pa"] = 5e6 + 1e6 * level
    return out


def record(cell_id: str = "cell-1", cycles: int = 6, **changes: Any) -> CellRecord:
    """A record whose columns are those of ``columns`` with some replaced; ``None`` drops one."""
    data = columns(cycles) | changes
    data = {name: values for name, values in data.items() if values is not None}
    return CellRecord(CellMetadata(spec(cell_id), "made-up"), samples=data)


def write_csv(path: Any, data: dict[str, Any]) -> None:
    pcsv.write_csv(pa.table(data), path, pcsv.WriteOptions(quoting_style="none"))


def write_parquet(path: Any, data: dict[str, Any]) -> None:
    pq.write_table(pa.table(data), path)


def write_cells(path: Any, *cell_ids: str, files: dict[str, str] | None = None) -> Any:
    """A table of cells that all are of the made-up design."""
    rows = [f"{cell},{NOMINAL},2.8,4.2,{(files or {}).get(cell, '')}" for cell in cell_ids]
    header = "cell_id,nominal_capacity_ah,voltage_min_v,voltage_max_v,files"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
