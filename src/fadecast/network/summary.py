"""The cycle summary as a mergeable accumulator: the only code that turns samples into features.

Every feature is read off sums, maxima and first/last samples, so summaries of consecutive pieces
of a cycle merge: sample by sample on a vehicle, in chunks in a batch job, all at once in training.
The state is one vector per cell and all zeros when empty, which makes it the identity of ``merge``.

Each pair of consecutive samples is one interval. Currents are averaged over it (trapezoidal rule)
and its charge is shared between the two nearest voltage nodes (linear "hat" binning), so that a
millivolt of noise moves a feature by a little, never by a whole bin. The interval that leads into
a cycle's first sample belongs to no cycle.

Sums are carried as two float32 numbers, what one holds and the rest. Plain float32 sums of 1-s
samples drift by 1e-4 over a cycle, since equal increments round the same way each time. Charge,
energy, time and the hold, of whose small differences efficiencies and a spread are made, are summed
up in double precision from the samples on. Curves and sensors, most of the work, are not: with
pieces of a hundred samples they agree to about 1e-6 however a cycle is cut.

Inside, time is the last axis: an executor adds a constant to ``(B, T, 1)`` one number at a time, to
``(B, 1, T)`` all at once, fifty times faster.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fadecast.cell.summaries import BINS, SENSORS
from fadecast.network.arithmetic import above, fade_in, held
from fadecast.network.reading import (
    AMOUNTS,
    CURVE_QUANTITIES,
    HOLD,
    MIDDLE,
    ORIGIN,
    PHASES,
    SCALARS,
    TOP,
    Reading,
)

REST_RATE: Final = held(2.13e-3)
"""C-rate below which a cell rests. Odd on purpose: no logger's rounding lands on it."""
STEP_RATE: Final = held(0.0513)
"""Smallest change of the C-rate that counts as a current step."""
STEP_HOURS: Final = held(30.7 / 3600)
"""Longest interval over which a voltage change still is called resistance."""
GAP_HOURS: Final = held(3607.3 / 3600)
"""Longest interval that is integrated; the time of longer ones is counted as a gap. No logger lands
on it, so no rounding decides."""
STEPS: Final = 2.0**18
"""Steps of the voltage window that voltages are cut to, towards its lower end, in double precision
whatever the rest is in. Which nodes such a voltage touches is exact in float32, so none is touched
in one precision and not in another. A step is 5 µV of a window of 1.3 V."""

_N: Final = len(SENSORS)
_CURVES: Final = BINS * 2 * len(CURVE_QUANTITIES)
_SCALARS: Final = len(AMOUNTS) * len(PHASES) + len(SCALARS)
_COUNTS: Final = 1 + _N
_CELL: Final = 5
"""What a sample says of the cell itself."""
_LEVELS: Final = _CELL + 2 * _N
_ENDS: Final = {
    "extremes": 4 + 2 * _N, "head": _LEVELS, "tail": _LEVELS, "sensor_first": _N,
    "sensor_last": _N,
}  # fmt: skip
_SUMS: Final = _CURVES + _SCALARS + _COUNTS
_SIZES: Final = (_SUMS, _SUMS, sum(_ENDS.values()))  # sums, carry, ends
_UNIT_SCALE: Final = (1.0, 1e-6, 1e3)  # °C, Pa → MPa, 1 → 1e-3
_NOWHERE: Final = 1e9


class _Samples(NamedTuple):
    """Of the cell, in double precision, ``(B, 5, T)``: present, h, window, C, V/V_max; ``(B,
    sensors, T)`` each: what its sensors say, and whether they do."""

    cell: Tensor
    sensors: Tensor
    seen: Tensor


class _Piece(NamedTuple):
    """What a state says; every part is ``(B, ·)``, ``sums`` in double precision."""

    sums: Tensor
    ends: Tensor

    @classmethod
    def of(cls, state: Tensor) -> _Piece:
        sums, carry, ends = state.split(_SIZES, 1)
        return cls(sums.double() + carry.double(), ends)

    def state(self) -> Tensor:
        """Of sums what float32 holds, and the rest."""
        sums = self.sums.to(self.ends.dtype)
        return torch.cat([sums, (self.sums - sums.double()).to(sums.dtype), self.ends], 1)

    @property
    def counts(self) -> Tensor:
        return self.sums[:, -_COUNTS:]

    def end(self, name: str) -> _Samples:
        """``head`` or ``tail``."""
        first = sum(list(_ENDS.values())[: list(_ENDS).index(name)])
        end = self.ends[:, first : first + _LEVELS].unsqueeze(2)
        cell, sensors, seen = end.split([_CELL, _N, _N], 1)
        return _Samples(cell.double(), sensors, seen)


