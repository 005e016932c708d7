"""Point and probability metrics: by hand, against scikit-learn, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from fadecast.errors import CheckError
from fadecast.forecast import metrics

N = 60
lives = arrays(float, N, elements=st.floats(1, 4000))
scores = arrays(float, N, elements=st.sampled_from(np.linspace(0, 1, 23)))
labels = arrays(bool, N).filter(lambda y: 0 < y.sum() < N)
weights = arrays(float, N, elements=st.floats(0.1, 5))


def test_by_hand() -> None:
    predicted, true = [90.0, 220.0, 300.0], [100.0, 200.0, 400.0]
    assert metrics.rmse(predicted, true) == pytest.approx((10500 / 3) ** 0.5)
    assert metrics.mape(predicted, true) == pytest.approx((0.1 + 0.1 + 0.25) / 3)
    assert metrics.median_ape(predicted, true) == pytest.approx(0.1)
    assert metrics.alpha_accuracy(predicted, true) == pytest.approx(2 / 3)
    assert metrics.alpha_accuracy([115.0], [100.0]) == 1  # the bound itself is inside


def test_any_cycle_error_averages_cycles_then_cells() -> None:
    # Cell 0: errors 10 and 30 of a life of 100; cell 1: one error of 40 of a life of 400.
    error = metrics.any_cycle_error(
        [60, 20, 240], [50, 50, 200], [100, 100, 400], np.array([0, 0, 1])
    )
    assert error == pytest.approx(((0.1 + 0.3) / 2 + 0.1) / 2)
    # A cell without a row takes no part.
    assert metrics.any_cycle_error([60], [50], [100], np.array([3])) == pytest.approx(0.1)


@given(lives, lives)
def test_point_metrics_equal_scikit_learn(predicted: np.ndarray, true: np.ndarray) -> None:
    assert metrics.rmse(predicted, true) == pytest.approx(
        sk.root_mean_squared_error(true, predicted)
    )
    mape = sk.mean_absolute_percentage_error(true, predicted)
    assert metrics.mape(predicted, true) == pytest.approx(mape)


@given(labels, scores, weights)
def test_ranking_metrics_equal_scikit_learn(
    label: np.ndarray, score: np.ndarray, weight: np.ndarray
) -> None:
    expected = sk.roc_auc_score(label, score, sample_weight=weight)
    assert metrics.auroc(label, score, weight) == pytest.approx(expected)
    expected = sk.average_precision_score(label, score, sample_weight=weight)
    assert metrics.average_precision(label, score, weight) == pytest.approx(expected)
    expected = sk.brier_score_loss(label, score, sample_weight=weight)
    assert metrics.brier(label, score, weight) == pytest.approx(expected)


@given(labels, scores)
def test_an_increasing_transform_leaves_the_ranking(label: np.ndarray, score: np.ndarray) -> None:
    for metric in (metrics.auroc, metrics.average_precision):
        assert metric(label, np.exp(3 * score) - 5) == pytest.approx(metric(label, score))
    assert metrics.auroc(label, -score) == pytest.approx(1 - metrics.auroc(label, score))


@given(labels, scores, weights, st.randoms(use_true_random=False))
def test_order_of_rows_and_weight_zero_do_not_matter(
    label: np.ndarray, score: np.ndarray, weight: np.ndarray, random: object
) -> None:
    order = np.array(random.sample(range(N), N))  # type: ignore[attr-defined]
    for metric in (
        metrics.auroc, metrics.average_precision, metrics.brier, metrics.calibration_error,
    ):  # fmt: skip
        value = metric(label, score, weight)
        assert metric(label[order], score[order], weight[order]) == pytest.approx(value)
        more = np.append(label, True), np.append(score, 0.33), np.append(weight, 0.0)
        assert metric(*more) == pytest.approx(value)
        assert metric(label, score, 7 * weight) == pytest.approx(value)


@given(labels)
def test_a_perfect_forecast(label: np.ndarray) -> None:
    assert metrics.auroc(label, label) == metrics.average_precision(label, label) == 1
    assert metrics.brier(label, label) == metrics.calibration_error(label, label) == 0
    life = 100.0 + np.arange(N)
    assert metrics.rmse(life, life) == metrics.mape(life, life) == 0
    assert metrics.alpha_accuracy(life, life) == 1
    assert metrics.any_cycle_error(life, life, life, np.arange(N) % 7) == 0


def test_calibration_error_by_hand() -> None:
    # Bin 0…0.1: predicted 0.05, seen 1/2; bin 0.9…1: predicted 1 and 0.9, seen 1.
    label, probability = [0, 1, 1, 1], [0.05, 0.05, 1.0, 0.9]
    curve = metrics.reliability(label, probability)
    np.testing.assert_allclose(curve.probability, [0.05, 0.95])
    np.testing.assert_allclose(curve.frequency, [0.5, 1.0])
    np.testing.assert_allclose(curve.share, [0.5, 0.5])
    assert metrics.calibration_error(label, probability) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)


def test_a_calibrated_forecast_has_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    label = rng.random(200_000) < probability
    assert metrics.calibration_error(label, probability) < 0.01
    assert metrics.calibration_error(label, probability**3) > 0.2


@given(scores, weights, st.integers(1, 20))
def test_reliability_keeps_all_the_weight(score: np.ndarray, weight: np.ndarray, bins: int) -> None:
    curve = metrics.reliability(score > 0.5, score, weight, bins)
    assert curve.share.sum() == pytest.approx(1)
    assert curve.share @ curve.probability == pytest.approx(metrics.mean(score, weight))
    assert np.all(np.diff(curve.probability) > 0)


@pytest.mark.parametrize("metric", [metrics.auroc, metrics.average_precision])
def test_one_class_decides_nothing(metric: object) -> None:
    assert np.isnan(metric([0, 0], [0.1, 0.2]))  # type: ignore[operator]
    assert np.isnan(metrics.auroc([1, 1], [0.1, 0.2]))


def test_nothing_gives_nan_not_zero() -> None:
    none: list[float] = []
    assert np.isnan(metrics.rmse(none, none))
    assert np.isnan(metrics.median_ape(none, none))
    assert np.isnan(metrics.any_cycle_error(none, none, none, np.array([], int)))
    assert np.isnan(metrics.calibration_error([1.0], [0.5], [0.0]))
    assert np.isnan(metrics.brier([1.0], [0.5], [0.0]))


def test_bad_input_is_named() -> None:
    with pytest.raises(CheckError, match="differ in shape"):
        metrics.rmse([1.0, 2.0], [1.0])
    with pytest.raises(CheckError, match="true is NaN at row 1"):
        metrics.mape([1.0, 2.0], [1.0, np.nan])
    with pytest.raises(CheckError, match="true life is 0"):
        metrics.mape([1.0], [0.0])
