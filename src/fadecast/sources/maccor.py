"""Maccor text exports (MacTest32 and later).

Peculiar to them: the current has no sign (the mode column says the direction), the test time is in
minutes or as ``1d 02:03:04`` with no unit in its label, and numbers may have decimal commas. Days
and months are told apart by the rest of the file; the time's unit by the wall clock beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.checks import Finding
from fadecast.errors import ReadError
from fadecast.sources.layout import Layout, TextTable, parse_dates, read_text
from fadecast.sources.part import Part, count_changes, make_part
from fadecast.sources.units import UNITS

LAYOUT: Final = Layout(
    columns={
        "Voltage [V]": ("voltage_volt", "V"), "Volts": ("voltage_volt", "V"),
        "Current [A]": ("current_ampere", "A"), "Amps": ("current_ampere", "A"),
        "mAmps": ("current_ampere", "mA"),
        "Cycle C": ("cycle_count", "1"), "Cyc#": ("cycle_count", "1"),
        "Step": ("step_count", "1"),
    },
    signature=("TestTime", "StepTime", "ES"),
    counters={
        label: (way, unit)
        for way in ("charge", "discharge")
        for label, unit in (("Cap. [Ah]", "Ah"), ("Amp-hr", "Ah"), ("mAmp-hr", "mAh"))
    },
    texts=("TestTime", "DPT Time", "DPt Time", "Md", "State"),
)  # fmt: skip
SIGNS: Final = {"C": 1.0, "D": -1.0}
"""Sign of the current by mode: charge, discharge."""
_MONTH_FIRST: Final = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")
_DAY_FIRST: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %I:%M:%S %p")
_DAYS: Final = re.compile(r"\s*(\d+)d\s+(\d+):(\d+):([\d.,]+)\s*")


def read(path: Path) -> list[Part]:
    """The file as one part.

    Raises:
        ReadError: the table is broken, a date is not one, or the time's unit cannot be found out.
    """
    table = read_text(path, LAYOUT)
    raw = table.columns
    columns = LAYOUT.settle(raw)
    wall, findings = _wall_clock(table, path.name)
    columns["test_time_second"] = _test_time(raw["TestTime"], wall, path.name)
    if wall is not None:
        columns["unix_time_second"] = wall
    modes = raw.get("Md", raw.get("State"))
    if modes is None or "current_ampere" not in columns:
        raise ReadError(
            "no current or no mode column (Md, State), which gives it its sign",
            where=path.name, fix="Export again with current and mode",
        )  # fmt: skip
    sign = np.array([SIGNS.get(str(mode).strip(), np.nan) for mode in modes])
    flow = np.abs(columns["current_ampere"])
    columns["current_ampere"] = np.where(flow > 0, flow * sign, 0.0)
    if "step_count" in columns:
        columns["step_count"] = count_changes(columns["step_count"])
    counters = {
        way: np.where(sign == direction, counter, 0.0)
        for way, direction in (("charge", 1), ("discharge", -1))
        if (counter := LAYOUT.counted(raw, way)) is not None
    }
    return [
        make_part(
            columns,
            charged_ah=counters.get("charge"), discharged_ah=counters.get("discharge"),
            findings=(*table.findings, *findings),
        )
    ]  # fmt: skip


def _wall_clock(table: TextTable, where: str) -> tuple[NDArray[Any] | None, list[Finding]]:
    texts = table.columns.get("DPT Time", table.columns.get("DPt Time"))
    if texts is None:
        return None, []
    orders = (_DAY_FIRST, _MONTH_FIRST) if table.decimal_comma else (_MONTH_FIRST, _DAY_FIRST)
    first, second = (parse_dates(texts, order) for order in orders)
    if first is None and second is None:
        raise ReadError(f"{texts[0]!r} is no date", where=where, fix="Export dates as d/m/y h:m:s")
    if first is None:
        return second, []
    if second is None or np.array_equal(first, second, equal_nan=True):
        return first, []
    said = "day" if table.decimal_comma else "month"
    return first, [
        Finding(
            "note", "ambiguous_date", "DPT Time", f"{str(texts[0])!r} read with the {said} first",
            "Only the order of files depends on it; name them in order if it is wrong",
        )
    ]  # fmt: skip


def _test_time(texts: NDArray[Any], wall: NDArray[Any] | None, where: str) -> NDArray[np.float64]:
    """Test time in s; its unit, which the label does not tell, is the one the wall clock agrees
    with."""
    if _DAYS.fullmatch(str(texts[0])):
        matches = [_DAYS.fullmatch(str(text)) for text in texts]
        rows = [m.groups() if m else ("nan",) * 4 for m in matches]
        parts = np.array([[float(x.replace(",", ".")) for x in row] for row in rows])
        return np.asarray(parts @ [86400.0, 3600.0, 60.0, 1.0], np.float64)
    try:
        time = np.array([float(str(text).replace(",", ".")) for text in texts])
    except ValueError as error:
        raise ReadError(f"TestTime: {error}", where=where, fix="Export it as a number") from None
    span = time[-1] - time[0]
    passed = wall[-1] - wall[0] if wall is not None else np.nan
    for unit in ("s", "min", "h"):
        scale = UNITS["s"][unit][0]
        if abs(span * scale - passed) <= 0.02 * passed + 2.0:
            return time * scale
    raise ReadError(
        f"the unit of TestTime is not known: {span:g} pass while the wall clock runs {passed:g} s",
        where=where, fix="Export TestTime as days and h:m:s, or together with DPT Time",
    )  # fmt: skip
