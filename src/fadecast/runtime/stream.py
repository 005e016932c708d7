"""``Stream``: one cell as it lives. Samples in, a forecast out at every cycle's end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS
from fadecast.cell.cycles import CycleCounter
from fadecast.cell.faults import Screen
from fadecast.cell.record import CellSpec
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import BundleError, CheckError, ReadError
from fadecast.forecast.forecast import Forecasts
from fadecast.runtime.fleet import Fleet
from fadecast.runtime.npz import dump, load

if TYPE_CHECKING:
    from fadecast.runtime.session import Session

FORMAT: Final = "fadecast-stream"
VERSION: Final = 3
_SAVED: Final = ("summary", "values", "observed", "open_cycle", "memory", "last_cycle")
_FIX: Final = "Replay the cell's history into a new stream"


class Stream:
    """Forecasts of one cell, cycle by cycle. Made by ``Session.stream`` or ``Session.restore``.

    A row that is not usable (``cell.faults`` says when) is dropped, a sensor reading that is not
    usable is masked; ``faults`` counts both.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @classmethod
    def start(cls, session: Session, spec: CellSpec) -> Stream:
        """From the cell's first sample on."""
        fleet = Fleet(session)
        fleet.add(spec)
        return cls(fleet)

    @property
    def spec(self) -> CellSpec:
        """The cell's declared design."""
        return self._fleet.specs[0]

    @property
    def dropped(self) -> int:
        """Rows dropped so far."""
        return self._fleet.counters[0].dropped

    @property
    def faults(self) -> Screen:
        """What was not used so far, and why."""
        return self._fleet.counters[0].screen

    def push(self, columns: Mapping[str, NDArray[Any]]) -> list[Forecasts]:
        """The next rows of the cell's time series.

        Args:
            columns: Battery Data Format columns by name, each ``(n,)`` with any ``n ≥ 0``; time,
                voltage and current are needed, charge positive.

        Returns:
            One forecast for each cycle that these rows closed, usually none.

        Raises:
            CheckError: a column is missing or malformed; the stream is as it was before.
        """
        chunk = self._fleet.number(0, columns)
        if chunk is not None:
            self._fleet.push([chunk])
        return self._forecasts()

    def push_summary(self, summaries: CycleSummaries) -> Forecasts:
        """The next cycles of the cell, already summarised; a forecast for each.

        Raises:
            CheckError: a cycle of raw samples is open, or a count is not later than the last.
        """
        lane = np.zeros(len(summaries), np.int64)
        self._fleet.push_summaries(
            lane, summaries.cycle_count, summaries.values, summaries.observed
        )
        return self._fleet.forecasts()[1]

    def close(self) -> list[Forecasts]:
        """End the open cycle, if there is one; its forecast. Later samples begin another."""
        self._fleet.close()
        return self._forecasts()

    def _forecasts(self) -> list[Forecasts]:
        if not self._fleet.waiting:
            return []
        _, forecasts = self._fleet.forecasts()
        return [forecasts[row : row + 1] for row in range(len(forecasts))]

    def save(self) -> bytes:
        """All that the stream knows, a few kilobytes; ``Session.restore`` goes on from it."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self._fleet.session.fingerprint,
            "spec": asdict(self.spec),
            "counter": _to_json(asdict(self._fleet.counters[0])),
        }
        text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
        return dump({"header": text} | {k: getattr(self._fleet.carried, k) for k in _SAVED})

    @classmethod
    def restore(cls, session: Session, saved: bytes) -> Stream:
        """Inverse of ``save``; never unpickles.

        Raises:
            ReadError: the bytes are damaged.
            BundleError: they belong to another bundle.
        """
        try:
            arrays = load(saved)
            header = json.loads(arrays["header"].tobytes())
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ReadError("the saved stream has another format version", fix=_FIX)
            fingerprint = header["fingerprint"]
            spec = CellSpec(**header["spec"])
            counter = _counter(header["counter"], spec)
        except (ValueError, KeyError, TypeError, RecursionError, CheckError) as error:
            raise ReadError(f"the saved stream is damaged ({error})", fix=_FIX) from None
        if fingerprint != session.fingerprint:
            raise BundleError(
                f"the stream was saved with bundle {str(fingerprint)[:12]}…, "
                f"this is {session.fingerprint[:12]}…",
                fix="Load that bundle, or replay the cell's history with this one",
            )
        stream = cls.start(session, spec)
        stream._fleet.counters[0] = counter
        for name in _SAVED:
            array, there = arrays.get(name, np.zeros(0)), getattr(stream._fleet.carried, name)
            if array.shape != there.shape or array.dtype != there.dtype:
                raise ReadError(f"{name} of the saved stream is damaged", fix=_FIX)
            if not np.isfinite(array).all():
                raise ReadError(f"{name} of the saved stream is not finite", fix=_FIX)
            there[:] = array
        return stream


def _to_json(value: Any) -> Any:
    """NaN as null, which JSON has."""
    if isinstance(value, dict):
        return {key: _to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_to_json(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _counter(saved: Mapping[str, Any], spec: CellSpec) -> CycleCounter:
    values = dict(saved)
    screen = _screen(values.pop("screen"))
    numbers = [value for key, value in values.items() if key not in ("recorded", "given")]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise TypeError("its counter is not made of numbers")
    if values["nominal_capacity_ah"] != spec.nominal_capacity_ah:
        raise ValueError("its counter is of another cell")
    if values["recorded"] not in (None, True, False):
        raise TypeError("its counter does not say whether cycles are numbered")
    if type(values["given"]) is not bool:
        raise TypeError("its counter does not say whether a cycle was numbered")
    most = COLUMNS["cycle_count"].high
    for name, limit in (("count", most + 1), ("leapt", most)):
        if not (type(values[name]) is int and 0 <= values[name] <= limit):
            raise ValueError(f"{name} of its counter is {values[name]!r}")
    return CycleCounter(**values, screen=screen)


def _screen(saved: Mapping[str, Any]) -> Screen:
    """Each entry must be of the kind and length that a new screen has."""
    values: dict[str, Any] = {}
    for name, begin in asdict(Screen()).items():
        many = isinstance(begin, tuple)
        entries, begins = (saved[name], begin) if many else ([saved[name]], (begin,))
        if not isinstance(entries, list) or len(entries) != len(begins):
            raise ValueError(f"{name} of its counter has another length")
        if not all(map(_fits, entries, begins)):
            raise ValueError(f"{name} of its counter is {entries!r}")
        found = tuple(math.nan if entry is None else entry for entry in entries)
        values[name] = found if many else found[0]
    return Screen(**values)


def _fits(entry: Any, begin: float) -> bool:
    if isinstance(begin, int):
        return type(entry) is int and entry >= 0
    if entry is None:
        return math.isnan(begin)
    return type(entry) in (int, float) and math.isfinite(entry)
