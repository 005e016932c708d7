"""Constants of whole numbers as bytes: the same products from a quarter of the flash.

A good part of the graph's matrices picks, tiles and sums; these hold little but zeros and ones.
"""

from __future__ import annotations

import math
import re

_CONSTANT = re.compile(r"const EMX_UNUSED float (\w+)((?:\[\d+\])+) = \{(.*?)\};", re.S)
_NUMBER = re.compile(r"-?0x[0-9a-f.]+p[+-]\d+")
_PRODUCT = r"node\d+_(?:gemm|matmul)_\d+"
"""Functions that read a constant number by number; others may copy its bytes."""


def narrow(code: str, data: str) -> tuple[str, str]:
    """The C sources of the graph and of its constants, factors of products narrowed."""
    for name, shape, values in _CONSTANT.findall(data):
        numbers = [float.fromhex(text) for text in _NUMBER.findall(values)]
        whole = all(x == round(x) and abs(x) < 128 for x in numbers)
        calls = re.findall(rf"^ +(\w+)\((.*\b{name}\b.*)\);$", code, re.M)
        if len(numbers) != math.prod(map(int, re.findall(r"\d+", shape))) or not whole:
            continue
        if len(calls) != 1 or not re.fullmatch(_PRODUCT, calls[0][0]):
            continue
        function, place = calls[0][0], calls[0][1].split(", ").index(name)
        head = re.search(rf"\bvoid {function}\((.*)\) \{{", code)
        assert head is not None
        inputs = head[1].split(", ")
        inputs[place] = inputs[place].replace("const float ", "const int8_t ")
        code = code.replace(head[0], f"void {function}({', '.join(inputs)}) {{")
        code = code.replace(f"extern const float {name}[", f"extern const int8_t {name}[")
        data = data.replace(f"EMX_UNUSED float {name}[", f"EMX_UNUSED int8_t {name}[")
    return code, data
