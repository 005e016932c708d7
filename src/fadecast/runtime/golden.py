"""Golden vectors: inputs of held-out cells with the answers of the trained network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.summaries import INDEX, SENSORS
from fadecast.errors import BundleError, ParityError
from fadecast.runtime.arrays import dump, load
from fadecast.runtime.bundle import GOLDEN, Bundle
from fadecast.runtime.summarise import LONGEST

if TYPE_CHECKING:
    from fadecast.runtime.session import Session

TOLERANCE: Final = 1e-5
"""Largest allowed error: absolute, or relative where the number is larger than 1."""

OUTPUTS: Final = (
    "rul", "risk", "incidence", "soh", "novelty", "valid", "virtual", "virtual_spread",
)  # fmt: skip

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """One cycle of raw samples and one whole life of summaries, with the answers to both.

    Args:
        samples: ``(n, 6)``; observed_samples: ``(n, 4)``; window: ``(3,)``.
        summary: ``(N_FIELDS,)`` and summary_observed: what ``summarize.onnx`` has to say.
        cycle_count: ``(t,)``; values, observed: ``(t, N_FIELDS)``; design: ``(N_DESIGN,)``.
        rul, risk, …: ``(t, …)`` ``OUTPUTS``, what ``forecast.onnx`` has to say, the state carried
            from cycle to cycle.
    """

    samples: Array
    observed_samples: Array
    window: Array
    summary: Array
    summary_observed: Array
    cycle_count: Array
    values: Array
    observed: Array
    design: Array
    rul: Array
    risk: Array
    incidence: Array
    soh: Array
    novelty: Array
    valid: Array
    virtual: Array
    virtual_spread: Array

    def to_bytes(self) -> bytes:
        """As ``runtime.arrays``: of a life's summaries only what was observed, and packed bits."""
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        seen = arrays["observed"] > 0
        packed = {"values": arrays["values"][seen], "observed": np.packbits(seen, axis=1)}
        return dump(arrays | packed)

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Inverse of ``to_bytes``; never unpickles.

        Raises:
            BundleError: not such a file.
        """
        try:
            arrays = load(data)
            count, fields_ = len(arrays["cycle_count"]), len(arrays["summary"])
            seen = np.unpackbits(arrays["observed"], axis=1, count=fields_).astype(bool)
            values = np.zeros((count, fields_), np.float32)
            values[seen] = arrays["values"]
            return cls(**arrays | {"values": values, "observed": seen})
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise BundleError(
                f"not a file of golden vectors ({error})", where=GOLDEN, fix="Export the run again"
            ) from None


def worst_error(found: Array, expected: Array, scale: ArrayLike = 1.0) -> float:
    """Largest error over ``max(1, scale, |expected|)``; infinite where NaN or shapes differ."""
    if np.shape(found) != np.shape(expected):
        return float("inf")
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    error = np.abs(found - expected) / np.maximum(np.maximum(scale, 1.0), np.abs(expected))
    return float(np.max(np.where(np.isnan(error), np.inf, error), initial=0.0))


def summary_error(found: Array, expected: Array) -> float:
    """``worst_error`` of summaries ``(…, N_FIELDS)``.

    A loop ∮ s dQ is a small difference of two sums of the sensor's own size (25 °C, 5 MPa), so it
    is judged by that size: float32 cannot know it better.
    """
    scale = np.ones(np.shape(expected))
    for sensor in SENSORS:
        mean = np.abs(expected[..., INDEX[f"{sensor}.mean"]])
        scale[..., INDEX[f"{sensor}.loop"]] = np.maximum(1.0, mean)
    return worst_error(found, expected, scale)


def answer_error(name: str, found: Array, expected: Array) -> float:
    """``worst_error`` of an output of ``forecast.onnx``.

    Quantiles of the cycles left are judged by the last of them, the length of the life that is
    told: where a distribution is flat, the rounding of a probability moves an early quantile by
    more of itself than float32 can know.
    """
    return worst_error(found, expected, expected[..., -1:] if name == "rul" else 1.0)


def run_golden(session: Session, golden: Golden) -> dict[str, float]:
    """``worst_error`` of every output, the graphs driven as a vehicle drives them."""
    state = np.zeros((1, session.summary_state_size), np.float32)
    values = seen = np.zeros((1, 0), np.float32)
    for first in range(0, len(golden.samples), LONGEST):
        part = slice(first, first + LONGEST)
        state, values, seen = session.summarize(
            state, golden.samples[None, part], golden.observed_samples[None, part],
            golden.window[None],
        )  # fmt: skip
    errors = {
        "summary": summary_error(values[0], golden.summary),
        "summary_observed": worst_error(seen[0], golden.summary_observed),
    }
    memory = np.zeros((1, session.forecast_state_size), np.float32)
    steps = []
    for row, elapsed in enumerate(elapsed_cycles(golden.cycle_count)):
        memory, step = session.forecast(
            memory, golden.values[row : row + 1], golden.observed[row : row + 1],
            golden.design[None], [[elapsed]],
        )  # fmt: skip
        steps.append(step)
    for name in OUTPUTS:
        found = np.concatenate([getattr(step, name) for step in steps])
        errors[name] = answer_error(name, found, getattr(golden, name))
    return errors


def replay(session: Session, bundle: Bundle) -> None:
    """Replay the golden vectors of ``bundle``.

    Raises:
        BundleError: the vectors cannot be read, or do not fit the graphs.
        ParityError: an answer is off by more than ``TOLERANCE``.
    """
    golden = Golden.from_bytes(bundle.files[GOLDEN])
    try:
        errors = run_golden(session, golden)
    except Exception as error:  # onnxruntime raises a family of its own, without a common base
        raise BundleError(f"golden vectors do not fit ({error})", where=str(bundle.path)) from None
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= TOLERANCE:
        raise ParityError(
            f"{worst} of the golden vectors is off by {errors[worst]:.2g} on this machine "
            f"(allowed {TOLERANCE:g})",
            where=str(bundle.path),
            fix="Use another onnxruntime version, and report the processor and version",
        )
