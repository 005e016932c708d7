"""What is asked of forecasts: which are judged, what became of their cells, what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fadecast.cell.life import CAUSES, PRESSURE_CAUSES, Life
from fadecast.errors import ConfigError
from fadecast.forecast import survival
from fadecast.forecast.metrics import Floats

_FRESH: Final = 0.8
"""A forecast stands for a landmark if it was made after this share of it at the earliest."""


def causes_of(risk: str) -> tuple[int, ...]:
    """Indices of the ``CAUSES`` that a row of ``RISKS`` counts."""
    names = {"pressure": PRESSURE_CAUSES, "any": CAUSES}.get(risk, (risk,))
    return tuple(CAUSES.index(name) for name in names)


@dataclass(frozen=True, slots=True)
class Asked:
    """Forecasts that are judged, one row each, with what became of the cell.

    Args:
        cell: ``(n,)`` index of the cell.
        row: ``(n,)`` row of the cell's forecasts.
        cycle: ``(n,)`` cycle after which the forecast was made.
        time: ``(n,)`` cycle of failure, or the last one known alive.
        after: ``(n,)`` the last one known alive, of a failed cell too.
        cause: ``(n,)`` index of the cause, −1 for a censored cell.
    """

    cell: NDArray[np.int64]
    row: NDArray[np.int64]
    cycle: Floats
    time: Floats
    after: Floats
    cause: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Asked:
        return Asked(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """``(n,)`` whether the failure of the cell was observed."""
        return self.cause >= 0

    @property
    def weight(self) -> Floats:
        """``(n,)`` 1 / number of rows of the cell, so that cells count alike."""
        return np.asarray(1.0 / np.bincount(self.cell)[self.cell] if len(self) else self.time)

    def by_cell(self, cells: int) -> list[slice]:
        """The rows of each of ``cells`` cells, one after the other."""
        bounds = np.searchsorted(self.cell, np.arange(cells + 1)).tolist()
        return [slice(start, stop) for start, stop in pairwise(bounds)]

    def at(self, landmark: int) -> NDArray[np.int64]:
        """Index of each cell's last forecast by a landmark, for the cells that live beyond it."""
        usable = (self.cycle <= landmark) & (self.cycle >= _FRESH * landmark)
        usable &= self.time > landmark
        rows = np.flatnonzero(usable)
        last = np.append(np.diff(self.cell[rows]) != 0, True)[: len(rows)]
        return np.asarray(rows[last])


def ask(
    cycles: Mapping[str, ArrayLike],
    lives: Mapping[str, Life],
    usable: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Asked:
    """Every cycle at which a cell was still known alive, cell by cell in the order of ``cycles``.

    Args:
        cycles: ``(n,)`` increasing cycle counts by cell.
        lives: by cell; cells beyond those of ``cycles`` are passed over.
        usable: ``(n,)`` by cell: which may be judged; all when ``None``.

    Raises:
        ConfigError: there is no cell, or one has no life.
    """
    unknown = [name for name in cycles if name not in lives]
    if not cycles or unknown:
        raise ConfigError(
            f"no life is known of {len(unknown)} cells: {unknown[:5]}" if unknown else "no cells",
            fix="Give forecasts and the lives of the same cells",
        )
    cell, row, cycle, time, after, cause = [], [], [], [], [], []
    for index, (name, counts) in enumerate(cycles.items()):
        life, count = lives[name], np.atleast_1d(np.asarray(counts, np.float64))
        alive = count <= life.after
        rows = np.flatnonzero(alive if usable is None else alive & usable[name])
        cell.append(np.full(len(rows), index))
        row.append(rows)
        cycle.append(count[rows])
        time.append(np.full(len(rows), life.cycle, np.float64))
        after.append(np.full(len(rows), life.after, np.float64))
        cause.append(np.full(len(rows), -1 if life.cause is None else CAUSES.index(life.cause)))
    return Asked(*map(np.concatenate, (cell, row, cycle, time, after, cause)))


def followed(lives: Iterable[Life]) -> survival.Steps:
    """The censoring of a set of cells."""
    pairs = [(life.cycle, life.failed) for life in lives]
    return survival.censoring(*zip(*pairs, strict=True))


def outcome(
    asked: Asked, risk: str, horizon: int, steps: survival.Steps
) -> tuple[NDArray[np.bool_], Floats]:
    """Whether each cell failed so within the horizon, and the weight with which that is known.

    Args:
        risk: one of ``RISKS``.
        horizon: cycles ahead.
        steps: ``followed`` of the cells.

    Returns:
        ``label (n,)`` and ``weight (n,)``, forecasts alike but for the censoring: a weight that
        tells how long a cell lived would make right risks seem too low.
    """
    until = asked.cycle + horizon
    label = np.isin(asked.cause, causes_of(risk)) & (asked.time <= until)
    weight = survival.ipcw(asked.time, asked.failed, until, steps, asked.cycle)
    return label, weight
