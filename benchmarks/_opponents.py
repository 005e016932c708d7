"""Opponents of the network on simulated solid-state cells, fitted to training cells alone.

Each tells, after a cycle, the probability of a pressure-related failure within the next 50: by how
cells of the same declared kind have died (Aalen–Johansen), or by gradient boosting on the declared
design, on the last cycle, on the history, or on the hidden truth (the information ceiling).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from fadecast.cell.design import encode_design
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES
from fadecast.cell.summaries import BINS, FIELDS
from fadecast.forecast import survival
from fadecast.learn.dataset import CellSequence
from fadecast.learn.features import cycle_features
from fadecast.learn.truth import hidden_states

HORIZON: Final = 50
EVERY: Final = 5
"""Cycles between two judged forecasts of a cell."""

_PRESSURE: Final = tuple(CAUSES.index(cause) for cause in PRESSURE_CAUSES)
_PAIRS: Final = BINS // 2
_CURVES: Final = 2 * BINS
_SCALARS: Final = [
    i for i, name in enumerate(FIELDS) if name.split(".")[1:2] not in (["charge"], ["discharge"])
]
_TREES: Final = {"max_iter": 250, "learning_rate": 0.08, "min_samples_leaf": 50}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Judged cycles of some cells.

    Args:
        cell: ``(n,)`` index of the cell. row: ``(n,)`` its row among the cell's summaries.
        cycle: ``(n,)``. label: ``(n,)`` 1 failed so within the horizon, 0 did not, −1 unknown.
    """

    cell: NDArray[np.int64]
    row: NDArray[np.int64]
    cycle: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        return Rows(self.cell[chosen], self.row[chosen], self.cycle[chosen], self.label[chosen])


def judged_rows(cells: Sequence[CellSequence], every: int = EVERY) -> Rows:
    """Cycles at which a cell is known alive, one in ``every``; what is unknown is left out.

    A failure between two check-ups counts where the whole interval lies on one side of the horizon.
    """
    parts = []
    for index, cell in enumerate(cells):
        count, life = cell.summaries.cycle_count, cell.life
        row = np.flatnonzero((count % every == 0) & (count <= life.after))
        until = count[row] + HORIZON
        label = np.where(life.after >= until, 0, -1)
        within = life.failed & (life.until <= until)
        label = np.where(within, int(life.cause in PRESSURE_CAUSES), label)
        parts.append((np.full(len(row), index), row, count[row], label))
    rows = Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return rows.take(rows.label >= 0)


def kind(cell: CellSequence) -> tuple[str, str, str]:
    """What is declared of a cell's kind: anode, build tier, kind of protocol."""
    notes = cell.metadata.notes
    return cell.spec.anode, notes["tier"], notes["protocol"].split()[0]


def by_kind(train: Sequence[CellSequence], test: Sequence[CellSequence], rows: Rows) -> Array:
    """Aalen–Johansen among training cells of the same kind that lived as long."""
    curves = {}
    for wanted in {kind(cell) for cell in train}:
        lives = [cell.life for cell in train if kind(cell) == wanted]
        time = np.array([life.cycle for life in lives])
        cause = np.array([-1 if life.cause is None else CAUSES.index(life.cause) for life in lives])
        alive = survival.kaplan_meier(time, cause >= 0)
        curves[wanted] = (alive, survival.aalen_johansen(time, cause, len(CAUSES)))
    out = np.zeros(len(rows))
    kinds = [kind(cell) for cell in test]
    for i, (cell, cycle) in enumerate(zip(rows.cell, rows.cycle, strict=True)):
        alive, incidence = curves[kinds[cell]]
        ahead = incidence.at([cycle + HORIZON])[0] - incidence.at([cycle])[0]
        out[i] = ahead[list(_PRESSURE)].sum() / max(float(alive.at([cycle])[0]), 1e-9)
    return out


def features(cell: CellSequence, row: NDArray[np.int64], what: str) -> NDArray[np.float32]:
    """``(n, features)`` of an opponent: ``design``, ``current`` or ``history``."""
    if what == "history":
        return cycle_features(cell)[row]
    age = np.log1p(cell.summaries.cycle_count[row])[:, None]
    declared = np.tile(encode_design(cell.spec), (len(row), 1))
    parts = [age, declared]
    if what == "current":
        s = cell.summaries[row]
        values = np.where(s.observed, s.values, np.nan)
        curves = values[:, :_CURVES].reshape(len(row), _PAIRS * 2, 2).sum(2)
        parts += [values[:, _SCALARS], curves]
    return np.concatenate(parts, axis=1).astype(np.float32)


def hidden_truth(store: Path, cells: Sequence[CellSequence]) -> dict[str, NDArray[np.float32]]:
    """Hidden states after every cycle ``(n, states)``, by cell; for the ceiling alone."""
    wanted = {cell.cell_id for cell in cells}
    return {name: states for name, _, states in hidden_states(store) if name in wanted}


def stacked(
    cells: Sequence[CellSequence], rows: Rows, what: str,
    hidden: dict[str, NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Features of all rows, in their order; with the hidden states where they are given."""
    parts = []
    for index, cell in enumerate(cells):
        row = rows.row[rows.cell == index]
        if len(row):
            part = features(cell, row, what)
            if hidden is not None:
                cycles = cell.summaries.cycle_count[row]
                part = np.concatenate([part, hidden[cell.cell_id][cycles - 1]], axis=1)
            parts.append(part)
    return np.concatenate(parts)


def boosted(
    train: NDArray[np.float32], label: NDArray[np.int64], test: NDArray[np.float32], seed: int
) -> Array:
    """Probability by gradient boosting; early stopping would need cells that train nothing."""
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **_TREES)
    seen = np.isfinite(train).any(0)
    model.fit(train[:, seen], label)
    return np.asarray(model.predict_proba(test[:, seen])[:, 1], np.float64)
