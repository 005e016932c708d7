"""``Part``: what one file holds of one cell, units and sign already settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.checks import Finding
from fadecast.cell.columns import REQUIRED
from fadecast.cell.cycles import GAP_SECOND
from fadecast.errors import ReadError

COUNTS: Final = ("cycle_count", "step_count")

COUNTER_TOLERANCE: Final = 0.03
"""Relative difference between integrated current and the cycler's own counter worth a warning."""
COUNTER_ERROR: Final = 0.5
"""Relative difference from which current, time or sign must have been misread."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file's time series of one cell.

    Args:
        columns: Battery Data Format columns by name, each ``(n,)``, in the file's order.
        cell_id: the cell's name where the file states it.
        findings: what the reader noticed that cannot be seen in the columns themselves.
    """

    columns: Mapping[str, NDArray[Any]]
    cell_id: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def started(self) -> float | None:
        """Wall-clock time of the first sample in s since 1970, ``None`` if the file has none."""
        wall = self.columns.get("unix_time_second", np.zeros(0))
        wall = wall[np.isfinite(wall)]
        return float(wall[0]) if len(wall) else None

    def __len__(self) -> int:
        return len(self.columns[REQUIRED[0]])


def make_part(
    columns: Mapping[str, NDArray[Any]],
    *,
    charged_ah: NDArray[Any] | None = None,
    discharged_ah: NDArray[Any] | None = None,
    cell_id: str | None = None,
    findings: Iterable[Finding] = (),
) -> Part:
    """A part from settled columns: dead sensors left out, the cycler's counters compared.

    Raises:
        ReadError: a required column is missing.
    """
    require(columns, list(columns))
    kept, dead = without_dead_sensors(columns)
    kept |= {name: whole_numbers(kept[name]) for name in COUNTS if name in kept}
    counters = compare_counters(columns, charged_ah, discharged_ah)
    return Part(kept, cell_id, (*findings, *dead, *counters))


def require(columns: Mapping[str, Any], present: Sequence[str]) -> None:
    """Refuse a file without the columns every time series needs.

    Raises:
        ReadError: naming what is missing and what was there instead.
    """
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ReadError(
            f"no column for {', '.join(missing)}",
            fix=f"Export time, voltage and current; the file has {', '.join(present) or 'nothing'}",
        )


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Counts as integers; a missing one takes the count before it, 0 at the start."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last >= 0, np.where(known, values, 0.0)[last], 0.0).astype(np.int64)


def count_changes(values: NDArray[Any]) -> NDArray[np.int64]:
    """``(n,)`` a count that begins at 1 and grows whenever a vendor's step label changes."""
    return (
        1
        + np.concatenate([[0], np.cumsum(values[1:] != values[:-1])]).astype(np.int64)[
            : len(values)
        ]
    )


def compare_counters(
    columns: Mapping[str, NDArray[Any]],
    charged_ah: NDArray[Any] | None,
    discharged_ah: NDArray[Any] | None,
) -> Iterator[Finding]:
    """Integrated current against the cycler's own counters: evidence that current, time and sign
    were read rightly.

    Args:
        columns: time series with ``test_time_second`` and ``current_ampere``.
        charged_ah, discharged_ah: ``(n,)`` the cycler's counters in Ah; they may start over.
    """
    time = np.asarray(columns["test_time_second"], np.float64)
    ampere = np.asarray(columns["current_ampere"], np.float64)
    hours = np.diff(time) / 3600
    hours[~((hours > 0) & (hours <= GAP_SECOND / 3600))] = 0
    for way, counter, sign in (("charge", charged_ah, 1), ("discharge", discharged_ah, -1)):
        if counter is None:
            continue
        flow = np.nan_to_num(np.maximum(sign * ampere, 0))
        integrated = float((0.5 * (flow[1:] + flow[:-1]) * hours).sum())
        step = np.diff(np.abs(np.nan_to_num(counter)))
        counted = float(np.where(step < 0, np.abs(np.nan_to_num(counter))[1:], step).sum())
        largest = max(counted, integrated)
        off = abs(integrated - counted) / largest if largest > 0 else 0.0
        if off > COUNTER_TOLERANCE:
            yield Finding(
                "error" if off > COUNTER_ERROR else "warning",
                "counter_disagrees", "current_ampere",
                f"integrated {way} {integrated:.4g} Ah, the cycler counted {counted:.4g} Ah",
                "The current is coarsely resolved or sampled, or unit, sign or time are wrong",
            )  # fmt: skip


def without_dead_sensors(
    columns: Mapping[str, NDArray[Any]],
) -> tuple[dict[str, NDArray[Any]], list[Finding]]:
    """Leave out sensors that read exactly 0 throughout: some exports write 0 for "no sensor"."""
    out, findings = dict(columns), []
    for name, values in columns.items():
        if not name.endswith(("_pa", "_celsius", "strain_dimensionless")) or not len(values):
            continue
        if not np.nan_to_num(values).any():
            del out[name]
            findings.append(
                Finding(
                    "note",
                    "no_sensor",
                    name,
                    "0 or nothing in every row, taken as not connected",
                    "If there is a sensor, check its wiring",
                )
            )
    return out, findings
