"""A made-up fleet: lives by four causes, some censored; forecasts that grow sharper with age."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from fadecast.cell.life import CAUSES, Life
from fadecast.forecast.forecast import EDGES, HORIZONS, LONGEST, QUANTILES, Forecasts

CAUSE_SHARES = (0.5, 0.2, 0.2, 0.1)


class Fleet(NamedTuple):
    """Forecasts and lives by cell."""

    forecasts: dict[str, Forecasts]
    lives: dict[str, Life]


def make_fleet(cells: int = 40, seed: int = 0, censored: float = 0.3, every: int = 1) -> Fleet:
    """A fleet whose forecasts are calibrated: the true life is drawn from what is forecast."""
    rng = np.random.default_rng(seed)
    fleet = Fleet({}, {})
    for i in range(cells):
        life = float(np.clip(rng.weibull(2.2) * 700, 60, 2500).round())
        cause = int(rng.choice(len(CAUSES), p=CAUSE_SHARES))
        last = float(rng.integers(30, int(life))) if rng.random() < censored else life
        count = np.arange(1, int(last) + 1, every)
        name = f"cell-{i + 1:03d}"
        fleet.forecasts[name] = _forecast(rng, count, life, cause)
        lost = last < life
        fleet.lives[name] = (
            Life(last, np.inf, None) if lost else Life(life - 1, life, CAUSES[cause])
        )
    return fleet


def _forecast(rng: np.random.Generator, count: np.ndarray, life: float, cause: int) -> Forecasts:
    left = np.maximum(life - count, 0.5)
    spread = 0.12 + 0.28 * np.clip(left / life, 0, 1)
    noise = rng.normal() + 0.1 * np.cumsum(rng.normal(size=len(count))) / np.sqrt(len(count))
    median = left * np.exp(spread * noise)
    lives = stats.lognorm(spread[:, None], scale=median[:, None])
    known = np.clip(1 - left / life, 0, 1)[:, None] ** 0.5
    share = (1 - known) * np.array(CAUSE_SHARES) + known * np.eye(len(CAUSES))[cause]
    incidence = share[:, :, None] * lives.cdf(np.array(EDGES[1:], float))[:, None, :]
    risk = share[:, :, None] * lives.cdf(np.array(HORIZONS, float))[:, None, :]
    total = risk.sum(axis=1, keepdims=True)
    risk = np.concatenate([risk, risk[:, 1:].sum(axis=1, keepdims=True), total], axis=1)
    age = count / life
    soh = 1.02 - 0.12 * age - 0.1 * age**7 + 0.002 * rng.normal(size=len(count))
    single = np.float32
    return Forecasts(
        count.astype(np.int64),
        np.minimum(lives.ppf(np.array(QUANTILES)), LONGEST).astype(single),
        risk.astype(single), incidence.astype(single), soh.astype(single),
        np.abs(0.3 + 0.2 * rng.normal() + 0.05 * rng.normal(size=len(count))).astype(single),
        np.ones(len(count), bool), *np.zeros((2, len(count), 0), single),
    )  # fmt: skip
