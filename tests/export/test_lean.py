"""The deployed form against the trained network in double precision, where rounding hurts most."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import torch

from fadecast.cell.design import N_DESIGN
from fadecast.cell.summaries import INDEX, N_FIELDS
from fadecast.export.lean import LeanForecaster, lean_form
from fadecast.export.lean_heads import LeanReadout
from fadecast.export.onnx import quiet
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import N_CAUSES, N_INTERVALS
from fadecast.runtime.golden import TOLERANCE
from tests.bundles import tiny_network

Answers = tuple[torch.Tensor, ...]

REACH = {"near": 2.0, "far": 4.0}
SHAPES = {"mixed": 0.0, "flat": -30.0, "steep": 30.0}
NUMBERS = 2 + N_INTERVALS


def network(reach: float, slope: float, log_slope: float) -> Forecaster:
    """Every number that the head makes of a memory is up to ``reach``, but the steepnesses are
    moved by ``slope``: what the weights magnify is no fault of the readout."""
    size = NUMBERS * N_CAUSES
    _, forecaster = tiny_network(hidden=size)
    with torch.no_grad():
        forecaster.hazards.linear.weight.copy_(reach * torch.eye(size))
        forecaster.hazards.linear.bias[:N_CAUSES] += slope
        forecaster.recalibration.log_slope.fill_(log_slope)
    return forecaster


def trained(forecaster: Forecaster, memory: torch.Tensor) -> Answers:
    return forecaster.read(memory, memory.new_zeros(len(memory), N_DESIGN))


@torch.no_grad()
def deployed(forecaster: Forecaster, memory: torch.Tensor) -> Answers:
    head = LeanReadout(forecaster).eval()
    inputs = torch.nn.functional.pad(memory, (0, 2)), torch.zeros(len(memory), N_DESIGN)
    with quiet("torch.onnx"):
        program = torch.onnx.export(head, inputs, dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    data = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {x.name: rows.numpy() for x, rows in zip(session.get_inputs(), inputs, strict=True)}
    outputs = session.run(None, feeds)
    return tuple(torch.from_numpy(np.asarray(output)) for output in outputs[:3])


def worst(found: Answers, exact: Answers) -> float:
    """Relative to ``max(1, |value|)``, as parity is judged."""
    pairs = zip(found, exact, strict=True)
    return max(float(((a - b).abs() / b.abs().clamp(min=1)).max()) for a, b in pairs)


@pytest.mark.parametrize("reach", REACH.values(), ids=REACH)
@pytest.mark.parametrize("slope", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("log_slope", [-0.3, 0.3])
@torch.no_grad()
def test_rounding_is_not_magnified(reach: float, slope: float, log_slope: float) -> None:
    """Nearly flat, steep and mixed survival; every corner that a memory can be driven into."""
    forecaster = network(reach, slope, log_slope)
    rng = torch.Generator().manual_seed(0)
    memory = torch.rand(2000, forecaster.config.hidden, generator=rng) * 2 - 1
    memory = torch.cat([memory, memory.sign()])
    exact = trained(copy.deepcopy(forecaster).double(), memory.double())
    errors = [worst(answers(forecaster, memory), exact) for answers in (trained, deployed)]
    assert max(errors) < TOLERANCE


@torch.no_grad()
def test_a_long_life_stays_true() -> None:
    """A state carried over a thousand cycles, some without charge, against double precision."""
    _, forecaster = tiny_network()
    rng = torch.Generator().manual_seed(0)
    start = forecaster.scaler.centre + forecaster.scaler.scale * torch.randn(
        4, 1, N_FIELDS, generator=rng
    )
    drift = forecaster.scaler.change_scale * torch.randn(4, 1, N_FIELDS, generator=rng)
    values = start + drift * torch.linspace(0, 2, 1000)[:, None]
    observed = (torch.rand(4, 1000, N_FIELDS, generator=rng) < 0.9).float()
    design, elapsed = torch.rand(4, N_DESIGN, generator=rng), torch.ones(4, 1)
    inputs = values * observed, observed
    double = copy.deepcopy(forecaster).double()
    truth = double.start(4).double()
    lean, size = lean_form(forecaster)
    assert type(lean) is LeanForecaster
    state = torch.zeros(4, size)
    for t in range(1000):
        row = [*(x[:, t] for x in inputs), design, elapsed]
        truth, *exact = double(truth, *(x.double() for x in row))
        state, *found = lean(state, *row)
        assert worst(tuple(found), tuple(exact)) < TOLERANCE


@torch.no_grad()
def test_a_cycle_is_valid_or_not_and_nothing_between() -> None:
    _, forecaster = tiny_network()
    charges = torch.tensor([[1, 1], [0, 0], [0.0099, 0], [0, 0.0099], [0.0101, 0], [0, 0.0101]])
    values = torch.ones(2 * len(charges), N_FIELDS)
    observed, columns = torch.ones_like(values), ["charge_throughput", "discharge_throughput"]
    values[:, [INDEX[name] for name in columns]] = charges.repeat(2, 1)
    observed[len(charges) :, INDEX["charge_throughput"]] = 0
    lean, size = lean_form(forecaster)
    rest = torch.zeros(len(values), N_DESIGN), torch.ones(len(values), 1)
    valid = lean(torch.zeros(len(values), size), values, observed, *rest)[6]
    assert valid.tolist() == [1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1]


@torch.no_grad()
def test_large_terms_that_nearly_cancel_are_not_rounded() -> None:
    _, forecaster = tiny_network(hidden=96)
    rng = torch.Generator().manual_seed(1)
    weight, half = forecaster.hazards.linear.weight, 48
    weight.copy_(6 * torch.rand(weight.shape, generator=rng))
    off = 2e-3 * torch.randn(len(weight), half, generator=rng)
    weight[:, half:] = -weight[:, :half] * (1 + off)
    memory = torch.tanh(torch.rand(64, half, generator=rng)).repeat(1, 2)
    memory, design = torch.nn.functional.pad(memory, (0, 2)), torch.zeros(64, N_DESIGN)
    head = LeanReadout(forecaster).eval()
    exact = copy.deepcopy(head).double()(memory.double(), design.double())
    assert worst(head(memory, design)[:3], exact[:3]) <= 2e-6
