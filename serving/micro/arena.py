"""Buffers that share memory: the generated C gives every intermediate result its own.

The generated function is a list of declarations and then of calls, one an operator. A buffer is
needed from the call that first names it to the last that does; buffers that are never needed at the
same time lie at the same place of one static array.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_DECLARATION = re.compile(r"^ +(float|bool|int32_t|int64_t) (tmp\w+)((?:\[\d+\])+);\n", re.M)
_BYTES = {"float": 4, "bool": 1, "int32_t": 4, "int64_t": 8}
_ALIGN = 8


@dataclass
class Buffer:
    """One intermediate result and the calls, by number, that need it."""

    kind: str
    name: str
    shape: list[int]
    first: int
    last: int
    offset: int = 0

    @property
    def size(self) -> int:
        size = math.prod(self.shape) * _BYTES[self.kind]
        return -(-size // _ALIGN) * _ALIGN

    def declaration(self) -> str:
        """The same name, at its place of the arena."""
        inner = "".join(f"[{n}]" for n in self.shape[1:])
        return (
            f"    {self.kind} (*const {self.name}){inner} = "
            f"({self.kind} (*){inner})(arena.bytes + {self.offset});\n"
        )


def share_buffers(code: str, function: str) -> str:
    """The C source with the buffers of ``function`` in one static arena."""
    start = code.index(f"void {function}(")
    head, body = code[:start], code[start:]
    opening = body.index("{\n") + 2
    calls = _DECLARATION.sub("", body).splitlines()
    buffers = []
    for kind, name, shape in _DECLARATION.findall(body):
        uses = [n for n, line in enumerate(calls) if re.search(rf"\b{name}\b", line)]
        sizes = [int(n) for n in re.findall(r"\d+", shape)]
        buffers.append(Buffer(kind, name, sizes, min(uses), max(uses)))
    total = _place(buffers)
    arena = f"static union {{ double align; unsigned char bytes[{total}]; }} arena;\n\n"
    places = "".join(buffer.declaration() for buffer in buffers)
    return head + arena + body[:opening] + places + _DECLARATION.sub("", body[opening:])


def _place(buffers: list[Buffer]) -> int:
    """Largest first, each at the lowest place free while it is needed; the bytes in all."""
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: -b.size):
        busy = sorted(
            (other.offset, other.offset + other.size)
            for other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        for low, high in busy:
            if buffer.offset + buffer.size <= low:
                break
            buffer.offset = max(buffer.offset, high)
        placed.append(buffer)
    return max((b.offset + b.size for b in placed), default=_ALIGN)
