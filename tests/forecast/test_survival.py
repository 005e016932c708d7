"""Estimators and metrics under censoring: by hand, against independent libraries, and laws."""

from __future__ import annotations

from typing import NamedTuple

import lifelines
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lifelines.utils import concordance_index
from scipy import stats
from torchsurv.metrics.auc import Auc
from torchsurv.metrics.brier_score import BrierScore
from torchsurv.metrics.cindex import ConcordanceIndex
from torchsurv.stats.ipcw import get_ipcw

from fadecast.errors import CheckError
from fadecast.forecast import metrics, survival

N = 40
times = arrays(float, N, elements=st.integers(1, 25).map(float))  # with many ties
causes = arrays(int, N, elements=st.integers(-1, 2))


class Sample(NamedTuple):
    """Lives without ties, half of them censored, and a risk that knows a little of them."""

    time: np.ndarray
    failed: np.ndarray
    risk: np.ndarray
    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def sample(seed: int, n: int = 120) -> Sample:
    rng = np.random.default_rng(seed)
    life, end = rng.exponential(100, n), rng.exponential(150, n)
    time, failed = np.minimum(life, end), life <= end
    risk = np.round(-np.log(life) + rng.normal(0, 1, n), 1)
    tensors = torch.tensor(time), torch.tensor(failed), torch.tensor(risk)
    return Sample(time, failed, risk, tensors)


# -- estimators ------------------------------------------------------------------------------------


def test_kaplan_meier_by_hand() -> None:
    curve = survival.kaplan_meier([1, 2, 2, 3, 5], [1, 1, 0, 0, 1])
    np.testing.assert_allclose(curve.at([0, 1, 2, 3, 4.9, 5, 9]), [1, 0.8, 0.6, 0.6, 0.6, 0, 0])
    np.testing.assert_allclose(curve.before([1, 2, 5]), [1, 0.8, 0.6])


@given(times, causes)
def test_kaplan_meier_equals_lifelines_and_scipy(time: np.ndarray, cause: np.ndarray) -> None:
    failed = cause >= 0
    curve = survival.kaplan_meier(time, failed)
    at = np.arange(0, 27, 0.5)
    theirs = lifelines.KaplanMeierFitter().fit(time, failed).predict(at)
    np.testing.assert_allclose(curve.at(at), theirs, atol=1e-12)
    data = stats.CensoredData(uncensored=time[failed], right=time[~failed])
    np.testing.assert_allclose(curve.at(at), stats.ecdf(data).sf.evaluate(at), atol=1e-12)


@given(times, causes)
def test_censoring_equals_torchsurv(time: np.ndarray, cause: np.ndarray) -> None:
    assume(np.any(cause >= 0))
    ours = survival.censoring(time, cause >= 0).at(time)
    theirs = get_ipcw(torch.tensor(cause >= 0), torch.tensor(time), torch.tensor(time)).numpy()
    held = theirs > 0
    np.testing.assert_allclose(1 / ours[held], theirs[held], rtol=1e-5)
    np.testing.assert_allclose(ours[~held], 0, atol=1e-12)


def test_aalen_johansen_by_hand() -> None:
    curve = survival.aalen_johansen([1, 2, 3, 4], [0, 1, -1, 0], 2)
    expected = [[0.25, 0.0], [0.25, 0.25], [0.25, 0.25], [0.75, 0.25]]
    np.testing.assert_allclose(curve.at([1, 2, 3, 4]), expected)


def test_aalen_johansen_equals_lifelines() -> None:
    rng = np.random.default_rng(1)  # without ties: lifelines breaks ties at random
    time, cause = rng.permutation(200) + 1.0, rng.integers(-1, 3, 200)
    ours = survival.aalen_johansen(time, cause, 3)
    for k in range(3):
        fit = lifelines.AalenJohansenFitter(calculate_variance=False)
        fit.fit(time, cause + 1, event_of_interest=k + 1)
        theirs = fit.cumulative_density_.iloc[:, 0]
        np.testing.assert_allclose(ours.at(theirs.index.to_numpy())[:, k], theirs, atol=1e-9)


@given(times, causes)
def test_causes_add_up_to_failure(time: np.ndarray, cause: np.ndarray) -> None:
    total = survival.aalen_johansen(time, cause, 3).value.sum(axis=1)
    np.testing.assert_allclose(total, 1 - survival.kaplan_meier(time, cause >= 0).value, atol=1e-12)


