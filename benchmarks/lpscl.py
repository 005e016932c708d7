"""One recorded solid-state cell, told after every cycle by the shipped bundle: an illustration.

NMC523 / Li6PS5Cl / In-InLi, 477 cycles, Apache-2.0 (github.com/meichinpang/osbad). One cell of a
chemistry that the bundle never learnt validates nothing; the picture, docs/figures/lpscl.svg, shows
what the bundle says of a stranger and whether it says that it is one. Published is the discharge
capacity alone: there is no coulombic efficiency to look at, no voltage, no pressure, no cause of
failure. A dip that looks like a soft short is therefore told from the capacity: a cycle more than
10 % below the median of the ten before it.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import fadecast
from benchmarks import _common, _film, _pictures
from benchmarks._cells import HORIZON
from benchmarks._networks import bundled
from benchmarks._said import HIGH, LOW, MEDIAN, PRESSURE, WITHIN
from fadecast.cell.life import EndOfLife, find_life
from fadecast.forecast.forecast import Forecasts
from fadecast.learn.dataset import CellSequence
from fadecast.report.style import ACCENT, INK, QUIET
from fadecast.runtime import Session
from fadecast.sources.assb import NOMINAL_MAH_PER_G, read_lpscl

FILE: Final = "lpscl_tohoku/tohoku_cell1_LPSCl_capacity_per_cycle.csv"
PICTURES: Final = _common.ROOT / "docs" / "figures"
BEFORE, MARGIN = 10, 0.1
"""Cycles whose median a dip is below, and by which share of it."""
PERCENT: Final = f"{100 * MARGIN:.0f} %"
TOLD: Final = (20, 50, 100, 140, 200, 400)
DIP: Final = "#D55E00"
CAPTION: Final = (
    "Declared as published: NMC cathode, sulfide electrolyte, indium-lithium anode (of which no "
    "training cell has one), 233 µAh. Assumed: a window of 2.38–3.68 V, which is the published "
    "3.0–4.3 V against lithium less 0.62 V of In/InLi. Not known and left open: fixture and "
    "pressure. Of each cycle the network sees the discharge capacity alone; coulombic efficiency, "
    "voltage and pressure were not published, so a risk near 0 does not mean that the cell was "
    "safe."
)


def main() -> None:
    """Read, forecast, print, draw, close."""
    options = _common.options(__doc__)
    path = _common.recorded_data() / FILE
    if not path.exists():
        sys.exit(f"no record at {path}: set FADECAST_DATA to the folder that holds it")
    if not fadecast.PRETRAINED.exists():
        sys.exit("no pretrained bundle here")
    cell, said = told(path, Session.load(fadecast.PRETRAINED))
    figures = show(cell, said)
    if not options.quick:
        _pictures.save({"lpscl": picture(cell, said)}, PICTURES)
    _common.close("lpscl", figures, {}, {}, ("numpy", "onnxruntime", "matplotlib"))


def told(path: Path, session: Session) -> tuple[CellSequence, Forecasts]:
    """The recorded cell and what a bundle says after each of its cycles."""
    (record,) = read_lpscl(path)
    assert record.summaries is not None
    life = find_life(record.summaries, record.metadata, EndOfLife())
    cell = CellSequence(record.metadata, record.summaries, life)
    return cell, bundled(session)([cell])[cell.cell_id]


def dips(capacity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """``(n,)`` whether a cycle lies more than ``MARGIN`` below the median of those before it."""
    usual = [np.median(capacity[max(i - BEFORE, 0) : i] if i else capacity[:1])
             for i in range(len(capacity))]  # fmt: skip
    return np.asarray(capacity < (1 - MARGIN) * np.array(usual))


def show(cell: CellSequence, said: Forecasts) -> dict[str, float]:
    """Print what is said at some cycles; the figures."""
    capacity, count = cell.summaries.field("discharge_throughput"), cell.summaries.cycle_count
    low = dips(capacity)
    rows = []
    for cycle in TOLD:
        one = said[np.flatnonzero(said.cycle_count == cycle)]
        rul, risk = one.rul[0], one.risk[0, PRESSURE, WITHIN]
        left = f"{cell.life.cycle - cycle:.0f}" if cycle < cell.life.cycle else "–"
        fan = f"{rul[MEDIAN]:.0f} [{rul[LOW]:.0f}, {rul[HIGH]:.0f}]"
        rows.append([str(cycle), left, fan, f"{risk:.3f}", f"{one.novelty[0]:.2f}"])
    print("One recorded cell of a chemistry outside the training population: an illustration.")
    print(textwrap.fill(CAPTION, 100))
    print(f"\nBelow 80 % of nominal for the third cycle in a row: cycle {cell.life.cycle:.0f}.")
    print(f"Dips, more than {PERCENT} below the median of the {BEFORE} cycles before:")
    print(", ".join(f"cycle {c} ({v:.1f} mAh/g)" for c, v in zip(
        count[low], NOMINAL_MAH_PER_G * capacity[low], strict=True)))  # fmt: skip
    _common.table(
        ["cycle", "left", "median [90 %]", f"pressure-related risk, {HORIZON} cycles", "novelty"],
        rows,
    )
    alive = said.cycle_count <= cell.life.after
    median, left = said.rul[alive, MEDIAN], cell.life.cycle - said.cycle_count[alive]
    inside = (said.rul[alive, LOW] <= left) & (left <= said.rul[alive, HIGH])
    return {
        "cycles": float(len(count)),
        "life": cell.life.cycle,
        "dips": float(low.sum()),
        "novel": float((said.novelty > 1).mean()),
        "rul.ape.median": float(np.median(np.abs(median / left - 1))),
        "rul.inside90": float(inside.mean()),
        "risk50.highest": float(said.risk[:, PRESSURE, WITHIN].max()),
    }


def picture(cell: CellSequence, said: Forecasts) -> Figure:
    """Capacity, cycles left, risk by cause and novelty over one life."""
    count, end = cell.summaries.cycle_count, cell.life.cycle
    capacity = NOMINAL_MAH_PER_G * cell.summaries.field("discharge_throughput")
    low = dips(capacity)
    figure = Figure((8.2, 10.4), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(1.2, 1.3, 1, 0.9))
    first, left, risk, novel = panels
    first.plot(count, capacity, color=ACCENT, linewidth=1.2)
    rule = f"dip: more than {PERCENT} below the median of the {BEFORE} cycles before"
    first.plot(count[low], capacity[low], "v", color=DIP, label=rule)
    first.axhline(0.8 * NOMINAL_MAH_PER_G, color=QUIET, linewidth=1, linestyle=":")
    first.set(ylabel="discharge, mAh/g", ylim=(0, 110))
    note = {"fontsize": "small", "color": QUIET}
    first.annotate("80 % of nominal", (count[-1] - 55, 82), ha="right", **note)
    first.annotate(f"third in a row below: {end:.0f}", (end + 4, 100), color=INK, fontsize="small")
    _film.cycles_left(left, said, end)
    left.set_ylabel("cycles left")
    _film.risks(risk, said)
    risk.set_ylabel(f"risk within {HORIZON} cycles")
    most = said.risk[:, PRESSURE, WITHIN].max()
    risk.annotate(f"pressure-related: at most {most:.3f}", (end + 4, 0.2), **note)
    novel.plot(said.cycle_count, said.novelty, color=ACCENT, linewidth=1.2)
    novel.axhline(1, color=QUIET, linewidth=1, linestyle=":", label="above: unlike training")
    novel.set(ylabel="novelty", yscale="log", xlabel="cycle", xlim=(0, count[-1] + 6))
    for axes in panels:
        axes.axvline(end, color=INK, linewidth=1)
        for cycle in count[low]:
            axes.axvline(cycle, color=DIP, linewidth=0.6, alpha=0.6)
        axes.legend(fontsize="x-small", frameon=False, loc="best")
    figure.suptitle(
        "One recorded Li6PS5Cl cell and what the shipped bundle says of it:\n"
        "an illustration, not a validation", fontsize="large", color=INK,
    )  # fmt: skip
    figure.supxlabel(
        textwrap.fill(CAPTION, 116), fontsize="x-small", color=QUIET, x=0.02,
        ha="left",
    )  # fmt: skip
    _pictures.quiet(*panels)
    return figure


if __name__ == "__main__":
    main()
