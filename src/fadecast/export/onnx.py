"""The two graphs as ONNX bytes that depend on the network and on nothing else.

Opset 18 with IR 8 is what every onnxruntime from 1.15 on loads. What the exporter notes about the
machine it ran on (source paths, stack traces) is taken out, and values are numbered afresh, so the
same network gives the same bytes in any folder.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from fadecast.cell.design import N_DESIGN
from fadecast.cell.samples import CHANNELS, OBSERVED
from fadecast.cell.summaries import N_FIELDS
from fadecast.errors import BundleError
from fadecast.export.lean import lean_form
from fadecast.export.peephole import simplify
from fadecast.network.forecaster import Forecaster
from fadecast.network.summary import Summary
from fadecast.runtime.audit import audit
from fadecast.runtime.bundle import FORECAST, SUMMARIZE, graphs

OPSET: Final = 18
IR: Final = 8
_TYPES: Final = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL}


def export_graphs(
    summary: Summary, forecaster: Forecaster
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """``summarize.onnx`` and ``forecast.onnx`` by name, and their declared inputs and outputs.

    Raises:
        BundleError: a graph came out with other inputs, outputs or types than declared.
    """
    lean, state_size = lean_form(forecaster)
    declared = graphs(summary.state_size, state_size)
    state = torch.zeros(2, summary.state_size), torch.zeros(2, state_size)
    samples = torch.zeros(2, 3, len(CHANNELS)), torch.zeros(2, 3, len(OBSERVED))
    fields = torch.zeros(2, N_FIELDS), torch.zeros(2, N_FIELDS)
    arguments: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
        SUMMARIZE: (summary, (state[0], *samples, torch.tensor([[1.0, 2.0, 4.0]] * 2))),
        FORECAST: (lean, (state[1], *fields, torch.zeros(2, N_DESIGN), torch.ones(2, 1))),
    }
    found = {
        name: _export(name, module, example, declared[name])
        for name, (module, example) in arguments.items()
    }
    return found, declared


def _export(
    name: str, module: nn.Module, example: tuple[Tensor, ...], declared: dict[str, Any]
) -> bytes:
    inputs, outputs = declared["inputs"], declared["outputs"]
    sizes = {size: torch.export.Dim(size) for size in ("batch", "time")}
    dynamic = tuple(
        {axis: sizes[size] for axis, size in enumerate(shape) if isinstance(size, str)}
        for _, shape, _ in inputs
    )
    module = copy.deepcopy(module).eval()
    with warnings.catch_warnings(), quiet("torch.onnx"), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module, example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[x[0] for x in inputs], output_names=[x[0] for x in outputs],
            dynamic_shapes=dynamic,
        )  # fmt: skip
    assert program is not None  # only the exporter without dynamo returns None
    exported = program.model_proto
    simplify(exported)
    model = _strip(exported)
    _check(name, model, declared)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Only errors, so that a library that is not installed is no news."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation without names, texts and metadata of where it was made."""
    graph = model.graph
    public = {x.name for x in (*graph.input, *graph.output)}
    names: dict[str, str] = {"": ""} | {name: name for name in public}

    def renamed(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    clean = onnx.ModelProto(ir_version=IR, producer_name="fadecast", model_version=1)
    clean.opset_import.add(domain="", version=OPSET)
    clean.graph.name = "graph"
    for way in ("input", "output"):
        for x in getattr(graph, way):
            getattr(clean.graph, way).add(name=x.name, type=x.type)
    for tensor in graph.initializer:
        kept = clean.graph.initializer.add()
        kept.CopyFrom(tensor)
        kept.name = renamed(tensor.name)
        kept.ClearField("doc_string")
        del kept.metadata_props[:]
    for index, node in enumerate(graph.node):
        kept_node = clean.graph.node.add(
            op_type=node.op_type, domain=node.domain, name=f"{node.op_type}_{index}",
            input=[renamed(x) for x in node.input], output=[renamed(x) for x in node.output],
        )  # fmt: skip
        kept_node.attribute.extend(node.attribute)
        for attribute in kept_node.attribute:
            attribute.ClearField("doc_string")
    return clean


def _check(name: str, model: onnx.ModelProto, declared: dict[str, Any]) -> None:
    onnx.checker.check_model(model, full_check=True)
    for way in ("inputs", "outputs"):
        found = [
            [x.name, [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]]
            for x in getattr(model.graph, way[:-1])
        ]
        wanted = [x[:2] for x in declared[way]]
        if found != wanted:
            raise BundleError(f"{way} came out as {found}, expected {wanted}", where=name)
    faces = [*model.graph.input, *model.graph.output]
    if any(x.type.tensor_type.elem_type != TensorProto.FLOAT for x in faces):
        raise BundleError("an input or output is not float32", where=name)
    for tensor in model.graph.initializer:
        if tensor.data_type not in _TYPES or tensor.data_location != TensorProto.DEFAULT:
            raise BundleError(
                f"a constant of type {TensorProto.DataType.Name(tensor.data_type)} or outside of "
                "the file", where=name,
            )  # fmt: skip
    if reason := audit(model.SerializeToString()):
        raise BundleError(reason, where=name, fix="Spell it in operators of runtime.audit")
