"""The regressors behind the baselines: each row of a table is one of them.

``EARLY``: from ΔQ(V) between cycles 10 and 100 to log10 life (Severson et al., Nat. Energy 2019,
10.1038/s41560-019-0356-8; Attia et al., J. Electrochem. Soc. 2021, 10.1149/1945-7111/ac2704).
``ANY_CYCLE``: from one cycle with its history to the square root of the remaining life.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNetCV, LinearRegression, RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

Array = NDArray[np.float64]
Build = Callable[[Array, Array, int], Any]
"""``(x, y, seed) → fitted estimator``: hyper-parameters are chosen by cross-validation in x, y."""

_L1_RATIOS: Final = (0.1, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0)
FOLDS: Final = 5
"""Parts of a cross-validation; folds follow the order of the cells, as in the publication."""


def _ridge(x: Array, y: Array, seed: int) -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 33))).fit(x, y)


def _elastic_net(x: Array, y: Array, seed: int) -> Any:
    net = ElasticNetCV(l1_ratio=_L1_RATIOS, cv=FOLDS, max_iter=20_000, tol=1e-3)
    return make_pipeline(StandardScaler(), net).fit(x, y)


def _pcr(x: Array, y: Array, seed: int) -> Any:
    def model(n: int) -> Any:
        return make_pipeline(StandardScaler(), PCA(n), LinearRegression())

    return _best(model, x, y).fit(x, y)


def _plsr(x: Array, y: Array, seed: int) -> Any:
    def model(n: int) -> Any:
        return make_pipeline(StandardScaler(), PLSRegression(n))

    return _best(model, x, y).fit(x, y)


def _best(model: Callable[[int], Any], x: Array, log_life: Array) -> Any:
    """The number of components with the least cross-validated error of the life in cycles."""
    most = min(20, x.shape[1], int(len(x) * (1 - 1 / FOLDS)) - 1)
    life = 10**log_life
    folds = KFold(FOLDS)
    errors = [
        np.mean((cross_val_predict(model(n), x, life, cv=folds).ravel() - life) ** 2)
        for n in range(1, most + 1)
    ]
    return model(int(np.argmin(errors)) + 1)


def _forest(x: Array, y: Array, seed: int) -> Any:
    return RandomForestRegressor(500, max_features="sqrt", random_state=seed).fit(x, y)


def _boosting(x: Array, y: Array, seed: int) -> Any:
    return HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=5, random_state=seed
    ).fit(x, y)


def log_variance(difference: Array) -> Array:
    """``(n, 1)`` log10 of the variance of ΔQ(V) along ``(n, n_voltages)``."""
    return np.asarray(np.log10(np.maximum(difference.var(axis=1, keepdims=True), 1e-12)))


def _identity(difference: Array) -> Array:
    return difference


EARLY: Final[dict[str, tuple[Callable[[Array], Array], Build]]] = {
    "variance": (log_variance, _elastic_net),
    "ridge": (_identity, _ridge),
    "elastic_net": (_identity, _elastic_net),
    "pcr": (_identity, _pcr),
    "plsr": (_identity, _plsr),
    "random_forest": (_identity, _forest),
    "hist_gradient_boosting": (_identity, _boosting),
}
"""Features of ΔQ(V) and regressor of log10 life, by name."""


def _any_linear(x: Array, y: Array, seed: int) -> Any:
    net = ElasticNetCV(l1_ratio=0.5, alphas=20, cv=FOLDS, max_iter=2_000, tol=1e-2)
    return _robust(net).fit(x, y)


def _any_plsr(x: Array, y: Array, seed: int) -> Any:
    return _robust(PLSRegression(8)).fit(x, y)


def _robust(model: BaseEstimator) -> Any:
    """Linear models blow up on outliers, so features are cut at five standard deviations."""
    cut = FunctionTransformer(np.clip, kw_args={"a_min": -5.0, "a_max": 5.0})
    return make_pipeline(SimpleImputer(), StandardScaler(), cut, model)


def _any_forest(x: Array, y: Array, seed: int) -> Any:
    forest = RandomForestRegressor(
        100, min_samples_leaf=5, max_features=0.33, n_jobs=-1, random_state=seed
    )
    return forest.fit(x, y)


def _any_boosting(x: Array, y: Array, seed: int) -> Any:
    return HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, early_stopping=False, random_state=seed
    ).fit(x, y)


ANY_CYCLE: Final[dict[str, Build]] = {
    "elastic_net": _any_linear,
    "plsr": _any_plsr,
    "random_forest": _any_forest,
    "hist_gradient_boosting": _any_boosting,
}
"""Regressor of the square root of the remaining life from ``cycle_features``, by name."""
