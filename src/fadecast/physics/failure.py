"""Section 9 of docs/physics.md: when a cell counts as failed, of what, and since when.

The labels depend on these rules, so they are frozen: changing one changes every published figure.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

import numpy as np

from fadecast.physics import contact, electrochemistry, interphase, penetration
from fadecast.physics.electrochemistry import FARADAY, GAS, REFERENCE_KELVIN
from fadecast.physics.jit import compiled
from fadecast.physics.parameters import Cell
from fadecast.physics.state import State

ALIVE: Final = -1
CAPACITY_FADE, CONTACT_LOSS, LITHIUM_PENETRATION, OVER_PRESSURE = 0, 1, 2, 3
"""Causes, in the order of ``fadecast.cell.life.CAUSES``."""

DRIVERS: Final = ("", "anode_void", "cathode_coverage", "disconnection")
ORIGINS: Final = ("", "creep", "void", "critical_current")

CONSECUTIVE: Final = 3
RETAINED: Final = 0.80
RESISTANCE_RISE: Final = 2.5
SELF_DISCHARGE_RISE: Final = 3.0
COLLAPSE: Final = 0.1
"""V that a hard short takes from the cell within a second."""
HISTORY: Final = 50

WATCH: Final = np.dtype([
    ("capacity", "f8"), ("resistance", "f8"), ("interface", "f8"), ("film", "f8"), ("cei", "f8"),
    ("connected", "f8"), ("sei", "f8"), ("coverage", "f8"), ("leak", "f8"),
    ("known", "i8"), ("low_capacity", "i8"), ("high_resistance", "i8"), ("soft_short", "i8"),
    ("last_good", "i8"), ("n_history", "i8"), ("n_rests", "i8"),
    ("efficiency", "f8", (HISTORY,)), ("rests", "f8", (HISTORY,)),
    ("share_disconnected", "f8"), ("share_inventory", "f8"), ("share_anode", "f8"),
    ("share_coverage", "f8"), ("share_interphase", "f8"),
])  # fmt: skip
"""What failure detection remembers of a cell: references, runs of bad cycles, loss shares."""

Watch = Any


@compiled
def pulse_resistance(cell: Cell, s: State, worst_contact: float) -> float:
    """Equation 9.1: 10-s resistance in Ω cm² at 25 °C and x = 0.5, at the cycle's worst contact."""
    kappa = cell.conductivity
    ionic = (
        cell.cathode_thickness
        * 0.1
        / electrochemistry.composite_conductivity(
            kappa, cell.electrolyte_fraction, cell.tortuosity_exponent
        )
    )
    electronic = cell.cathode_thickness * 0.1 / cell.electronic_conductivity
    separator = (
        cell.separator_thickness
        * 0.1
        / (kappa * penetration.path_conductivity(s.penetration, cell.path_conductivity))
    )
    remembered = contact.contact_pressure(s.pressure, s.highest_pressure, cell.pressure_memory)
    interface = contact.interface_resistance(
        remembered, cell.interface_resistance, cell.interface_exponent
    )
    film = interphase.sei_resistance(s.sei, cell.sei_thickness, cell.sei_conductivity)
    thermal = 1e3 * GAS * REFERENCE_KELVIN / FARADAY
    covered = s.coverage * contact.reversible_contact(
        s.pressure, cell.reversible_contact, cell.reversible_pressure
    )
    active = cell.active_fraction * s.connected
    area = electrochemistry.area_ratio(cell.cathode_thickness, active, cell.particle_radius)
    cathode = thermal / (cell.exchange_current * covered * area)
    anode = thermal / (cell.anode_exchange * worst_contact)
    # Semi-infinite diffusion for 10 s: Δx = 2 f/(3) R √(t/(π D)), |dU/dx| = 1.2 V at x = 0.5.
    capacity = electrochemistry.electrode_capacity(
        cell.cathode_thickness, active, cell.lithium_limit
    )
    rate = cell.diffusivity * covered / (cell.particle_radius * 1e-6) ** 2
    diffusion = (
        1e3 * 1.2 * 2.0 / (3.0 * 3600.0 * capacity) * sqrt(10.0 / (3.141592653589793 * rate))
    )
    ohmic = ionic / 3.0 + electronic / 3.0 + separator + cell.contact_resistance + s.cei
    total: float = ohmic + cathode + anode + diffusion + (film + interface) / worst_contact
    return total


