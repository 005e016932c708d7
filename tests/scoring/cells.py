"""Made-up cells and the tables they are scored from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fadecast.cell.record import CellSpec
from fadecast.scoring.local import ScoreReport
from tests.bundles import made_up_columns, made_up_spec

CYCLES = {"a": 3, "b": 6, "c": 1, "007": 4}
SPECS = {name: made_up_spec(name, nominal_capacity_ah=1.0 + len(name)) for name in CYCLES}
SERIES = {
    name: made_up_columns(n, nominal_capacity_ah=SPECS[name].nominal_capacity_ah, seed=n)
    for name, n in CYCLES.items()
}


def write_cells(path: Path, specs: Mapping[str, CellSpec] = SPECS) -> Path:
    names = (
        "cell_id", "nominal_capacity_ah", "voltage_min_v", "voltage_max_v", "pressure_limit_pa",
    )  # fmt: skip
    rows = [",".join(names)]
    rows += [",".join(str(getattr(spec, name)) for name in names) for spec in specs.values()]
    path.write_text("\n".join(rows))
    return path


def as_table(cell_id: str, columns: Mapping[str, Any]) -> pa.Table:
    n = len(next(iter(columns.values())))
    return pa.table({"cell_id": pa.array([cell_id] * n), **columns})


def write(path: Path, *parts: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.concat_tables(parts, promote_options="default"), path, **options)
    return path


def check(report: ScoreReport, streamed: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    table = pq.read_table(report.out)
    ids = np.array(table["cell_id"].to_pylist())
    assert set(ids) == set(streamed)
    assert len(ids) == report.cycles == sum(len(c["cycle_count"]) for c in streamed.values())
    for name, columns in streamed.items():
        for key, expected in columns.items():
            found = table[key].to_numpy(zero_copy_only=False)[ids == name]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=key)
