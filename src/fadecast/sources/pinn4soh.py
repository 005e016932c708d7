"""HUST and XJTU: per-cycle tables of 77 LFP and 55 NCM cells over their whole lives.

Of the 16 statistics of each charge, eight are fields of a cycle summary: those of the
constant-current part in the last 0.2 V below the upper voltage (``top_*``) and of the hold
between 0.5 A and 0.1 A (``hold_*``). Kurtosis, skewness, slope and entropy have no field.

Tables: F. Wang et al., Nat. Commun. 15, 4332 (2024), 10.1038/s41467-024-48779-z,
https://github.com/wang-fujin/PINN4SOH (no licence stated); HUST cells: G. Ma et al., Energy
Environ. Sci. 15, 4083 (2022), 10.1039/d2ee01676a.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import ReadError

COLUMNS: Final = (
    "cell_id", "row_index", "capacity", "voltage_mean", "voltage_std", "cc_q", "cc_charge_time",
    "current_mean", "current_std", "cv_q", "cv_charge_time",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Set:
    """One of the two sets: its cells' common design and how its life is told."""

    name: str
    cell: re.Pattern[str]
    nominal_ah: float
    low_v: float
    high_v: float
    cathode: str
    ends_at_failure: bool
    citation: str


SETS: Final = (
    _Set("hust", re.compile(r"\d+-\d+"), 1.1, 2.0, 3.6, "lfp", True,
         "10.1038/s41467-024-48779-z; 10.1039/d2ee01676a"),
    _Set("xjtu", re.compile(r".+_battery-\d+"), 2.0, 2.5, 4.2, "nmc", False,
         "10.1038/s41467-024-48779-z"),
)  # fmt: skip


def read(path: Path) -> list[CellRecord]:
    """All cells of one table.

    Raises:
        ReadError: a cell's name is of neither set.
    """
    table = pq.read_table(path, columns=list(COLUMNS))
    names = np.array(table.column("cell_id").cast(pa.string()).to_pylist())
    values = {n: table.column(n).to_numpy().astype(np.float64) for n in COLUMNS[1:]}
    return [
        _record(str(cell), {n: v[rows] for n, v in values.items()})
        for cell in sorted(set(names))
        for rows in [np.flatnonzero(names == cell)]
    ]


def _record(cell: str, rows: Mapping[str, NDArray[Any]]) -> CellRecord:
    group = next((one for one in SETS if one.cell.fullmatch(cell)), None)
    if group is None:
        raise ReadError(f"cell {cell!r} is neither of HUST nor of XJTU", fix="Name it as published")
    spec = CellSpec(
        f"{group.name}-{cell}", group.nominal_ah, group.low_v, group.high_v,
        cathode=group.cathode, anode="graphite", electrolyte="liquid", fixture="none",
    )  # fmt: skip
    order = np.argsort(rows["row_index"], kind="stable")
    rows = {name: np.where(np.isfinite(v), v, np.nan)[order] for name, v in rows.items()}
    cycles = rows["row_index"].astype(np.int64) + 1
    life = None
    if group.ends_at_failure:
        life = PublishedLife(
            len(cycles),
            definition="the record ends at 80 % of nominal capacity (82 % in 10-3, 3-4 and 4-1)",
        )
    metadata = CellMetadata(
        spec, group.name, published_life=life, licence="none stated: evaluate, do not redistribute",
        citation=group.citation,
        notes={
            "published": "per-cycle capacity and 16 statistics of the charge",
            "left_out": "kurtosis, skewness, slope and entropy of voltage and current",
            "top": f"constant-current charge from {group.high_v - 0.2:.1f} to {group.high_v} V",
            "hold": "constant-voltage charge between 0.5 A and 0.1 A",
        },
    )  # fmt: skip
    fields = dict(_fields(rows, spec))
    return CellRecord(metadata, summaries=CycleSummaries.from_fields(cycles, fields))


def _fields(
    rows: Mapping[str, NDArray[np.float64]], spec: CellSpec
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Summary fields from the table's statistics (Ah, V, A, s)."""
    width = spec.voltage_max_v - spec.voltage_min_v
    nominal = spec.nominal_capacity_ah
    yield "discharge_throughput", rows["capacity"] / nominal
    yield "top_voltage_mean", (rows["voltage_mean"] - spec.voltage_min_v) / width
    yield "top_voltage_std", rows["voltage_std"] / width
    yield "top_capacity", rows["cc_q"] / nominal
    yield "top_time", rows["cc_charge_time"] / 3600
    yield "hold_rate_mean", rows["current_mean"] / nominal
    yield "hold_rate_std", rows["current_std"] / nominal
    yield "hold_capacity", rows["cv_q"] / nominal
    yield "hold_time", rows["cv_charge_time"] / 3600
