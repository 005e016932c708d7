from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.life import CAUSES, Life
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import TrainingError
from fadecast.forecast.evaluate import evaluate
from fadecast.forecast.forecast import QUANTILES, RISKS
from fadecast.learn.baselines import AnyCycle, EarlyLife, PopulationMean, all_baselines
from fadecast.learn.dataset import CellSequence
from fadecast.learn.features import cycle_features, discharge_difference, share_of_limit
from fadecast.learn.predict import forecast_cells
from fadecast.learn.regressors import ANY_CYCLE, EARLY
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from tests.learn.population import made_up_sequence, with_life_of

MEDIAN = QUANTILES.index(0.5)


@pytest.fixture(scope="module")
def cells() -> list[CellSequence]:
    sequences = [made_up_sequence(n, cycles=300) for n in range(70)]
    return [s for s in sequences if s.life.failed and s.life.cycle > 110]


@pytest.fixture(scope="module")
def train(cells: list[CellSequence]) -> list[CellSequence]:
    return cells[: len(cells) * 2 // 3]


@pytest.fixture(scope="module")
def test(cells: list[CellSequence]) -> list[CellSequence]:
    return cells[len(cells) * 2 // 3 :]


def error(baseline, cells) -> float:
    forecasts = {s.cell_id: baseline.forecast(s) for s in cells}
    return evaluate(forecasts, {s.cell_id: s.life for s in cells}).figures["any_cycle.rel_error"]


@pytest.mark.parametrize("name", EARLY)
def test_early_models_recover_a_known_law(name: str, train, test) -> None:
    """ΔQ(V) of these cells is the fade rate times a shape, and their life is 0.2 / the rate."""
    mean = error(PopulationMean().fit(train, []), test)
    assert error(EarlyLife(name).fit(train, []), test) < 0.5 * mean


@pytest.mark.parametrize("name", ANY_CYCLE)
def test_any_cycle_models_beat_the_mean(name: str, train, test) -> None:
    mean = error(PopulationMean().fit(train, []), test)
    assert error(AnyCycle(name).fit(train, []), test) < 0.6 * mean


def test_the_mean_is_the_mean_of_log_life(train) -> None:
    lives = np.array([s.life.cycle for s in train])
    forecast = PopulationMean().fit(train, []).forecast(train[0])
    expected = np.exp(np.log(lives).mean()) - forecast.cycle_count
    assert forecast.rul[:, MEDIAN] == pytest.approx(np.maximum(expected, 0), rel=1e-5)


@pytest.mark.parametrize("build", [EarlyLife, AnyCycle])
def test_shuffled_lives_give_no_skill(build, train, test) -> None:
    order = np.random.default_rng(0).permutation(len(train))
    shuffled = [with_life_of(s, train[j]) for s, j in zip(train, order, strict=True)]
    mean = error(PopulationMean().fit(train, []), test)
    assert error(build("random_forest").fit(shuffled, []), test) > 0.8 * mean


def test_forecasts_do_not_know_how_long_the_record_is(train, test) -> None:
    for baseline in (PopulationMean(), EarlyLife("plsr"), AnyCycle("hist_gradient_boosting")):
        baseline.fit(train, [])
        for cycle in (100, 107):
            whole, part = baseline.forecast(test[0]), baseline.forecast(test[0].until(cycle))
            assert np.array_equal(whole.rul[: len(part)][-1], part.rul[-1])
            assert part.cycle_count[-1] == cycle


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 120), st.integers(0, 5))
def test_features_are_causal(cut: int, number: int) -> None:
    sequence = made_up_sequence(number)
    whole, part = cycle_features(sequence), cycle_features(sequence.until(cut))
    assert np.array_equal(whole[: len(part)], part, equal_nan=True)


def test_share_of_the_permitted_pressure() -> None:
    one = made_up_sequence(0, cycles=30)
    limited = replace(one.spec, pressure_limit_pa=2e7)
    highest = np.array([18, np.nan, 22], np.float32)
    np.testing.assert_allclose(share_of_limit(highest, limited), [0.9, np.nan, 1.1], rtol=1e-6)
    assert np.isnan(share_of_limit(highest, one.spec)).all()


def test_forecasts_are_distributions(train, test) -> None:
    forecast = AnyCycle("hist_gradient_boosting").fit(train, test).forecast(test[0])
    assert (np.diff(forecast.rul, axis=1) >= 0).all()
    assert (np.diff(forecast.incidence[:, 0], axis=1) >= 0).all()
    assert forecast.incidence[:, 1:].max() == 0
    assert np.array_equal(forecast.risk[:, 0], forecast.risk[:, RISKS.index("any")])
    assert forecast.risk.shape[1] == len(CAUSES) + 2


def test_the_spread_is_what_was_seen_on_held_out_cells(train, test) -> None:
    baseline = AnyCycle("hist_gradient_boosting").fit(train, test)
    figures = evaluate(
        {s.cell_id: baseline.forecast(s) for s in test}, {s.cell_id: s.life for s in test}
    ).figures
    assert figures["any_cycle.coverage_90"] == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("build", [PopulationMean, lambda: EarlyLife("variance")])
def test_held_out_cells_that_tell_nothing_do_not_make_it_certain(build, train, test) -> None:
    """One is censored, of the other an early model has no curve at cycle 100."""
    alive = CellSequence(test[0].metadata, test[0].summaries, Life(200, np.inf, None))
    for held_out in ([alive], [alive, test[1].until(0)]):
        spread, fallback = (build().fit(train, cells).errors for cells in (held_out, []))
        assert np.ptp(spread) > 0
        assert np.array_equal(spread, fallback)


def test_baselines_and_network_are_judged_at_the_same_cycles(train, test) -> None:
    s = test[0].summaries
    values, observed = s.values.copy(), s.observed.copy()
    values[[3, 104]], observed[[3, 104]] = 0, False
    silent = CellSequence(
        test[0].metadata, CycleSummaries(s.cycle_count, values, observed), test[0].life
    )
    network = Forecaster(ForecasterConfig(hidden=8))
    expected = forecast_cells(network, [silent])[silent.cell_id].valid
    assert np.flatnonzero(~expected).tolist() == [3, 104]
    for baseline in (PopulationMean(), EarlyLife("variance"), AnyCycle("plsr")):
        forecast = baseline.fit(train, []).forecast(silent)
        rows = np.isin(s.cycle_count, forecast.cycle_count)
        assert np.array_equal(forecast.valid, expected[rows]), baseline


def test_without_curves_there_are_no_early_models(train) -> None:
    bare = [made_up_sequence(n, cycles=90) for n in range(20)]
    assert discharge_difference(bare[0]) is None
    assert not any(name.startswith("early") for name in all_baselines(bare, 0))
    model = EarlyLife("variance").fit(train, [])
    assert len(model.forecast(bare[0])) == 0
    with pytest.raises(TrainingError, match="cells that failed"):
        AnyCycle("plsr").fit(train[:3], [])
