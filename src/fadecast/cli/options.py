"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", "-o", help="Where the result is written.")]
Bundle = Annotated[
    Path,
    typer.Option(
        "--bundle", "-b", help="Folder of an exported bundle.",
        show_default="the pretrained one, of simulated solid-state cells",
    ),
]  # fmt: skip
Cells = Annotated[
    Path | None,
    typer.Option(
        "--cells",
        help="Table (CSV or Parquet) of cell designs: cell_id, nominal_capacity_ah in Ah, "
        "voltage_min_v and voltage_max_v in V; optionally cathode, anode, electrolyte, fixture, "
        "applied_pressure_pa and pressure_limit_pa (the highest permitted) in Pa, and files "
        "(patterns of the cell's files, separated by ;). Other columns are not used.",
    ),
]
StoreFolder = Annotated[Path, typer.Option("--store", "-s", help="Folder of ingested cells.")]
MaybeStore = Annotated[
    Path | None,
    typer.Option("--store", "-s", help="Folder of the cells (default: the one trained on)."),
]
Config = Annotated[Path, typer.Option("--config", "-c", help="YAML of the training job.")]
Tracking = Annotated[
    str | None, typer.Option(help="URI of the runs (default: sqlite:///mlruns/mlflow.db).")
]
