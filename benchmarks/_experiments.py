"""The published experiments of the anchors, each run on the simulator as it was published."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fadecast.physics import contact, electrochemistry, interphase, pressure
from fadecast.physics.design import N_COORDINATES, Kind, central, design
from fadecast.physics.protocol import Climate, Protocol, Segment, cccv, formation, rest
from fadecast.physics.simulate import Lives, simulate
from fadecast.physics.symmetric import cycle_symmetric

LI_LAB = Kind("lithium", "lab", "spring")
SPECIFIC: Final = 275.5
"""mAh per g of NMC811 between x = 0 and 1."""


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
            (Segment(0, rate, 1, duration=3600.0), rest(60.0),
             Segment(0, -rate, 1, duration=3600.0)),
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
