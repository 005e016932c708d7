"""Faults of sensors and clocks, told from what came before: masked and counted, never used.

A row is judged by itself (not finite, out of range), by the clock (not later than the row before,
or far later), and by how its readings move. The rules look only backwards and their state is a
handful of numbers, so a stream and a whole record are judged alike. The C++ program has the same
rules in ``serving/edge/src/screen.cpp``.

- **Leaping**: a time more than ``LEAP_SECOND`` after the latest one. It is not believed until the
  next row in range agrees, that is lies later and within ``LEAP_SECOND`` of it; the clock goes on
  from that row, so a true rest of months costs one row. If the next row does not agree, the leap is
  forgotten. The very first time is believed; but until a later one has come, a time more than
  ``LEAP_SECOND`` before it leaps too, so that a first time that was wrong costs the row after it.
- **Spiking**: a reading that differs from the one before it by more than ``JUMP`` within
  ``SPIKE_SECOND``. A spike costs two readings, itself and the way back; a true step costs one.
- **Stuck**: the very same reading while the cell was discharged for ``STUCK_SECOND`` since it last
  changed. It is believed again when it moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPIKE_SECOND: Final = 30.0
STUCK_SECOND: Final = 6 * 3600.0
GAP_SECOND: Final = 3600.0
"""An interval longer than this holds no known current: nothing is counted over it."""

LEAP_SECOND: Final = 30 * 86400.0
"""A longer step of the clock has to be confirmed. The longest rest recorded is 21 days."""

LEAP_CYCLES: Final = 1000
"""So has a larger step of a recorded ``cycle_count`` (``cell.cycles``)."""

JUMP: Final = (1.0, 20.0, 2e6, 5e-3)
"""V, °C, Pa, strain: what no cell does within ``SPIKE_SECOND``."""

ROW_FAULTS: Final = ("unusable", "late", "leaping", "spiking", "stuck")
"""Why a row was dropped."""

_NOTHING: Final = float("nan")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Screen:
    """What is remembered of the rows before, and how many were not used.

    Args:
        last_second: time of the last sample, NaN before the first.
        first_second: time of the very first row in range, NaN before it.
        latest_second: time of the last row that was in range, later than those before it and no
            leap; what the clock is believed to say.
        leapt_second: time of the row before, if it leapt and waits to be confirmed; else NaN.
        discharged_second: time under discharge since the first row.
        reading: last voltage, temperature, pressure and strain in range, NaN before the first.
        changed_second: ``discharged_second`` when each last changed.
        dropped: rows by ``ROW_FAULTS``.
        masked: readings of temperature, pressure and strain that were given and not used.
        gaps: intervals longer than ``GAP_SECOND``.
    """

    last_second: float = _NOTHING
    first_second: float = _NOTHING
    latest_second: float = _NOTHING
    leapt_second: float = _NOTHING
    discharged_second: float = 0.0
    reading: tuple[float, ...] = field(default=(_NOTHING,) * len(JUMP))
    changed_second: tuple[float, ...] = field(default=(0.0,) * len(JUMP))
    dropped: tuple[int, ...] = field(default=(0,) * len(ROW_FAULTS))
    masked: tuple[int, ...] = field(default=(0,) * (len(JUMP) - 1))
    gaps: int = 0

    def clock(self, time: Floats) -> tuple[Screen, Bools, Bools]:
        """Judge the times in s of the next rows in range, ``(n,)``.

        Returns:
            What is remembered then; which are late; which leap.
        """
        if not len(time):
            return self, np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        begins = np.isnan(self.latest_second)
        first, start = [float(time[0])] * 2 if begins else [self.first_second, self.latest_second]
        latest = np.maximum.accumulate(np.concatenate([[start], time]))
        step = time - latest[:-1]
        late, leaping = step <= 0, step > LEAP_SECOND
        late[0] &= not begins
        leaping |= (latest[:-1] == first) & (step < -LEAP_SECOND)
        now, leapt = float(latest[-1]), self.leapt_second
        if leaping.any() or not np.isnan(leapt):  # seldom: row by row
            late[:], leaping[:], now = False, False, self.latest_second
            for row, second in enumerate(time.tolist()):
                agrees = 0 < second - leapt <= LEAP_SECOND  # false for NaN, as the others are
                leapt = _NOTHING
                if agrees:
                    now = second
                elif second - now > LEAP_SECOND or (now == first and now - second > LEAP_SECOND):
                    leaping[row], leapt = True, second
                elif second <= now:
                    late[row] = True
                else:
                    now = second
        return (
            replace(self, first_second=first, latest_second=now, leapt_second=leapt),
            late,
            leaping,
        )

    def watch(
        self, channel: int, reading: Floats, interval: Floats, discharged: Floats
    ) -> tuple[Screen, Bools, Bools]:
        """Judge the next readings in range of one channel, all ``(n,)``.

        Args:
            channel: index into ``JUMP``.
            reading: in the channel's unit.
            interval: s since the row before.
            discharged: s under discharge so far.

        Returns:
            What is remembered then; which readings spike; which are stuck.
        """
        before = np.concatenate([self.reading[channel : channel + 1], reading])
        moved = reading != before[:-1]
        with np.errstate(invalid="ignore"):
            spiking = np.abs(reading - before[:-1]) > JUMP[channel]
        spiking &= interval <= SPIKE_SECOND
        place = np.maximum.accumulate(np.where(moved, np.arange(1, len(reading) + 1), 0))
        since = np.concatenate([self.changed_second[channel : channel + 1], discharged])[place]
        stuck = discharged - since >= STUCK_SECOND
        if not len(reading):
            return self, spiking, stuck
        return (
            replace(
                self,
                reading=_put(self.reading, channel, float(reading[-1])),
                changed_second=_put(self.changed_second, channel, float(since[-1])),
            ),
            spiking,
            stuck,
        )

    def count(self, dropped: tuple[int, ...], masked: tuple[int, ...], gaps: int) -> Screen:
        """With more faults counted."""
        return replace(
            self,
            dropped=tuple(a + b for a, b in zip(self.dropped, dropped, strict=True)),
            masked=tuple(a + b for a, b in zip(self.masked, masked, strict=True)),
            gaps=self.gaps + gaps,
        )


def _put(values: tuple[float, ...], place: int, value: float) -> tuple[float, ...]:
    return (*values[:place], value, *values[place + 1 :])


__all__ = [
    "GAP_SECOND", "JUMP", "LEAP_CYCLES", "LEAP_SECOND", "ROW_FAULTS", "SPIKE_SECOND",
    "STUCK_SECOND", "Screen",
]  # fmt: skip