@compiled
def attribute_loss(cell: Cell, s: State, ref: Watch, loss: float) -> None:
    """Equation 9.2: shares of a capacity ``loss`` (mAh/cm²), written into ``ref``.

    Disconnected particles and, where the discharge ends because the anode runs out, consumed
    lithium are counted as charge; the rest is polarisation, split by the rise of each resistance.
    Charge that leaked through a soft short belongs to no share.
    """
    disconnected = max(0.0, ref.capacity * (1.0 - s.connected / ref.connected))
    inventory = 0.0
    if s.end_lithium < 1.5 * cell.sweep_fraction * cell.rated:
        inventory = max(0.0, s.sei - ref.sei)
    rest = max(0.0, loss - disconnected - inventory - max(s.q_leak, 0.0))
    remembered = contact.contact_pressure(s.pressure, s.highest_pressure, cell.pressure_memory)
    interface = contact.interface_resistance(
        remembered, cell.interface_resistance, cell.interface_exponent
    )
    film = interphase.sei_resistance(s.sei, cell.sei_thickness, cell.sei_conductivity)
    thermal = 1e3 * GAS * REFERENCE_KELVIN / FARADAY
    worst = s.least_contact
    anode = (interface + film + thermal / cell.anode_exchange) * (1.0 / worst - 1.0)
    anode += max(0.0, interface - ref.interface)
    radius = cell.particle_radius * 1e-6
    particle = 1e3 * 1.2 * radius * radius / (15.0 * 3600.0 * cell.diffusivity * s.capacity)
    area = electrochemistry.area_ratio(
        cell.cathode_thickness, cell.active_fraction, cell.particle_radius
    )
    kinetic = thermal / (cell.exchange_current * area)
    cathode = (particle + kinetic) * max(0.0, 1.0 / s.coverage - 1.0 / ref.coverage)
    films = max(0.0, film - ref.film) + max(0.0, s.cei - ref.cei)
    total = anode + cathode + films
    scale = max(loss, 1e-12)
    whole = max(disconnected + inventory + rest, 1e-12)
    fit = min(1.0, scale / whole)
    ref.share_disconnected = disconnected * fit / scale
    ref.share_inventory = inventory * fit / scale
    polarised = rest * fit / scale if total > 0.0 else 0.0
    ref.share_anode = polarised * anode / max(total, 1e-12)
    ref.share_coverage = polarised * cathode / max(total, 1e-12)
    ref.share_interphase = polarised * films / max(total, 1e-12)


@compiled
def median(values: Any, n: int) -> float:
    """Median of the first ``n`` values."""
    return float(np.median(values[:n]))


@compiled
def contact_driver(ref: Watch) -> int:
    """Which contact loss is largest: an index of ``DRIVERS``."""
    if ref.share_anode >= ref.share_coverage and ref.share_anode >= ref.share_disconnected:
        return 1
    if ref.share_coverage >= ref.share_disconnected:
        return 2
    return 3


@compiled
def penetration_origin(s: State) -> int:
    """Which growth term contributed most: an index of ``ORIGINS``."""
    if s.grown_creep >= s.grown_void and s.grown_creep >= s.grown_current:
        return 1
    if s.grown_void >= s.grown_current:
        return 2
    return 3


@compiled
def collapse(s: State, leak: float) -> float:
    """Equation 9.3: volts lost at once as the leak grew from ``leak``, across the ohmic part."""
    ohmic = s.series + s.constriction / s.contact + (s.ionic + s.electronic) / 3.0
    lost: float = s.voltage * (1.0 / (1.0 + leak * ohmic) - 1.0 / (1.0 + s.leak * ohmic))
    return lost


