"""The rules a record is held to, one function each; ``cell.checks`` runs them.

Units and sign are judged by physics rather than by names: one charge or discharge cannot move
many times the rated capacity, voltage rises while a cell charges, and a test clock runs as fast
as the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.cell.cycles import GAP_SECOND
from fadecast.cell.findings import Finding, Severity
from fadecast.cell.view import RecordView, spikes

MUCH_CHARGE: Final = 3.0
"""More nominal capacities than one uninterrupted charge or discharge can move."""
LITTLE_CHARGE: Final = 0.03
"""Fewer nominal capacities than a sweep over the voltage window can move."""
MILLIVOLTS: Final = 500.0
"""A typical voltage above this was not written in volts."""
SWEEP: Final = 0.8
"""Share of the voltage window that counts as a sweep over it."""
UNUSABLE: Final = 0.1
"""Share of unusable rows from which a record is refused."""
FAST_RATE: Final = 20.0
"""C-rate beyond which a current is suspected before the time is."""
CLOCK_UNITS: Final = {1e-3: "ms", 60.0: "min", 3600.0: "h"}
"""Seconds per unit of a test clock that was mistaken for seconds."""
STRAIN: Final = 0.01
"""Hoop strain that a steel can does not reach before a strain gauge lets go."""
_FEW: Final = 20
"""Rows below which a channel cannot be called stuck."""


def _missing_values(view: RecordView) -> Iterator[Finding]:
    for name, values in view.columns.items():
        bad = int((~np.isfinite(values)).sum())
        if not bad:
            continue
        if name not in REQUIRED:
            if bad == view.n:
                yield Finding("note", "empty_channel", name, "no value at all", "Leave it out")
            continue
        severity: Severity = "error" if bad > UNUSABLE * view.n else "warning"
        yield Finding(
            severity, "not_finite", name, f"{bad} of {view.n} values are NaN or infinite",
            "These rows are left out; look for a broken export or sensor",
        )  # fmt: skip


def _out_of_range(view: RecordView) -> Iterator[Finding]:
    for name, values in view.columns.items():
        column = COLUMNS[name]
        bad = (values < column.low) | (values > column.high)
        if not bad.any():
            continue
        worst = values[bad][np.argmax(np.abs(values[bad]))]
        hint = f"Values must lie in {column.low:g}…{column.high:g} {column.unit}"
        if name == "voltage_volt" and np.nanmedian(np.abs(values)) > MILLIVOLTS:
            hint = "The voltage looks like mV: convert it to V"
        refused = name in REQUIRED and bad.sum() > UNUSABLE * view.n
        yield Finding(
            "error" if refused else "warning",
            "voltage_unit" if "mV" in hint else "out_of_range",
            f"{name}, row {int(np.argmax(bad))}",
            f"{int(bad.sum())} of {view.n} values are out of range, up to {worst:g}", hint,
        )  # fmt: skip


def _time(view: RecordView) -> Iterator[Finding]:
    time = view.columns[REQUIRED[0]]
    rows = np.flatnonzero(np.isfinite(time))
    step = np.diff(time[rows])
    if (step < 0).any():
        at = int(np.argmax(step < 0))
        yield Finding(
            "error", "time_backwards", f"test_time_second, row {rows[at + 1]}",
            f"time goes back {int((step < 0).sum())} times, first by {-step[at]:g} s",
            "Sort the rows, or give the pieces as separate files of one cell to have them joined",
        )  # fmt: skip
    if (step == 0).any():
        yield Finding(
            "warning", "time_duplicate", f"test_time_second, row {rows[int(np.argmax(step == 0))]}",
            f"{int((step == 0).sum())} rows repeat the time before them",
            "The first row of each time is used",
        )  # fmt: skip
    gaps = step[step > GAP_SECOND]
    if len(gaps):
        yield Finding(
            "warning", "long_gap", f"test_time_second, row {rows[int(np.argmax(step))]}",
            f"{len(gaps)} gaps longer than an hour, the longest {gaps.max() / 3600:.1f} h",
            "Charge that flowed in a gap is unknown; add the missing file if there is one",
        )  # fmt: skip


def _clock(view: RecordView) -> Iterator[Finding]:
    if "unix_time_second" not in view.columns:
        return
    time, wall = view.columns[REQUIRED[0]], view.columns["unix_time_second"]
    both = np.isfinite(time) & np.isfinite(wall)
    if (np.diff(wall[both]) < 0).any():
        yield Finding(
            "warning", "clock_backwards", "unix_time_second", "the wall clock goes back",
            "The test time is used; the wall clock only orders files",
        )  # fmt: skip
    # Ten rows at a time: wall clocks are often written in whole seconds.
    passed, real = np.diff(time[both][::10]), np.diff(wall[both][::10])
    moves = (passed > 0) & (real > 0)
    if moves.sum() < 3:
        return
    ratio = float(np.median(real[moves] / passed[moves]))
    for scale, unit in CLOCK_UNITS.items():
        if abs(ratio / scale - 1) < 0.1:
            yield Finding(
                "error", "time_unit", "test_time_second",
                f"{ratio:.4g} s of wall clock pass per unit of test time",
                f"The test time looks like {unit}: convert it to seconds",
            )  # fmt: skip


def _charge(view: RecordView) -> Iterator[Finding]:
    charge, _ = view.runs
    _, volt, ampere = view.finite
    if not len(charge):
        yield Finding(
            "warning", "no_current", "current_ampere", "no current flows in the whole record",
            "Nothing can be said of a cell that only rests",
        )  # fmt: skip
        return
    most = float(np.abs(charge).max())
    rate = float(np.quantile(np.abs(ampere), 0.99)) / view.spec.nominal_capacity_ah
    said = f"one charge or discharge moves {most:.3g} nominal capacities at {rate:.3g} C"
    if most > MUCH_CHARGE:
        unit, fix = ("time_unit", "The time looks like ms: convert it to seconds")
        where = "test_time_second"
        if rate > FAST_RATE:
            unit, fix = ("current_unit", "The current looks like mA: convert it to A")
            where = "current_ampere"
        yield Finding("error", unit, where, said, f"{fix}, or correct nominal_capacity_ah")
    swept = np.ptp(np.clip(volt, view.spec.voltage_min_v, view.spec.voltage_max_v)) / view.width
    if most < LITTLE_CHARGE and swept > SWEEP:
        yield Finding(
            "error", "charge_too_small", "current_ampere",
            f"the voltage sweeps {swept:.0%} of its window, but {said}",
            "Give time in s, current in A and nominal_capacity_ah in Ah (not mAh)",
        )  # fmt: skip


def _sign(view: RecordView) -> Iterator[Finding]:
    charge, rise = view.runs
    if not len(charge):
        return
    large = np.abs(charge) > 0.1 * np.abs(charge).max()
    total = np.abs(rise[large]).sum()
    if total < 0.05 * view.width:
        return
    agreement = float((np.sign(charge[large]) * rise[large]).sum() / total)
    if agreement < -0.3:
        yield Finding(
            "error", "sign_swapped", "current_ampere",
            f"the voltage falls while the current is positive (agreement {agreement:+.2f})",
            "Charge must be positive: change the sign of the current",
        )  # fmt: skip


def _window(view: RecordView) -> Iterator[Finding]:
    _, volt, _ = view.finite
    low, high = (
        view.spec.voltage_min_v - 0.1 * view.width,
        view.spec.voltage_max_v + 0.1 * view.width,
    )
    share = float(np.mean((volt < low) | (volt > high))) if len(volt) else 0.0
    if share > UNUSABLE:
        yield Finding(
            "warning", "outside_window", "voltage_volt",
            f"{share:.0%} of the samples lie outside the declared window",
            "Correct voltage_min_v and voltage_max_v of the cell",
        )  # fmt: skip


def _channels(view: RecordView) -> Iterator[Finding]:
    if view.n < _FEW:
        return
    for name, values in view.columns.items():
        seen = values[np.isfinite(values)]
        if len(seen) < _FEW or np.ptp(seen) > 0:
            continue
        if name == "voltage_volt":
            yield Finding(
                "error", "stuck_channel", name, f"constant {seen[0]:g} V", "Check the sense leads"
            )
        elif name.startswith("surface") or name == "hoop_strain_dimensionless":
            yield Finding(
                "warning", "stuck_channel", name,
                f"constant {seen[0]:g} {COLUMNS[name].unit} in all {len(seen)} rows",
                "Leave the column out if there is no sensor",
            )  # fmt: skip
    strain = view.columns.get("hoop_strain_dimensionless")
    if strain is not None and (np.abs(strain) > STRAIN).any():
        yield Finding(
            "warning", "implausible_strain", "hoop_strain_dimensionless",
            f"up to {np.nanmax(np.abs(strain)):.3g} in size", "The gauge drifts or has come off",
        )  # fmt: skip


def _counts(view: RecordView) -> Iterator[Finding]:
    for name in ("cycle_count", "step_count"):
        if name in view.columns and (np.diff(view.columns[name]) < 0).any():
            at = int(np.argmax(np.diff(view.columns[name]) < 0)) + 1
            yield Finding(
                "error" if name == "cycle_count" else "warning", f"{name}_backwards",
                f"{name}, row {at}", "the count goes back",
                "Give the pieces as separate files of one cell to have their counts continued",
            )  # fmt: skip


def _cycles(view: RecordView) -> Iterator[Finding]:
    numbers, throughput = view.cycles
    if len(numbers) == 1:
        yield Finding(
            "warning", "single_cycle", f"cycle {numbers[0]}", "the record has one cycle only",
            "There is no trend to learn from; a forecast can still be made",
        )  # fmt: skip
    seen = np.isfinite(throughput) & (throughput > LITTLE_CHARGE)
    odd = numbers[seen][spikes(throughput[seen])]
    if len(odd):
        listed = ", ".join(str(n) for n in odd[:5]) + (" …" if len(odd) > 5 else "")
        yield Finding(
            "warning", "capacity_outlier", f"cycles {listed}",
            f"{len(odd)} of {seen.sum()} discharges are more than 5 % off those before them",
            "Check-ups and interrupted cycles look like this too; mask the cycles that are false",
        )  # fmt: skip


def _capacity_scale(view: RecordView) -> Iterator[Finding]:
    _, throughput = view.cycles
    if not np.isfinite(throughput).any():
        yield Finding(
            "warning", "no_capacity", "discharge_throughput", "never observed",
            "Health and life cannot be read off this record",
        )  # fmt: skip
        return
    middle = float(np.nanmedian(throughput))
    if not LITTLE_CHARGE < middle < MUCH_CHARGE:
        yield Finding(
            "error", "capacity_unit", "discharge_throughput",
            f"a typical cycle discharges {middle:.3g} nominal capacities",
            "Give capacity in Ah and nominal_capacity_ah in Ah (not mAh)",
        )  # fmt: skip


Rule = Callable[[RecordView], Iterator[Finding]]
SAMPLE_RULES: Final[tuple[Rule, ...]] = (
    _missing_values, _out_of_range, _time, _clock, _charge, _sign, _window, _channels, _counts,
    _cycles,
)  # fmt: skip
SUMMARY_RULES: Final[tuple[Rule, ...]] = (_capacity_scale, _cycles)
