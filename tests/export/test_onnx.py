"""The exported graphs: what they are made of, and that they depend on the network alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import fadecast
from fadecast.cell.samples import CHANNELS, OBSERVED
from fadecast.cell.summaries import BINS, INDEX
from fadecast.errors import BundleError
from fadecast.export.onnx import IR, OPSET, _check
from fadecast.network.arithmetic import RAMP, TINY
from fadecast.network.reading import HOLD, SMALL_CHARGE
from fadecast.network.summary import GAP_HOURS, REST_RATE, STEPS, Summary
from fadecast.runtime import Session
from fadecast.runtime.bundle import FORECAST, SUMMARIZE, graphs
from tests.bundles import made_up_spec

GRAPHS = pytest.mark.parametrize("name", [SUMMARIZE, FORECAST])


@pytest.fixture
def model(session: Session, name: str) -> onnx.ModelProto:
    return onnx.load_from_string(session.bundle.files[name])


@GRAPHS
def test_opset_ir_and_nothing_but_standard_operators(model: onnx.ModelProto) -> None:
    assert model.ir_version == IR == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    banned = {"Loop", "Scan", "If", "GRU", "LSTM", "RNN", "Einsum"}
    assert not {node.op_type for node in model.graph.node} & banned


@GRAPHS
def test_only_float32_goes_in_and_out(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    types = {tensor.data_type for tensor in model.graph.initializer}
    casts = {a.i for n in model.graph.node if n.op_type == "Cast" for a in n.attribute}
    assert not (types | casts) & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    assert all(not tensor.external_data for tensor in model.graph.initializer)


@GRAPHS
def test_double_precision_is_only_where_little_is_computed(model: onnx.ModelProto) -> None:
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    wide = {x.name: x for x in known if x.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE}
    of = {name: node for node in model.graph.node for name in node.output if name in wide}
    if "elapsed" in {x.name for x in model.graph.input}:
        assert Counter(node.op_type for node in of.values()) == {"Cast": 2, "Gemm": 2}
        return
    # Fused with a product, which before onnxruntime 1.24 has no double precision.
    assert "Transpose" not in {node.op_type for node in of.values()}
    shapes = [wide[name].type.tensor_type.shape.dim for name in of]
    over_time = [dims[1].dim_value for dims in shapes if len(dims) == 3]
    assert 1 <= max(over_time) < BINS / 2  # nothing that is taken at every voltage node


def test_a_hold_that_has_hardly_begun_is_as_long_in_double_precision(session: Session) -> None:
    """An exporter writes constants in single precision, and where a hold begins is one."""
    samples = np.zeros((1, 40, len(CHANNELS)), np.float32)
    samples[..., 0], samples[..., 2] = 30.0, 1.5
    samples[..., 1] = 3.0 + 1.2 * np.minimum(np.linspace(0.9, 0.99, 40), HOLD + 1e-5)
    observed = np.eye(len(OBSERVED), dtype=np.float32)[:1].repeat(40, 0)[None]
    window = np.array([[3.0, 3.0, 4.2]], np.float32)
    state = np.zeros((1, session.summary_state_size), np.float32)
    _, values, seen = session.summarize(state, samples, observed, window)
    exact = Summary().double()
    given = (torch.from_numpy(part).double() for part in (samples, observed, window))
    expected, _ = exact.read(exact.update(exact.start(1).double(), *given))
    for name in ("hold_time", "hold_rate_mean"):
        at = INDEX[name]
        assert seen[0, at]
        assert values[0, at] == pytest.approx(float(expected[0, at]), rel=1e-6)
    assert 0 < values[0, INDEX["hold_time"]] < 1e-4


def test_what_is_summed_up_in_double_precision_compares_with_the_constants_of_the_code(
    session: Session,
) -> None:
    graph = onnx.load_from_string(session.bundle.files[SUMMARIZE]).graph
    wide = [t for t in graph.initializer if t.data_type == onnx.TensorProto.DOUBLE]
    scalars = {float(onnx.numpy_helper.to_array(t)) for t in wide if not t.dims}
    known = {GAP_HOURS, REST_RATE, -REST_RATE, HOLD, RAMP, TINY, STEPS, SMALL_CHARGE}
    assert scalars <= known | {0.0, 1.0, 2.0, 3600.0}
    assert {GAP_HOURS, REST_RATE, HOLD, RAMP, STEPS} <= scalars


@GRAPHS
def test_nothing_of_the_machine_it_was_made_on_is_inside(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # weights may spell anything
    text = str(model)  # not its bytes: the length of a node may be the code of a letter
    for secret in ("/", ".py", "torch", "stack", "namespace", "nn.Module"):
        assert secret not in text
    assert not model.metadata_props
    assert not model.doc_string
    assert not model.graph.doc_string
    assert not model.graph.metadata_props
    assert not model.graph.value_info
    for node in model.graph.node:
        assert not node.doc_string
        assert not node.metadata_props
    names = [x for node in model.graph.node for x in node.output]
    public = {x.name for x in model.graph.output}
    assert all(re.fullmatch(r"v\d+", x) for x in set(names) - public if x)


@GRAPHS
@pytest.mark.parametrize(("batch", "time"), [(1, 1), (3, 7), (17, 2)])
def test_batch_and_time_are_free(session: Session, name: str, batch: int, time: int) -> None:
    run = onnxruntime.InferenceSession(session.bundle.files[name])
    free = {"batch": batch, "time": time}
    feeds = {
        x.name: np.ones([free.get(size, size) for size in x.shape], np.float32)
        for x in run.get_inputs()
    }
    if name == SUMMARIZE:
        feeds["window"] = np.tile(made_up_spec().window, (batch, 1))
    declared = graphs(session.summary_state_size, session.forecast_state_size)[name]["outputs"]
    for found, (_, shape, _) in zip(run.run(None, feeds), declared, strict=True):
        assert list(found.shape) == [free.get(size, size) for size in shape]


def test_a_graph_with_other_faces_is_refused(session: Session) -> None:
    declared = graphs(session.summary_state_size, session.forecast_state_size)
    model = onnx.load_from_string(session.bundle.files[FORECAST])
    with pytest.raises(BundleError, match="came out as"):
        _check(FORECAST, model, declared[SUMMARIZE])
    frozen = onnx.load_from_string(session.bundle.files[FORECAST])
    frozen.graph.output[1].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(BundleError, match="came out as"):
        _check(FORECAST, frozen, declared[FORECAST])


@pytest.mark.slow  # a second export, in another folder and another process
def test_another_folder_gives_the_same_bytes(session: Session, tmp_path: Path) -> None:
    root = tmp_path / "some where" / "else"
    shutil.copytree(Path(fadecast.__file__).parent, root / "src" / "fadecast")
    (root / "tests").mkdir()
    shutil.copy(Path(__file__).parent.parent / "bundles.py", root / "tests" / "bundles.py")
    code = (
        "import sys; sys.path[:0] = ['src', '.']\n"
        "import fadecast; assert 'some where' in fadecast.__file__\n"
        "from pathlib import Path; from tests.bundles import tiny_bundle\n"
        "tiny_bundle(Path('out'), seed=0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    other = Session.load(root / "out")
    for name, data in session.bundle.files.items():
        assert hashlib.sha256(other.bundle.files[name]).digest() == hashlib.sha256(data).digest()
    assert other.fingerprint == session.fingerprint