@compiled
def judge(
    cell: Cell, s: State, ref: Watch, measured: bool, checkups: bool, reference_cycle: int,
    enabled: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Failure at the end of a cycle.

    Args:
        measured: this cycle's ``capacity_measured`` counts. checkups: it comes from check-ups.
        enabled: bit mask of the causes looked for.

    Returns:
        cause (``ALIVE`` if none), the last cycle known alive, and the driver or origin.
    """
    cycle = s.cycle
    resistance = pulse_resistance(cell, s, s.least_contact)
    if cycle == reference_cycle:
        remembered = contact.contact_pressure(s.pressure, s.highest_pressure, cell.pressure_memory)
        ref.interface = contact.interface_resistance(
            remembered, cell.interface_resistance, cell.interface_exponent
        )
        ref.film = interphase.sei_resistance(s.sei, cell.sei_thickness, cell.sei_conductivity)
        ref.capacity = s.capacity_measured
        ref.resistance = resistance
        ref.cei = s.cei
        ref.connected = s.connected
        ref.sei = s.sei
        ref.coverage = s.coverage
        ref.known = 1
        ref.last_good = cycle
    over_pressure = s.peak_pressure > cell.pressure_limit or s.damage >= 1.0
    if over_pressure and enabled & 8:
        return OVER_PRESSURE, cycle - 1, 0
    efficiency = s.q_discharge / s.q_charge if s.q_charge > 0.0 else 1.0
    if enabled & 4:
        if s.penetration >= 1.0 or collapse(s, ref.leak) > COLLAPSE:
            return LITHIUM_PENETRATION, cycle - 1, penetration_origin(s)
        ref.leak = s.leak
        soft = False
        if s.penetration > penetration.SOFT:
            n = min(ref.n_history, HISTORY)
            usual = median(ref.efficiency, n) if n >= 5 else 1.0
            soft = efficiency < 0.99 and efficiency < usual - 0.01
            if s.q_charge > 1.05 * s.q_discharge and cycle > 3:
                soft = True
            # Self-discharge is seen at check-ups only, hence one of them suffices.
            if s.self_discharge > 0.0 and ref.n_rests >= 1:
                resting = median(ref.rests, min(ref.n_rests, HISTORY))
                if s.self_discharge > SELF_DISCHARGE_RISE * resting:
                    return LITHIUM_PENETRATION, ref.last_good, penetration_origin(s)
        ref.soft_short = ref.soft_short + 1 if soft else 0
        if ref.soft_short >= CONSECUTIVE:
            return LITHIUM_PENETRATION, cycle - 1, penetration_origin(s)
    if cycle > 3:
        ref.efficiency[ref.n_history % HISTORY] = efficiency
        ref.n_history += 1
    if s.self_discharge > 0.0:
        ref.rests[ref.n_rests % HISTORY] = s.self_discharge
        ref.n_rests += 1
    if ref.known == 0 or cycle == reference_cycle:
        return ALIVE, cycle, 0
    poor = min(s.least_contact, s.coverage) < 0.5 and resistance > RESISTANCE_RISE * ref.resistance
    ref.high_resistance = ref.high_resistance + 1 if poor else 0
    fade = False
    contacts = 0.0
    last_good = cycle - 1
    if measured:
        low = s.capacity_measured < RETAINED * ref.capacity
        ref.low_capacity = ref.low_capacity + 1 if low else 0
        if low:
            attribute_loss(cell, s, ref, ref.capacity - s.capacity_measured)
            contacts = ref.share_anode + ref.share_coverage + ref.share_disconnected
            fade = ref.low_capacity >= CONSECUTIVE or checkups
            if checkups:
                last_good = ref.last_good
        else:
            ref.last_good = cycle
    if enabled & 2:
        if ref.high_resistance >= CONSECUTIVE:
            return CONTACT_LOSS, cycle - 1, 1 if s.least_contact <= s.coverage else 2
        if fade and contacts > 0.5:
            return CONTACT_LOSS, last_good, contact_driver(ref)
    if enabled & 1 and fade and ref.share_inventory + ref.share_interphase > 0.5:
        return CAPACITY_FADE, last_good, 0
    return ALIVE, cycle, 0
