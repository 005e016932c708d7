"""Risks after every cycle, as a vehicle hears them: what alarms come of."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks import _trees
from benchmarks._alarms import AHEAD
from benchmarks._cells import VIEWS, Array, Cells, Rows, Table, hidden_truth, seen_by
from benchmarks._contest import BUNDLES, NETWORKS, TREES, TRUTH, Contest
from benchmarks._networks import Forecast, heard_always
from benchmarks._stages import Arrays
from fadecast.forecast.forecast import HORIZONS

NOW: Final = HORIZONS.index(AHEAD)
"""Of the horizons, the one of alarms."""
_HERE: Final = "benchmarks/_watch.py"
_HISTORY: Final = VIEWS[-1]


def heard(contest: Contest, network: Forecast, given: str) -> list[Array]:
    """``(n, HORIZONS)`` what ours says after every cycle of validation and of test cells.

    Args:
        given: what names ``network``.
    """
    parts = {
        "held": (contest.held_cells, contest.every_held), "test": (contest.test, contest.every),
    }  # fmt: skip
    return [
        contest.kept(f"heard_{name}", (_HERE, *BUNDLES),
                     lambda c=cells, r=rows: heard_always(network, c, r), given=given)["risk"]
        for name, (cells, rows) in parts.items()
    ]  # fmt: skip


def opponents(contest: Contest) -> dict[str, Array]:
    """``(n,)`` risk within ``AHEAD`` cycles after every cycle, by opponent."""
    blind = contest.kept(
        "heard_blind", (_HERE, *NETWORKS),
        lambda: heard_always(contest.blind(), contest.test.without_pressure(), contest.every),
        given=f"{contest.config.network} {contest.config.training}",
    )["risk"][:, NOW]  # fmt: skip
    trees, truth_trees = (
        contest.kept(f"heard_{name}", (_HERE, *TREES), lambda k=knows: boosted(contest, truth=k),
                     given=f"{contest.parameters} {AHEAD}")["risk"]
        for name, knows in (("trees", False), ("truth_trees", True))
    )  # fmt: skip
    return {"network_blind": blind, "trees_history": trees, TRUTH[0]: truth_trees}


def boosted(contest: Contest, *, truth: bool) -> Arrays:
    """Gradient boosting of the history, fitted to the risk that alarms are about.

    Args:
        truth: whether it knows the hidden truth too.
    """
    known, rows, test = contest.known, contest.every, contest.test
    label = known.within(AHEAD)
    x = contest.learnt[_HISTORY]
    hidden = None
    if truth:
        x = np.concatenate([x, hidden_truth(contest.learn, known)], axis=1)
        hidden = hidden_truth(test, rows)
    some = _trees.known_rows(label, contest.effort.tree_rows)
    model = _trees.classifier(x[some], label[some], contest.parameters)
    del x
    return {"risk": asked(model, test, rows, hidden)}


def asked(model: _trees.Classifier, cells: Cells, rows: Rows, hidden: Table | None) -> Array:
    """``(n,)`` what a model of the history says after every cycle."""
    risk = np.zeros(len(rows))
    for cell, start, end in zip(cells, rows.bounds[:-1], rows.bounds[1:], strict=True):
        if end > start:
            x = seen_by(cell, rows.row[start:end], _HISTORY)
            x = x if hidden is None else np.concatenate([x, hidden[start:end]], axis=1)
            risk[start:end] = model(x)
    return risk
