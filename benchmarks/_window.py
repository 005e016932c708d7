"""A Transformer over the whole window of cycles, the kind that published models are.

After CyclePatch (BatteryML's and later benchmarks' best form): every cycle's curves become one
token, tokens of all cycles so far go through an encoder, a head reads the last. It has no state, so
each new cycle costs a pass over the whole window. Random weights: speed does not depend on them.
"""

from __future__ import annotations

import io
import warnings

import onnxruntime as ort
import torch
from torch import Tensor, nn

from fadecast.cell.summaries import N_FIELDS
from fadecast.export.onnx import quiet


class WindowTransformer(nn.Module):
    """``(B, cycles, fields)`` → ``(B, 1)``; 96 wide, 4 heads, 3 layers, about 390 000 weights."""

    def __init__(self, cycles: int, width: int = 96, heads: int = 4, layers: int = 3) -> None:
        super().__init__()
        self.patch = nn.Sequential(nn.Linear(N_FIELDS, width), nn.GELU(), nn.Linear(width, width))
        self.place = nn.Parameter(torch.randn(1, cycles, width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)

    def forward(self, fields: Tensor) -> Tensor:
        encoded = self.encoder(self.patch(fields) + self.place)
        out: Tensor = self.head(encoded[:, -1])
        return out


def open_transformer(cycles: int) -> ort.InferenceSession:
    """Exported for a window of so many cycles, one thread."""
    torch.manual_seed(0)
    model, example = WindowTransformer(cycles).eval(), torch.randn(1, cycles, N_FIELDS)
    with quiet("torch.onnx"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(model, (example,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    data = io.BytesIO()
    program.save(data)
    return open_graph(data.getvalue())


def open_graph(data: bytes) -> ort.InferenceSession:
    """As the runtime opens its graphs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
