"""The exported graphs: what they are made of, and that they depend on the network alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import fadecast
from fadecast.errors import BundleError
from fadecast.export.onnx import IR, OPSET, _check
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
def test_only_float32_goes_in_and_out_and_no_double_hides_inside(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    types = {tensor.data_type for tensor in model.graph.initializer}
    casts = {a.i for n in model.graph.node if n.op_type == "Cast" for a in n.attribute}
    wide = {onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    assert not (types | casts) & wide
    assert all(not tensor.external_data for tensor in model.graph.initializer)


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
