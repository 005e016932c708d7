"""A bundle's ``forecast.onnx`` computed by torch, in any precision: another implementation of every
operator, and in double precision the judge of how much single precision rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.design import encode_design
from fadecast.cell.summaries import N_FIELDS
from fadecast.export.parity import Life
from fadecast.forecast.forecast import Forecasts
from fadecast.runtime import Session
from fadecast.runtime.bundle import FORECAST
from fadecast.runtime.golden import OUTPUTS


def sliced(x: Tensor, first: Tensor, last: Tensor, axis: Tensor, pace: Tensor) -> Tensor:
    """The part of one axis, at a pace of 1."""
    assert int(pace) == 1
    return x[(slice(None),) * (int(axis) % x.ndim) + (slice(int(first), int(last)),)]


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Exp": torch.exp,
    "Log": torch.log, "Max": torch.maximum, "Min": torch.minimum, "MatMul": torch.matmul,
    "Greater": torch.gt, "Where": torch.where, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh,
    "Softsign": torch.nn.functional.softsign,
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Gather": lambda x, at, axis: x.index_select(axis, at),
    "Gemm": lambda x, y, plus=0.0, alpha=1.0, beta=1.0, transA=0, transB=0: (
        alpha * (x.mT if transA else x) @ (y.mT if transB else y) + beta * plus
    ),
    "ReduceL2": lambda x, axes, keepdims=1, noop_with_empty_axes=0: torch.linalg.vector_norm(
        x, dim=axes.tolist(), keepdim=bool(keepdims)
    ),
    "Reshape": lambda x, shape, allowzero=0: x.reshape(shape.tolist()),
    "Slice": sliced,
    "Split": lambda x, sizes, axis=0: x.split(sizes.tolist(), axis),
    "Squeeze": lambda x, axes: x.squeeze(axes.tolist()),
    "Unsqueeze": lambda x, axes: x.unsqueeze(int(axes)),
}  # fmt: skip
"""What each says of its inputs and attributes; a graph with another operator is no such graph."""


def operation(node: onnx.NodeProto, dtype: torch.dtype) -> Callable[..., Any]:
    """What a node does to its inputs, single precision being ``dtype``."""
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Cast":
        kinds = {onnx.TensorProto.FLOAT: dtype, onnx.TensorProto.DOUBLE: torch.float64}
        return partial(torch.Tensor.to, dtype=kinds[settings["to"]])
    if node.op_type == "Split" and len(node.input) == 1:
        return partial(torch.chunk, chunks=len(node.output), dim=settings["axis"])
    return partial(OPERATORS[node.op_type], **settings)


class Graph:
    """The graph in a precision, told of many lives side by side."""

    def __init__(self, session: Session, dtype: torch.dtype) -> None:
        graph = onnx.load_from_string(session.bundle.files[FORECAST]).graph
        tensors = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer}
        self._known = {"": None} | {
            name: torch.from_numpy(x).to(dtype if x.dtype == np.float32 else None)
            for name, x in tensors.items()
        }
        self._steps = [
            (operation(node, dtype), list(node.input), list(node.output)) for node in graph.node
        ]
        self._dtype, self._outputs = dtype, [x.name for x in graph.output]
        self._state_size = session.forecast_state_size

    def step(self, **inputs: Tensor) -> list[Any]:
        """The outputs, one cycle further."""
        known: dict[str, Any] = self._known | inputs
        for operate, given, said in self._steps:
            found = operate(*[known[name] for name in given])
            known.update(zip(said, [found] if len(said) == 1 else found, strict=True))
        return [known[name] for name in self._outputs]

    @torch.inference_mode()
    def __call__(self, lives: Sequence[Life]) -> list[Forecasts]:
        """What it says of whole lives, the state carried from cycle to cycle."""
        count = max(len(summaries) for _, summaries in lives)
        shape = count, len(lives)
        values, observed, elapsed = (np.zeros((*shape, n)) for n in (*[N_FIELDS] * 2, 1))
        for row, (_, s) in enumerate(lives):
            observed[: len(s), row] = s.observed
            values[: len(s), row] = np.where(s.observed, s.values, 0)
            elapsed[: len(s), row, 0] = elapsed_cycles(s.cycle_count)
        design = np.stack([encode_design(spec) for spec, _ in lives])
        cycles = (torch.from_numpy(x).to(self._dtype) for x in (values, observed, elapsed))
        declared = torch.from_numpy(design).to(self._dtype)
        state, steps = torch.zeros(len(lives), self._state_size, dtype=self._dtype), []
        for now, seen, after in zip(*cycles, strict=True):
            state, *said = self.step(
                state=state, values=now, observed=seen, design=declared, elapsed=after
            )
            steps.append([x.float().numpy() for x in said])
        names, columns = self._outputs[1:], zip(*steps, strict=True)
        told = {name: np.stack(column) for name, column in zip(names, columns, strict=True)}
        told["valid"] = told["valid"] > 0.5
        return [
            Forecasts(s.cycle_count, **{name: told[name][: len(s), row] for name in OUTPUTS})
            for row, (_, s) in enumerate(lives)
        ]