def _choices() -> tuple[Tensor, Tensor]:
    """``(8, 2 · ends)`` and ``(2 · ends)``: from which pieces, given which of them (four counts
    each) have samples, every number of ``ends`` is taken: above 0 for the first, for the second.

    Extremes are taken from both that have any. What comes first is taken of the first piece unless
    only the second has any, what comes last of the second unless it has none.
    """
    gates = [0] * 4 + [1, 2, 3] * 2 + [0] * 2 * _LEVELS + [1, 2, 3] * 2
    kinds = (("extremes", 4 + 2 * _N), ("first", _LEVELS), ("last", _LEVELS), ("first", _N),
             ("last", _N))  # fmt: skip
    kind = [name for name, size in kinds for _ in range(size)]
    weight, bias = torch.zeros(2 * _COUNTS, 2, len(gates)), torch.zeros(2, len(gates))
    for column, (gate, name) in enumerate(zip(gates, kind, strict=True)):
        weight[_COUNTS + gate, :, column] = torch.tensor([-1.0, 1.0])
        bias[:, column] = torch.tensor([0.5, -0.5])
        if name != "last":
            weight[gate, 0, column] = 1.0
        if name == "first":
            weight[gate, 1, column] = -1.0
    return weight.flatten(1), bias.flatten()


