# ruff: noqa: E501  (a table is read by row)
"""Every constant of the simulated cell, declared once: unit, range, spread, source, provenance.

Provenance tags: ``F`` full text read, ``X`` abstract or excerpt read, ``S`` second-hand digitised
(low confidence), ``M`` from memory ("reported"), ``P`` our own assumption. A *design* draws its
constants from ``low``…``high``; a *cell* of that design differs by ``spread`` (1 σ, log-normal).
``limits`` are what the equations accept at all; outside them a value is impossible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError

ANODES: Final = ("lithium", "anode_free", "silver_carbon", "silicon")
FIXTURES: Final = ("spring", "fixed_gap", "constant_force")
TIERS: Final = ("lab", "engineered")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constant.

    Args:
        name, unit: as in the cell table; ``equation`` is its number in docs/physics.md.
        low, high: prior range of a design; uniform, or uniform in the logarithm if ``log``.
        spread: 1 σ of ln(cell/design) between cells of one design.
        limits: values the equations accept.
        tag, source: provenance.
        variants: other prior ranges, by ``anode``, ``tier``, ``fixture`` or ``anode.tier``.
        scatter: other spreads, by ``fixture``.
    """

    name: str
    unit: str
    equation: str
    low: float
    high: float
    spread: float
    limits: Range
    tag: str
    source: str
    log: bool = False
    variants: Mapping[str, Range] = field(default_factory=dict)
    scatter: Mapping[str, float] = field(default_factory=dict)

    def prior(self, anode: str, tier: str, fixture: str) -> Range:
        """The prior range for a design; the most specific variant wins."""
        for key in (f"{anode}.{tier}", anode, tier, fixture):
            if key in self.variants:
                return self.variants[key]
        return self.low, self.high

    def check(self, value: float, where: str) -> None:
        """Raise ``ConfigError`` unless ``value`` is finite and possible."""
        low, high = self.limits
        if not (math.isfinite(value) and low <= value <= high):
            raise ConfigError(
                f"{self.name} is {value} {self.unit}, possible are {low}…{high}",
                where=where, fix=f"See equation {self.equation} of docs/physics.md",
            )  # fmt: skip


_CHEN = "Chen et al. 2020, 10.1149/1945-7111/ab9050"
_OWN = "assumption"
_TYPICAL = "typical of published sulfide cells"

