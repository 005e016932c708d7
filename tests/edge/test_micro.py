"""What is done to the C code of a microcontroller before it is compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from fadecast.runtime import Session
from fadecast.runtime.bundle import FORECAST, GOLDEN
from fadecast.runtime.golden import Golden
from serving.micro.constants import narrow
from serving.micro.single import single

CODE = """
extern const float pick[2][2];
void node3_matmul_3(const float input0[1][2], const float input1[2][2], float output[1][2]) {
void node4_mul_4(const float input0[2], const float input1[2], float output[2]) {
    node3_matmul_3(x, pick, y);
"""
DATA = "const EMX_UNUSED float pick[2][2] = {\n    {\n        A, -0x1.8p+1f },\n    { B, C }\n};\n"
WHOLE = {"A": "0x1.0p+0f", "B": "-0x0.0p+0f", "C": "0x1.fcp+6f"}


def given(**changes: str) -> str:
    data = DATA
    for name, number in (WHOLE | changes).items():
        data = data.replace(name, number)
    return data


def test_whole_numbers_of_a_product_become_bytes() -> None:
    code, data = narrow(CODE, given())
    assert "extern const int8_t pick[2][2];" in code
    assert "(const float input0[1][2], const int8_t input1[2][2], float output[1][2])" in code
    assert "const EMX_UNUSED int8_t pick[2][2] = {" in data
    assert data.replace("int8_t", "float") == given()


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (CODE, given(A="0x1.8p+0f")),
        (CODE, given(A="0x1.0p+7f")),
        (CODE, given(A="INFINITY")),
        (CODE.replace("    node3_matmul_3(x", "    node4_mul_4(x"), given()),
        (CODE + "    node3_matmul_3(y, pick, z);\n", given()),
    ],
    ids=["fraction", "too large", "no number", "no product", "used twice"],
)
def test_others_stay(code: str, data: str) -> None:
    assert narrow(code, data) == (code, data)


def test_a_graph_in_single_precision_says_the_same(session: Session, bundle: Path) -> None:
    graph = single(bundle / FORECAST)
    assert onnx.TensorProto.DOUBLE not in {tensor.data_type for tensor in graph.graph.initializer}
    casts = [node for node in graph.graph.node if node.op_type == "Cast"]
    assert [node.output[0] for node in casts] == ["valid"]
    narrowed = onnxruntime.InferenceSession(graph.SerializeToString())
    golden = Golden.from_bytes(session.bundle.files[GOLDEN])
    state = np.zeros((1, session.forecast_state_size), np.float32)
    mine, one = state, np.ones((1, 1), np.float32)
    for values, observed in zip(golden.values[:20], golden.observed[:20], strict=True):
        cycle = values[None], observed[None].astype(np.float32), golden.design[None], one
        state, step = session.forecast(state, *cycle)
        names = [x.name for x in narrowed.get_inputs()]
        mine, rul, *_ = narrowed.run(None, dict(zip(names, (mine, *cycle), strict=True)))
        np.testing.assert_allclose(rul, step.rul, rtol=1e-4)
