"""MATR: 124 LFP/graphite A123 cells, published as discharge curves Q(V) of cycles 2–100.

Two layouts are read: one Parquet table of all cells, and the publisher's folder
(``data/train/cell1.csv`` with 1000 voltages down and 99 cycles across, lives in
``data/cycle_lives/train_cycle_lives.csv``). Both give the same records.

Curves: https://github.com/petermattia/revisit-severson-et-al (MIT), P. M. Attia et al.,
J. Electrochem. Soc. 168, 060547 (2021), 10.1149/1945-7111/ac2704; cells: K. A. Severson et al.,
Nat. Energy 4, 383 (2019), 10.1038/s41560-019-0356-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast.cell.checks import spikes
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.summaries import BINS, CycleSummaries
from fadecast.errors import ReadError

COLUMNS: Final = ("cell_id", "split", "cycle_index", "cycle_life", "discharge_capacity_ah")
VOLTAGE: Final = np.linspace(3.6, 2.0, 1000)
"""Voltages of a curve in V."""
FIRST_CYCLE: Final = 2
NOMINAL_AH: Final = 1.1
ROUGH: Final = 0.01
"""Charge in nominal capacities by which a curve may go backwards before it is called broken.

The median curve never does; 34 of 12276 do by more, all of them visibly broken.
"""
_CELL: Final = re.compile(r"cell(\d+)\.csv")
_SPLITS: Final = ("train", "test1", "test2")


def read_parquet(path: Path) -> list[CellRecord]:
    """All cells of the one-table layout.

    Raises:
        ReadError: the table is not of this layout.
    """
    table = pq.read_table(path, columns=list(COLUMNS))
    curves = table.column("discharge_capacity_ah").combine_chunks()
    flat = curves.flatten().to_numpy()
    if len(flat) != len(table) * len(VOLTAGE):
        raise ReadError(f"curves do not have {len(VOLTAGE)} points", fix="Use the published table")
    capacity = flat.reshape(-1, len(VOLTAGE))
    cells = np.array(table.column("cell_id").cast(pa.string()).to_pylist())
    lives, cycles = (table.column(n).to_numpy() for n in ("cycle_life", "cycle_index"))
    return [
        record(str(cell), cycles[rows], capacity[rows], int(lives[rows][0]))
        for cell in sorted(set(cells))
        for rows in [np.flatnonzero(cells == cell)]
    ]


def is_published(path: Path) -> bool:
    """Whether ``path`` is a cell of the publisher's folder."""
    return bool(_CELL.fullmatch(path.name)) and path.parent.name in _SPLITS


def lives_of(path: Path) -> Path:
    """The table of cycle lives that belongs to a cell of the publisher's folder."""
    return path.parent.parent / "cycle_lives" / f"{path.parent.name}_cycle_lives.csv"


def is_lives(path: Path) -> bool:
    """Whether ``path`` is the publisher's table of cycle lives, read along with the cells."""
    return path.parent.name == "cycle_lives" and path.name.endswith("_cycle_lives.csv")


def read_published(path: Path) -> list[CellRecord]:
    """One cell of the publisher's folder.

    Raises:
        ReadError: the curves or the table of lives beside them are missing or broken.
    """
    match = _CELL.fullmatch(path.name)
    number, split = int(match[1]) if match else 0, path.parent.name
    try:
        life = int(_numbers(lives_of(path))[number - 1, 0])
        capacity = _numbers(path).T
    except (OSError, pa.ArrowInvalid, IndexError, ValueError) as error:
        raise ReadError(
            f"the curves or their cycle life cannot be read ({error})",
            where=path.name, fix="Download them again: fadecast data get matr",
        ) from None  # fmt: skip
    if capacity.shape[1] != len(VOLTAGE):
        raise ReadError(
            f"{capacity.shape[1]} voltages, expected {len(VOLTAGE)}",
            where=path.name, fix="Download it again: fadecast data get matr",
        )  # fmt: skip
    cycles = FIRST_CYCLE + np.arange(len(capacity))
    return [record(f"{split}-{number:02d}", cycles, capacity.astype(np.float32), life)]


def _numbers(path: Path) -> NDArray[np.float64]:
    table = pcsv.read_csv(path, pcsv.ReadOptions(autogenerate_column_names=True))
    return np.stack([np.asarray(c.to_numpy(), np.float64) for c in table.columns], axis=1)


def record(
    cell: str, cycles: NDArray[Any], capacity_ah: NDArray[np.float32], life: int
) -> CellRecord:
    """The record of one cell.

    Args:
        cell: split and number, such as ``train-01``.
        cycles: ``(n,)`` cycle numbers.
        capacity_ah: ``(n, 1000)`` discharged capacity at ``VOLTAGE``.
        life: cycles until 0.88 Ah, as published.
    """
    spec = CellSpec(
        f"matr-{cell}", NOMINAL_AH, 2.0, 3.6,
        cathode="lfp", anode="graphite", electrolyte="liquid", fixture="none",
    )  # fmt: skip
    order = np.argsort(cycles)
    curves = capacity_ah[order].astype(np.float64)
    fields = dict(curve_fields(VOLTAGE, curves, spec))
    throughput = curves[:, -1] / NOMINAL_AH
    false = spikes(throughput)
    broken = np.maximum(-np.diff(curves, axis=1), 0).sum(1) > ROUGH * NOMINAL_AH
    fields = {name: np.where(broken | false, np.nan, values) for name, values in fields.items()}
    fields["discharge_throughput"] = np.where(false, np.nan, throughput)
    metadata = CellMetadata(
        spec, "matr", split=cell.partition("-")[0],
        published_life=PublishedLife(life, definition="cycles until 0.88 Ah (80 % of nominal)"),
        licence="MIT", citation="10.1149/1945-7111/ac2704; 10.1038/s41560-019-0356-8",
        notes={
            "published": "discharge curves Q(V) of the first 100 cycles only",
            "masked_cycles": str(int((broken | false).sum())),
        },
    )  # fmt: skip
    return CellRecord(metadata, summaries=CycleSummaries.from_fields(cycles[order], fields))


def curve_fields(
    voltage: NDArray[np.float64], capacity_ah: NDArray[np.float64], spec: CellSpec
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Charge and energy of discharge curves by voltage node, and their total energy.

    Args:
        voltage: ``(k,)`` in V.
        capacity_ah: ``(n, k)`` discharged capacity at those voltages.
        spec: window and nominal capacity to scale by.

    Yields:
        Summary fields, each ``(n,)``, shared between the two nearest nodes as the cycle summary
        does.
    """
    middle = 0.5 * (voltage[1:] + voltage[:-1])
    place = (middle - spec.voltage_min_v) / (spec.voltage_max_v - spec.voltage_min_v)
    nodes = np.arange(BINS)
    hats = np.maximum(1 - np.abs(place.clip(0, 1)[:, None] * (BINS - 1) - nodes), 0)
    charge = np.diff(capacity_ah, axis=1) / spec.nominal_capacity_ah
    energy = charge * (middle / spec.voltage_max_v)
    for quantity, values in (("capacity", charge), ("energy", energy)):
        binned = values @ hats
        yield from ((f"{quantity}.discharge.{node:02d}", binned[:, node]) for node in nodes)
    yield "discharge_energy", energy.sum(1)
