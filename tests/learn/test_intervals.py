"""Conformal intervals: they hold the share of lives they promise, censored or not, by anode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from crepes import ConformalRegressor

from fadecast.cell.design import N_DESIGN
from fadecast.forecast.forecast import EDGES, QUANTILES
from fadecast.learn.calibrate import ENOUGH, fit_intervals
from fadecast.network.calibration import ANODE, FARTHEST, STRETCH
from fadecast.network.forecaster import Forecaster, ForecasterConfig

ROWS = 20_000
SLOW, NEW = ANODE[0], ANODE[1]


def told(rows: int) -> torch.Tensor:
    """Hazards that say: a constant one, half of all lives end within 200 cycles."""
    log_survive = -torch.tensor(np.diff(EDGES), dtype=torch.float32) * np.log(2) / 200
    leaves = torch.log(-torch.expm1(log_survive))
    rows_of = torch.stack([leaves, leaves - 40, leaves - 40, leaves - 40, log_survive], 1)
    return rows_of.expand(rows, -1, -1)


def lives(seed: int, factor: float, rows: int) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    return torch.tensor(draw.exponential(factor * 200 / np.log(2), rows), dtype=torch.float32)


def fitted(
    time: torch.Tensor, ends: torch.Tensor, design: torch.Tensor, cell: torch.Tensor | None = None
) -> Forecaster:
    forecaster = Forecaster(ForecasterConfig(hidden=8))
    failed = time <= ends
    seen = torch.where(failed, time, ends)
    until = torch.where(failed, time, torch.inf)
    fit_intervals(
        forecaster, told(len(time)), (seen - 1).clamp(min=0) * failed + seen * ~failed, until,
        failed, design, torch.arange(len(time)) if cell is None else cell,
    )  # fmt: skip
    return forecaster


def levels_of(forecaster: Forecaster, design: torch.Tensor) -> torch.Tensor:
    return forecaster.intervals(design, torch.zeros(len(design), 1))


def coverage(forecaster: Forecaster, time: torch.Tensor, design: torch.Tensor) -> list[float]:
    """Share of lives below each quantile, read as a forecast is."""
    levels = levels_of(forecaster, design)
    rul, _, _ = forecaster.readout(told(len(time)), levels)
    return [float((time <= rul[:, i]).float().mean()) for i in range(len(QUANTILES))]


def test_quantiles_of_wrong_hazards_come_to_hold_what_they_promise() -> None:
    """Lives are twice as long as told, and a third are censored at random."""
    design = torch.zeros(ROWS, N_DESIGN)
    time = lives(1, 2.0, ROWS)
    before = coverage(Forecaster(ForecasterConfig(hidden=8)), time, design)
    assert max(abs(c - q) for c, q in zip(before, QUANTILES, strict=True)) > 0.1
    forecaster = fitted(time, lives(2, 4.0, ROWS), design)
    after = coverage(forecaster, lives(3, 2.0, ROWS), design)
    np.testing.assert_allclose(after, QUANTILES, atol=0.02)


def test_uncensored_levels_are_the_empirical_quantiles() -> None:
    design, time = torch.zeros(ROWS, N_DESIGN), lives(1, 1.3, ROWS)
    forecaster = fitted(time, torch.full((ROWS,), 1e9).clamp(max=1e9), design)
    spent = np.minimum(time.numpy(), EDGES[-1]) * np.log(2) / 200
    wanted = np.quantile(spent, QUANTILES, method="higher")
    np.testing.assert_allclose(levels_of(forecaster, design[:1])[0], wanted, rtol=1e-3)


@pytest.mark.parametrize("cells", [97, 250, 1002])
def test_levels_are_those_of_an_independent_library(cells: int) -> None:
    """Mondrian split conformal prediction, the hazard used up being the score: upper quantiles as
    they are, lower ones as upper ones of its inverse."""
    design = torch.zeros(2 * cells, N_DESIGN)
    design[:cells, SLOW] = design[cells:, NEW] = 1
    anode = (design[:, NEW] > 0).numpy().astype(int)
    time = lives(1, 1.0, 2 * cells) * torch.where(design[:, SLOW] > 0, 0.5, 0.2)
    forecaster = fitted(time, torch.full((2 * cells,), 1e9), design)
    spent = time.numpy().astype(np.float64) * np.log(2) / 200
    for i, quantile in enumerate(QUANTILES):
        sign = -1 if quantile < 0.5 else 1
        theirs = ConformalRegressor().fit(spent**sign, bins=anode)
        score = theirs.predict_int(
            np.zeros(2), bins=np.arange(2), confidence=max(quantile, 1 - quantile)
        )
        ours = levels_of(forecaster, design[[0, -1]])[:, i].numpy()
        if quantile == 0.5:  # not corrected: one of the two neighbours
            wanted = [np.quantile(spent[anode == a], 0.5) for a in range(2)]
            np.testing.assert_allclose(ours, wanted, rtol=5 / cells)
        else:
            np.testing.assert_allclose(ours, score[:, 1] ** sign, rtol=1e-4)


def test_cells_are_counted_and_not_their_rows() -> None:
    cells, repeats = 97, 20
    once, design = lives(1, 1.0, cells), torch.zeros(cells, N_DESIGN)
    many, ends = once.repeat_interleave(repeats), torch.full((cells * repeats,), 1e9)
    rows, cell = design.repeat_interleave(repeats, 0), torch.arange(cells)
    single = fitted(once, ends[:cells], design).intervals.common
    told_apart = fitted(many, ends, rows, cell.repeat_interleave(repeats)).intervals.common
    taken_for_cells = fitted(many, ends, rows).intervals.common
    np.testing.assert_allclose(told_apart, single)
    assert taken_for_cells[0] > single[0]
    assert taken_for_cells[-1] < single[-1]


def test_anodes_have_their_own_unless_too_few_failed() -> None:
    design = torch.zeros(ROWS, N_DESIGN)
    design[::2, SLOW] = 1.0
    design[1 : 2 * ENOUGH - 2 : 2, NEW] = 1.0
    time = lives(1, 1.0, ROWS) * torch.where(design[:, SLOW] > 0, 3.0, 1.0)
    forecaster = fitted(time, torch.full((ROWS,), 1e9), design)
    own = design[:, SLOW] > 0
    fresh = lives(4, 1.0, ROWS) * torch.where(own, 3.0, 1.0)
    held = coverage(forecaster, fresh[own], design[own])
    np.testing.assert_allclose(held, QUANTILES, atol=0.02)
    assert not forecaster.intervals.by_anode[NEW].any()
    assert (levels_of(forecaster, design).diff(dim=1) > 0).all()


def test_novelty_stretches_and_nothing_before_it_does() -> None:
    intervals = Forecaster(ForecasterConfig(hidden=8)).intervals
    intervals.by_anode[SLOW] = torch.tensor([-0.02, 0.0, 0.1, 0.2, 0.3])
    novelty = torch.tensor([0.0, 0.5, 1.0, 1.01, 1.3, 1.6, FARTHEST, 50.0])[:, None]
    design = torch.zeros(len(novelty), N_DESIGN)
    design[:, SLOW] = 1
    levels = intervals(design, novelty)
    assert (levels[:3] == intervals.common + intervals.by_anode[SLOW]).all()
    assert (levels > 0).all()
    assert (levels.diff(dim=1) > 0).all()
    low, middle, high = levels[2:, :2], levels[:, 2], levels[2:, 3:]
    assert (low.diff(dim=0)[:-1] < 0).all()
    assert (high.diff(dim=0)[:-1] > 0).all()
    assert (middle == middle[0]).all()
    assert torch.equal(levels[-1], levels[-2])
    np.testing.assert_allclose(levels[-1] / levels[0], STRETCH, rtol=1e-5)


def test_what_censoring_hides_keeps_its_nominal_place() -> None:
    """All cells are taken off test early: nothing is known of the late quantiles."""
    design, time = torch.zeros(ROWS, N_DESIGN), lives(1, 1.0, ROWS)
    nominal = Forecaster(ForecasterConfig(hidden=8)).intervals.common.clone()
    forecaster = fitted(time, torch.full((ROWS,), 100.0), design)
    late = torch.tensor(QUANTILES) > 0.4
    assert torch.equal(forecaster.intervals.common[late], nominal[late])
