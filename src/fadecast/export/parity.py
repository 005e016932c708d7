"""Torch against onnxruntime (through ``fadecast.runtime``), over whole lives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.design import encode_design
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import ParityError
from fadecast.forecast.forecast import Forecasts
from fadecast.network.batch import summarise_record
from fadecast.network.forecaster import Forecaster
from fadecast.runtime.fleet import Fleet
from fadecast.runtime.golden import OUTPUTS, TOLERANCE, answer_error, summary_error
from fadecast.runtime.session import Session
from fadecast.runtime.summarise import summarise_samples

LIVES_AT_ONCE: Final = 32
ALLOWED: Final = 3 * TOLERANCE
"""Largest error over all lives: what float32 carries through a thousand cycles is off double
precision by more than one golden life is."""


class HeldOut(Protocol):
    """A cell that trained nothing: its design and its cycles."""

    @property
    def metadata(self) -> CellMetadata:
        """Design and provenance."""

    @property
    def summaries(self) -> CycleSummaries:
        """All of its cycles."""


Life = tuple[CellSpec, CycleSummaries]


def torch_forecasts(
    forecaster: Forecaster, lives: Sequence[Life], dtype: torch.dtype = torch.float64
) -> list[Forecasts]:
    """What the trained network says of whole lives, the state carried from cycle to cycle.

    In double precision: the rounding of a thousand carried cycles is none of its answers.
    """
    exact = copy.deepcopy(forecaster).to(dtype).eval()
    results = []
    for low in range(0, len(lives), LIVES_AT_ONCE):
        group = lives[low : low + LIVES_AT_ONCE]
        values, observed, elapsed = (
            pad_sequence([torch.tensor(rows, dtype=dtype) for rows in parts], True)
            for parts in zip(
                *((s.values, s.observed, elapsed_cycles(s.cycle_count)) for _, s in group),
                strict=True,
            )
        )
        design = torch.tensor(np.stack([encode_design(spec) for spec, _ in group]), dtype=dtype)
        tensors = exact.forecast_sequence(values, observed, design, elapsed)
        arrays = {name: getattr(tensors, name).float().numpy() for name in OUTPUTS}
        arrays["valid"] = arrays["valid"] > 0.5
        for row, (_, summaries) in enumerate(group):
            length = len(summaries)
            parts = {name: array[row, :length] for name, array in arrays.items()}
            results.append(Forecasts(summaries.cycle_count, **parts))
    return results


def runtime_forecasts(session: Session, lives: Sequence[Life]) -> Iterator[Forecasts]:
    """The same lives through a bundle."""
    for low in range(0, len(lives), LIVES_AT_ONCE):
        fleet = Fleet(session)
        for spec, s in lives[low : low + LIVES_AT_ONCE]:
            lane = np.full(len(s), fleet.add(spec))
            fleet.push_summaries(lane, s.cycle_count, s.values, s.observed)
        lane, forecasts = fleet.forecasts()
        for row in range(len(fleet.specs)):
            yield forecasts[lane == row]


def parity_errors(
    session: Session,
    forecaster: Forecaster,
    held_out: Sequence[HeldOut],
    records: Sequence[CellRecord] = (),
) -> dict[str, float]:
    """Worst error of every output, as ``runtime.golden.answer_error``.

    Args:
        session: the bundle.
        forecaster: the network it was exported from.
        held_out: cells whose whole lives are compared.
        records: cells with raw samples, whose cycle summaries are compared too, and the forecasts
            that both sides make of their own: a network may magnify what hardly differs.
    """
    errors = dict.fromkeys(OUTPUTS, 0.0)

    def compare(given: Sequence[Life], expected: Sequence[Life]) -> None:
        pairs = zip(
            runtime_forecasts(session, given), torch_forecasts(forecaster, expected), strict=True
        )
        for ours, theirs in pairs:
            for name in OUTPUTS:
                error = answer_error(name, getattr(ours, name), getattr(theirs, name))
                errors[name] = max(errors[name], error)

    for low in range(0, len(held_out), LIVES_AT_ONCE):  # thousands of lives exceed memory
        lives = [(c.metadata.spec, c.summaries) for c in held_out[low : low + LIVES_AT_ONCE]]
        compare(lives, lives)
    for record in records:
        assert record.samples is not None
        found = summarise_samples(session, record.samples, record.spec)
        wanted = summarise_record(record)
        errors["summary"] = max(errors.get("summary", 0.0), _summary_error(found, wanted))
        compare([(record.spec, found)], [(record.spec, wanted)])
    return errors


def _summary_error(found: CycleSummaries, expected: CycleSummaries) -> float:
    same = np.array_equal(found.cycle_count, expected.cycle_count) and np.array_equal(
        found.observed, expected.observed
    )
    return summary_error(found.values, expected.values) if same else float("inf")


def require_parity(errors: Mapping[str, float]) -> None:
    """Raises ``ParityError`` if any error exceeds ``ALLOWED``."""
    bad = {name: error for name, error in errors.items() if not error <= ALLOWED}
    if bad:
        worst = ", ".join(f"{name} by {error:.2g}" for name, error in bad.items())
        raise ParityError(
            f"onnxruntime differs from torch: {worst} (allowed {ALLOWED:g})",
            fix="Do not ship this bundle; report the versions of torch, onnxscript and onnxruntime",
        )
