"""The state of one simulated cell, and the truth that is kept of every cycle."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fadecast.physics import contact, damage, electrochemistry, interphase, penetration, pressure
from fadecast.physics.electrochemistry import DEPTHS, REFERENCE_KELVIN, SHELLS
from fadecast.physics.jit import compiled
from fadecast.physics.parameters import Cell

_SLOW = (
    "time", "kelvin", "ambient", "voltage", "current", "lithium", "branch",  # s, K, V, mA/cm²
    "void", "occluded", "penetration", "grown_creep", "grown_void", "grown_current",
    "coverage", "connected", "disconnected", "dead_lithium",
    "sei", "cei", "pressure", "highest_pressure", "set_pressure", "relaxed_fast", "relaxed_slow",
    "irreversible", "damage", "mean_x", "before_x", "base_x",
    "before_pressure", "previous_dt", "effective_dt", "plated_total",
)  # fmt: skip
_RATES = (  # follow from the temperature and the slow state; refreshed when either moves
    "rates_kelvin", "capacity", "ionic", "electronic", "separator", "diffusion", "exchange",
    "anode_exchange", "creep_arrhenius", "critical", "sei_square",
    "cei_square", "rates_pressure", "stripping", "interface", "creep",
    "stripping_slope", "interface_slope", "creep_slope", "diffusivity_drop",
    "contact", "series", "constriction", "slowness", "leak", "anode_voltage",
)  # fmt: skip
_LEDGER = (
    "charged",
    "discharged",
    "leaked",
    "work",
    "heat",
    "lost_heat",
    "consumed",
)  # mAh/cm², J/cm²
_CYCLE = (
    "cycle_start", "q_charge", "q_discharge", "q_leak", "pressure_time", "lowest_pressure",
    "peak_pressure", "least_x", "most_x", "least_contact", "kelvin_time", "capacity_measured",
    "self_discharge", "growth", "growth_creep", "growth_void", "growth_current", "end_lithium",
)  # fmt: skip

STATE: Final = np.dtype(
    [(name, "f8") for name in (*_SLOW, *_RATES, *_LEDGER, *_CYCLE)]
    + [("cycle", "i8"), ("counter", "i8"), ("failures", "i8"), ("freeze_penetration", "i8")]
)
"""Everything that changes in a cell except the particles' profiles."""

State = Any

WORK: Final = np.dtype([
    ("x", "f8", (DEPTHS, SHELLS)), ("before", "f8", (DEPTHS, SHELLS)),
    ("base", "f8", (DEPTHS, SHELLS)), ("upper", "f8", (DEPTHS, SHELLS)),
    ("right", "f8", (DEPTHS, SHELLS)),
    ("surface", "f8", (DEPTHS,)), ("local", "f8", (DEPTHS,)), ("guess", "f8", (DEPTHS,)),
    ("offset", "f8", (DEPTHS,)), ("gain", "f8", (DEPTHS,)), ("newton", "f8", (DEPTHS, DEPTHS + 2)),
])  # fmt: skip

TRUTH: Final[dict[str, str]] = {
    "capacity": "discharge capacity / rated", "coulombic_efficiency": "1",
    "pressure_mean": "MPa", "pressure_lowest": "MPa", "pressure_highest": "MPa",
    "temperature_mean": "K", "void": "mAh/cm²", "occluded": "mAh/cm²", "contact_least": "1",
    "penetration": "1", "coverage": "1", "connected": "1", "sei": "mAh/cm²", "cei": "Ω cm²",
    "damage": "1", "resistance": "Ω cm², 10 s, 25 °C, x = 0.5", "leaked": "mAh/cm²",
    "share_disconnected": "1", "share_inventory": "1", "share_anode": "1", "share_coverage": "1",
    "share_interphase": "1", "days": "d", "measured": "1 where the capacity was measured",
}  # fmt: skip
"""Hidden state after every cycle: units by name, in the order of the truth table's columns."""

N_TRUTH: Final = len(TRUTH)


