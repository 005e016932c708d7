"""From the sums of a cycle to its summary: what is no sum is a pick, a ratio or a spread.

Curves over voltage are summed up in the order of their fields. All numbers that the other fields
are made of lie side by side in one row and each field picks its own; so do the conditions under
which a field counts as observed. That takes a fraction of the operators that fields computed one by
one would, and a single cycle costs operators, not arithmetic.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fadecast.cell.summaries import BINS, DIRECTIONS, FIELDS, SENSORS
from fadecast.network.arithmetic import above, held, ratio, spread

TOP: Final = 0.875
"""Where the upper voltage range begins, as a share of the window; it fades in over ``RAMP``."""
HOLD: Final = held(0.985)
"""Where the constant-voltage hold begins, as a share of the window; it fades in over ``RAMP``."""
MIDDLE: Final = held((TOP + HOLD) / 2)
"""Voltages of the upper range are summed up from here."""
SMALL_CHARGE: Final = held(0.02)
"""Least charge, in nominal capacities, from which an efficiency or a loop is computed."""
ORIGIN: Final = (25.0, 0.0, 0.0)
"""Sensors are summed up from here, °C, MPa, 1e-3: float32 rounds small numbers finer. A loop is
taken around it too: that of a cycle which closes does not depend on where."""

AMOUNTS: Final = ("charge", "energy", "hours", "hours rate²")
PHASES: Final = (*DIRECTIONS, "hold")
"""All of the former are summed up over all of the latter, in double precision."""
CURVE_QUANTITIES: Final = (
    *AMOUNTS[:3], *(f"{sensor} {what}" for what in ("integral", "covered") for sensor in SENSORS),
)  # fmt: skip
"""What is summed up by direction and voltage node."""
SCALARS: Final = (
    "rest", "gap", "vi", "ii", "top charge", "top hours", "top first", "top second",
    "relaxation low", "relaxation high", "dip charge", "dip discharge",
    *(f"{sensor} {what}" for what in ("loop charge", "loop discharge", "integral", "hours")
      for sensor in SENSORS),
)  # fmt: skip
"""What else is summed up over the whole cycle."""
_SUMS: Final = (*(f"{phase} {what}" for what in AMOUNTS for phase in PHASES), *SCALARS)
_AMOUNTS: Final = BINS * 3 * len(DIRECTIONS)
"""Curves that are sums; means of the sensors follow."""
_RATIOS: Final = {
    "top second": ("top second", "top hours"),
    "hold square": ("hold hours rate²", "hold hours"),
    "top mean": ("top first", "top hours"),
    "hold mean": ("hold charge", "hold hours"),
    "coulombic efficiency": ("discharge charge", "charge charge"),
    "energy efficiency": ("discharge energy", "charge energy"),
    "resistance": ("vi", "ii"),
    **{f"{sensor} mean": (f"{sensor} integral", f"{sensor} hours") for sensor in SENSORS},
}
_HIGHEST: Final = ("voltage", "rate", *(f"-{x}" for x in ("voltage", "rate")), *SENSORS,
                   *(f"-{sensor}" for sensor in SENSORS))  # fmt: skip
_EXTREMES: Final[dict[str, dict[str, float]]] = {
    "voltage lowest": {"-voltage": -1.0},
    "voltage highest": {"voltage": 1.0},
    "charge rate": {"rate": 1.0},
    "discharge rate": {"-rate": 1.0},
    **{f"{sensor} lowest": {f"-{sensor}": -1.0} for sensor in SENSORS},
    **{f"{sensor} highest": {sensor: 1.0} for sensor in SENSORS},
    **{f"{sensor} swing": {sensor: 1.0, f"-{sensor}": 1.0} for sensor in SENSORS},
}
_ENDS: Final = (
    *_HIGHEST, *[""] * 2 * (5 + 2 * len(SENSORS)),
    *(f"{sensor} {what}" for what in ("first", "last") for sensor in SENSORS),
)  # fmt: skip
_ROW: Final = (
    *(f"sum {name}" for name in _SUMS),
    *(f"ratio {name}" for name in _RATIOS),
    "top spread", "hold spread",
    *_EXTREMES,
    *(f"{sensor} loop" for sensor in SENSORS), *_ENDS,
)  # fmt: skip
"""The row that values are picked from."""
_CONDITIONS: Final = (
    "any sample", *(f"{sensor} sensed" for sensor in SENSORS), *_SUMS, "timed", "both ways",
    *(f"{sensor} loop" for sensor in SENSORS),
)  # fmt: skip
"""The row that is compared to what makes a field observed."""
_SOURCES: Final[dict[str, tuple[str, str]]] = {
    "charge_throughput": ("sum charge charge", "timed"),
    "discharge_throughput": ("sum discharge charge", "timed"),
    "charge_energy": ("sum charge energy", "timed"),
    "discharge_energy": ("sum discharge energy", "timed"),
    "coulombic_efficiency": ("ratio coulombic efficiency", "both ways"),
    "energy_efficiency": ("ratio energy efficiency", "both ways"),
    "charge_time": ("sum charge hours", "timed"),
    "discharge_time": ("sum discharge hours", "timed"),
    "rest_time": ("sum rest", "timed"),
    "gap_time": ("sum gap", "any sample"),
    "resistance": ("ratio resistance", "ii"),
    "voltage_lowest": ("voltage lowest", "any sample"),
    "voltage_highest": ("voltage highest", "any sample"),
    "charge_rate_highest": ("charge rate", "any sample"),
    "discharge_rate_highest": ("discharge rate", "any sample"),
    "top_capacity": ("sum top charge", "timed"),
    "top_time": ("sum top hours", "timed"),
    "top_voltage_mean": ("ratio top mean", "top hours"),
    "top_voltage_std": ("top spread", "top hours"),
    "hold_capacity": ("sum hold charge", "timed"),
    "hold_time": ("sum hold hours", "timed"),
    "hold_rate_mean": ("ratio hold mean", "hold hours"),
    "hold_rate_std": ("hold spread", "hold hours"),
    "relaxation_low": ("sum relaxation low", "rest"),
    "relaxation_high": ("sum relaxation high", "rest"),
    "dip_charge": ("sum dip charge", "charge charge"),
    "dip_discharge": ("sum dip discharge", "discharge charge"),
}


def _source(field: str) -> tuple[str, str]:
    """Where in ``_ROW`` a field that is no curve stands, and in ``_CONDITIONS`` what it needs."""
    if field in _SOURCES:
        return _SOURCES[field]
    name, what = field.split(".")
    if what == "mean":
        return f"ratio {name} mean", f"{name} hours"
    return f"{name} {what}", f"{name} loop" if what == "loop" else f"{name} sensed"


def _origin(field: str) -> float:
    if field == "top_voltage_mean":
        return MIDDLE
    name, *rest = field.split(".")
    shifted = name in SENSORS and rest not in (["swing"], ["loop"])
    return ORIGIN[SENSORS.index(name)] if shifted else 0.0


class Reading(nn.Module):
    """Sums, extremes and ends of a cycle → ``(B, N_FIELDS)`` values and what was observed."""

    pick: Tensor
    condition: Tensor
    origin: Tensor
    least: Tensor
    top: Tensor
    bottom: Tensor
    extremes: Tensor
    floor: Tensor
    timed: Tensor
    alike: Tensor
    both: Tensor
    size: Tensor

    def __init__(self) -> None:
        super().__init__()
        sources = [_source(field) for field in list(FIELDS)[2 * _AMOUNTS :]]
        timed = [name in ("charge hours", "discharge hours", "rest") for name in _SUMS]
        charged = ("charge charge", "discharge charge")
        buffers = {
            "pick": torch.tensor([_ROW.index(value) for value, _ in sources]),
            "condition": torch.tensor([_CONDITIONS.index(seen) for _, seen in sources]),
            "origin": torch.tensor([_origin(field) for field in FIELDS]),
            "least": torch.tensor([SMALL_CHARGE * (name in charged) for name in _CONDITIONS]),
            "top": torch.tensor([_SUMS.index(top) for top, _ in _RATIOS.values()]),
            "bottom": torch.tensor([_SUMS.index(bottom) for _, bottom in _RATIOS.values()]),
            "extremes": torch.tensor(
                [
                    [parts.get(name, 0.0) for parts in _EXTREMES.values()]
                    for name in (*_HIGHEST, *[""] * (len(_ENDS) - len(_HIGHEST)))
                ]
            ),
            "floor": torch.tensor([0.0 if "rate" in name else -1e30 for name in _EXTREMES]),
            "timed": torch.tensor(timed, dtype=torch.float32)[:, None],
            "alike": torch.ones(1, _AMOUNTS),
            "both": torch.tensor([_SUMS.index(name) for name in charged]),
            "size": torch.tensor([0.1, 0.0]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self, curves: Tensor, scalars: Tensor, counts: Tensor, ends: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The summary, and 0/1, in the precision of ``ends``.

        Args:
            curves: sums by voltage node; scalars: of amounts by phase and ``SCALARS``; counts: of
                samples and of those with each sensor; all in double precision.
            ends: they begin with the extremes and end with the sensors' first and last.
        """
        n, dtype = len(SENSORS), ends.dtype
        amounts, integrals, covered = curves.to(dtype).split(_AMOUNTS, 1)
        ratios = ratio(*(scalars.index_select(1, at) for at in (self.top, self.bottom)))
        means = ratios[:, 2:4]
        spreads = spread(ratios[:, :2], means, means + self.size)
        highest = torch.maximum(torch.matmul(ends, self.extremes), self.floor)
        charge, discharge, _, hours = scalars[:, -4 * n :].split(n, 1)
        row = torch.cat([scalars, ratios, spreads], 1).to(dtype)
        row = torch.cat([row, highest, (charge - discharge).to(dtype), ends], 1)

        both = scalars.index_select(1, self.both).amin(1, keepdim=True) - SMALL_CHARGE
        whole = torch.matmul(scalars, self.timed.double())
        conditions = [counts, scalars, whole, both, torch.minimum(hours, both)]
        there = (torch.cat(conditions, 1) > self.least).to(dtype)
        timed = (whole > 0).to(dtype) * self.alike
        seen = torch.cat([timed, above(covered, 0), there.index_select(1, self.condition)], 1)
        values = [amounts, ratio(integrals, covered), row.index_select(1, self.pick)]
        return (torch.cat(values, 1) + self.origin) * seen, seen