_P = Parameter
TABLE: Final[tuple[Parameter, ...]] = (
    # 1 electrochemistry
    _P("cathode_thickness", "µm", "1.5", 40, 100, 0.015, (5, 400), "M", _TYPICAL),
    _P("active_fraction", "1", "1.5", 0.45, 0.60, 0.01, (0.05, 0.8), "M", _TYPICAL),
    _P("electrolyte_fraction", "1", "1.7", 0.28, 0.40, 0.01, (0.05, 0.8), "M", _TYPICAL),
    _P("tortuosity_exponent", "1", "1.7", 1.6, 2.6, 0.01, (1.0, 4.0), "M", _TYPICAL),
    _P("particle_radius", "µm", "1.6", 1.5, 4.0, 0.10, (0.05, 20), "M", _TYPICAL),
    _P("lithium_limit", "mol/m³", "1.5", 63104, 63104, 0.0, (1e4, 1e5), "M", _CHEN),
    _P("initial_stoichiometry", "1", "1.2", 0.975, 0.98, 0.001, (0.5, 0.985), "P", "assembled with the lithiated cathode; the published fit of the potential ends at 0.9"),
    _P("diffusivity", "m²/s", "1.3", 10**-14.7, 10**-13.7, 0.15, (1e-17, 1e-11), "M", _TYPICAL, log=True),
    _P("diffusivity_activation", "kJ/mol", "1.1", 30, 45, 0.0, (0, 120), "M", _TYPICAL),
    _P("diffusivity_slope", "decades", "1.3", 0.2, 0.9, 0.05, (0, 2), "P", "slow lithium near full lithiation, reported for NMC811"),
    _P("exchange_current", "mA/cm²", "1.4", 0.25, 0.45, 0.10, (1e-4, 50), "M", _CHEN, log=True),
    _P("exchange_activation", "kJ/mol", "1.1", 17.8, 35, 0.0, (0, 120), "M", _CHEN),
    _P("conductivity", "mS/cm", "1.7", 1.5, 6.0, 0.08, (0.01, 50), "M", "Li6PS5Cl 1–4 mS/cm, reported", log=True),
    _P("conductivity_activation", "kJ/mol", "1.1", 29, 39, 0.0, (0, 120), "M", "0.30–0.40 eV, reported"),
    _P("electronic_conductivity", "mS/cm", "1.10", 2, 20, 0.1, (0.01, 1e5), "P", _OWN, log=True),
    _P("separator_thickness", "µm", "1.11", 20, 60, 0.02, (1, 3000), "M", _TYPICAL, variants={"lab": (500, 1000)}),
    _P("contact_resistance", "Ω cm²", "1.11", 0.5, 20, 0.20, (0, 1e3), "M", _TYPICAL, variants={"engineered": (0.5, 8)}),
    _P("anode_exchange", "mA/cm²", "1.12", 1, 10, 0.20, (1e-3, 1e3), "M", _TYPICAL, log=True),
    _P("anode_activation", "kJ/mol", "1.1", 30, 50, 0.0, (0, 120), "P", _OWN),
    _P("excess_lithium", "mAh/cm²", "1.13", 4, 20, 0.02, (0, 500), "M", "lithium foils of 20–100 µm",
       variants={"lithium.engineered": (2, 8), "anode_free": (0, 0), "silver_carbon": (0, 0), "silicon": (0, 0)}),
    _P("sweep_fraction", "1", "1.13", 0.005, 0.02, 0.05, (1e-3, 0.5), "P", _OWN, variants={"silver_carbon": (0.10, 0.17)}),
    _P("sweep_height", "V", "1.13", 1.0, 1.0, 0.0, (0, 3), "M", "Ag-C falls from about 1 V, reported"),
    _P("plateau", "V", "1.13", 0, 0, 0.0, (0, 1), "M", "silicon, reported", variants={"silicon": (0.30, 0.40)}),
    _P("branch_gap", "V", "1.13", 0, 0, 0.0, (0, 1), "M", "silicon hysteresis, reported", variants={"silicon": (0.20, 0.30)}),
    _P("voltage_min", "V", "design", 3.0, 3.0, 0.0, (1.5, 4.0), "P", "design choice"),
    _P("voltage_max", "V", "design", 4.15, 4.30, 0.0, (3.5, 4.6), "P", "design choice"),
    # 2 pressure and fixture
    _P("set_pressure", "MPa", "2.1", 1, 30, 0.10, (0, 400), "P", "design choice; sampled against equation 3.2. Scatter: preload by torque wrench ±17–23 % (VDI 2230, reported); stack height over a stiff gap",
       scatter={"fixed_gap": 0.20, "constant_force": 0.03}),
    _P("fabrication_pressure", "MPa", "4.2", 300, 500, 0.0, (0, 1000), "M", "design fact, not an operating pressure"),
    _P("stiffness", "MPa/µm", "2.1", 0.003, 0.05, 0.10, (0, 5), "S", "spans Koerver 2018 (near-fixed gap) to spring jigs", log=True,
       variants={"constant_force": (1e-4, 3e-3), "fixed_gap": (0.08, 0.40)}),
    _P("anode_breathing", "µm cm²/mAh", "2.1", 4.85, 4.85, 0.0, (0, 20), "M", "lithium, 2061 mAh/cm³",
       variants={"silver_carbon": (4.0, 4.7), "silicon": (2.0, 3.4)}),
    _P("cathode_breathing", "1", "2.1", 0.3, 1.0, 0.05, (0, 1), "P", _OWN),
    _P("irreversible_growth", "nm cm²/mAh", "2.5", 0.02, 5, 0.3, (0, 500), "P", _OWN, log=True),
    _P("thermal_pressure", "MPa/K", "2.1", 0, 0.05, 0.1, (0, 1), "P", _OWN, variants={"constant_force": (0, 0.003)}),
    _P("relaxation_fast", "1", "2.3", 0.04, 0.12, 0.2, (0, 0.5), "S", "Lee 2021, 30 → 27.6 MPa in 20 h", variants={"constant_force": (0, 0)}),
    _P("relaxation_fast_hours", "h", "2.3", 5, 20, 0.1, (0.01, 1e5), "S", "Lee 2021"),
    _P("relaxation_slow", "1", "2.3", 0.02, 0.05, 0.2, (0, 0.5), "P", _OWN, variants={"constant_force": (0, 0)}),
    _P("relaxation_slow_hours", "h", "2.3", 50, 300, 0.1, (0.01, 1e6), "P", _OWN),
    # 3 lithium | electrolyte contact
    _P("pressure_memory", "1", "3.1", 0.25, 0.25, 0.0, (0, 1), "S", "hysteresis of Doux 2020"),
    _P("interface_resistance", "Ω cm²", "3.1", 5, 25, 0.15, (0, 1e4), "S", "Doux 2020, at 5 MPa"),
    _P("interface_exponent", "1", "3.1", 0.5, 1.0, 0.0, (0, 3), "X", "arXiv 2501.00600 (0.5); Doux 2020 (about 1)"),
    _P("stripping_factor", "1", "3.2", 1, 1, 0.2, (0.01, 1e4), "P", "lab to engineered interfaces, after W. Zhang 2025",
       variants={"lithium.engineered": (1.5, 3), "anode_free.engineered": (1.2, 2), "silver_carbon": (6, 12), "silicon": (1e3, 1e3)}),
    _P("stripping_base", "mA/cm²", "3.2", 0.02, 0.02, 0.0, (0, 10), "F", "Singh 2022: contact lost without pressure"),
    _P("stripping_gain", "mA/cm²", "3.2", 0.2, 0.2, 0.0, (0, 10), "S", "Kasemchainan 2019 at 3 MPa"),
    _P("stripping_exponent", "1", "3.2", 1.9, 1.9, 0.0, (0, 5), "S", "Kasemchainan 2019, 3 to 7 MPa"),
    _P("creep_activation", "kJ/mol", "3.2", 31, 43, 0.0, (0, 120), "M", "LePage 2019, 37±6"),
    _P("void_filling", "1", "3.4", 0.90, 0.99, 0.0, (0, 1), "P", _OWN),
    _P("healing_hours", "h", "3.5", 200, 200, 0.1, (0.1, 1e6), "P", _OWN),
    _P("void_capacity", "mAh/cm²", "3.6", 3, 3, 0.35, (0.01, 100), "F", "Singh 2022: 3.1 mAh/cm² to contact loss"),
    # 4 penetration
    _P("density", "1", "4.2", 0.84, 0.96, 0.005, (0.5, 1.0), "M", "pellets", variants={"engineered": (0.94, 0.995)}),
    _P("critical_current", "mA/cm²", "4.1", 1.5, 1.5, 0.5, (0.01, 1e4), "F", "Singh 2022, Duan 2023; engineered: assumption",
       variants={"lithium.engineered": (6, 6), "anode_free.lab": (1.2, 1.2), "anode_free.engineered": (5, 5),
                 "silver_carbon.lab": (5, 5), "silver_carbon.engineered": (14, 14), "silicon": (100, 100)}),
    _P("critical_activation", "kJ/mol", "4.1", 30, 30, 0.0, (0, 120), "P", "temperature dependence is not anchored"),
    _P("penetration_creep", "cm²/mAh", "4.2", 1 / 17.8, 1 / 17.8, 0.0, (0, 10), "S", "Doux 2020, 10 MPa"),
    _P("penetration_exponent", "1", "4.2", 1.35, 1.35, 0.0, (0, 5), "S", "Doux 2020, 5 to 20 MPa"),
    _P("penetration_yield", "MPa", "4.2", 22, 22, 0.0, (0, 1000), "S", "Doux 2020, 25 and 75 MPa"),
    _P("penetration_flow", "cm²/(mAh MPa)", "4.2", 1 / 8.3, 1 / 8.3, 0.0, (0, 10), "S", "Doux 2020, 25 MPa"),
    _P("density_exponent", "1", "4.2", 25, 25, 0.0, (0, 100), "P", "between Doux 2020 and denser pellets"),
    _P("creep_factor", "1", "4.2", 1, 1, 0.2, (0, 1e3), "P", "lithium held by the scaffold", variants={"silver_carbon": (0.15, 0.15), "silicon": (1e-4, 3e-4)}),
    _P("critical_gain", "cm²/mAh", "4.3", 2, 2, 0.0, (0, 100), "F", "Singh 2022: short after 0.3–0.5 mAh/cm² at CCD"),
    _P("penetration_noise", "1", "4.4", 0.005, 0.03, 0.0, (0, 0.5), "P", _OWN, log=True),
    _P("penetration_healing", "1", "4.4", 0.0, 0.10, 0.0, (0, 1), "P", _OWN),
    _P("leak_resistance", "Ω cm²", "4.5", 3e4, 3e5, 0.3, (1, 1e9), "P", _OWN, log=True),
    _P("leak_decades", "1", "4.5", 8, 12, 0.0, (0, 40), "P", _OWN),
    _P("path_conductivity", "1", "4.6", 0.1, 0.3, 0.1, (0, 1), "P", _OWN),
    # 5 cathode contact
    _P("coverage_rate", "1/cycle", "5.1", 6e-4, 6e-4, 0.6, (0, 0.1), "S", "Zhou 2025, Shi 2020",
       variants={"engineered": (1.5e-4, 1.5e-4)}),
    _P("coverage_pressure_gain", "1", "5.1", 0.0, 1.5, 0.0, (0, 50), "S", "Zhou 2025: fine to coarse electrolyte"),
    _P("coverage_pressure", "MPa", "5.1", 4.4, 4.4, 0.0, (0.01, 1e3), "S", "Zhou 2025"),
    _P("reversible_contact", "1", "5.2", 0.25, 0.25, 0.0, (0, 0.9), "S", "Zhou 2025, first capacity at 2 and 30 MPa"),
    _P("reversible_pressure", "MPa", "5.2", 4, 4, 0.0, (0.01, 1e3), "S", "Zhou 2025"),
    _P("first_disconnection", "1", "5.3", 0.02, 0.15, 0.1, (0, 0.8), "M", "first-charge loss, reported", variants={"engineered": (0.01, 0.06)}),
    _P("disconnection_step", "1", "5.3", 0.2, 1.0, 0.0, (0, 1), "P", "step or progressive shape"),
    _P("disconnection_cycles", "cycles", "5.3", 10, 60, 0.1, (0.1, 1e5), "P", _OWN, log=True),
    _P("disconnection_share", "1", "5.4", 0.6, 1.4, 0.0, (0, 5), "M", "Tian & Qi 2017: capacity follows contact area"),
    _P("disconnection_noise", "1", "5.4", 1e-4, 1e-3, 0.0, (0, 0.05), "P", _OWN, log=True),
    _P("repress_recovery", "1", "5.5", 0.3, 0.6, 0.0, (0, 1), "S", "Shi 2020"),
    # 6 interphases
    _P("sei_rate", "mAh/(cm² √h)", "6.1", 3e-3, 3e-3, 0.25, (0, 1), "F", "Aktekin 2023; factors 0.6 (Ag-C), 0.25 (Si): assumption",
       variants={"engineered": (1.5e-3, 1.5e-3), "silver_carbon.lab": (1.8e-3, 1.8e-3), "silver_carbon.engineered": (0.9e-3, 0.9e-3),
                 "silicon.lab": (0.75e-3, 0.75e-3), "silicon.engineered": (0.38e-3, 0.38e-3)}),
    _P("sei_activation", "kJ/mol", "6.1", 45, 50, 0.0, (0, 120), "F", "Aktekin 2023"),
    _P("sei_thickness", "µm cm²/mAh", "6.2", 9, 9, 0.0, (0, 1e3), "F", "Aktekin 2023"),
    _P("sei_conductivity", "S/cm", "6.2", 1e-6, 1e-5, 0.3, (1e-10, 1), "P", "not anchored", log=True),
    _P("cei_rate", "Ω cm²/√h", "6.3", 0.03, 1.0, 0.3, (0, 50), "P", "coated NMC811; uncoated: Koerver 2017", log=True),
    _P("cei_activation", "kJ/mol", "6.3", 40, 60, 0.0, (0, 120), "P", _OWN),
    _P("cei_voltage", "V", "6.3", 0.1, 0.1, 0.0, (0.01, 10), "P", _OWN),
    # 7 damage
    _P("fatigue_pressure", "MPa", "7.1", 8, 25, 0.2, (0.1, 1e4), "P", "weakly anchored", log=True),
    _P("pressure_limit", "MPa", "7.2", 40, 150, 0.05, (0.5, 1e4), "P", "weakly anchored", log=True),
    # 8 thermal
    _P("heat_capacity", "J/(K cm²)", "8.1", 0.1, 0.4, 0.0, (1e-3, 1e3), "P", "per cell area, one layer", log=True),
    _P("heat_transfer", "W/(K cm²)", "8.1", 2e-4, 2e-3, 0.1, (1e-7, 10), "P", "per cell area, one layer", log=True,
       variants={"lab": (2e-3, 1e-2)}),
)  # fmt: skip
"""Every constant, in the order of the cell table."""

