"""Small operations that export to ONNX and keep float32 honest."""

from __future__ import annotations

from typing import Final

import numpy as np
from torch import Tensor


def held(x: float) -> float:
    """What float32 makes of a number: an exporter writes constants so, also of double precision."""
    return float(np.float32(x))


RAMP: Final = held(0.01)
"""Width over which ``fade_in`` rises."""
TINY: Final = held(1e-20)
"""Less than anything that is divided by."""
_FADE: Final = held(0.02)


def ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """``top / bottom``; 0 where both are 0, and finite where ``bottom`` alone is."""
    return top / bottom.clamp(min=TINY)


def spread(square: Tensor, mean: Tensor, size: Tensor) -> Tensor:
    """Standard deviation from the mean square; fades out below 2 % of ``size``.

    The difference of two nearly equal numbers is known to 1e-7 of their size only, and a plain
    square root would turn that into 3e-4: noise where a current is constant.
    """
    variance = (square - mean.square()).clamp(min=0.0)
    return ratio(variance, (variance + (_FADE * size).square()).sqrt())


def above(x: Tensor, threshold: float) -> Tensor:
    """1 where ``x`` exceeds the threshold, else 0."""
    return (x > threshold).to(x.dtype)


def fade_in(x: Tensor, start: float) -> Tensor:
    """0 below ``start``, 1 from ``start + RAMP``, linear between: no edge for noise to cross."""
    return ((x - start) / RAMP).clamp(0.0, 1.0)
