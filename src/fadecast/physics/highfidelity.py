"""The same cell in PyBaMM: a full-order porous electrode with the slow states coupled to it.

PyBaMM has neither a solid electrolyte nor a stack pressure. Its lithium-metal half-cell
Doyle–Fuller–Newman model with a transference number of one and a constant conductivity is,
however, exactly a single-ion conductor. The slow states of sections 2, 3, 4 and 6 are added as
differential equations of the same system, and its parameters become expressions of them: one
two-way coupled system, solved by IDAKLU to a tolerance. It shares no code with the kernel except
the constants; the equations are written anew here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics.electrochemistry import FARADAY, GAS, REFERENCE_KELVIN
from fadecast.physics.electrode import CURRENT, POWER, VOLTAGE
from fadecast.physics.protocol import HOLD, NOMINAL_VOLTAGE, STOP, Segment

AREA: Final = 1e-4
"""Electrode area in m²: 1 cm², so that mA are mA/cm²."""

POINTS: Final = {"x_n": 1, "x_s": 5, "x_p": 25, "r_p": 40}
"""Mesh: of the separator and the cathode, and of every particle."""

SLOW: Final = (
    "lithium", "mean_x", "void", "occluded", "sei_square", "cei_square", "relaxed_fast",
    "relaxed_slow", "highest_pressure", "growth_creep", "growth_void", "growth_current",
)  # fmt: skip


def half_cell(cell: Any, state: Any, model: str = "DFN") -> tuple[Any, Any]:
    """PyBaMM model and parameter values of ``cell`` (dtype ``CELL``) in ``state`` (``STATE``).

    Covered and connected fractions are constants here; they change between cycles only. The
    temperature is that of the state. ``model`` is ``DFN`` or ``SPMe``.
    """
    import pybamm

    if cell["branch_gap"] > 0 or state["leak"] > 0:
        raise ConfigError(
            "the full-order engine has no silicon branches and no soft short", where="highfidelity"
        )
    c = {name: float(cell[name]) for name in cell.dtype.names}
    kelvin = float(state["kelvin"])

    def arr(activation: float) -> float:
        return float(np.exp(-activation * 1e3 / GAS * (1 / kelvin - 1 / REFERENCE_KELVIN)))

    held = 1 - c["reversible_contact"] * np.exp(
        -float(state["pressure"]) / c["reversible_pressure"]
    )
    covered = float(state["coverage"]) * float(held)
    active = c["active_fraction"] * float(state["connected"])
    kappa = c["conductivity"] * arr(c["conductivity_activation"])
    capacity = FARADAY * active * c["lithium_limit"] * c["cathode_thickness"] * 1e-6 / 36000

    battery = getattr(pybamm.lithium_ion, model)(
        {"working electrode": "positive", "contact resistance": "true"}
    )
    s = {name: pybamm.Variable(f"Slow {name}") for name in SLOW}
    j = battery.variables["Current [A]"] * 1e3  # mA/cm² at 1 cm²; discharge positive
    strip = pybamm.maximum(j, 0)
    plate = pybamm.maximum(-j, 0)

    # section 2
    x = s["mean_x"]
    strain = (
        0.026 * (0.95 - x) / 0.648
        + (x < 0.302) * (0.302 - x) * (0.024 / 0.041 - 0.026 / 0.648)
        + (x < 0.261) * (0.261 - x) * (0.020 / 0.168 - 0.024 / 0.041)
    )
    thickening = (
        c["anode_breathing"] * (s["lithium"] - c["excess_lithium"])
        - c["cathode_breathing"] * strain * active * c["cathode_thickness"]
        + float(state["irreversible"])
    )
    pressure = pybamm.maximum(
        0,
        float(state["set_pressure"])
        + c["stiffness"] * thickening
        + c["thermal_pressure"] * (kelvin - REFERENCE_KELVIN)
        - s["relaxed_fast"]
        - s["relaxed_slow"],
    )
    # section 3
    remembered = pressure + c["pressure_memory"] * (
        pybamm.maximum(s["highest_pressure"], pressure) - pressure
    )
    interface = c["interface_resistance"] * (pybamm.maximum(remembered, 0.05) / 5) ** (
        -c["interface_exponent"]
    )
    creep = arr(c["creep_activation"])
    limit = (
        c["stripping_factor"]
        * creep
        * (c["stripping_base"] + c["stripping_gain"] * (pressure / 3) ** c["stripping_exponent"])
    )
    contact = pybamm.maximum(1 - (s["void"] + s["occluded"]) / c["void_capacity"], 0.02)
    wanted = (j >= 0) * (strip - limit) - plate
    open_void = (s["void"] > 0) * 1.0
    void_rate = pybamm.maximum(wanted, 0) + pybamm.minimum(wanted, 0) * open_void
    filled = plate * open_void
    # section 4
    above = pybamm.maximum(pressure - c["penetration_yield"], 0)
    pores = c["creep_factor"] * np.exp(-c["density_exponent"] * (c["density"] - 0.82))
    by_creep = pores * (
        c["penetration_creep"] * (pressure / 10) ** c["penetration_exponent"]
        + c["penetration_flow"] * above
    )
    critical = c["critical_current"] * arr(c["critical_activation"])
    by_current = pybamm.minimum(c["critical_gain"] * (plate / (contact * critical)) ** 6, 10)
    smooth = pybamm.minimum(c["critical_gain"] * (plate / critical) ** 6, 10)
    # section 6
    sei_rate = (c["sei_rate"] * arr(c["sei_activation"])) ** 2
    cei_rate = (
        c["cei_rate"]
        * arr(c["cei_activation"])
        * float(np.exp((c["voltage_max"] - 4.2) / c["cei_voltage"]))
    ) ** 2
    sei = pybamm.sqrt(s["sei_square"])
    film = sei * c["sei_thickness"] * 1e-4 / c["sei_conductivity"]

    hour = 3600.0
    square = (pressure / 3) ** 2
    fast, slow = c["relaxation_fast"], c["relaxation_slow"]
    rates = {
        "lithium": (-j - sei_rate / (2 * sei)) / hour,
        "mean_x": j / (capacity * hour),
        "void": void_rate / hour,
        "occluded": (
            (1 - c["void_filling"]) * filled - s["occluded"] * square * creep / c["healing_hours"]
        )
        / hour,
        "sei_square": sei_rate / hour + 0 * j,
        "cei_square": cei_rate / hour + 0 * j,
        "relaxed_fast": (fast * (pressure + s["relaxed_fast"]) - s["relaxed_fast"])
        / (c["relaxation_fast_hours"] * hour),
        "relaxed_slow": (slow * (pressure + s["relaxed_slow"]) - s["relaxed_slow"])
        / (c["relaxation_slow_hours"] * hour),
        "highest_pressure": pybamm.maximum(pressure - s["highest_pressure"], 0) / 5.0,
        "growth_creep": by_creep * plate / hour,
        "growth_void": (by_current - smooth) * plate / hour,
        "growth_current": smooth * plate / hour,
    }
    starts = {
        "sei_square": max(float(state["sei"]) ** 2, 1e-10),
        "cei_square": max(float(state["cei"]) ** 2, 1e-10),
        **dict.fromkeys(("growth_creep", "growth_void", "growth_current"), 0.0),
    }
    for name in SLOW:
        variable = s[name]
        battery.rhs[variable] = rates[name]
        battery.initial_conditions[variable] = pybamm.Scalar(
            starts.get(name, float(state[name]) if name not in starts else 0.0)
        )
        battery.variables[f"Slow {name}"] = variable
    battery.variables["Stack pressure [MPa]"] = pressure
    battery.variables["Anode contact"] = contact

    sweep = pybamm.maximum(0, 1 - s["lithium"] / c["rated"] / c["sweep_fraction"]) ** 2
    anode = c["sweep_height"] * sweep + c["plateau"] * (1 - 0.7 * s["lithium"] / c["rated"])
    for name in ("Voltage [V]", "Battery voltage [V]"):
        battery.variables[name] = battery.variables[name] - anode
    drop = 10 ** c["diffusivity_slope"] - 1
    exchange = c["exchange_current"] * arr(c["exchange_activation"]) * covered * 10
    diffusion = c["diffusivity"] * arr(c["diffusivity_activation"]) * covered
    resistance = (
        c["contact_resistance"]
        + pybamm.sqrt(s["cei_square"]) / arr(c["conductivity_activation"])
        + (film / arr(c["conductivity_activation"]) + interface) / contact
    )

    def ocp(sto: Any) -> Any:
        chen = (
            4.4875
            - 0.8090 * sto
            - 0.0428 * pybamm.tanh(18.5138 * (sto - 0.5542))
            - 17.7326 * pybamm.tanh(15.7890 * (sto - 0.3117))
            + 17.5842 * pybamm.tanh(15.9308 * (sto - 0.3120))
        )
        return chen - 0.1 * pybamm.exp((sto - 0.97) / 0.008)

    def cathode_exchange(c_e: Any, c_s: Any, c_max: Any, t: Any) -> Any:
        sto = c_s / c_max
        return exchange * 2 * pybamm.sqrt(sto * (1 - sto))

    def cathode_diffusion(sto: Any, t: Any) -> Any:
        y = pybamm.maximum(sto - 0.6, 0) * 2.5
        return diffusion / (1 + drop * y * y)

    values = pybamm.ParameterValues("Xu2019")
    values.update(
        {
            "Positive electrode OCP [V]": ocp,
            "Maximum concentration in positive electrode [mol.m-3]": c["lithium_limit"],
            "Positive electrode exchange-current density [A.m-2]": cathode_exchange,
            "Positive particle diffusivity [m2.s-1]": cathode_diffusion,
            "Positive electrode thickness [m]": c["cathode_thickness"] * 1e-6,
            "Separator thickness [m]": c["separator_thickness"] * 1e-6,
            "Positive electrode active material volume fraction": active,
            "Positive electrode porosity": c["electrolyte_fraction"],
            "Positive electrode Bruggeman coefficient (electrolyte)": c["tortuosity_exponent"],
            "Positive electrode Bruggeman coefficient (electrode)": 0.0,
            "Positive electrode conductivity [S.m-1]": c["electronic_conductivity"] * 0.1,
            "Separator porosity": 1.0,
            "Separator Bruggeman coefficient (electrolyte)": 1.5,
            "Electrolyte conductivity [S.m-1]": lambda c_e, t: pybamm.Scalar(kappa * 0.1),
            "Electrolyte diffusivity [m2.s-1]": lambda c_e, t: pybamm.Scalar(1e-10),
            "Cation transference number": 1.0,
            "Thermodynamic factor": 1.0,
            "Positive particle radius [m]": c["particle_radius"] * 1e-6,
            "Exchange-current density for lithium metal electrode [A.m-2]": (
                lambda c_e, c_li, t: c["anode_exchange"] * arr(c["anode_activation"]) * 10 * contact
            ),
            "Contact resistance [Ohm]": resistance,
            "Electrode width [m]": 1e-2,
            "Electrode height [m]": 1e-2,
            "Nominal cell capacity [A.h]": c["rated"] * 1e-3,
            "Current function [A]": c["rated"] * 1e-3,
            "Number of electrodes connected in parallel to make a cell": 1.0,
            "Number of cells connected in series to make a battery": 1.0,
            "Lower voltage cut-off [V]": 0.5,
            "Upper voltage cut-off [V]": 5.0,
            "Initial concentration in positive electrode [mol.m-3]": (
                float(state["mean_x"]) * c["lithium_limit"]
            ),
            "Ambient temperature [K]": kelvin,
            "Initial temperature [K]": kelvin,
        },
        check_already_exists=False,
    )
    return battery, values


def steps(cell: Any, segments: tuple[Segment, ...]) -> list[Any]:
    """The segments as PyBaMM experiment steps."""
    import pybamm

    rated = float(cell["rated"]) * 1e-3
    low, high = float(cell["voltage_min"]), float(cell["voltage_max"])
    out: list[Any] = []
    for segment in segments:
        value, duration = segment.value, segment.duration
        if segment.charge > 0 and segment.control == CURRENT:
            duration = min(duration, 3600 * segment.charge / abs(value))
        bound = low if value > 0 else high
        stop = [f"{bound} V"] if segment.at_limit in (STOP, HOLD) else []
        if segment.control == VOLTAGE:
            out.append(pybamm.step.voltage(value, duration=duration))
        elif value == 0:
            out.append(pybamm.step.rest(duration=duration))
        elif segment.control == CURRENT:
            out.append(pybamm.step.current(value * rated, duration=duration, termination=stop))
            if segment.at_limit == HOLD and segment.charge == 0:
                cut = [f"{segment.cut * rated} A"]
                out.append(pybamm.step.voltage(bound, duration=duration, termination=cut))
        elif segment.control == POWER:
            watt = value * rated * NOMINAL_VOLTAGE
            out.append(pybamm.step.power(watt, duration=duration, termination=stop))
    return out


def segments_of_steps(segments: tuple[Segment, ...]) -> list[int]:
    """Which segment each step of ``steps`` belongs to: a charge with a hold makes two steps."""
    out = []
    for number, s in enumerate(segments):
        held = s.control == CURRENT and s.value != 0 and s.at_limit == HOLD and s.charge == 0
        out += [number] * (1 + held)
    return out


def run(
    cell: Any, state: Any, program: tuple[Segment, ...], cycles: int = 1, *,
    model: str = "DFN", tolerance: float = 1e-6, period: float | None = None,
) -> Any:  # fmt: skip
    """PyBaMM's solution of ``cycles`` repetitions of ``program`` from ``state``."""
    import pybamm

    pybamm.set_logging_level("ERROR")
    battery, values = half_cell(cell, state, model)
    experiment = pybamm.Experiment(
        [tuple(steps(cell, program))] * cycles,
        **({} if period is None else {"period": f"{period} seconds"}),
    )
    simulation = pybamm.Simulation(
        battery, parameter_values=values, experiment=experiment, var_pts=POINTS,
        solver=pybamm.IDAKLUSolver(atol=tolerance, rtol=tolerance),
    )  # fmt: skip
    return simulation.solve()


def slow_states(solution: Any) -> dict[str, NDArray[np.float64]]:
    """Slow states, pressure and contact over the whole solution, by name."""
    out = {name: np.asarray(solution[f"Slow {name}"].entries) for name in SLOW}
    out["pressure"] = np.asarray(solution["Stack pressure [MPa]"].entries)
    out["contact"] = np.asarray(solution["Anode contact"].entries)
    return out
