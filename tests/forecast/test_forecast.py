"""The edges of the hazard intervals."""

from __future__ import annotations

from itertools import pairwise

from fadecast.forecast.forecast import EDGES, HORIZONS, LONGEST


def test_edges_widen_evenly_and_hold_every_horizon() -> None:
    assert EDGES[:2] == (0, 1)
    assert EDGES[-1] == LONGEST
    assert set(HORIZONS) < set(EDGES)
    assert 24 <= len(EDGES) - 1 <= 28
    assert all(1.3 < b / a < 1.5 for a, b in pairwise(EDGES[EDGES.index(10) :]))
