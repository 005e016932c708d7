# ruff: noqa: E501  (a table is read by row)
"""The simulator against published experiments: published, simulated, tolerance, verdict, tag.

Which rows calibrate constants and which are predictions was fixed before the simulator was run,
and so were the tolerances: calibrations ±25 %, predicted times and currents a factor of two (most
come from one cell), retentions ±5 %, other predicted magnitudes ±35 %, bounds as bounds; "shorts
easily" is read as within 250 h and "at once" as within 10 h. A row stays where it is,
and a miss is explained.

Changed after the first run had been seen: interphase resistances got a temperature dependence (the
Ag-C retentions rose from 65 and 40 % to 87 and 82 %, still misses), and the prior of `cei_rate` was
widened to balance populations; before it, the prior of `relaxation_fast` had been raised for the
calibrating row of Lee 2021. Several constants were chosen by others with these experiments in
view, so a prediction here is weaker than a blind one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np

from benchmarks._experiments import (
    LI_LAB,
    cathode_swing,
    doux,
    duan,
    first_cycle_rise,
    lee,
    limit,
    one_way_capacity,
    pnnl,
    quantile_of,
    relaxation,
    resistance_ratio,
    sei,
    shi,
    singh,
    strain,
    tan,
    wall,
    window,
    zhang_life,
    zhou,
    zhou_first,
)
from fadecast.physics import electrochemistry
from fadecast.physics.design import Kind, central
from fadecast.physics.symmetric import ramp_to_short

TARGETS = {"rows": 25, "calibration_pass": 0.8, "prediction_pass": 0.6}


@dataclass(frozen=True)
class Anchor:
    """One published number. ``rule``: ±fraction, ×factor, ``>``, ``<`` or ``in`` a range."""

    name: str
    source: str
    tag: str
    calibrates: bool
    published: float | tuple[float, float]
    unit: str
    rule: str
    amount: float
    simulate: Callable[[], float]
    miss: str = ""

    def inside(self, value: float) -> bool:
        if self.rule == "in":
            low, high = self.published  # type: ignore[misc]
            return bool(low <= value <= high)
        wanted = float(self.published)  # type: ignore[arg-type]
        if self.rule == ">":
            return value >= wanted
        if self.rule == "<":
            return value <= wanted
        if self.rule == "×":
            return bool(value > 0 and abs(math.log(value / wanted)) <= math.log(self.amount))
        return bool(abs(value - wanted) <= self.amount * abs(wanted))

    def tolerance(self) -> str:
        if self.rule == "in":
            return "range"
        if self.rule in "<>":
            return "bound"
        return f"×{self.amount:g}" if self.rule == "×" else f"±{100 * self.amount:.0f} %"


_ZHOU_MISS: Final = (
    "the coverage rate follows the cathode area of Shi 2020, which loses less than half as much"
)
_LEE_MISS: Final = (
    "interphase growth at 60 °C is extrapolated from 25 °C with one activation energy, as is the "
    "loss of cathode contact"
)


def anchors(quick: bool) -> list[Anchor]:
    """Every row, with its side fixed here."""
    c, p = True, False
    rows = [
        Anchor("stripping limit at 3 MPa", "Kasemchainan 2019", "S", c, 0.2, "mA/cm²", "±", 0.25, lambda: limit(3.0)),
        Anchor("stripping limit at 7 MPa", "Kasemchainan 2019", "S", c, 1.0, "mA/cm²", "±", 0.25, lambda: limit(7.0)),
        Anchor("contact lost without pressure, 0.2 mA/cm²", "Singh 2022", "F", c, 15.4, "h", "±", 0.25, singh),
        Anchor("time to short at 10 MPa", "Doux 2020", "S", c, 474, "h", "±", 0.25, lambda: doux(10)),
        Anchor("time to short at 15 MPa", "Doux 2020", "S", c, 272, "h", "±", 0.25, lambda: doux(15)),
        Anchor("time to short at 20 MPa", "Doux 2020", "S", c, 190, "h", "±", 0.25, lambda: doux(20)),
        Anchor("time to short at 25 MPa", "Doux 2020", "S", c, 48, "h", "±", 0.25, lambda: doux(25)),
        Anchor("interface resistance 25 over 5 MPa", "Doux 2020 (8 of 25 Ω cm²)", "S", c, 8 / 25, "1", "±", 0.25, lambda: resistance_ratio(25, 25, 5)),
        Anchor("resistance back at 5 MPa over first at 5 MPa", "Doux 2020 (50 of 110 Ω)", "S", c, 50 / 110, "1", "±", 0.25, lambda: resistance_ratio(5, 25, 5),
               "the memory of 0.25 is shared with the contact pressure; the published ratio is of whole-cell impedance"),
        Anchor("critical current, small grains, 0.3 mAh/cm² steps", "Singh 2022", "F", c, 0.9, "mA/cm²", "±", 0.25,
               lambda: ramp_to_short(central(LI_LAB, critical_current=0.9, density=0.95), 5.0)),
        Anchor("SEI after 100 h", "Aktekin 2023", "F", c, 30.0, "µAh/cm²", "±", 0.25, lambda: sei(100)),
        Anchor("NMC811 shrinkage at 4.2 V", "Kondrakov 2017", "S", c, 2.6, "%", "±", 0.25, lambda: strain(4.2)),
        Anchor("NMC811 shrinkage at 4.3 V", "de Biasi 2017", "S", c, 5.0, "%", "±", 0.25, lambda: strain(4.3)),
        Anchor("lithium thickness per charge", "2061 mAh/cm³", "M", c, 4.852, "µm cm²/mAh", "±", 0.25, lambda: float(central(LI_LAB)["anode_breathing"])),
        Anchor("first capacity, 2 minus 30 MPa", "Zhou 2025", "S", c, (-31.0, -26.0), "mAh/g", "in", 0, zhou_first,
               "the share of reversible contact is taken as published for the area, not refitted to this cell"),
        Anchor("pressure lost at rest, 30 MPa, 20 h", "Lee 2021", "S", c, 2.4, "MPa", "±", 0.25, lambda: relaxation(30.0, 20.0)),
        # predictions
        Anchor("time to short at 5 MPa", "Doux 2020", "X", p, 1000, "h", ">", 0, lambda: doux(5)),
        Anchor("time to short at 75 MPa", "Doux 2020 (at once)", "S", p, 10, "h", "<", 0, lambda: doux(75)),
        Anchor("0.5 mA/cm², 5 MPa, dense pellet", "PNNL FY23Q4", "F", p, 500, "h", ">", 0, lambda: pnnl(5, 0.94)),
        Anchor("0.5 mA/cm², 3 MPa, dense pellet shorts", "PNNL FY23Q4", "F", p, 250, "h", "<", 0, lambda: pnnl(3, 0.94)),
        Anchor("0.5 mA/cm², 5 MPa, pellet of ≤300 MPa shorts", "PNNL FY23Q4", "F", p, 250, "h", "<", 0, lambda: pnnl(5, 0.84)),
        Anchor("0.3 mA/cm², 15 MPa", "Duan 2023", "F", p, 50, "h", "×", 2, duan),
        Anchor("short below critical current after enough charge", "Lewis 2021", "X", p, 200, "mAh/cm²", "<", 0,
               lambda: one_way_capacity(0.5, 10.0, 25.0, density=0.88)),
        Anchor("bare Li(Mg) cell, 0.45 mA/cm², 2.5 MPa, 30 °C", "W. Zhang 2025", "F", p, 12.3, "mAh/cm²", "×", 2,
               lambda: one_way_capacity(0.45, 2.5, 30.0),
               "one-way plating at low pressure: the model has no filament growth at the defects of a bare interface"),
        Anchor("treated Li(Mg) cell, same", "W. Zhang 2025", "F", p, 36.0, "mAh/cm²", ">", 0,
               lambda: one_way_capacity(0.45, 2.5, 30.0, stripping_factor=2.2, critical_current=6.0)),
        Anchor("treated Li(Mg) cell, life at 2.6 mA/cm², 2.5 MPa", "W. Zhang 2025", "F", p, 1000, "cycles", ">", 0, zhang_life,
               "with 2.6 mA/cm² ten times over the stripping limit the model opens voids; magnesium in the lithium is not modelled"),
        Anchor("dense electrolyte, critical current", "Nat. Energy 2025", "X", p, 9.0, "mA/cm²", "×", 2,
               lambda: ramp_to_short(central(Kind("lithium", "engineered"), density=0.99), 5.0)),
        Anchor("resistance jump after a cycle at 1 MPa", "Park/Meng", "F", p, 1.25, "ratio", ">", 0, lambda: first_cycle_rise(1.0),
               "voids close again on plating in the model; the published jump is of an interface that never became conformal"),
        Anchor("no jump at 5 MPa", "Park/Meng", "F", p, 1.10, "ratio", "<", 0, lambda: first_cycle_rise(5.0)),
        Anchor("cathode area lost at cycle 50", "Shi 2020", "X", p, 10.4, "%", "±", 0.35, shi),
        Anchor("fade 2→100, coarse, 30 MPa", "Zhou 2025", "S", p, -33, "mAh/g", "±", 0.35, lambda: zhou(30, True),
               _ZHOU_MISS),
        Anchor("fade 2→100, coarse, 10 MPa", "Zhou 2025", "S", p, -38, "mAh/g", "±", 0.35, lambda: zhou(10, True),
               _ZHOU_MISS),
        Anchor("fade 2→100, coarse, 2 MPa", "Zhou 2025", "S", p, -64, "mAh/g", "±", 0.35, lambda: zhou(2, True),
               _ZHOU_MISS),
        Anchor("fade 2→100, fine, 30 MPa", "Zhou 2025", "S", p, -26, "mAh/g", "±", 0.35, lambda: zhou(30, False),
               _ZHOU_MISS),
        Anchor("fade 2→100, fine, 2 MPa", "Zhou 2025", "S", p, -22, "mAh/g", "±", 0.35, lambda: zhou(2, False),
               _ZHOU_MISS),
        Anchor("cathode over lithium swing, fixed gap", "Koerver 2018 (−0.045 of 1.48 MPa)", "S", p, -0.03, "1", "±", 0.35, cathode_swing,
               "published shrinkage is absorbed by pores; the prior lets 30–100 % of it reach the stack"),
        Anchor("swing of Li full cell, 2.1 MPa: quantile in fixed-gap priors", "Ham 2023", "S", p, (0.05, 0.95), "1", "in", 0,
               lambda: quantile_of(2.1, Kind("lithium", "lab", "fixed_gap"))),
        Anchor("swing with springs, 0.21 MPa: quantile in spring priors", "spring fixtures", "S", p, (0.05, 0.95), "1", "in", 0,
               lambda: quantile_of(0.21, Kind("lithium", "lab", "spring"))),
        Anchor("drift at 63 MPa in 16 h", "Koerver 2018", "S", p, 3.6, "MPa", "±", 0.35, lambda: relaxation(63.0, 16.0)),
        Anchor("composite conductivity", "reported", "M", p, (0.05, 0.6), "mS/cm", "in", 0,
               lambda: electrochemistry.composite_conductivity(*(float(central(LI_LAB)[n]) for n in ("conductivity", "electrolyte_fraction", "tortuosity_exponent")))),
        Anchor("Ag-C pouch, retention at 600", "Lee 2020", "S", p, 95, "%", "±", 0.05, lambda: lee(600), _LEE_MISS),
        Anchor("Ag-C pouch, retention at 1000", "Lee 2020", "S", p, 89, "%", "±", 0.05, lambda: lee(1000), _LEE_MISS),
        Anchor("micro-silicon, cycles to 80 %, 50 MPa", "Tan 2021", "X", p, 500, "cycles", "×", 2, tan),
    ]  # fmt: skip
    if not quick:
        rows += [
            Anchor("low-pressure wall, lithium (best/1 MPa)", "reviews", "S", p, 1.5, "ratio", ">", 0, lambda: wall("lithium", "low")),
            Anchor("high-pressure wall, lithium (best/35 MPa)", "reviews", "S", p, 1.5, "ratio", ">", 0, lambda: wall("lithium", "high")),
            Anchor("low-pressure wall, Ag-C (best/1 MPa)", "reviews", "S", p, 1.1, "ratio", ">", 0, lambda: wall("silver_carbon", "low")),
            Anchor("high-pressure wall, Ag-C (best/35 MPa)", "reviews", "S", p, 1.1, "ratio", ">", 0, lambda: wall("silver_carbon", "high")),
            Anchor("no high-pressure wall, silicon (best/35 MPa)", "Tan 2021", "X", p, 1.05, "ratio", "<", 0, lambda: wall("silicon", "high")),
        ]  # fmt: skip
    return rows


NOT_EXPRESSED = (
    "short at 75 MPa without cycling (Duan 2023): penetration here needs plating",
    "fibre-toughened electrolyte (Duan 2023): toughness is no parameter",
    "uncoated NCM811 (Koerver 2017), oxide electrolytes (Krauskopf 2019, QuantumScape)",
    "open-circuit potential under pressure (Oh 2025, 0.2–0.4 mV/MPa)",
    "alloy anodes other than Ag-C and Si (Han 2021); In|LTO (W. Zhang 2017)",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anchors", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the pressure windows")
    options = parser.parse_args()
    rows = anchors(options.quick)
    passed: dict[bool, list[bool]] = {True: [], False: []}
    print(
        f"{'':12}{'anchor':54}{'published':>14}{'simulated':>11} {'unit':12}{'tolerance':10}{'':6}tag"
    )
    for row in rows:
        value = row.simulate()
        good = row.inside(value)
        passed[row.calibrates].append(good)
        wanted = (
            f"{row.published[0]:g}…{row.published[1]:g}"
            if isinstance(row.published, tuple)
            else f"{row.rule if row.rule in '<>' else ''}{row.published:.3g}"
        )
        print(
            f"{'calibrates' if row.calibrates else 'predicts':12}{row.name[:53]:54}{wanted:>14}"
            f"{value:11.3g} {row.unit:12}{row.tolerance():10}{'ok' if good else 'MISS':6}{row.tag}  "
            f"{row.source}",
            flush=True,
        )
        if not good:
            print(f"{'':12}  why: {row.miss or 'not explained'}")
    print("\nnot expressed by the model: " + "; ".join(NOT_EXPRESSED))
    if not options.quick:
        for anode in ("lithium", "silver_carbon", "silicon"):
            pressures, lives = window(anode)
            print(f"mean log life by set pressure, {anode}: " + ", ".join(
                f"{at:g} MPa {life:.0f}" for at, life in zip(pressures, lives, strict=True)))  # fmt: skip
    figures = {
        "rows": len(rows),
        "calibration_pass": float(np.mean(passed[True])),
        "prediction_pass": float(np.mean(passed[False])),
        "calibration_rows": len(passed[True]), "prediction_rows": len(passed[False]),
    }  # fmt: skip
    print(json.dumps({
        "benchmark": "anchors", "figures": figures, "targets": TARGETS,
        "met": {k: bool(figures[k] >= v) for k, v in TARGETS.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {q: version(q) for q in ("numba", "numpy")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
