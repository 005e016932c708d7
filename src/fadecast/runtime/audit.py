"""What a graph is made of, read from its bytes before any executor sees them.

Only the few protobuf fields that matter are looked at, so nothing but Python is needed. The C++
program does the same from the same list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

PORTABLE: Final = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Concat", "CumSum", "Div", "Equal", "Exp", "Expand", "Gather",
        "GatherND", "Gemm", "Greater", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul",
        "Neg", "And", "Or", "Not", "Pow", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softplus",
        "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Operators of ONNX opset 18 that a graph may use: those that embedded executors have. None runs
a loop, reads a file or calls out."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL = {"opset": 8, "graph": 7, "training": 20, "function": 25}
_GRAPH = {"node": 1, "initializer": 5, "sparse": 15}
_NODE = {"op_type": 4, "attribute": 5, "domain": 7}
_ATTRIBUTE = {"tensor": 5, "graph": 6, "tensors": 10, "graphs": 11}
_TENSOR = {"external": 13, "location": 14}


def audit(data: bytes) -> str:
    """Why a graph must not be run; empty if nothing speaks against it."""
    try:
        graphs = [body for field, body in _fields(data) if field == _MODEL["graph"]]
        if any(field in (_MODEL["training"], _MODEL["function"]) for field, _ in _fields(data)):
            return "it holds functions or training steps"
        if len(graphs) != 1:
            return "it holds no graph"
        return _audit_graph(_body(graphs[0]))
    except (ValueError, IndexError):
        return "it is no ONNX graph"


def _audit_graph(graph: bytes) -> str:
    for field, value in _fields(graph):
        if field == _GRAPH["sparse"]:
            return "it holds a sparse tensor"
        if field == _GRAPH["initializer"] and _is_external(_body(value)):
            return "a tensor lies outside of the file"
        if field == _GRAPH["node"] and (reason := _audit_node(_body(value))):
            return reason
    return ""


def _audit_node(node: bytes) -> str:
    name, domain = "", ""
    for field, value in _fields(node):
        if field == _NODE["op_type"]:
            name = _body(value).decode()
        elif field == _NODE["domain"]:
            domain = _body(value).decode()
        elif field == _NODE["attribute"]:
            for inner, part in _fields(_body(value)):
                if inner in (_ATTRIBUTE["graph"], _ATTRIBUTE["graphs"]):
                    return "a node holds a graph of its own"
                is_tensor = inner in (_ATTRIBUTE["tensor"], _ATTRIBUTE["tensors"])
                if is_tensor and _is_external(_body(part)):
                    return "a tensor lies outside of the file"
    if domain not in ("", "ai.onnx") or name not in PORTABLE:
        return f"operator {name!r} is not on the list of portable ones"
    return ""


def _is_external(tensor: bytes) -> bool:
    return any(
        field == _TENSOR["external"] or (field == _TENSOR["location"] and value != 0)
        for field, value in _fields(tensor)
    )


def _body(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("a group")
        if size > len(data) - at:
            raise ValueError("cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError("a number without end")


__all__ = ["PORTABLE", "audit"]
