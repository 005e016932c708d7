"""The opponents: their weights, their honesty, and the libraries they stand on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter

from benchmarks import _cox, _hazards, _patches, _trees, assb
from benchmarks._cells import EVERY, HORIZON, Cells, judged_rows
from benchmarks._said import by_kind, falls_to
from fadecast.forecast import metrics, survival
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import HazardHead
from tests.assb.made_up import PRESSURE, random_lives, rows_of


def test_a_kind_is_judged_as_kaplan_meier_would() -> None:
    lives = random_lives(300)
    train, test = rows_of(lives), rows_of([(395, np.inf, -1)])
    said = by_kind(train, test)
    oracle = KaplanMeierFitter().fit(train.time, train.failed)
    alive = oracle.survival_function_at_times(test.cycle).to_numpy()
    for cycle, now, left in zip(test.cycle[::7], alive[::7], said["left"][::7], strict=True):
        curve = oracle.survival_function_.iloc[:, 0]
        fallen = curve.index[curve <= now / 2]
        end = fallen[0] if len(fallen) else curve.index[-1]
        assert left == max(end - cycle, 1)
    # all pressure-related risks together: what fails within the horizon less the capacity fade
    ahead = oracle.survival_function_at_times(test.cycle + HORIZON).to_numpy()
    assert (said["risk"] <= (alive - ahead) / alive + 1e-9).all()
    only = [(a, u, PRESSURE if c >= 0 else c) for a, u, c in lives]
    np.testing.assert_allclose(by_kind(rows_of(only), test)["risk"], (alive - ahead) / alive)


def test_a_kind_that_trained_nothing_is_judged_by_all() -> None:
    train = rows_of(random_lives(50))
    test = rows_of([(100, 101, 0)])
    strange = replace(test, anode=np.array(["other"]))
    np.testing.assert_array_equal(by_kind(train, strange)["risk"], by_kind(train, test)["risk"])


def test_a_curve_falls_to_a_level_at_its_first_time_there() -> None:
    alive = survival.Steps(np.array([1.0, 2, 5]), np.array([0.8, 0.5, 0.5]), 1.0)
    assert falls_to(alive, np.array([0.9, 0.8, 0.5, 0.2])).tolist() == [1, 1, 2, 5]


def test_weighted_lives_give_kaplan_meier() -> None:
    rows = rows_of(random_lives(500))
    young = rows.cycle == 5
    rows = replace(rows, cell=rows.cell[young], row=rows.row[young], cycle=rows.cycle[young])
    left, weight = _trees.lives_left(rows)
    oracle = KaplanMeierFitter().fit(rows.time[rows.cell] - 5, rows.failed[rows.cell])
    end = left[weight > 0].max()
    for ahead in (10, 50, 100):
        assert ahead < end
        assert metrics.mean(left <= ahead, weight) == pytest.approx(
            1 - oracle.predict(ahead), abs=0.01
        )
    assert weight[weight > 0].min() >= 1
    assert weight.max() <= 2.0 / (1 - 0.1)  # a row's own entry is late at most


def test_cells_followed_alike_weigh_alike() -> None:
    rows = rows_of([(99, 100, 1), (400, np.inf, -1), (400, np.inf, -1), (49, 50, 0)])
    left, weight = _trees.lives_left(rows)
    assert set(weight[left > 1]) == {1.0}
    assert left[rows.cell == 1].tolist()[:2] == [395, 390]


def test_the_best_decided_trial_is_chosen() -> None:
    tried = np.array([[0.1, 200.4, 31, 50, 0.1, 1.0], [0.2, 100, 15, 20, 1.0, 0.5]])
    tuning = {"trials": tried, "auroc": np.array([np.nan, 0.4])}
    assert _trees.chosen(tuning) == _trees.named(tried[1])
    assert _trees.named(tried[0])["max_iter"] == 200


def test_tuning_never_fits_to_what_it_judges_by(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(200, dtype=np.float32)[:, None]
    label = np.where(np.arange(200) % 7 == 0, -1, np.arange(200) % 2)
    held = np.arange(200) >= 150

    def fake(train: Any, known: Any, test: Any, parameters: Any) -> Any:
        assert train.max() < 150 <= test.min()
        assert not (train % 7 == 0).any()
        assert (known >= 0).all()
        return test[:, 0]

    monkeypatch.setattr(_trees, "risk_by", fake)
    found = _trees.tuned(x, label, held, 5, 100, 40)
    assert all(8 <= _trees.named(values)["max_iter"] <= 40 for values in found["trials"])


def test_tuning_begins_with_what_was_used_before_and_is_repeatable() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(800, 6)).astype(np.float32)
    label = (x[:, 0] * x[:, 1] + 0.5 * draw.normal(size=800) > 0).astype(np.int64)
    held = np.arange(800) >= 600
    found, again = (_trees.tuned(x, label, held, 12, 600, 30) for _ in range(2))
    for name in ("trials", "auroc"):
        np.testing.assert_array_equal(found[name], again[name])
    assert _trees.named(found["trials"][0]) == _trees._START | {"max_iter": 24}
    assert len(np.unique(found["trials"], axis=0)) == 12
    best = _trees.risk_by(x[~held], label[~held], x[held], _trees.chosen(found))
    assert metrics.auroc(label[held], best) == found["auroc"].max() > found["auroc"][0]


def test_a_search_goes_on_where_trials_decide_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    nothing = np.zeros(90, np.int64)
    found = _trees.tuned(x, nothing, np.arange(90) >= 60, 2, 60, 10)
    assert np.isnan(found["auroc"]).all()
    assert _trees.chosen(found) == _trees.named(found["trials"][0])


def test_trees_are_fitted_to_so_many_rows_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(random_lives(60))
    x = np.column_stack([rows.left, np.full(len(rows), np.nan)]).astype(np.float32)
    fitted = []
    for model in (_trees.HistGradientBoostingClassifier, _trees.HistGradientBoostingRegressor):
        fit = model.fit
        monkeypatch.setattr(
            model, "fit",
            lambda self, x, *rest, fit=fit: (fitted.append(x.shape), fit(self, x, *rest))[1],
        )  # fmt: skip
    parameters = {"max_iter": 5}
    said = _trees.boosted(x, rows, x, parameters, 100)
    assert fitted == [(100, 1), (100, 1)]
    monkeypatch.setattr(_trees, "_AT_ONCE", 7)
    some = _trees.boosted(x, rows, x[:20], parameters, 100)
    for name in said:
        np.testing.assert_array_equal(some[name], said[name][:20])


def test_trees_tell_risk_and_life_where_one_feature_is_the_life() -> None:
    rows = rows_of(random_lives(150))
    x = rows.left[:, None].astype(np.float32)
    parameters = {"max_iter": 40, "learning_rate": 0.3, "min_samples_leaf": 5}
    said = _trees.boosted(x, rows, x, parameters, len(x))
    known = rows.label >= 0
    pressed = known & rows.by_pressure[rows.cell]
    assert said["risk"][pressed & (rows.label == 1)].mean() > 0.5
    seen = rows.failed[rows.cell] & (rows.left > 1)
    assert metrics.median_ape(said["left"][seen], rows.left[seen]) < 0.1


def test_cox_says_what_its_hazards_say() -> None:
    times = np.arange(1.0, 2001)
    any_, pressure = 0.004 * times, 0.001 * times
    logs = np.array([0.0, 1.0, -1.0])
    said = _cox.said(times, any_, pressure, logs, logs)
    rate = 0.004 * np.exp(logs)
    np.testing.assert_allclose(said["risk"], 0.25 * (1 - np.exp(-rate * HORIZON)), rtol=0.01)
    np.testing.assert_allclose(said["left"], np.log(2) / rate, atol=1)


def test_cox_agrees_with_its_library() -> None:
    rows = rows_of(random_lives(200), every=25)
    draw = np.random.default_rng(1)
    x = draw.normal(size=(len(rows), 40)).astype(np.float32)
    x[:, 3] -= np.log(rows.left + 1)
    x[:, 5] = np.nan
    said = _cox.cox(x, rows, x[:50], 10_000)
    use = rows.left > 0
    reduced = _cox.Reduced(x[use])(x)
    frame = pd.DataFrame(reduced, columns=[f"x{i}" for i in range(reduced.shape[1])])
    model = CoxPHFitter(penalizer=_cox.PENALTY).fit(
        frame[use].assign(t=rows.left[use], e=rows.failed[rows.cell][use]), "t", "e"
    )
    median = model.predict_median(frame[:50]).to_numpy()
    some = np.isfinite(median)
    np.testing.assert_allclose(said["left"][some], median[some], atol=1)
    assert ((said["risk"] >= 0) & (said["risk"] <= 1)).all()


class Told(torch.nn.Module):
    """Hazards of what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(1, 16)
        self.head = HazardHead(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(x)))


