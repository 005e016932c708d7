"""What the exporter spells out although ONNX has one operator for it."""

from __future__ import annotations

import onnx
from onnx import numpy_helper


def simplify(model: onnx.ModelProto) -> None:
    """Write ``x / (1 + |x|)`` as Softsign, and Softplus without the threshold torch gives it.

    A softplus in ONNX is accurate for large arguments; torch's is x itself from 20 on, which the
    exporter takes over as a comparison and a choice.
    """
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}

    def is_one(name: str) -> bool:
        return name in constants and constants[name].size == 1 and float(constants[name]) == 1.0

    for node in graph.node:
        if node.op_type == "Div":
            x, below = node.input[0], made.get(node.input[1])
            size = below and next((made.get(i) for i in below.input if not is_one(i)), None)
            if (
                below is not None and below.op_type == "Add" and any(map(is_one, below.input))
                and size and size.op_type == "Abs" and size.input[0] == x
            ):  # fmt: skip
                _replace(node, "Softsign", x)
        elif node.op_type == "Where":
            small = made.get(node.input[2])
            if small is not None and small.op_type == "Softplus" and small.input == node.input[1:2]:
                _replace(node, "Softplus", node.input[1])
    _drop_unused(graph)


def _replace(node: onnx.NodeProto, op_type: str, x: str) -> None:
    node.op_type = op_type
    del node.input[:]
    node.input.append(x)


def _drop_unused(graph: onnx.GraphProto) -> None:
    needed = {x.name for x in graph.output}
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
    nodes = [node for node in graph.node if needed & set(node.output)]
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
