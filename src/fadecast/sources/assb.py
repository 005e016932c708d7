"""The two recorded solid-state cells: a capacity table of one, a single cycle of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.cell.summaries import CycleSummaries
from fadecast.sources.layout import Layout, read_text

_CAPACITY: Final = "max_discharge_capacity_mAh_per_g"
LPSCL: Final = Layout(
    columns={"cycle_index": ("cycle_count", "1")},
    signature=("cycle_index", _CAPACITY),
    counters={_CAPACITY: ("discharge", "mAh")},  # per gram of cathode
)
NOMINAL_MAH_PER_G: Final = 100.0
"""Nominal capacity as published with the LPSCl cell."""
NOMINAL_AH: Final = 233e-6
"""Charge of one hour at 1C = 233 µA, as published with the LPSCl cell."""
INDIUM_V: Final = 0.62
"""Potential of In/InLi against Li/Li+ (A. L. Santhosha et al., 10.1002/batt.201800149)."""

NMC811: Final = Layout(
    columns={
        "time_s": ("test_time_second", "s"),
        "current_a": ("current_ampere", "A"),
        "voltage_v": ("voltage_volt", "V"),
    },
    signature=("time_s", "current_a", "voltage_v"),
    counters={},
)
_FOLDER: Final = "assb_nmc811_liin"


def read_lpscl(path: Path) -> list[CellRecord]:
    """NMC523 / Li6PS5Cl / In-InLi: discharge capacity of 477 cycles.

    Data: M. C. Pang et al., Open-Source Benchmark of Anomaly Detection (Apache-2.0), which states
    100 mAh/g nominal, 1C = 233 µA and 3.0–4.3 V against Li/Li+. The dips at cycles 79, 429 and
    476 of the file look like short circuits and are kept as measured.
    """
    table = read_text(path, LPSCL).columns
    spec = CellSpec(
        "lpscl-tohoku-cell1", NOMINAL_AH, round(3.0 - INDIUM_V, 2), round(4.3 - INDIUM_V, 2),
        cathode="nmc", anode="indium_lithium", electrolyte="sulfide",
    )  # fmt: skip
    metadata = CellMetadata(
        spec, "lpscl_tohoku", licence="Apache-2.0", citation="github.com/meichinpang/osbad",
        notes={
            "nominal_capacity": "100 mAh per g of cathode, 233 µAh per cell, as published",
            "voltage_window": "3.0–4.3 V against Li/Li+ as published, less 0.62 V of In/InLi",
            "published": "discharge capacity only",
        },
    )  # fmt: skip
    cycles = table["cycle_index"].astype(int) + 1  # the file counts from 0
    fields = {"discharge_throughput": table[_CAPACITY] / NOMINAL_MAH_PER_G}
    return [CellRecord(metadata, summaries=CycleSummaries.from_fields(cycles, fields))]


def is_nmc811(path: Path) -> bool:
    """Whether ``path`` is the published cycle; its header alone could be anybody's."""
    return path.parent.name == _FOLDER


def read_nmc811(path: Path) -> list[CellRecord]:
    """NMC811 / sulfide / Li-In: voltage and current of the cell's fifth cycle.

    Data: github.com/Tiga789/PINN-for-ASSB-V1 (no licence stated). Nominal capacity and window are
    not published; the charge (0.442 mAh) and the voltages of this cycle stand for them.
    """
    columns = NMC811.settle(read_text(path, NMC811).columns)
    columns["cycle_count"] = np.full(len(columns["voltage_volt"]), 5)
    spec = CellSpec("assb-nmc811-liin", 4.42e-4, 2.2, 3.68, cathode="nmc", anode="indium_lithium")
    metadata = CellMetadata(
        spec, _FOLDER, licence="none stated: evaluate, do not redistribute",
        citation="github.com/Tiga789/PINN-for-ASSB-V1",
        notes={"nominal_capacity": "not published; what this cycle charged",
               "voltage_window": "not published; what this cycle reached"},
    )  # fmt: skip
    return [CellRecord(metadata, samples=columns)]
