"""Gradient boosting: the risk by classification, the cycles left by a median regression.

One set of hyper-parameters, found on validation designs by Optuna's tree-structured Parzen
estimator, serves every view of the cells. scikit-learn copies what it is given in double precision,
so a model is fitted to a bounded number of rows, drawn evenly, and asked for some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmarks import _common
from benchmarks._cells import Array, Rows, Table, sampled
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
_START: Final[dict[str, float]] = {
    "learning_rate": 0.08, "max_iter": 0.8, "max_leaf_nodes": 31, "min_samples_leaf": 50,
    "l2_regularization": 1e-3, "max_features": 1.0,
}  # fmt: skip
"""The first trial: what was used before anything was searched."""
_MOST_WEIGHT: Final = 2.0
_AT_ONCE: Final = 50_000
"""Rows of which a model is asked at once."""

Classifier = Callable[[Table], Array]
"""``(n, features)`` → ``(n,)`` probability."""


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
        ``trials (trials, parameters)`` in the order of ``SPACE``, ``auroc (trials,)``, NaN where
        nothing is decided.
    """
    draw = np.random.default_rng(0)
    fit, judge = (
        sampled((label >= 0) & part, count, draw)
        for part, count in ((~held, most), (held, most // 3))
    )
    fitted, asked = x[fit], x[judge]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(_START | {"max_iter": round(_START["max_iter"] * iterations)})
    tried, found = [], []
    for number in range(1, trials + 1):
        trial = study.ask(ranges(iterations))
        risk = risk_by(fitted, label[fit], asked, trial.params)
        auroc = metrics.auroc(label[judge], risk)
        study.tell(trial, float(np.nan_to_num(auroc, nan=0.0)))
        tried.append([trial.params[name] for name in SPACE])
        found.append(auroc)
        say(f"trial {number} of {trials}: {auroc:.4f}")
    return {"trials": np.array(tried, np.float64), "auroc": np.array(found)}


def ranges(iterations: int) -> dict[str, BaseDistribution]:
    """``SPACE`` for Optuna, with so many iterations at most."""
    scale = {"max_iter": iterations}
    found: dict[str, BaseDistribution] = {}
    for name, (low, high) in SPACE.items():
        low, high = (end * scale.get(name, 1) for end in (low, high))
        found[name] = (
            IntDistribution(round(low), round(high), log=True)
            if name in _COUNTS
            else FloatDistribution(low, high, log=True)
        )
    return found


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
    print("\nGradient boosting: Optuna's trials on validation designs")
    rows = [
        [str(number), f"{auroc:.4f}", *(f"{value:.3g}" for value in named(values).values())]
        for number, (values, auroc) in enumerate(
            zip(tuning["trials"], tuning["auroc"], strict=True), 1
        )
    ]
    _common.table(["trial", "AUROC", *SPACE], rows)


def boosted(
    train: Table, known: Rows, test: Table, parameters: Mapping[str, Any], most: int
) -> dict[str, Array]:
    """Risk and median of the cycles left after every row of ``test``.

    Either model is fitted to at most ``most`` of the rows that tell it something.
    """
    rows = known_rows(known.label, most)
    risk = risk_by(train[rows], known.label[rows], test, parameters)
    target, weight = lives_left(known)
    rows = sampled(weight > 0, most, np.random.default_rng(0))
    # Weights make scikit-learn bin by weighted quantiles, which takes minutes; often all are 1.
    given = weight[rows] if np.ptp(weight[rows]) > 0 else None
    part = train[rows]
    seen = np.isfinite(part).any(0)
    part = part[:, seen]
    model = HistGradientBoostingRegressor(
        loss="quantile", quantile=0.5, early_stopping=False, random_state=0, **parameters
    )
    model.fit(part, np.log(target[rows]), given)
    return {"risk": risk, "left": np.exp(_asked(model.predict, test, seen))}


def known_rows(label: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Rows whose ``label`` is known, ``most`` of them at most, drawn evenly."""
    return sampled(label >= 0, most, np.random.default_rng(0))


def risk_by(
    train: Table, label: NDArray[np.int64], test: Table, parameters: Mapping[str, Any]
) -> Array:
    """Probability by gradient boosting; early stopping would need cells that train nothing."""
    return classifier(train, label, parameters)(test)


def classifier(train: Table, label: NDArray[np.int64], parameters: Mapping[str, Any]) -> Classifier:
    """Probabilities of ``(n, features)``, by gradient boosting fitted to rows and their labels."""
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0, **parameters)
    seen = np.isfinite(train).any(0)
    train = train[:, seen]  # what was given is large, and may now be let go
    model.fit(train, label)
    if len(model.classes_) < 2:
        return lambda test: np.full(len(test), float(model.classes_[0]))
    return lambda test: _asked(lambda x: model.predict_proba(x)[:, 1], test, seen)


def _asked(predict: Callable[[Table], Array], test: Table, seen: NDArray[np.bool_]) -> Array:
    """``(n,)`` what a model says of the ``seen`` columns of ``test``, some rows at a time."""
    starts = range(0, len(test), _AT_ONCE)
    parts = [predict(test[start : start + _AT_ONCE, seen]) for start in starts]
    return np.concatenate(parts).astype(np.float64)


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
