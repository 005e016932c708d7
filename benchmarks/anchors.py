# ruff: noqa: E501  (a table is read by row)
"""The simulator against published experiments: published, simulated, tolerance, verdict, tag.

Which rows calibrate constants and which are predictions was fixed before the simulator was run,
and so were the tolerances: calibrations ±25 %, predicted times and currents a factor of two (most
come from one cell), retentions ±5 %, other predicted magnitudes ±35 %, bounds as bounds; "shorts
easily" is read as within 250 h and "at once" as within 10 h. A row stays where it is,
and a miss is explained.

Changed after the first run had been seen: interphase resistances got a temperature dependence (the
Ag-C retentions rose from 65 and 40 % to 87 and 82 %, still misses), and the prior of `cei_rate` was
widened to balance populations. Several constants were chosen by others with these experiments in
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
from typing import Any, Final

import numpy as np

from fadecast.physics import contact, electrochemistry, interphase, pressure
from fadecast.physics.design import N_COORDINATES, Kind, central, design
from fadecast.physics.protocol import Climate, Protocol, Segment, cccv, formation, rest
from fadecast.physics.simulate import Lives, simulate
from fadecast.physics.symmetric import cycle_symmetric, ramp_to_short

TARGETS = {"rows": 25, "calibration_pass": 0.8, "prediction_pass": 0.6}
LI_LAB = Kind("lithium", "lab", "spring")
SPECIFIC: Final = 275.5
"""mAh per g of NMC811 between x = 0 and 1."""


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


def doux(at: float) -> float:
    """75 µA/cm², pellets of 82 % density: hours to short."""
    cell = central(LI_LAB, density=0.82, stripping_factor=1.0)
    return cycle_symmetric(cell, 0.075, at, half_hours=1.0, most_hours=5000).hours_to_short


def limit(at: float) -> float:
    return contact.stripping_limit(at, 298.15, 1.0, 0.02, 0.2, 1.9, 37.0)


def singh() -> float:
    cell = central(LI_LAB, density=0.95, critical_current=50.0)
    return cycle_symmetric(cell, 0.2, 0.0, one_way=True, most_hours=200).hours_to_contact_loss


def resistance_ratio(first: float, highest: float, second: float) -> float:
    cell = central(LI_LAB)
    memory = float(cell["pressure_memory"])

    def r(at: float, peak: float) -> float:
        seen = contact.contact_pressure(at, peak, memory)
        return contact.interface_resistance(
            seen, float(cell["interface_resistance"]), float(cell["interface_exponent"])
        )

    return r(first, highest) / r(second, second)


def dc_resistance(at: float) -> float:
    cell = central(LI_LAB)
    return contact.interface_resistance(
        at, float(cell["interface_resistance"]), float(cell["interface_exponent"])
    )


def pnnl(at: float, density: float) -> float:
    cell = central(LI_LAB, density=density)
    return cycle_symmetric(cell, 0.5, at, half_hours=1.0, most_hours=3000).hours_to_short


def duan() -> float:
    cell = central(LI_LAB, density=0.82)
    return cycle_symmetric(cell, 0.3, 15.0, half_hours=1.0, most_hours=3000).hours_to_short


def one_way_capacity(current: float, at: float, celsius: float, **fixed: float) -> float:
    cell = central(Kind("lithium", "lab"), **fixed)
    result = cycle_symmetric(cell, current, at, one_way=True, most_hours=2000, celsius=celsius)
    return current * min(result.hours_to_short, 2000.0)


def sei(hours: float, celsius: float = 25.0) -> float:
    cell = central(LI_LAB)
    rate = interphase.sei_square_rate(
        float(cell["sei_rate"]), float(cell["sei_activation"]), celsius + 273.15
    )
    return 1e3 * interphase.parabolic_after(0.0, rate, hours)


def full_cell(kind: Kind, protocol: Protocol, *, causes: int = 0, **fixed: float) -> Lives:
    cells = np.array([central(kind, **fixed)])
    return simulate(cells, protocol, np.zeros(1, np.uint64), causes=causes, noisy=False)


def plain(cycles: int, charge: float, discharge: float, celsius: float = 25.0) -> Protocol:
    schedule = np.ones(cycles, np.int64)
    schedule[:2] = 0
    return Protocol(
        "anchor", (formation(), cccv(charge, discharge)), schedule, 3, False, Climate(celsius)
    )


ZHOU: Final = {
    "density": 0.96, "critical_current": 50.0, "stripping_factor": 20.0, "voltage_max": 4.3,
    "first_disconnection": 0.05, "separator_thickness": 700.0,
}  # fmt: skip


_ZHOU_MISS: Final = (
    "the coverage rate follows the cathode area of Shi 2020, which loses less than half as much"
)
_LEE_MISS: Final = (
    "interphase growth at 60 °C is extrapolated from 25 °C with one activation energy, as is the "
    "loss of cathode contact"
)


def zhou(at: float, coarse: bool) -> float:
    """Capacity change in mAh/g between cycles 2 and 100 at C/3."""
    lives = full_cell(
        Kind("lithium", "lab", "constant_force"), plain(101, 1 / 3, 1 / 3), set_pressure=at,
        coverage_pressure_gain=1.5 if coarse else 0.0, **ZHOU,
    )  # fmt: skip
    q = lives.column("capacity")[0]
    return float(q[100] - q[2]) * specific(at)


def specific(at: float) -> float:
    """mAh/g per rated capacity of the cell of ``zhou``."""
    cell = central(Kind("lithium", "lab", "constant_force"), set_pressure=at, **ZHOU)
    whole = electrochemistry.electrode_capacity(
        float(cell["cathode_thickness"]), float(cell["active_fraction"]),
        float(cell["lithium_limit"]),
    )  # fmt: skip
    return SPECIFIC * float(cell["rated"]) / whole


def zhou_first() -> float:
    """First capacity at 2 MPa minus that at 30 MPa, mAh/g."""
    values = []
    for at in (2.0, 30.0):
        lives = full_cell(
            Kind("lithium", "lab", "constant_force"), plain(3, 1 / 3, 1 / 3), set_pressure=at,
            coverage_pressure_gain=1.5, **ZHOU,
        )  # fmt: skip
        values.append(float(lives.column("capacity")[0, 2]) * specific(at))
    return values[0] - values[1]


def shi() -> float:
    """Cathode contact area lost in 50 cycles, percent."""
    lives = full_cell(
        Kind("lithium", "lab", "constant_force"), plain(50, 0.1, 0.1), set_pressure=5.0, **ZHOU
    )
    s = lives.states[0]
    return 100 * (1 - float(s["coverage"]) * (1 - float(s["disconnected"])))


def strain(voltage: float) -> float:
    from fadecast.physics.design import charged_stoichiometry

    return 100 * pressure.cathode_strain(charged_stoichiometry(voltage))


def swings(kind: Kind, n: int = 200, **fixed: float) -> np.ndarray[Any, Any]:
    """Pressure swing of one cycle over the priors of a kind, MPa."""
    draw = np.random.default_rng(4)
    cells = np.array([design(kind, draw.random(N_COORDINATES), **fixed) for _ in range(n)])
    lives = simulate(cells, plain(4, 0.1, 0.1), np.arange(n, dtype=np.uint64), causes=0)
    return np.asarray((lives.column("pressure_highest") - lives.column("pressure_lowest"))[:, 3])


def quantile_of(value: float, kind: Kind, **fixed: float) -> float:
    """Where a published swing lies among those of the priors, 0 to 1."""
    return float((swings(kind, **fixed) < value).mean())


def cathode_swing() -> float:
    """Pressure swing of the cathode relative to that of lithium plating."""
    fixed = {"set_pressure": 60.0, "relaxation_fast": 0.0, "relaxation_slow": 0.0}
    kind = Kind("lithium", "lab", "fixed_gap")
    whole = full_cell(kind, plain(4, 0.1, 0.1), cathode_breathing=0.0, **fixed)
    part = full_cell(kind, plain(4, 0.1, 0.1), anode_breathing=1e-9, **fixed)
    swing = whole.column("pressure_highest")[0, 3] - whole.column("pressure_lowest")[0, 3]
    return -float(
        (part.column("pressure_highest")[0, 3] - part.column("pressure_lowest")[0, 3]) / swing
    )


def relaxation(at: float, hours: float) -> float:
    """MPa lost at rest."""
    schedule = np.zeros(1, np.int64)
    resting = Protocol("rest", ((rest(hours * 3600.0),),), schedule, 1, False, Climate(25.0))
    lives = full_cell(Kind("lithium", "lab", "fixed_gap"), resting, set_pressure=at)
    s = lives.states[0]
    return float(s["relaxed_fast"] + s["relaxed_slow"])


def lee(cycle: int) -> float:
    """Retention of an Ag-C pouch at 60 °C, 2 MPa, 6.8 mAh/cm², C/2, percent."""
    thickness = 100.0 * 6.8 / float(central(
        Kind("silver_carbon", "engineered"), cathode_thickness=100.0)["rated"])  # fmt: skip
    lives = full_cell(
        Kind("silver_carbon", "engineered", "constant_force"), plain(cycle + 2, 0.5, 0.5, 60.0),
        set_pressure=2.0, cathode_thickness=thickness,
    )  # fmt: skip
    q = lives.column("capacity")[0]
    return 100 * float(q[cycle + 1] / q[4])


def tan() -> float:
    """Cycles to 80 % of a micro-silicon cell at 5 mA/cm², 50 MPa."""
    rate = 5.0 / float(central(Kind("silicon", "lab"))["rated"])
    lives = full_cell(
        Kind("silicon", "lab", "constant_force"), plain(2000, rate, rate), set_pressure=50.0,
        separator_thickness=500.0, conductivity=3.0, pressure_limit=150.0,
    )  # fmt: skip
    q = lives.column("capacity")[0]
    low = np.nonzero(q[5:] < 0.8 * q[4])[0]
    return float(low[0] + 6) if len(low) else 2000.0


def zhang_life() -> float:
    """Cycles of an engineered Li cell at 2.6 mA/cm², 2.5 MPa, 30 °C, until a failure."""
    cell = central(Kind("lithium", "engineered", "constant_force"), set_pressure=2.5)
    rate = 2.6 / float(cell["rated"])
    lives = simulate(
        np.array([cell]), plain(1000, rate, rate, 30.0), np.zeros(1, np.uint64), noisy=False
    )
    return float(lives.until[0])


def first_cycle_rise(at: float) -> float:
    """10-s resistance after one lithium cycle over that after formation, at 0.5 mA/cm²."""
    cell = central(LI_LAB, set_pressure=at)
    rate = 0.5 / float(cell["rated"])
    lives = full_cell(
        LI_LAB, Protocol("rise", (
            (Segment(0, -rate, 1, duration=1800.0), rest(60.0)),
            (Segment(0, rate, 1, duration=3600.0), rest(60.0), Segment(0, -rate, 1, duration=3600.0)),
        ), np.array([0, 0, 1]), 1, False, Climate(25.0)), set_pressure=at,
    )  # fmt: skip
    r = lives.column("resistance")[0]
    return float(r[2] / r[0])


def window(anode: str) -> tuple[list[float], list[float]]:
    """Median life over the priors of engineered cells at C/3, by set pressure."""
    pressures = [1.0, 2.5, 5.0, 10.0, 20.0, 35.0]
    lives = []
    for at in pressures:
        draw = np.random.default_rng(9)
        kind = Kind(anode, "engineered", "constant_force")
        cells = np.array([
            design(kind, draw.random(N_COORDINATES), set_pressure=at, cathode_thickness=55.0)
            for _ in range(40)
        ])  # fmt: skip
        out = simulate(cells, plain(600, 1 / 3, 1 / 3), np.arange(40, dtype=np.uint64))
        lives.append(float(np.exp(np.mean(np.log(out.until)))))
    return pressures, lives


def wall(anode: str, side: str) -> float:
    """Best life over that at the lowest or the highest pressure; above 1 a wall exists."""
    _, lives = window(anode)
    return max(lives) / (lives[0] if side == "low" else lives[-1])


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
