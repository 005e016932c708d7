"""``Session``: a bundle, ready to run. Needs numpy and onnxruntime, nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray

from fadecast.cell.record import CellSpec
from fadecast.errors import BundleError
from fadecast.runtime.bundle import FORECAST, SUMMARIZE, Bundle, graphs, read_bundle
from fadecast.runtime.golden import replay
from fadecast.runtime.stream import Stream

Floats = NDArray[np.float32]


class Step(NamedTuple):
    """What ``forecast.onnx`` says of ``B`` cells; shapes and units as ``Forecasts``."""

    rul: Floats
    risk: Floats
    incidence: Floats
    soh: Floats
    novelty: Floats
    valid: NDArray[np.bool_]
    virtual: Floats
    virtual_spread: Floats


class Session:
    """The two graphs of a bundle. Holds no state of any cell; streams may share one session.

    Args:
        bundle: from ``read_bundle``.
        threads: threads within one call; one is fastest for a few cells.

    Raises:
        BundleError: onnxruntime cannot load a graph, or a graph's inputs or outputs are not those
            that the bundle declares.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        self.bundle = bundle
        self._summarize = _open(bundle, SUMMARIZE, threads)
        self._forecast = _open(bundle, FORECAST, threads)
        self.summary_state_size = _state_size(self._summarize)
        self.forecast_state_size = _state_size(self._forecast)
        declared = graphs(self.summary_state_size, self.forecast_state_size)
        for name, run in ((SUMMARIZE, self._summarize), (FORECAST, self._forecast)):
            found = {
                "inputs": [[x.name, list(x.shape)] for x in run.get_inputs()],
                "outputs": [[x.name, list(x.shape)] for x in run.get_outputs()],
            }
            wanted = {way: [x[:2] for x in declared[name][way]] for way in found}
            if found != wanted or bundle.manifest["graphs"].get(name) != declared[name]:
                raise BundleError(
                    f"inputs or outputs are {found}, expected {wanted}",
                    where=str(bundle.path / name), fix="Export the run again",
                )  # fmt: skip

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        trust: str | os.PathLike[str] | None = None,
        threads: int = 1,
    ) -> Session:
        """Open a bundle folder and prove that it is whole and computes here what it should.

        Args:
            path: folder that ``fadecast export`` made.
            verify: check the hashes and replay the golden vectors (to 1e-5).
            trust: PEM file of the public key that must have signed the bundle. Without it a bundle
                of one's own making is opened, signed or not.
            threads: threads within one call.

        Raises:
            BundleError: not a bundle, of another version, not for this library's tables, or not
                signed though ``trust`` was given.
            TamperedError: a file differs from what was exported, or ``trust`` did not sign it.
            ParityError: the graphs compute something else on this machine.
        """
        bundle = read_bundle(path, verify=verify, trust=trust)
        session = cls(bundle, threads=threads)
        if verify:
            replay(session, bundle)
        return session

    @property
    def fingerprint(self) -> str:
        """SHA-256 that names this bundle."""
        return self.bundle.fingerprint

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the bundle says of itself."""
        return self.bundle.manifest

    @property
    def virtual_sensors(self) -> tuple[str, ...]:
        """Those of ``VIRTUAL_SENSORS`` that it was taught; of the others it says nothing."""
        return tuple(self.manifest["virtual_sensors"])

    def summarize(
        self, state: ArrayLike, samples: ArrayLike, observed: ArrayLike, window: ArrayLike
    ) -> tuple[Floats, Floats, Floats]:
        """Fold samples into the summary of the present cycle of ``B`` cells.

        Args:
            state: ``(B, summary_state_size)``, zeros at the start of a cycle.
            samples: ``(B, T, 6)`` in the order of ``samples.CHANNELS``, ``T ≥ 1``.
            observed: ``(B, T, 4)`` 0/1; absent samples trail.
            window: ``(B, 3)``, ``CellSpec.window``.

        Returns:
            The new state, and the summary so far: values and 0/1, each ``(B, N_FIELDS)``.
        """
        outputs = _run(
            self._summarize, state=state, samples=samples, observed=observed, window=window
        )
        return outputs[0], outputs[1], outputs[2]

    def forecast(
        self,
        state: ArrayLike,
        values: ArrayLike,
        observed: ArrayLike,
        design: ArrayLike,
        elapsed: ArrayLike,
    ) -> tuple[Floats, Step]:
        """One more cycle of ``B`` cells.

        Args:
            state: ``(B, forecast_state_size)``, zeros before a cell's first cycle.
            values, observed: ``(B, N_FIELDS)`` cycle summaries and 0/1.
            design: ``(B, N_DESIGN)``, ``encode_design``.
            elapsed: ``(B, 1)`` cycles since the summary before (``cycles.elapsed_cycles``).

        Returns:
            The new state, and the forecasts.
        """
        after, *said = _run(
            self._forecast, state=state, values=values, observed=observed, design=design,
            elapsed=elapsed,
        )  # fmt: skip
        step = Step(*said)
        return after, step._replace(valid=step.valid > 0.5)

    def stream(self, spec: CellSpec) -> Stream:
        """A stream of one cell, from its first sample on."""
        return Stream.start(self, spec)

    def restore(self, saved: bytes) -> Stream:
        """The stream that ``Stream.save`` wrote.

        Raises:
            ReadError: the bytes are damaged.
            BundleError: they belong to another bundle.
        """
        return Stream.restore(self, saved)


def _run(session: Any, **inputs: ArrayLike) -> list[Any]:
    feeds = {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
    outputs: list[Any] = session.run(None, feeds)
    return outputs


def _state_size(session: Any) -> int:
    shape = session.get_inputs()[0].shape if session.get_inputs() else []
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else -1


def _open(bundle: Bundle, name: str, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Before 1.19 a pattern learnt from calls of one length spoils a call of another.
    version = tuple(int(part) for part in ort.__version__.split(".")[:2])
    options.enable_mem_pattern = version >= (1, 19)
    try:
        return ort.InferenceSession(bundle.files[name], options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of its own, without a common base
        raise BundleError(
            f"onnxruntime {ort.__version__} cannot load it ({error})",
            where=str(bundle.path / name), fix="Export the run again",
        ) from None  # fmt: skip
