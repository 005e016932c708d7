"""Cox models of the remaining life at landmarks, on the main directions of the history.

Every row is a cell that was alive at its cycle; time runs from there (van Houwelingen,
Scand. J. Statist. 34, 70, 2007, 10.1111/j.1467-9469.2006.00529.x). One model is of a failure by any
cause, one of a pressure-related one with the other causes as censoring; together they give the
incidence (Prentice et al., Biometrics 34, 541, 1978, 10.2307/2530374).
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from benchmarks._cells import HORIZON, Array, Rows, Table, sampled, standard
from fadecast.cell.design import N_DESIGN

COMPONENTS: Final = 24
PENALTY: Final = 0.01
_CUT: Final = 5.0
"""Standard deviations at which a feature is cut: linear models blow up on outliers."""
_AT_ONCE: Final = 50_000
"""Rows that are reduced at once: on the way they are held several times in double precision."""


class Reduced:
    """History features ``(n, ·)`` as standardised main directions, and its last ones: the share of
    the permitted pressure, the age, the design."""

    def __init__(self, train: Table, components: int = COMPONENTS) -> None:
        self.centre, self.scale = standard(train)
        scaled = self._scaled(train)
        self.pca = PCA(min(components, *scaled.shape), svd_solver="covariance_eigh").fit(scaled)

    def _scaled(self, x: Table) -> Array:
        scaled = (x - self.centre) * self.scale
        return np.asarray(np.clip(np.nan_to_num(scaled), -_CUT, _CUT))

    def __call__(self, x: Table) -> Array:
        scaled = self._scaled(x)
        last = slice(-2 - N_DESIGN, None)
        declared, varied = scaled[:, last], self.scale[last] > 0
        main = self.pca.transform(scaled) / np.sqrt(self.pca.explained_variance_ + 1e-12)
        return np.concatenate([main, declared[:, varied]], axis=1)


def cox(train: Table, known: Rows, test: Table, most: int) -> dict[str, Array]:
    """Risk and median of the cycles left; at most ``most`` rows are fitted to."""
    rows = sampled(known.left > 0, most, np.random.default_rng(0))
    reduced = Reduced(train[rows])
    x, time = reduced(train[rows]), known.left[rows]
    starts = range(0, len(test), _AT_ONCE)
    asked = np.concatenate([reduced(test[start : start + _AT_ONCE]) for start in starts])
    cell = known.cell[rows]
    hazards, logs = [], []
    for event in (known.failed[cell], known.by_pressure[cell]):
        model = _fitted(x, time, event)
        base = model.baseline_cumulative_hazard_
        hazards.append(base.iloc[:, 0].to_numpy())
        logs.append(np.asarray(model.predict_log_partial_hazard(asked)))
    return said(base.index.to_numpy(np.float64), *hazards, *logs)


def _fitted(x: Array, time: Array, event: NDArray[np.bool_]) -> Any:
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    with warnings.catch_warnings():  # a direction may be constant among the cells that failed
        warnings.simplefilter("ignore")
        return CoxPHFitter(penalizer=PENALTY).fit(
            frame.assign(time=time, event=event), "time", "event"
        )


def said(times: Array, any_: Array, pressure: Array, log_any: Array, log_pressure: Array) -> Any:
    """From hazards to what is said.

    Args:
        times: ``(t,)`` increasing. any_, pressure: ``(t,)`` cumulative hazards of the mean cell.
        log_any, log_pressure: ``(n,)`` logarithms of what each row multiplies them by.

    Returns:
        ``risk``, ``left``, each ``(n,)``; where half would not have failed, the last time.
    """
    near = times <= HORIZON
    factor = np.exp(log_any)[:, None]
    before = np.concatenate([[0.0], any_[near][:-1]]) if near.any() else np.zeros(0)
    steps = np.diff(pressure[near], prepend=0.0)
    risk = (np.exp(-factor * before) * steps).sum(1) * np.exp(log_pressure)
    at = np.searchsorted(any_, np.log(2) * np.exp(-log_any))
    left = np.maximum(times[np.minimum(at, len(times) - 1)], 1.0)
    return {"risk": np.clip(risk, 0.0, 1.0), "left": left}