PARAMETERS: Final[dict[str, Parameter]] = {p.name: p for p in TABLE}
CELL: Final = np.dtype([(p.name, "f8") for p in TABLE] + [("rated", "f8")])
"""One cell: every constant, then ``rated``, the declared areal capacity in mAh/cm²."""

Cell = Any
"""A record of dtype ``CELL`` as compiled code sees it."""


def check_cells(cells: NDArray[Any]) -> None:
    """Raise ``ConfigError`` for the first impossible value or combination in ``cells``."""
    for row, cell in enumerate(cells):
        where = f"cell {row}"
        for parameter in TABLE:
            parameter.check(float(cell[parameter.name]), where)
        if cell["voltage_min"] >= cell["voltage_max"]:
            raise ConfigError(
                f"voltage_min {cell['voltage_min']} V is not below voltage_max", where=where
            )
        if cell["active_fraction"] + cell["electrolyte_fraction"] > 1.0:
            raise ConfigError(
                "active and electrolyte fractions exceed the whole volume", where=where,
                fix="Keep active_fraction + electrolyte_fraction ≤ 1",
            )  # fmt: skip
        if not (math.isfinite(cell["rated"]) and cell["rated"] > 0):
            raise ConfigError(f"rated capacity is {cell['rated']} mAh/cm²", where=where)