# -- weights ---------------------------------------------------------------------------------------


@given(times, causes, st.integers(1, 25))
def test_weighted_outcomes_give_the_estimators_back(
    time: np.ndarray, cause: np.ndarray, until: int
) -> None:
    """Satten & Datta: the weighted mean of "failed by t" is the non-parametric estimate at t."""
    followed = survival.censoring(time, cause >= 0)
    weight = survival.ipcw(time, cause >= 0, until, followed)
    assume(weight.any())
    assert weight.sum() == pytest.approx(N)
    failed = metrics.mean((time <= until) & (cause >= 0), weight)
    assert failed == pytest.approx(1 - survival.kaplan_meier(time, cause >= 0).at(until), abs=1e-9)
    incidence = survival.aalen_johansen(time, cause, 3).at(until)
    for k in range(3):
        hit = metrics.mean((time <= until) & (cause == k), weight)
        assert hit == pytest.approx(incidence[k], abs=1e-9)


@given(times, causes, st.integers(0, 10), st.integers(1, 15))
def test_weights_at_a_landmark_are_those_of_the_cells_at_risk_there(
    time: np.ndarray, cause: np.ndarray, entry: int, ahead: int
) -> None:
    failed = cause >= 0
    here = np.where(failed, time > entry, time >= entry)
    assume(here.any())
    whole = survival.ipcw(time, failed, entry + ahead, survival.censoring(time, failed), entry)[
        here
    ]
    left = time[here] - entry
    part = survival.ipcw(left, failed[here], ahead, survival.censoring(left, failed[here]))
    np.testing.assert_allclose(whole, part, rtol=1e-9)


def test_without_censoring_every_weight_is_one() -> None:
    time = np.arange(1.0, 9.0)
    followed = survival.censoring(time, np.ones(8))
    assert np.all(survival.ipcw(time, np.ones(8), 4, followed, 2) == 1)


def test_nobody_followed_decides_nothing() -> None:
    time, failed = [3.0, 5.0, 8.0], [1, 1, 0]  # the last one was let go at 8
    followed = survival.censoring(time, failed)
    assert survival.ipcw(time, failed, 8, followed).sum() == pytest.approx(3)
    assert not survival.ipcw(time, failed, 8.5, followed).any()


# -- concordance -----------------------------------------------------------------------------------


def test_concordance_by_hand() -> None:
    # Pairs: 1 before 2 won, 1 before 3 lost, 1 before 4 tied, 3 before 4 won; 2 was censored.
    assert survival.concordance([5, 1, 6, 5], [1, 2, 3, 4], [1, 0, 1, 1]) == 2.5 / 4
    # At one and the same time a failure comes before a censoring, and two failures are no pair.
    assert survival.concordance([2, 1], [7, 7], [1, 0]) == 1
    assert np.isnan(survival.concordance([2, 1], [7, 7], [1, 1]))
    assert np.isnan(survival.concordance([1, 2], [5, 6], [0, 1]))