def test_a_model_that_is_told_the_life_learns_to_say_it() -> None:
    rows = rows_of(random_lives(60))
    x = np.log(rows.left.clip(min=1) + 1)[:, None].astype(np.float32)
    x[rows.left <= 0] = np.nan  # nothing is left to foresee: never trained on
    held = np.arange(60) >= 50

    def run(share: float) -> tuple[Told, dict[str, Any]]:
        torch.manual_seed(0)
        model = Told()
        inputs = lambda chosen: [torch.from_numpy(x[chosen])]  # noqa: E731
        _hazards.fit_hazards(
            model, inputs, rows, held, steps=200, batch=128, rate=2e-2, risk_weight=share
        )
        return model, _hazards.read(model, inputs, len(rows))

    (model, said), (again, _) = run(1.0), run(1.0)
    label = rows.label
    less, more = (metrics.brier(label[label >= 0], run(share)[1]["risk"][label >= 0])
                  for share in (0.0, 100.0))  # fmt: skip
    assert more < less  # what weighs is learnt
    at = np.flatnonzero((rows.cycle == 20) & (rows.left > 0))
    found = survival.concordance(-said["left"][at], rows.time[rows.cell[at]],
                                 rows.failed[rows.cell[at]])  # fmt: skip
    assert found > 0.95
    assert (said["low"] <= said["left"])[rows.left > 0].all()
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


