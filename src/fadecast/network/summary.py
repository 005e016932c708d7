"""The cycle summary as a mergeable accumulator: the only code that turns samples into features.

Every feature is read off sums, maxima and first/last samples, so summaries of consecutive pieces
of a cycle merge: sample by sample on a vehicle, in chunks in a batch job, all at once in training.
The state is one vector per cell and all zeros when empty, which makes it the identity of ``merge``.

Each pair of consecutive samples is one interval. Currents are averaged over it (trapezoidal rule)
and its charge is shared between the two nearest voltage nodes (linear "hat" binning), so that a
millivolt of noise moves a feature by a little, never by a whole bin. The interval that leads into
a cycle's first sample belongs to no cycle.

Sums are compensated: the rounding error of each addition is kept beside the sum (T. J. Dekker,
Numer. Math. 18, 224, 1971, 10.1007/BF01397083). Plain float32 sums of 1-s samples drift by 1e-4
over a cycle, since equal increments round the same way each time; with it any chunking agrees to
about 1e-7.

Inside, time is the last axis: an executor adds a constant to ``(B, T, 1)`` one number at a time, to
``(B, 1, T)`` all at once, fifty times faster.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fadecast.cell.summaries import BINS, SENSORS
from fadecast.network.arithmetic import above, fade_in, two_sum
from fadecast.network.reading import CURVE_QUANTITIES, HOLD, ORIGIN, SCALARS, TOP, Reading

REST_RATE: Final = 2.13e-3
"""C-rate below which a cell rests. Odd on purpose: no logger's rounding lands on it."""
STEP_RATE: Final = 0.0513
"""Smallest change of the C-rate that counts as a current step."""
STEP_HOURS: Final = 30.7 / 3600
"""Longest interval over which a voltage change still is called resistance."""
GAP_HOURS: Final = 3607 / 3600
"""Longest interval that is integrated; the time of longer ones is counted as a gap."""

_N: Final = len(SENSORS)
_CURVES: Final = BINS * 2 * len(CURVE_QUANTITIES)
_SCALARS: Final = len(SCALARS)
_COUNTS: Final = 1 + _N
_LEVELS: Final = 5 + 2 * _N
_ENDS: Final = {
    "extremes": 4 + 2 * _N, "head": _LEVELS, "tail": _LEVELS, "sensor_first": _N,
    "sensor_last": _N,
}  # fmt: skip
_SUMS: Final = _CURVES + _SCALARS + _COUNTS
_SIZES: Final = (_SUMS, _SUMS, sum(_ENDS.values()))  # sums, carry, ends
_UNIT_SCALE: Final = (1.0, 1e-6, 1e3)  # °C, Pa → MPa, 1 → 1e-3
_NOWHERE: Final = 1e9


