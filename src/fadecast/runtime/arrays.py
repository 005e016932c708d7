"""Arrays as plain bytes that a few lines of C read: what ``golden.bin`` is made of.

    "FCARRAY1", uint32 number of arrays; per array: uint8 length of its name, the name, uint8
    'f' (float32), 'q' (int64) or 'B' (uint8), uint8 number of axes, uint32 each, the data.

All little-endian, nothing aligned, nothing compressed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"FCARRAY1"
_KINDS: Final[dict[bytes, np.dtype[Any]]] = {
    b"f": np.dtype("<f4"),
    b"q": np.dtype("<i8"),
    b"B": np.dtype("u1"),
}
_MOST_AXES: Final = 4


def dump(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Float32, int64 and bool or uint8 arrays by name as bytes."""
    parts = [MAGIC, struct.pack("<I", len(arrays))]
    for name, array in arrays.items():
        kind = {"f": b"f", "i": b"q", "b": b"B", "u": b"B"}[array.dtype.kind]
        head = struct.pack("<B", len(name)) + name.encode() + kind
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [head, shape, np.ascontiguousarray(array, _KINDS[kind]).tobytes()]
    return b"".join(parts)


def load(data: bytes) -> dict[str, NDArray[Any]]:
    """Inverse of ``dump``.

    Raises:
        ValueError: the bytes are no such file.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin as one")
    arrays: dict[str, NDArray[Any]] = {}
    try:
        (count,) = struct.unpack_from("<I", data, len(MAGIC))
        at = len(MAGIC) + 4
        for _ in range(count):
            size = data[at]
            name, kind = data[at + 1 : at + 1 + size].decode(), data[at + 1 + size : at + 2 + size]
            at += 2 + size
            axes = data[at]
            if axes > _MOST_AXES:
                raise ValueError("too many axes")
            shape = struct.unpack_from(f"<{axes}I", data, at + 1)
            at += 1 + 4 * axes
            dtype = _KINDS[kind]
            length = math.prod(shape) * dtype.itemsize
            if length > len(data) - at:
                raise ValueError("cut off")
            array = np.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=at)
            arrays[name], at = array.reshape(shape).copy(), at + length
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"cut off or of unknown type ({error})") from None
    if at != len(data):
        raise ValueError("there is more than it says")
    return arrays