@given(times, causes, arrays(float, N, elements=st.integers(0, 12).map(float)))
def test_harrell_equals_lifelines(time: np.ndarray, cause: np.ndarray, risk: np.ndarray) -> None:
    ours = survival.concordance(risk, time, cause >= 0)
    assume(not np.isnan(ours))
    assert ours == pytest.approx(concordance_index(time, -risk, cause >= 0), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("before", [np.inf, 80.0])
def test_uno_equals_torchsurv(seed: int, before: float) -> None:
    s = sample(seed)
    followed = survival.censoring(s.time, s.failed)
    ours = survival.concordance(s.risk, s.time, s.failed, followed=followed, before=before)
    time, failed, risk = s.tensors
    tmax = None if np.isinf(before) else torch.tensor(before)
    theirs = ConcordanceIndex()(
        risk, failed, time, weight=get_ipcw(failed, time).double(), tmax=tmax
    )
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_time_dependent_concordance_equals_torchsurv(seed: int) -> None:
    s = sample(seed, 60)
    rate = np.exp(s.risk)[:, None] * np.random.default_rng(seed).uniform(0.5, 2, (60, 60))
    predicted = 1 - np.exp(-rate * s.time[None, :] / 100)  # [j, i]: risk of j by the time i failed
    time, failed, _ = s.tensors
    theirs = ConcordanceIndex()(torch.tensor(predicted), failed, time)
    ours = survival.concordance(predicted.T, s.time, s.failed)
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@given(times, causes, arrays(float, N, elements=st.integers(-9, 9).map(float)))
def test_laws_of_concordance(time: np.ndarray, cause: np.ndarray, risk: np.ndarray) -> None:
    failed = cause >= 0
    value = survival.concordance(risk, time, failed)
    assume(not np.isnan(value))
    assert survival.concordance(np.exp(risk / 3), time, failed) == pytest.approx(value)
    assert survival.concordance(-risk, time, failed) == pytest.approx(1 - value)
    assert survival.concordance(risk[::-1], time[::-1], failed[::-1]) == pytest.approx(value)
    assert survival.concordance(np.tile(risk, (N, 1)), time, failed) == pytest.approx(value)
    assert survival.concordance(-(time + 0.5 * ~failed), time, failed) == 1


def test_uno_is_not_moved_by_censoring_as_harrell_is() -> None:
    """The risk sorts early failures well and late ones not at all; censoring hides the late."""
    rng = np.random.default_rng(3)
    life = rng.exponential(100, 3000)
    risk = np.where(life < 60, -life, rng.normal(-80, 20, 3000))
    truth = survival.concordance(risk, life, np.ones(3000), before=150)
    end = rng.exponential(70, 3000)
    time, failed = np.minimum(life, end), life <= end
    harrell = survival.concordance(risk, time, failed, before=150)
    followed = survival.censoring(time, failed)
    uno = survival.concordance(risk, time, failed, followed=followed, before=150)
    assert abs(uno - truth) < 0.02 < abs(harrell - truth)


# -- risk over time --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_dynamic_auroc_equals_torchsurv(seed: int) -> None:
    s = sample(seed)
    time, failed, risk = s.tensors
    at = torch.tensor([20.0, 50.0, 90.0], dtype=time.dtype)
    weight, weight_at = get_ipcw(failed, time), get_ipcw(failed, time, at)
    theirs = Auc()(risk, failed, time, weight=weight, new_time=at, weight_new_time=weight_at)
    followed = survival.censoring(s.time, s.failed)
    for t, expected in zip(at.numpy(), theirs.numpy(), strict=True):
        label = s.failed & (s.time <= t)
        ours = metrics.auroc(label, s.risk, survival.ipcw(s.time, s.failed, t, followed))
        assert ours == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_integrated_brier_equals_torchsurv(seed: int) -> None:
    s = sample(seed)
    time, failed, _ = s.tensors
    at = np.linspace(5, 120, 24)
    alive = np.exp(-np.exp(s.risk)[:, None] * at)
    theirs = BrierScore()
    new_time = torch.tensor(at)
    curve = theirs(
        torch.tensor(alive), failed, time, new_time=new_time, weight=get_ipcw(failed, time),
        weight_new_time=get_ipcw(failed, time, new_time),
    )  # fmt: skip
    ours = survival.brier_curve(1 - alive, s.time, np.where(s.failed, 0, -1), at)
    np.testing.assert_allclose(ours, curve.numpy(), atol=1e-5)
    assert survival.integrated_brier(ours, at) == pytest.approx(float(theirs.integral()), abs=1e-5)


@settings(max_examples=30)
@given(times, causes)
def test_brier_of_each_cause(time: np.ndarray, cause: np.ndarray) -> None:
    at = np.arange(1.0, time.max() + 1)
    for k in range(3):
        truth = ((cause == k) & (time <= at[:, None])).T.astype(float)
        perfect = survival.brier_curve(truth, time, cause, at, of=k)
        np.testing.assert_allclose(perfect, 0, atol=1e-12)
        # A forecast that says the same of each cell scores F (1 − F) when it is the estimate.
        incidence = survival.aalen_johansen(time, cause, 3).at(at)[:, k]
        curve = survival.brier_curve(np.tile(incidence, (N, 1)), time, cause, at, of=k)
        np.testing.assert_allclose(curve, incidence * (1 - incidence), atol=1e-9)


def test_brier_stops_where_nobody_was_followed() -> None:
    curve = survival.brier_curve(np.full((3, 3), 0.5), [2, 4, 6], [0, 0, -1], [2, 6, 7])
    np.testing.assert_allclose(curve, [0.25, 0.25, np.nan])
    assert survival.integrated_brier(curve, [2, 6, 7]) == pytest.approx(0.25)
    assert np.isnan(survival.integrated_brier([0.1], [1.0]))


# -- intervals -------------------------------------------------------------------------------------


def test_interval_outcome_counts_only_what_is_decided() -> None:
    time, failed = np.array([5.0, 5, 5, 5, 5, 8]), np.array([1, 1, 0, 0, 0, 0])
    lower, upper = np.array([4.0, 6, 1, 4, 3, 2]), np.array([6.0, 7, 4, 7, np.inf, 9])
    followed = survival.censoring(time, failed)
    covered, weight = survival.interval_outcome(lower, upper, time, failed, followed)
    assert list(covered) == [True, False, False, False, True, False]
    assert list(weight > 0) == [True, True, True, False, True, False]


def test_an_interval_beyond_the_follow_up_is_judged_at_its_lower_end() -> None:
    """A failed cell alone would flatter: its counterparts that live on are never seen to the end.
    So the upper end's misses that are due are taken off all."""
    time, failed = np.array([3.0, 8.0, 8.0, 2.0, 3.0]), np.array([1, 1, 0, 1, 0])
    followed = survival.censoring(time, failed)
    lower, upper = np.array([2.0, 9, 4, 3, 4]), np.array([np.inf, 12, 12, 9, 9])
    held, weight = survival.interval_outcome(
        lower, upper, time, failed, followed, until=8.0, tail=0.05
    )
    np.testing.assert_allclose(held, [0.95, 0.95, 0.95, -0.05, 0.95])
    assert list(weight > 0) == [True, True, True, True, False]


def test_a_failure_between_two_cycles_is_known_as_an_interval() -> None:
    time, after = np.full(4, 20.0), np.full(4, 10.0)
    followed = survival.censoring(time, np.ones(4))
    ends = np.array([2.0, 15, 21, 12]), np.array([9.0, 16, 30, 14])
    held, weight = survival.interval_outcome(*ends, time, np.ones(4), followed, after=after)
    assert held.tolist() == [0, 1, 0, 1]
    assert weight.tolist() == [1, 1, 1, 1]


def test_lives_are_judged_while_enough_cells_are_followed() -> None:
    everyone = np.full(100, 50.0)
    assert survival.horizon(everyone, np.ones(100)) == np.inf
    assert survival.horizon(everyone, np.zeros(100)) == 50
    early = np.where(np.arange(100) < 50, 7.0, 50.0)
    assert survival.horizon(early, early > 7) == np.inf  # half of them left early, the rest failed
    late = np.arange(1.0, 101)
    assert survival.horizon(late, np.arange(100) % 2) == 91  # nine are left
    assert survival.horizon([3.0, 5.0], [0, 1]) == np.inf


def test_coverage_of_true_quantiles_is_what_they_promise_under_censoring() -> None:
    """Cells of a long-lived and a short-lived kind, most of them lost on the way, the others taken
    off at cycle 300; asked at a cycle in the beginning, and told the true quantiles."""
    rng, n = np.random.default_rng(1), 100_000
    scale, entry = rng.choice([60.0, 200.0], n), rng.uniform(0, 20, n)
    life = entry + scale * rng.lognormal(0, 0.9, n)
    lost = np.minimum(rng.exponential(60, n), 300)
    time, failed = np.minimum(life, lost), life <= lost
    lower, upper = entry + scale * np.exp(0.9 * stats.norm.ppf([[0.05], [0.95]]))
    followed, until = survival.censoring(time, failed), survival.horizon(time, failed)
    assert until == pytest.approx(300, abs=10)
    assert np.mean(failed) < 0.3
    alive = time > entry
    told = [x[alive] for x in (lower, upper, time, failed)]
    held, weight = survival.interval_outcome(*told, followed, entry[alive], until=until, tail=0.05)
    assert metrics.mean(held, weight) == pytest.approx(0.9, abs=0.006)
    for part in (told[1] < until, told[1] >= until):
        assert metrics.mean(held[part], weight[part]) == pytest.approx(0.9, abs=0.01)
    # Those that are settled alone, and those that failed or outlived their interval, are too few.
    assert np.mean(held[weight > 0]) < 0.891
    decided = told[3] | (told[2] > told[1])
    assert np.mean(((told[0] <= told[2]) & (told[2] <= told[1]))[decided]) < 0.87


def test_bad_shapes_are_named() -> None:
    with pytest.raises(CheckError, match="risk has shape"):
        survival.concordance([1.0, 2.0], [1.0], [1])
    with pytest.raises(CheckError, match="probability has shape"):
        survival.brier_curve(np.zeros((2, 3)), [1, 2], [0, 0], [1.0])