class Constant(torch.nn.Module):
    """One answer to everything."""

    def __init__(self) -> None:
        super().__init__()
        self.head = HazardHead(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(torch.zeros_like(x))
        return out


def test_risks_are_learnt_of_cycles_alike() -> None:
    rows = rows_of([(60, 61, PRESSURE)] * 20 + [(999, np.inf, -1)] * 20)
    model = Constant()
    _hazards.fit_hazards(
        model, lambda chosen: [torch.zeros(len(chosen), 1)], rows, np.arange(40) % 4 == 0,
        steps=300, batch=256, rate=5e-2, risk_weight=1e4,
    )  # fmt: skip
    said = _hazards.read(model, lambda chosen: [torch.zeros(len(chosen), 1)], 1)["risk"][0]
    known = rows.label >= 0
    alike = np.mean([rows.label[known & (rows.cell == cell)].mean() for cell in range(40)])
    assert alike > 0.3  # what cells alike would teach
    assert said == pytest.approx(rows.label[known].mean(), abs=0.05)


def test_rows_are_drawn_with_cells_alike() -> None:
    rows = rows_of([(20, 21, 1), (400, np.inf, -1)])
    part = _hazards._by_cell(rows, np.array([True, True]))
    drawn = _hazards._drawn(np.random.default_rng(0), part, 4000)
    assert (rows.cell[drawn] == 0).mean() == pytest.approx(0.5, abs=0.05)
    assert (rows.left[drawn] > 0).all()


@given(st.sets(st.integers(1, 600), min_size=1), st.integers(1, 600))
def test_a_window_never_looks_ahead(ages: set[int], cycle: int) -> None:
    all_ = np.array(sorted(ages))
    places = _patches.latest(all_, cycle)
    past = np.flatnonzero(all_ <= cycle)
    assert len(places) == min(len(past), _patches.TOKENS)
    assert (np.diff(places) > 0).all()
    assert set(places) <= set(past)
    assert len(past) == 0 or places[-1] == past[-1]


def test_a_window_ends_with_the_cycle_that_is_asked(cells: Cells) -> None:
    scales = Forecaster(ForecasterConfig(hidden=8)).eval()
    longest = list(cells)[-1]
    windows = _patches.Windows([longest], scales)
    for every in (EVERY, 2 * EVERY):
        cycles = judged_rows([longest], every).cycle
        for cycle in cycles:
            ages = windows.ages[0]
            assert ages[_patches.latest(ages, cycle)[-1]] == cycle


def test_the_transformer_does_not_know_what_comes_after(cells: Cells) -> None:
    torch.manual_seed(0)
    scales = Forecaster(ForecasterConfig(hidden=8)).eval()
    model = _patches.Transformer(scales.encoder.features).eval()
    longest = list(cells)[-1]
    cycles = np.array([3, 40, 66, 120])
    whole = _patches.Windows([longest], scales)(np.zeros(4, np.int64), cycles)
    with torch.no_grad():
        together = model(*whole)
        for i, cycle in enumerate(cycles):
            cut = _patches.Windows([longest.until(cycle)], scales)
            alone = model(*cut(np.array([0]), np.array([cycle])))
            torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1])
    ours = Forecaster(assb.TrainConfig.from_yaml(assb.TRAINING).network)
    sizes = [sum(p.numel() for p in net.parameters()) for net in (model, ours)]
    assert sizes[0] >= sizes[1]


def test_a_window_before_the_first_cycle_is_empty_and_harmless(cells: Cells) -> None:
    scales = Forecaster(ForecasterConfig(hidden=8)).eval()
    cell = next(iter(cells))
    later = replace(cell, summaries=cell.summaries[10:])
    tokens, known = _patches.Windows([later], scales)(np.array([0, 0]), np.array([5, 20]))
    assert known.tolist() == [1, 10]
    assert not tokens[0, :, : scales.encoder.features].any()
    logits = _patches.Transformer(scales.encoder.features).eval()(tokens, known)
    assert torch.isfinite(logits).all()
