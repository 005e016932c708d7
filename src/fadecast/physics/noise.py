"""Counter-based random numbers: a draw depends on its key and counter only, never on a thread."""

from __future__ import annotations

from math import cos, exp, log, pi, sqrt

import numpy as np

from fadecast.physics.jit import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): a bijection that scatters every bit."""
    value = (value ^ (value >> np.uint64(30))) * _M1
    value = (value ^ (value >> np.uint64(27))) * _M2
    return value ^ (value >> np.uint64(31))


@compiled
def uniform(key: np.uint64, counter: int) -> float:
    """Draw number ``counter`` of stream ``key``, in the open interval (0, 1)."""
    bits = mix(key + _GOLDEN * np.uint64(counter + 1))
    return (np.float64(bits >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@compiled
def normal(key: np.uint64, counter: int) -> float:
    """Standard normal from draws ``counter`` and ``counter + 1``."""
    return sqrt(-2.0 * log(uniform(key, counter))) * cos(2.0 * pi * uniform(key, counter + 1))


@compiled
def gamma(shape: float, key: np.uint64, counter: int) -> float:
    """Unit-scale gamma variate (Marsaglia & Tsang 2000) from 99 draws at ``counter``."""
    if shape <= 0.0:
        return 0.0
    boosted = shape if shape >= 1.0 else shape + 1.0
    d = boosted - 1.0 / 3.0
    c = 1.0 / sqrt(9.0 * d)
    value = d
    for trial in range(32):
        z = normal(key, counter + 3 * trial)
        v = 1.0 + c * z
        if v <= 0.0:
            continue
        v = v * v * v
        if log(uniform(key, counter + 3 * trial + 2)) < 0.5 * z * z + d - d * v + d * log(v):
            value = d * v
            break
    if shape < 1.0:
        value *= exp(log(uniform(key, counter + 98)) / shape)
    return value