class _Piece(NamedTuple):
    """A state taken apart; every part is ``(B, ·)``."""

    sums: Tensor
    carry: Tensor
    ends: Tensor

    @property
    def counts(self) -> Tensor:
        return self.sums[:, -_COUNTS:]

    def end(self, name: str) -> Tensor:
        """A part of ``ends``."""
        first = sum(list(_ENDS.values())[: list(_ENDS).index(name)])
        return self.ends[:, first : first + _ENDS[name]]


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
        state = self.update(state, samples, observed, window)
        values, seen = self.read(state)
        return state, values, seen

    def digest(self, samples: Tensor, observed: Tensor, window: Tensor) -> Tensor:
        """The state of these samples alone."""
        return self.update(self.start(len(samples)), samples, observed, window)

    def update(self, state: Tensor, samples: Tensor, observed: Tensor, window: Tensor) -> Tensor:
        """``merge(state, digest(samples))``, with the interval between them taken in one pass."""
        old = _Piece(*state.split(_SIZES, 1))
        chunk = self._scale(samples, observed, window)
        previous = torch.cat([old.end("tail").unsqueeze(2), chunk[..., :-1]], 2)
        present, _, levels, _, sensors, seen = chunk.split([1, 1, 2, 1, _N, _N], 1)
        there = torch.cat([present, seen], 1)
        counts = there.sum(2)
        # A one-hot over time picks the last present sample and each sensor's first and last value.
        place = there.cumsum(2)
        at_last = there * (place == counts.unsqueeze(2)).to(chunk.dtype)
        at_first = seen * (place[:, 1:] == 1).to(chunk.dtype)
        both = torch.cat([levels, -levels, sensors, -sensors], 1)
        mask = torch.cat([present, present, present, present, seen, seen], 1)
        highest = (both * mask - (1 - mask) * _NOWHERE).amax(2)
        sums = torch.cat([self._integrate(previous, chunk), counts], 1)
        ends = [
            highest, chunk[..., 0], (chunk * at_last[:, :1]).sum(2), (sensors * at_first).sum(2),
            (sensors * at_last[:, 1:]).sum(2),
        ]  # fmt: skip
        return self._join(old, _Piece(sums, torch.zeros_like(sums), torch.cat(ends, 1)))

    def _join(self, a: _Piece, b: _Piece) -> Tensor:
        """The state of two pieces whose common interval is already in ``b.sums``."""
        sums, error = two_sum(a.sums, b.sums)
        some = torch.cat([a.counts, b.counts], 1).clamp(max=1.0)
        taken = torch.addmm(self.choices_bias, some, self.choices) > 0
        of_a, of_b = taken.split(_SIZES[2], 1)
        none = torch.full((), -_NOWHERE)
        ends = torch.maximum(torch.where(of_a, a.ends, none), torch.where(of_b, b.ends, none))
        return torch.cat([sums, a.carry + b.carry + error, ends], 1)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """The state of ``a``'s samples followed by ``b``'s. Associative; zeros are its identity."""
        old, new = _Piece(*a.split(_SIZES, 1)), _Piece(*b.split(_SIZES, 1))
        between = self._integrate(old.end("tail").unsqueeze(2), new.end("head").unsqueeze(2))
        between = torch.cat([between, torch.zeros_like(new.sums[:, :_COUNTS])], 1)
        sums, error = two_sum(new.sums, between)
        return self._join(old, new._replace(sums=sums, carry=new.carry + error))

    def _scale(self, samples: Tensor, observed: Tensor, window: Tensor) -> Tensor:
        """``(B, 5 + 2·sensors, T)``: present, h, window, C, V/V_max, sensors, their masks."""
        capacity, low, high = window.unsqueeze(2).split(1, 1)
        # A product with the identity turns them for good: onnxruntime would undo a mere transpose.
        there = torch.matmul(self.flags, observed.transpose(1, 2))
        turned = torch.matmul(self.channels, samples.transpose(1, 2))
        duration, volt, ampere, sensors = turned.split([1, 1, 1, _N], 1)
        seen = there[:, 1:] * there[:, :1]
        return torch.cat(
            [
                there[:, :1],
                duration / 3600,
                (volt - low) / (high - low),
                ampere / capacity,
                volt / high,
                (sensors * self.units[:, None] - self.origin[:, None]) * seen,
                seen,
            ],
            1,
        )

    def _integrate(self, a: Tensor, b: Tensor) -> Tensor:
        """``(B, curves + scalars)`` sums over the intervals from ``a`` to ``b``, both (B, ·, T)."""
        middle = (a + b) / 2
        step = b - a
        both, _, seen = (a * b).split([1, 4 + _N, _N], 1)
        _, level, rate, volt, sensors, _ = middle.split([2, 1, 1, 1, _N, _N], 1)
        gap = above(b[:, 1:2], GAP_HOURS) * both
        hours = b[:, 1:2] * (both - gap)
        place = level.clamp(0.0, 1.0)
        charge = (rate * hours).abs()
        charging, discharging = above(rate, REST_RATE), above(-rate, REST_RATE)
        sensors = sensors * seen

        quantities = torch.cat([charge, charge * volt, hours, sensors * hours, seen * hours], 1)
        hats = (1 - (place * (BINS - 1) - self.nodes[:, None]).abs()).clamp(min=0.0)
        ways = torch.cat([quantities * charging, quantities * discharging], 1)
        curves = torch.matmul(ways, hats.transpose(1, 2))

        resting = (1 - charging - discharging) * hours
        change = step[:, 2:3] * (both - gap)
        jump = step[:, 3:4]
        jumped = above(jump.abs(), STEP_RATE)
        quick = jumped * (1 - above(b[:, 1:2], STEP_HOURS)) * (both - gap)
        hold = fade_in(level, HOLD) * charging
        top = fade_in(level, TOP) * charging - hold
        centre = level - (TOP + HOLD) / 2
        still = (1 - jumped) * change
        scalars = torch.cat(
            [
                resting,
                gap * b[:, 1:2],
                quick * step[:, 2:3] * jump,
                quick * jump * jump,
                top * charge,
                top * hours,
                top * hours * centre,
                top * hours * centre * centre,
                hold * charge,
                hold * hours,
                hold * hours * rate * rate,
                (1 - charging - discharging) * change * (1 - place),
                (1 - charging - discharging) * change * place,
                charging * (-still).clamp(min=0.0).square(),
                discharging * still.clamp(min=0.0).square(),
                sensors * charge * charging,
                sensors * charge * discharging,
                sensors * hours,
                seen * hours,
            ],
            1,
        )
        return torch.cat([curves.flatten(1), scalars.sum(2)], 1)

    def read(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The summary ``(B, N_FIELDS)``, fields as in ``summaries.FIELDS``, and what was observed.

        A field that was not observed is 0 in both.
        """
        piece = _Piece(*state.split(_SIZES, 1))
        sums, counts = (piece.sums + piece.carry).split([_CURVES + _SCALARS, _COUNTS], 1)
        values, seen = self.reading(sums, counts, piece.ends)
        return values, seen
