"""Alarms that are looked at after every cycle, as a vehicle does, of a network that is at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks import _common
from benchmarks._alarms import LEAD, Alarms, Curve, lead
from benchmarks._cells import Array, Cells, Ints, Rows
from benchmarks._networks import Forecast
from benchmarks._said import PRESSURE, WITHIN

_AT_ONCE = 64


def always(forecast: Forecast, cells: Cells, rows: Rows) -> Curve:
    """Alarms over all cycles at which a cell is known alive.

    Args:
        rows: of the same ``cells``, at some of their cycles.
    """
    risk: list[Array] = []
    cell: list[Ints] = []
    cycle: list[Ints] = []
    for start in range(0, len(cells), _AT_ONCE):
        some = list(cells.some(slice(start, start + _AT_ONCE)))
        said = forecast(some)
        for number, one in enumerate(some, start):
            found = said[one.cell_id]
            alive = found.cycle_count <= rows.after[number]
            risk.append(found.risk[alive, PRESSURE, WITHIN].astype(np.float64))
            cycle.append(found.cycle_count[alive].astype(np.int64))
            cell.append(np.full(int(alive.sum()), number))
    every = replace(
        rows, cell=np.concatenate(cell), cycle=np.concatenate(cycle),
        row=np.concatenate([np.arange(len(part)) for part in cell]),
    )  # fmt: skip
    return Alarms.of(every, np.concatenate(risk), every=1).curve()


def show_always(curve: Curve) -> dict[str, float]:
    """Print and return what is announced so."""
    found = lead(curve)
    print("\nThe network alone, by alarms that are looked at after every cycle")
    lines = [[name.partition(".")[2], f"{value:.5f}"] for name, value in found.items()]
    _common.table(["", f"{LEAD} or more cycles before"], lines)
    return {name.replace("lead.", "lead.always.", 1): value for name, value in found.items()}