@compiled
def thermal_rates(cell: Cell, s: State) -> None:
    """Every rate that depends on temperature (equation 1.1) and on slowly changing structure."""
    kelvin = s.kelvin
    kappa = cell.conductivity * electrochemistry.arrhenius(cell.conductivity_activation, kelvin)
    s.rates_kelvin = kelvin
    s.slowness = cell.conductivity / kappa
    active = cell.active_fraction * s.connected
    s.capacity = electrochemistry.electrode_capacity(
        cell.cathode_thickness, active, cell.lithium_limit
    )
    composite = electrochemistry.composite_conductivity(
        kappa, cell.electrolyte_fraction, cell.tortuosity_exponent
    )
    s.ionic = cell.cathode_thickness * 1e-4 / composite
    s.electronic = cell.cathode_thickness * 1e-4 / cell.electronic_conductivity
    s.separator = (
        cell.separator_thickness
        * 0.1
        / (kappa * penetration.path_conductivity(s.penetration, cell.path_conductivity))
    )
    covered = s.coverage * contact.reversible_contact(
        s.pressure, cell.reversible_contact, cell.reversible_pressure
    )
    radius = cell.particle_radius * 1e-6
    s.diffusion = (
        cell.diffusivity
        * electrochemistry.arrhenius(cell.diffusivity_activation, kelvin)
        * covered
        / (radius * radius)
    )
    s.exchange = (
        cell.exchange_current
        * electrochemistry.arrhenius(cell.exchange_activation, kelvin)
        * covered
        * electrochemistry.area_ratio(cell.cathode_thickness, active, cell.particle_radius)
    )
    s.anode_exchange = cell.anode_exchange * electrochemistry.arrhenius(
        cell.anode_activation, kelvin
    )
    s.creep_arrhenius = electrochemistry.arrhenius(cell.creep_activation, kelvin)
    s.critical = penetration.critical_current(
        cell.critical_current, cell.critical_activation, kelvin
    )
    s.sei_square = interphase.sei_square_rate(cell.sei_rate, cell.sei_activation, kelvin)
    s.cei_square = interphase.cei_square_rate(
        cell.cei_rate, cell.cei_activation, kelvin, cell.voltage_max, cell.cei_voltage
    )
    s.diffusivity_drop = 10.0**cell.diffusivity_slope - 1.0
    s.leak = penetration.leak_conductance(s.penetration, cell.leak_resistance, cell.leak_decades)
    pressure_rates(cell, s)


@compiled
def pressure_laws(cell: Cell, s: State, at: float) -> tuple[float, float, float]:
    """Stripping limit, growth by creep and interface resistance at pressure ``at``."""
    stripping = contact.stripping_limit(
        at, s.kelvin, cell.stripping_factor, cell.stripping_base, cell.stripping_gain,
        cell.stripping_exponent, cell.creep_activation,
    )  # fmt: skip
    creep = penetration.creep_growth(
        at, cell.density, cell.creep_factor, cell.density_exponent, cell.penetration_creep,
        cell.penetration_exponent, cell.penetration_yield, cell.penetration_flow,
    )  # fmt: skip
    remembered = contact.contact_pressure(at, s.highest_pressure, cell.pressure_memory)
    interface = contact.interface_resistance(
        remembered, cell.interface_resistance, cell.interface_exponent
    )
    return stripping, creep, interface


@compiled
def pressure_rates(cell: Cell, s: State) -> None:
    """Laws of pressure and their slopes here; good to 1e-4 within 1 % of this pressure.

    Voids live on the small difference of current and stripping limit, so a lag would not do.
    """
    s.rates_pressure = s.pressure
    width = 0.005 * s.pressure + 1e-6
    s.stripping, s.creep, s.interface = pressure_laws(cell, s, s.pressure)
    stripping, creep, interface = pressure_laws(cell, s, s.pressure + width)
    s.stripping_slope = (stripping - s.stripping) / width
    s.creep_slope = (creep - s.creep) / width
    s.interface_slope = (interface - s.interface) / width


@compiled
def update_pressure(cell: Cell, s: State, seconds: float) -> None:
    """Equations 2.1 to 2.4 after a step of ``seconds``."""
    thickening = pressure.thickness_change(
        s.lithium - cell.excess_lithium,
        pressure.cathode_strain(s.mean_x),
        cell.active_fraction * s.connected * cell.cathode_thickness,
        cell.anode_breathing,
        cell.cathode_breathing,
        s.irreversible,
    )
    elastic = pressure.elastic_pressure(
        s.set_pressure, cell.stiffness, thickening, cell.thermal_pressure,
        s.kelvin - REFERENCE_KELVIN,
    )  # fmt: skip
    if seconds > 0.0 and cell.relaxation_fast + cell.relaxation_slow > 0.0:
        s.relaxed_fast = pressure.relaxed_after(
            s.relaxed_fast, s.pressure, cell.relaxation_fast, cell.relaxation_fast_hours, seconds
        )
        s.relaxed_slow = pressure.relaxed_after(
            s.relaxed_slow, s.pressure, cell.relaxation_slow, cell.relaxation_slow_hours, seconds
        )
    s.before_pressure = s.pressure
    s.pressure = max(0.0, elastic - s.relaxed_fast - s.relaxed_slow)
    s.highest_pressure = max(s.highest_pressure, s.pressure)
    if abs(s.pressure - s.rates_pressure) > 0.01 * s.rates_pressure:
        pressure_rates(cell, s)


