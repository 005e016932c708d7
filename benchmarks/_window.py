"""A Transformer over the whole window of cycles, of the published kind and size for battery life.

After the CPTransformer of BatteryLife (Tan et al. 2025, arXiv 2502.18807), re-implemented with the
widths of its public training scripts; the depths differ there from data set to data set. Every
cycle is one token, made of 300 points of voltage, current and capacity by residual blocks; the
tokens of all cycles go through an encoder; a linear map of all of them at once is the cycle life.
It has no state, so each new cycle costs a pass over the whole window. Random weights: speed does
not depend on them.
"""

from __future__ import annotations

import io
import warnings

import onnxruntime as ort
import torch
from torch import Tensor, nn

from fadecast.export.onnx import quiet

POINTS, CHANNELS = 300, 3
WIDTH, INNER, HEADS = 128, 256, 4
BLOCKS, LAYERS = 6, 4


class Block(nn.Module):
    """Within one cycle: two layers beside a residual, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(WIDTH, INNER), nn.ReLU(), nn.Linear(INNER, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x + self.inside(x))
        return out


class WindowTransformer(nn.Module):
    """``(B, cycles, POINTS · CHANNELS)`` → ``(B, 1)``; about a million weights."""

    def __init__(self, cycles: int) -> None:
        super().__init__()
        self.patch = nn.Linear(POINTS * CHANNELS, WIDTH)
        self.within = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.place = nn.Parameter(torch.randn(1, cycles, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(cycles * WIDTH, 1)

    def forward(self, points: Tensor) -> Tensor:
        tokens = self.within(self.patch(points)) + self.place
        out: Tensor = self.head(self.encoder(tokens).flatten(1))
        return out


def open_transformer(cycles: int) -> ort.InferenceSession:
    """Exported for a window of so many cycles, one thread."""
    torch.manual_seed(0)
    model, example = WindowTransformer(cycles).eval(), torch.randn(1, cycles, POINTS * CHANNELS)
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