class Summary(nn.Module):
    """Accumulator of one cycle for a batch of cells.

    Shapes: a state is ``(B, state_size)``; samples are ``(B, T, 6)`` float32 in the order of
    ``fadecast.cell.samples.CHANNELS`` (s since the previous sample, V, A, °C, Pa, strain), with
    ``observed`` ``(B, T, 4)`` 0/1 for the sample itself, temperature, pressure and strain. Absent
    samples may only trail (padding). ``window`` is ``(B, 3)``: nominal capacity in Ah, lower and
    upper voltage in V. Values must be finite; mask what is not.
    """

    state_size: Final = sum(_SIZES)
    nodes: Tensor
    units: Tensor
    origin: Tensor
    channels: Tensor
    flags: Tensor
    choices: Tensor
    choices_bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.reading = Reading()
        weight, bias = _choices()
        self.register_buffer("choices", weight, persistent=False)
        self.register_buffer("choices_bias", bias, persistent=False)
        self.register_buffer("nodes", torch.arange(BINS, dtype=torch.float32), persistent=False)
        self.register_buffer("units", torch.tensor(_UNIT_SCALE), persistent=False)
        self.register_buffer("origin", torch.tensor(ORIGIN), persistent=False)
        self.register_buffer("channels", torch.eye(3 + _N), persistent=False)
        self.register_buffer("flags", torch.eye(1 + _N), persistent=False)

    def start(self, batch: int) -> Tensor:
        """The empty state ``(batch, state_size)``: zeros."""
        return torch.zeros(batch, self.state_size)

    def forward(
        self, state: Tensor, samples: Tensor, observed: Tensor, window: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``update`` then ``read``: what ``summarize.onnx`` computes."""
        piece = self._add(_Piece.of(state), samples, observed, window)
        return piece.state(), *self._read(piece)

    def digest(self, samples: Tensor, observed: Tensor, window: Tensor) -> Tensor:
        """The state of these samples alone."""
        return self.update(self.start(len(samples)), samples, observed, window)

    def update(self, state: Tensor, samples: Tensor, observed: Tensor, window: Tensor) -> Tensor:
        """``merge(state, digest(samples))``, with the interval between them taken in one pass."""
        return self._add(_Piece.of(state), samples, observed, window).state()

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """The state of ``a``'s samples followed by ``b``'s. Associative; zeros are its identity."""
        old, new = _Piece.of(a), _Piece.of(b)
        between = self._integrate(old.end("tail"), new.end("head"))
        sums = new.sums + nn.functional.pad(between, (0, _COUNTS))
        return self._join(old, _Piece(sums, new.ends)).state()

    def read(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The summary ``(B, N_FIELDS)``, fields as in ``summaries.FIELDS``, and what was observed.

        A field that was not observed is 0 in both.
        """
        return self._read(_Piece.of(state))

    def _read(self, piece: _Piece) -> tuple[Tensor, Tensor]:
        values, seen = self.reading(*piece.sums.split([_CURVES, _SCALARS, _COUNTS], 1), piece.ends)
        return values, seen

    def _add(self, old: _Piece, samples: Tensor, observed: Tensor, window: Tensor) -> _Piece:
        now = self._scale(samples, observed, window)
        pairs = zip(old.end("tail"), now, strict=True)
        before = _Samples(*(torch.cat([end, part[..., :-1]], 2) for end, part in pairs))
        cell, sensors, seen = now
        narrow = cell.to(sensors.dtype)
        present, _, levels, _ = narrow.split([1, 1, 2, 1], 1)
        there = torch.cat([present, seen], 1)
        counts = there.sum(2)
        # A one-hot over time picks the last present sample and each sensor's first and last value.
        place = there.cumsum(2)
        last = there * (place == counts.unsqueeze(2)).to(there.dtype)
        last_present, last_seen = last.split([1, _N], 1)
        first_seen = seen * (place[:, 1:] == 1).to(there.dtype)
        both = torch.cat([levels, -levels, sensors, -sensors], 1)
        mask = torch.cat([present, present, present, present, seen, seen], 1)
        highest = (both * mask - (1 - mask) * _NOWHERE).amax(2)
        chunk = torch.cat([narrow, sensors, seen], 1)
        ends = [
            highest, chunk[..., 0], (chunk * last_present).sum(2), (sensors * first_seen).sum(2),
            (sensors * last_seen).sum(2),
        ]  # fmt: skip
        sums = torch.cat([self._integrate(before, now), counts.double()], 1)
        return self._join(old, _Piece(sums, torch.cat(ends, 1)))

    def _join(self, a: _Piece, b: _Piece) -> _Piece:
        """Two pieces in one; the interval between them is already in ``b.sums``."""
        some = torch.cat([a.counts, b.counts], 1).to(a.ends.dtype).clamp(max=1.0)
        taken = torch.addmm(self.choices_bias, some, self.choices) > 0
        of_a, of_b = taken.split(_SIZES[2], 1)
        none = torch.full((), -_NOWHERE)
        ends = torch.maximum(torch.where(of_a, a.ends, none), torch.where(of_b, b.ends, none))
        return _Piece(a.sums + b.sums, ends)

    def _scale(self, samples: Tensor, observed: Tensor, window: Tensor) -> _Samples:
        # A product with the identity turns them for good: onnxruntime would undo a mere transpose.
        there = torch.matmul(self.flags, observed.transpose(1, 2))
        present, seen = there.split([1, _N], 1)
        seen = seen * present
        turned = torch.matmul(self.channels, samples.transpose(1, 2))
        cell, sensors = turned.split([3, _N], 1)
        duration, volt, ampere = cell.double().split(1, 1)
        capacity, low, high = window.double().unsqueeze(2).split(1, 1)
        steps = ((volt - low) / (high - low) * STEPS).long().double()
        parts = [present.double(), duration / 3600, steps / STEPS, ampere / capacity, volt / high]
        sensors = (sensors * self.units[:, None] - self.origin[:, None]) * seen
        return _Samples(torch.cat(parts, 1), sensors, seen)

    def _integrate(self, a: _Samples, b: _Samples) -> Tensor:
        """``(B, curves + scalars)`` sums over the intervals from ``a`` to ``b``.

        In double precision where small differences of sums are made of them (``AMOUNTS``).
        """
        _, _, level, rate, volt = ((a.cell + b.cell) / 2).split(1, 1)
        steps, duration = (b.cell - a.cell)[:, 2:4], b.cell[:, 1:2]
        present = (a.cell * b.cell)[:, :1]
        joined = present * (duration <= GAP_HOURS).double()
        hours = duration * joined
        charge = (rate * hours).abs()
        charging, discharging = above(rate, REST_RATE), (rate < -REST_RATE).double()
        hold = fade_in(level, HOLD) * charging
        amounts = torch.cat([charge, charge * volt, hours, hours * rate * rate], 1)
        phases = torch.cat([charging, discharging, hold], 1)
        # No product of matrices: onnxruntime before 1.24 has none with a transpose in double.
        totals = (amounts.unsqueeze(2) * phases.unsqueeze(1)).sum(3).flatten(1)
        gap = present * duration - hours
        rows = torch.cat([amounts, phases, level, duration, joined, gap, steps], 1)
        curves, scalars = self._share(
            rows.to(a.sensors.dtype), (a.sensors + b.sensors) / 2, a.seen * b.seen
        )
        return torch.cat([curves.double(), totals, scalars.double()], 1)

    def _share(self, rows: Tensor, sensors: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, curves)`` and ``(B, SCALARS)`` sums of the rows that stand plain rounding."""
        amounts, _, *others = rows.split([3, *[1] * 10], 1)
        charging, discharging, hold, level, duration, joined, gap, step, jump = others
        charge, _, hours = amounts.split(1, 1)
        sensors = sensors * seen
        timed, heard = sensors * hours, seen * hours

        place = level.clamp(0.0, 1.0)
        hats = (1 - (place * (BINS - 1) - self.nodes[:, None]).abs()).clamp(min=0.0)
        quantities = torch.cat([amounts, timed, heard], 1)
        ways = torch.cat([quantities * charging, quantities * discharging], 1)
        curves = torch.matmul(ways, hats.transpose(1, 2))
        curves = curves.unflatten(1, (2, len(CURVE_QUANTITIES))).transpose(1, 2)

        rests = 1 - charging - discharging
        change = step * joined
        jumped = above(jump.abs(), STEP_RATE)
        quick = jumped * (1 - above(duration, STEP_HOURS)) * joined * jump
        top = fade_in(level, TOP) * charging - hold
        centre = level - MIDDLE
        still = (1 - jumped) * change
        loops = sensors * charge
        scalars = torch.cat(
            [
                rests * hours,
                gap,
                quick * step,
                quick * jump,
                top * charge,
                top * hours,
                top * hours * centre,
                top * hours * centre * centre,
                rests * change * (1 - place),
                rests * change * place,
                charging * (-still).clamp(min=0.0).square(),
                discharging * still.clamp(min=0.0).square(),
                loops * charging,
                loops * discharging,
                timed,
                heard,
            ],
            1,
        )
        return curves.flatten(1), scalars.sum(2)
