"""Gradient boosting: the risk by classification, the cycles left by a median regression.

One set of hyper-parameters, found on validation designs, serves every view of the cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmarks import _common
from benchmarks._cells import Array, Rows, Table
from benchmarks._stages import Arrays, say
from fadecast.forecast import metrics, survival

SPACE: Final[dict[str, tuple[float, float]]] = {
    "learning_rate": (0.02, 0.3),
    "max_iter": (0.2, 1.0),  # of the most iterations
    "max_leaf_nodes": (7, 127),
    "min_samples_leaf": (20, 500),
    "l2_regularization": (1e-3, 30.0),
    "max_features": (0.15, 1.0),
}
"""Ranges that are searched, evenly in the logarithm."""
_COUNTS: Final = ("max_iter", "max_leaf_nodes", "min_samples_leaf")
_START: Final = (0.08, 0.8, 31.0, 50.0, 1e-3, 1.0)
"""The first trial: what was used before anything was searched."""
_MOST_WEIGHT: Final = 2.0


def tuned(
    x: Table,
    label: NDArray[np.int64],
    held: NDArray[np.bool_],
    trials: int,
    most: int,
    iterations: int,
) -> dict[str, NDArray[Any]]:
    """Trials of hyper-parameters, each fitted to training rows and judged on ``held`` rows.

    Args:
        x: ``(n, features)``. label: ``(n,)`` −1 where not known. held: ``(n,)``.
        trials: how many. most: rows to fit; a third of that to judge. iterations: the most.

    Returns:
        ``trials (trials, parameters)`` in the order of ``SPACE``, ``auroc (trials,)``.
    """
    draw = np.random.default_rng(0)
    fit, judge = (
        np.sort(draw.permutation(np.flatnonzero((label >= 0) & part))[:count])
        for part, count in ((~held, most), (held, most // 3))
    )
    low, high = np.log(np.array(list(SPACE.values())).T)
    tried = np.exp(low + (high - low) * draw.random((trials, len(SPACE))))
    tried[0] = _START
    tried[:, list(SPACE).index("max_iter")] *= iterations
    found = []
    for number, values in enumerate(tried):
        risk = risk_by(x[fit], label[fit], x[judge], named(values))
        found.append(metrics.auroc(label[judge], risk))
        say(f"trial {number + 1} of {trials}: {found[-1]:.4f}")
    return {"trials": tried, "auroc": np.array(found)}


def named(values: NDArray[np.float64]) -> dict[str, Any]:
    """One trial as keywords."""
    pairs = zip(SPACE, values.tolist(), strict=True)
    return {name: round(v) if name in _COUNTS else v for name, v in pairs}


def chosen(tuning: Arrays) -> dict[str, Any]:
    """The parameters of the best trial; a trial that nothing decided is none."""
    auroc = np.nan_to_num(tuning["auroc"], nan=0.0)
    return named(tuning["trials"][int(np.argmax(auroc))])


def show(tuning: Arrays) -> None:
    """Print the trials."""
    print("\nGradient boosting: trials on validation designs")
    rows = [
        [str(number), f"{auroc:.4f}", *(f"{value:.3g}" for value in named(values).values())]
        for number, (values, auroc) in enumerate(
            zip(tuning["trials"], tuning["auroc"], strict=True), 1
        )
    ]
    _common.table(["trial", "AUROC", *SPACE], rows)


def boosted(
    train: Table, known: Rows, test: Table, parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Risk and median of the cycles left after every row of ``test``."""
    label = known.label
    risk = risk_by(train[label >= 0], label[label >= 0], test, parameters)
    target, weight = lives_left(known)
    use = weight > 0
    # Weights make scikit-learn bin by weighted quantiles, which takes minutes; often all are 1.
    given = weight[use] if np.ptp(weight[use]) > 0 else None
    seen = np.isfinite(train).any(0)
    model = HistGradientBoostingRegressor(
        loss="quantile", quantile=0.5, early_stopping=False, random_state=0, **parameters
    )
    model.fit(train[use][:, seen], np.log(target[use]), given)
    return {"risk": risk, "left": np.exp(model.predict(test[:, seen]))}


def risk_by(
    train: Table, label: NDArray[np.int64], test: Table, parameters: Mapping[str, Any]
) -> Array:
    """Probability by gradient boosting; early stopping would need cells that train nothing."""
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0, **parameters)
    seen = np.isfinite(train).any(0)
    model.fit(train[:, seen], label)
    if len(model.classes_) < 2:
        return np.full(len(test), float(model.classes_[0]))
    return np.asarray(model.predict_proba(test[:, seen])[:, 1], np.float64)


def lives_left(rows: Rows) -> tuple[Array, Array]:
    """What a median regression is fitted to: cycles left ``(n,)`` and weights ``(n,)``.

    Lives are counted up to τ, the longest to which enough cells were followed: the median of
    min(T, τ) is that of T where it lies below τ. A cell that failed, or was followed to τ, is seen
    and also stands for the like ones that were lost before (``survival.ipcw``).
    """
    followed = survival.censoring(rows.time, rows.failed)
    enough = followed.before(rows.time) >= 1 / _MOST_WEIGHT
    end = rows.time[enough].max()
    cell = rows.cell
    weight = survival.ipcw(rows.time[cell], rows.failed[cell], end, followed, rows.cycle)
    left = np.minimum(rows.time[cell], end) - rows.cycle
    return np.maximum(left, 1.0), np.where(left > 0, weight, 0.0)
