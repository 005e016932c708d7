"""The hidden truth of simulated cells: targets of the virtual sensors, never an input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fadecast.errors import TrainingError
from fadecast.forecast.forecast import VIRTUAL_SENSORS

COLUMNS: Final = {
    "anode_contact": "contact_least", "cathode_coverage": "coverage",
    "connected_cathode": "connected", "penetration": "penetration",
}  # fmt: skip
"""Column of the truth table by virtual sensor."""

Truth = NDArray[np.float16]
"""``(n, len(VIRTUAL_SENSORS))`` a cell's hidden states, NaN where unknown: in half precision, since
a population has millions of cycles and 5e-4 is near enough."""


def hidden_states(store: Path) -> Iterator[tuple[str, list[str], NDArray[np.float32]]]:
    """Of every cell in ``store/truth``: its name, the columns, the states ``(cycles, columns)``
    after cycle 1, 2, …; nothing where cells were recorded and not simulated.

    Raises:
        TrainingError: a file of the truth is damaged.
    """
    for path in sorted((store / "truth").glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                names, columns = file["cell_id"].tolist(), file["columns"].tolist()
                parts = np.split(file["hidden"], np.cumsum(file["until"])[:-1])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise TrainingError(
                f"no table of hidden states ({error})", where=str(path),
                fix="Simulate the population again",
            ) from None  # fmt: skip
        for name, part in zip(names, parts, strict=True):
            yield name, columns, part


def read_truth(store: Path, cycles: dict[str, NDArray[np.int64]]) -> dict[str, Truth]:
    """The hidden states after the given cycles, of those cells that have any, in one pass.

    Raises:
        TrainingError: as ``hidden_states``.
    """
    out = {}
    for name, columns, states in hidden_states(store):
        if name in cycles:
            row = cycles[name] - 1
            there = (row >= 0) & (row < len(states))
            truth = np.full((len(row), len(VIRTUAL_SENSORS)), np.nan, np.float16)
            for sensor, column in COLUMNS.items():
                if column in columns:
                    state = states[row[there], columns.index(column)]
                    truth[there, list(VIRTUAL_SENSORS).index(sensor)] = state.clip(0.0, 1.0)
            out[name] = truth
    return out
