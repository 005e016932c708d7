"""Several files of one cell become one time series: time runs on, counts are continued."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.checks import Finding
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.errors import CheckError
from fadecast.sources.part import COUNTS, Part


def to_record(part: Part, spec: CellSpec, source: str) -> CellRecord:
    """A part as the record of a cell of that design."""
    return CellRecord(CellMetadata(spec, source), samples=part.columns)


def in_order(parts: Iterable[tuple[str, Part]]) -> list[tuple[str, Part]]:
    """Named parts by wall clock where all have one, else by name, numbers in it by value."""
    named = sorted(parts, key=lambda item: _natural(item[0]))
    if all(part.started is not None for _, part in named):
        named.sort(key=lambda item: item[1].started or 0.0)
    return named


def stitch(parts: Sequence[Part]) -> Part:
    """One part from several in time order.

    The test time runs on: by the wall clock where both sides have one (so that the pause between
    two files is seen), as it is where the next file already goes on from the last, else without a
    pause. Cycle and step counts that start over are continued; ones that go on are kept. A count
    that some part lacks is left out, another channel that some part lacks is NaN there.

    Raises:
        CheckError: two parts overlap in wall-clock time.
    """
    if len(parts) == 1:
        return parts[0]
    findings = [finding for part in parts for finding in part.findings]
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    for name in COUNTS:
        if name in names and not all(name in part.columns for part in parts):
            names.remove(name)
            findings.append(
                Finding(
                    "warning", "count_dropped", name, "only some files of the cell have it",
                    "Cycles are counted from the current instead",
                )
            )  # fmt: skip
    joined = {name: [_column(parts[0], name)] for name in names}
    for previous, part in pairwise(parts):
        for name in names:
            values = _column(part, name)
            if name == "test_time_second":
                values = values + _pause(previous, part, float(joined[name][-1][-1]))
            elif name in COUNTS:
                starts_over = _last_second(previous) >= float(part.columns["test_time_second"][0])
                values = _continued(int(joined[name][-1][-1]), values, starts_over)
            joined[name].append(values)
    columns = {name: np.concatenate(pieces) for name, pieces in joined.items()}
    return Part(columns, parts[0].cell_id, tuple(findings))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(n), t) for t, n in re.findall(r"(\D*)(\d+)", name + "0")]


def _column(part: Part, name: str) -> NDArray[Any]:
    return part.columns.get(name, np.full(len(part), np.nan))


def _pause(previous: Part, part: Part, last: float) -> float:
    """What to add to the next part's test time; ``last`` is where the joined time stands."""
    first = float(part.columns["test_time_second"][0])
    before, after = previous.columns.get("unix_time_second"), part.columns.get("unix_time_second")
    if before is not None and after is not None and np.isfinite([before[-1], after[0]]).all():
        pause = float(after[0] - before[-1])
        if pause < -1.0:  # clocks written in whole seconds may differ by one
            raise CheckError(
                f"two files overlap by {-pause:.0f} s of wall-clock time",
                fix="Leave out the copy, or give files of different cells different ids",
            )
        return last + max(pause, 0.0) - first
    return 0.0 if first > last else last - first


def _last_second(part: Part) -> float:
    return float(part.columns["test_time_second"][-1])


def _continued(last: int, values: NDArray[Any], starts_over: bool) -> NDArray[np.int64]:
    """Counts that began again go on after ``last``; ones that go on by themselves are kept.

    A count that is 0 or 1 again may be either: then the test time tells (``starts_over``).
    """
    first = int(values[0])
    goes_on = first >= last and (first > 1 or not starts_over)
    return np.asarray(values if goes_on else values + (last + 1 - first))
