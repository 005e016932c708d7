"""A graph in single precision: where a bundle takes a few products in double precision, which a
Cortex-M4 has none of, a microcontroller is allowed to be off by more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, shape_inference


def single(graph: Path) -> onnx.ModelProto:
    """The graph without numbers in double precision and without the casts to and from it."""
    model = onnx.load(graph)
    known = shape_inference.infer_shapes(model).graph
    kinds = {x.name: x.type.tensor_type.elem_type for x in (*known.value_info, *known.input)}
    for tensor in model.graph.initializer:
        kinds[tensor.name] = tensor.data_type
        if tensor.data_type == TensorProto.DOUBLE:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    floats, same, kept = {TensorProto.FLOAT, TensorProto.DOUBLE}, {}, []
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Cast" and {kinds.get(node.input[0]), node.attribute[0].i} <= floats:
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model
