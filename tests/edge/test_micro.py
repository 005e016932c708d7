"""What is done to the C code of a microcontroller before it is compiled."""

from __future__ import annotations

import pytest

from serving.micro.constants import narrow

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