@compiled
def update_interface(cell: Cell, s: State, current: float, hours: float) -> None:
    """Sections 3 and 4: voids, occluded voids and penetration after a step at ``current``."""
    away = 0.5 * (s.pressure + s.before_pressure) - s.rates_pressure
    if current > -1e-9:  # round-off at rest is no plating
        limit = s.stripping + s.stripping_slope * away
        s.void = contact.void_after_stripping(s.void, current, limit, hours)
    else:
        plated = -current * hours
        before = penetration.current_growth(-current, s.contact, s.critical, cell.critical_gain)
        s.void, s.occluded = contact.void_after_plating(
            s.void, s.occluded, -current, cell.void_filling, hours
        )
        refilled = contact.contact_fraction(s.void, s.occluded, cell.void_capacity)
        after = penetration.current_growth(-current, refilled, s.critical, cell.critical_gain)
        smooth = penetration.current_growth(-current, 1.0, s.critical, cell.critical_gain)
        local = 0.5 * (before + after)  # the sixth power makes the lag of one step matter
        creep = s.creep + s.creep_slope * away
        s.growth_creep += creep * plated
        s.growth_current += smooth * plated
        s.growth_void += (local - smooth) * plated
        s.growth += (creep + local) * plated
        s.plated_total += plated
    if s.occluded > 0.0:
        s.occluded = contact.healed(
            s.occluded, s.pressure, s.creep_arrhenius, cell.healing_hours, hours
        )
    s.contact = contact.contact_fraction(s.void, s.occluded, cell.void_capacity)
    s.least_contact = min(s.least_contact, s.contact)


@compiled
def expected_contact(cell: Cell, s: State, current: float, hours: float) -> float:
    """Equations 3.3, 3.4 and 3.6 ahead: contact after ``hours`` at ``current``."""
    if current > -1e-9:
        void = contact.void_after_stripping(s.void, current, s.stripping, hours)
        occluded = s.occluded
    else:
        void, occluded = contact.void_after_plating(
            s.void, s.occluded, -current, cell.void_filling, hours
        )
    return contact.contact_fraction(void, occluded, cell.void_capacity)


@compiled
def update_series(cell: Cell, s: State) -> None:
    """Equation 1.11, V per mA/cm²: ``series``, and ``constriction`` to be divided by contact."""
    film = interphase.sei_resistance(s.sei, cell.sei_thickness, cell.sei_conductivity)
    interface = s.interface + s.interface_slope * (s.pressure - s.rates_pressure)
    s.series = 1e-3 * (s.separator + cell.contact_resistance + s.cei * s.slowness)
    s.constriction = 1e-3 * (film * s.slowness + interface)


@compiled
def update_interphases(cell: Cell, s: State, hours: float) -> None:
    """Section 6: growth of both interphases; the anode's consumes lithium while there is any."""
    if s.lithium > 0.0:
        grown = interphase.parabolic_after(s.sei, s.sei_square, hours)
        s.lithium -= grown - s.sei
        s.consumed += grown - s.sei
        s.sei = grown
    s.cei = interphase.parabolic_after(s.cei, s.cei_square, hours)


@compiled
def update_temperature(cell: Cell, s: State, heat: float, seconds: float) -> None:
    """Section 8; refreshes the rates when the temperature moved by 0.1 K."""
    s.kelvin = damage.temperature_after(
        s.kelvin, s.ambient, heat, cell.heat_capacity, cell.heat_transfer, seconds
    )
    s.lost_heat += cell.heat_transfer * (s.kelvin - s.ambient) * seconds
    if abs(s.kelvin - s.rates_kelvin) > 0.1:
        thermal_rates(cell, s)


@compiled
def start_state(cell: Cell, s: State, w: Any, kelvin: float) -> None:
    """A freshly assembled, discharged cell at rest at ``kelvin``."""
    s.kelvin = kelvin
    s.ambient = kelvin
    s.lithium = cell.excess_lithium
    s.branch = 1.0
    s.coverage = 1.0
    s.connected = contact.reversible_contact(
        cell.set_pressure, cell.reversible_contact, cell.reversible_pressure
    )
    s.dead_lithium = (1.0 - s.connected) * cell.initial_stoichiometry
    s.set_pressure = cell.set_pressure
    s.contact = 1.0
    s.least_contact = 1.0
    s.mean_x = cell.initial_stoichiometry
    w.x[:, :] = cell.initial_stoichiometry
    w.surface[:] = cell.initial_stoichiometry
    w.local[:] = 0.0
    s.pressure = cell.set_pressure
    update_pressure(cell, s, 0.0)
    thermal_rates(cell, s)
    update_series(cell, s)
