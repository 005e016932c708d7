"""What a cycler would log of a simulated cell: sensors with noise, drift, steps, gaps and deaths.

The input is the simulated truth of the terminals; nothing hidden (voids, penetration, contact)
enters, so nothing hidden can leave.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import ConfigError
from fadecast.physics.jit import compiled

FULL_SCALES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Ranges of pressure sensors in MPa."""
_FORMATION: Final = 3
"""Cycles after which a sensor's range is settled."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """Instruments, 1 σ unless said otherwise.

    Args:
        voltage_noise: V. current_gain: relative error of one channel. current_noise: relative.
            efficiency_bias: relative error of discharge beside charge, low and high end.
        temperature_offset, temperature_noise: K.
        pressure_noise: fraction of full scale, low and high end. pressure_drift: the same per
            1000 h. pressure_thermal: per K. pressure_hysteresis: fraction of full scale.
        pressure_bits: of the converter.
        pressure_missing: share of cells without the sensor. pressure_dies: share of sensors that
            stop somewhere in the schedule. gap: probability per cycle of a lost stretch of samples.
        interval: s between logged samples; the ends of a step are always logged, as by a cycler.
    """

    voltage_noise: float = 1e-3
    current_gain: float = 1e-3
    current_noise: float = 2e-4
    efficiency_bias: tuple[float, float] = (0.0002, 0.001)
    temperature_offset: float = 0.5
    temperature_noise: float = 0.1
    pressure_noise: tuple[float, float] = (0.003, 0.010)
    pressure_drift: tuple[float, float] = (0.001, 0.005)
    pressure_thermal: tuple[float, float] = (0.0002, 0.0005)
    pressure_hysteresis: float = 0.005
    pressure_bits: int = 12
    pressure_missing: float = 0.1
    pressure_dies: float = 0.1
    gap: float = 0.002
    interval: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low, high = value if isinstance(value, tuple) else (value, value)
            if not 0 <= low <= high < math.inf:
                raise ConfigError(f"{name} is {value}", fix="Give finite sizes, the smaller first")
        for name in ("pressure_missing", "pressure_dies", "gap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix="Give a probability")
        if not 1 <= self.pressure_bits <= 32:
            raise ConfigError(f"pressure_bits is {self.pressure_bits}", fix="Give 1 to 32")


@compiled
def play(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Play operator: the output follows only once the input has moved by ``width`` (hysteresis)."""
    out = np.empty_like(values)
    held = values[0] if len(values) else 0.0
    for i, value in enumerate(values):
        held = min(max(held, value - width), value + width)
        out[i] = held
    return out


def measure_pressure(
    pressure: NDArray[np.float64], kelvin: NDArray[np.float64], seconds: NDArray[np.float64],
    commissioning: int, sensors: Sensors, draw: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """A sensor's reading of ``pressure`` in MPa.

    Its range is chosen by what the first ``commissioning`` samples reach; what comes later may
    saturate it, but must not have been known.
    """
    top = 1.5 * float(pressure[:commissioning].max())
    scale = next((s for s in FULL_SCALES if s >= top), FULL_SCALES[-1])
    noise = scale * draw.uniform(*sensors.pressure_noise) * draw.normal(size=len(pressure))
    drift = scale * draw.uniform(*sensors.pressure_drift) * draw.choice((-1.0, 1.0))
    thermal = scale * draw.uniform(*sensors.pressure_thermal) * draw.choice((-1.0, 1.0))
    seen = play(pressure, 0.5 * sensors.pressure_hysteresis * scale)
    seen = seen + noise + drift * seconds / 3.6e6 + thermal * (kelvin - 298.15)
    step = scale / 2**sensors.pressure_bits
    return np.asarray(np.clip(np.round(seen / step) * step, 0.0, scale))


def log(
    samples: NDArray[np.float64], rows: NDArray[np.int64], area: float, set_pressure: float,
    cycles: int, sensors: Sensors, draw: np.random.Generator,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Battery Data Format columns of one cell.

    Args:
        samples: ``(n, 6)`` as in ``kernel.N_SAMPLE``. rows: ``(c,)`` their number by cycle end.
        area: cm². set_pressure: MPa, logged as what the fixture is set to.
        cycles: of the schedule; a sensor dies in one of them, whether the cell lives as long or
            not, so that its death says nothing of the cell's.
    """
    time, voltage, current, kelvin, pressure = samples[:, :5].T
    n = len(time)
    cycle = 1 + np.searchsorted(rows, np.arange(n), side="right")
    gain = 1.0 + sensors.current_gain * draw.normal()
    amperes = -current * area * 1e-3
    logged = amperes * gain * (1.0 + sensors.current_noise * draw.normal(size=n))
    offset = sensors.temperature_offset * draw.normal()
    noise = offset + sensors.temperature_noise * draw.normal(size=n)
    columns: dict[str, NDArray[Any]] = {
        "test_time_second": time,
        "voltage_volt": voltage + sensors.voltage_noise * draw.normal(size=n),
        "current_ampere": np.where(amperes == 0.0, 0.0, logged),
        "cycle_count": cycle,
        "step_count": samples[:, 5].astype(np.int64),
        "surface_temperature_celsius": kelvin - 273.15 + noise,
        "applied_pressure_pa": np.full(n, 1e6 * set_pressure),
    }
    if draw.random() >= sensors.pressure_missing:
        formed = int(rows[min(len(rows), _FORMATION) - 1])
        seen = measure_pressure(pressure, kelvin, time, formed, sensors, draw)
        if draw.random() < sensors.pressure_dies:
            seen[cycle > draw.uniform(0.0, cycles)] = np.nan
        columns["surface_pressure_pa"] = 1e6 * seen
    keep = _logged(time, cycle, columns["step_count"], sensors.interval)
    for end in rows[draw.random(len(rows)) < sensors.gap]:
        length = int(draw.integers(3, 20))
        keep[max(int(end) - 40, 0) : max(int(end) - 40, 0) + length] = False
    bias = draw.uniform(*sensors.efficiency_bias) * draw.choice((-1.0, 1.0))
    columns["current_ampere"][amperes < 0] *= 1.0 + bias
    return {name: values[keep] for name, values in columns.items()}


def _logged(
    time: NDArray[np.float64], cycle: NDArray[np.int64], step: NDArray[np.int64], interval: float
) -> NDArray[np.bool_]:
    """``(n,)`` the first sample of every ``interval`` in s, and the ends of every step."""
    if not interval:
        return np.ones(len(time), bool)
    due, new_cycle, new_step = (
        np.diff(number, prepend=-1) != 0 for number in (np.floor(time / interval), cycle, step)
    )
    begins = new_cycle | new_step
    return np.asarray(due | begins | np.append(begins[1:], True))
