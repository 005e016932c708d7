"""Evaluation: what is judged, with which weight, and that nothing undecided is made up."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fadecast.cell.life import CAUSES, Life
from fadecast.errors import CheckError, ConfigError
from fadecast.forecast import metrics, survival
from fadecast.forecast.evaluate import evaluate, evaluate_points
from fadecast.forecast.forecast import EDGES, HORIZONS, QUANTILES, RISKS, VIRTUAL_SENSORS, Forecasts
from fadecast.forecast.questions import ask, causes_of, followed, outcome
from fadecast.forecast.scorecard import METRICS
from tests.forecast.fleet import make_fleet

FLEET = make_fleet(40, every=3)


def perfect(life: Life, cycles: np.ndarray) -> Forecasts:
    """All of the probability on the truth (the cell must have failed)."""
    n, left = len(cycles), life.until - cycles
    k = CAUSES.index(life.cause or "")
    one = np.eye(len(CAUSES))[k][None, :, None]
    incidence = one * (left[:, None] <= np.array(EDGES[1:]))[:, None, :]
    within = (left[:, None] <= np.array(HORIZONS))[:, None, :]
    hit = np.array([k in causes_of(name) for name in RISKS])[None, :, None]
    return Forecasts(
        cycles, np.tile(left[:, None], (1, len(QUANTILES))), hit * within, incidence,
        np.ones(n), np.zeros(n), np.ones(n, bool), *np.full((2, n, len(VIRTUAL_SENSORS)), 0.5),
    )  # fmt: skip


def lives(**until: float) -> dict[str, Life]:
    return {name: Life(end - 1, end, "capacity_fade") for name, end in until.items()}


def test_a_perfect_forecast() -> None:
    every = list(range(1, 3000))
    known = {n: life for n, life in FLEET.lives.items() if life.failed}
    said = {n: perfect(life, np.array(every)) for n, life in known.items()}
    card = evaluate(said, known, truth={n: f.virtual for n, f in said.items()})
    better = {"lower": 0.0, "higher": 1.0, "0": 0.0, "0.5": 1.0, "0.9": 1.0}
    blurred = {"ibs", "concordance_td"}  # incidences are known at their edges only
    for row in card.rows:
        if (want := better.get(METRICS[row.metric].better)) is not None:
            assert row.value == pytest.approx(want, abs=0.09 if row.metric in blurred else 1e-9)
    assert {row.metric for row in card.rows} == set(METRICS)


def test_virtual_sensors_by_hand() -> None:
    """Cell a is judged at two cycles, b at one, of c the truth is unknown; two sensors are told."""
    truth = lives(a=3, b=2, c=9)
    said = {name: perfect(life, np.arange(1, int(life.until))) for name, life in truth.items()}
    said["c"] = replace(said["c"], virtual=np.full((8, len(VIRTUAL_SENSORS)), np.nan))
    spread = {"a": [[0.1] * 4, [0.2] * 4], "b": [[0.1] * 4]}
    said |= {n: replace(said[n], virtual_spread=np.array(s)) for n, s in spread.items()}
    known = {"a": [[0.7, np.nan, 0.5, np.nan]] * 2, "b": [[0.4, np.nan, 0.5, np.nan]]}
    figures = evaluate(said, truth, landmarks=[], truth=known).figures
    first, second = "any_cycle.anode_contact", "any_cycle.connected_cathode"
    assert figures[f"{first}.sensor_mae"] == pytest.approx((0.2 + 0.1) / 2)
    assert figures[f"{first}.sensor_coverage_90"] == pytest.approx((0.5 + 1) / 2)
    assert figures[f"{second}.sensor_mae"] == 0
    sensors = {name for name in figures if "sensor_" in name}
    assert len(sensors) == 4
    with pytest.raises(CheckError, match="truth of shape"):
        evaluate(said, truth, truth={"a": known["b"]})


def test_any_cycle_by_hand() -> None:
    """Cell a foretells a life of 110 after cycles 1…100, b one of 300 after 1…200."""
    truth = lives(a=100, b=200)
    cycles = {"a": np.arange(1, 151), "b": np.arange(1, 251)}
    card = evaluate_points({"a": 110, "b": 300}, truth, cycles, landmarks=[50])
    figures = card.figures
    assert figures["any_cycle.rel_error"] == pytest.approx((0.1 + 0.5) / 2)
    assert figures["any_cycle.mae"] == pytest.approx((10 + 100) / 2)
    assert figures["any_cycle.rmse"] == pytest.approx(((10**2 + 100**2) / 2) ** 0.5)
    assert figures["any_cycle.bias"] == pytest.approx(0.3)
    assert figures["at_50.rmse"] == pytest.approx(((10**2 + 100**2) / 2) ** 0.5)
    assert figures["at_50.mape"] == pytest.approx(0.3)
    assert figures["at_50.accuracy_15"] == 0.5
    assert figures["at_50.concordance"] == 1
    # Only the cycles before the failure are judged, and a distribution is not made up.
    assert [cell.forecasts for cell in card.cells] == [99, 199]
    assert not {row.metric for row in card.rows} & {"coverage_90", "auroc", "ibs"}
    assert card.cells[0].coverage_90 is None


def test_cells_count_alike_however_many_cycles_they_have() -> None:
    """By hand with numpy, on a landmark and over all cycles, where the lives differ."""
    card = evaluate(FLEET.forecasts, FLEET.lives, landmarks=[100])
    errors, at_100 = {}, {}
    for name, forecast in FLEET.forecasts.items():
        life = FLEET.lives[name]
        if life.failed:
            keep = forecast.cycle_count < life.until
            end = (forecast.cycle_count + forecast.rul[:, 2].astype(float))[keep]
            errors[name] = np.mean(np.abs(end - life.until) / life.until)
            if life.until > 100:
                at_100[name] = end[forecast.cycle_count[keep] <= 100][-1] - life.until
    figures = card.figures
    assert figures["any_cycle.rel_error"] == pytest.approx(np.mean(list(errors.values())))
    assert figures["at_100.rmse"] == pytest.approx(np.mean(np.square(list(at_100.values()))) ** 0.5)
    assert {c.cell_id: c.rel_error for c in card.cells if c.cause} == pytest.approx(errors)
    worst = card.worst(3)
    assert [c.rel_error for c in worst] == pytest.approx(sorted(errors.values())[:-4:-1])


def test_a_calibrated_fleet_is_found_calibrated_under_censoring() -> None:
    fleet = make_fleet(400, seed=2, censored=0.4, every=20)
    figures = evaluate(fleet.forecasts, fleet.lives).figures
    assert figures["any_cycle.coverage_90"] == pytest.approx(0.9, abs=0.05)
    assert figures["any_cycle.coverage_50"] == pytest.approx(0.5, abs=0.07)
    assert figures["any_cycle.any_100.calibration_error"] < 0.05
    assert figures["at_200.any_100.auroc"] > 0.8
    assert 0 < figures["any_cycle.decided_90"] < 1
    # Harrell's and Uno's concordance agree where censoring is independent of the life.
    assert figures["at_100.concordance"] == pytest.approx(
        figures["at_100.concordance_ipcw"], abs=0.05
    )


def test_right_risks_are_found_right_however_long_the_lives() -> None:
    """Half of the cells fail at 40, half at 1000: of any cycle, few are followed by a failure."""
    truth = {f"c{i}": Life(e - 1, e, "contact_loss") for i, e in enumerate([40, 1000] * 20)}
    said = {}
    for name, life in truth.items():
        forecast = perfect(life, np.arange(1, int(life.until)))
        after = forecast.cycle_count
        right = np.where(after < 40, 0.5, np.where(after >= 950, 1.0, 0.0))
        risk = np.zeros(forecast.risk.shape)
        risk[:, RISKS.index("any"), HORIZONS.index(50)] = right
        said[name] = replace(forecast, risk=risk)
    figures = evaluate(said, truth, landmarks=[]).figures
    assert figures["any_cycle.any_50.calibration_error"] < 0.01


def test_a_landmark_judges_the_last_fresh_forecast_by_then() -> None:
    truth = lives(a=400, b=500, c=90)
    at = {"a": [80, 95, 120], "b": [79, 200], "c": [80, 89]}
    life = {"a": [1.0, 440.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]}
    figures = evaluate_points(life, truth, at, landmarks=[100]).figures
    # a by cycle 95; b was last seen at 79, too old to speak for 100; c had failed before.
    assert figures["at_100.mape"] == pytest.approx(0.1)


def test_once_predicted_lives_have_one_landmark_and_no_any_cycle() -> None:
    card = evaluate_points({"a": 110.0, "b": 300.0}, lives(a=120, b=200), 100)
    assert {row.when for row in card.rows} == {"at_100"}
    assert card.figures["at_100.mape"] == pytest.approx((10 / 120 + 100 / 200) / 2)


def test_points_and_medians_agree() -> None:
    full = evaluate(FLEET.forecasts, FLEET.lives).figures
    cycles = {n: f.cycle_count for n, f in FLEET.forecasts.items()}
    ends = {n: f.cycle_count + f.rul[:, 2].astype(float) for n, f in FLEET.forecasts.items()}
    points = evaluate_points(ends, FLEET.lives, cycles).figures
    assert len(points) > 20
    for key, value in points.items():
        assert full[key] == pytest.approx(value), key


def test_order_of_cells_does_not_matter() -> None:
    back = dict(reversed(FLEET.forecasts.items()))
    forth, reverse = evaluate(FLEET.forecasts, FLEET.lives), evaluate(back, FLEET.lives)
    assert reverse.figures == pytest.approx(dict(forth.figures))
    assert reverse.cells == forth.cells


def test_forecasts_after_the_failure_or_not_valid_are_not_judged() -> None:
    name, forecast = next((n, f) for n, f in FLEET.forecasts.items() if FLEET.lives[n].failed)
    known = {name: FLEET.lives[name]}
    before = evaluate({name: forecast}, known)
    rows = np.append(np.arange(len(forecast)), -1)
    late = forecast[rows]
    late = replace(late, cycle_count=np.append(forecast.cycle_count, 9999), rul=late.rul.copy())
    late.rul[-1] = 4096
    assert evaluate({name: late}, known) == before
    broken = replace(forecast, valid=forecast.valid.copy(), rul=forecast.rul.copy())
    broken.valid[5], broken.rul[5] = False, np.nan
    assert evaluate({name: broken}, known).cells[0].forecasts == before.cells[0].forecasts - 1


def test_censored_cells_take_part_but_are_not_called_dead() -> None:
    alone = {n: life for n, life in FLEET.lives.items() if life.failed}
    card = evaluate(FLEET.forecasts, FLEET.lives)
    part = evaluate({n: FLEET.forecasts[n] for n in alone}, alone)
    assert len(card.cells) > len(part.cells)
    assert card.figures["any_cycle.rel_error"] == pytest.approx(part.figures["any_cycle.rel_error"])
    # A fleet of which a third was never seen to fail is less at risk than its failed cells alone.
    key = "at_200.any_100.base_rate"
    assert card.figures[key] < part.figures[key]
    assert all(c.rel_error is None for c in card.cells if c.cause is None)


def test_a_fleet_without_a_failure_has_no_error_of_its_life() -> None:
    names = [n for n, life in FLEET.lives.items() if not life.failed]
    card = evaluate({n: FLEET.forecasts[n] for n in names}, FLEET.lives)
    assert not {row.metric for row in card.rows} & {
        "rel_error",
        "rmse",
        "mape",
        "auroc",
        "concordance",
    }
    assert card.worst(5) == ()


def test_risks_that_never_came_true_are_absent() -> None:
    truth = lives(a=120, b=200, c=150)
    keys = evaluate({n: perfect(x, np.arange(1, 99)) for n, x in truth.items()}, truth).figures
    assert any("any_50" in key for key in keys)
    assert any("capacity_fade_50" in key for key in keys)
    assert not any("contact_loss" in key or "pressure" in key for key in keys)


def test_outcomes_of_a_cause_among_competing_ones() -> None:
    truth = {
        "a": Life(29, 30, "contact_loss"), "b": Life(39, 40, "capacity_fade"),
        "c": Life(35, np.inf, None), "d": Life(99, 100, "over_pressure"),
    }  # fmt: skip
    asked = ask({name: [20] for name in truth}, truth)
    steps = followed(truth.values())
    label, weight = outcome(asked, "pressure", 20, steps)
    assert list(label) == [True, False, False, False]
    # c was lost before it was decided; b (another cause) and d (still alive) stand for it too.
    np.testing.assert_allclose(weight, [1, 1.5, 0, 1.5])
    label, _ = outcome(asked, "any", 20, steps)
    assert list(label) == [True, True, False, False]


def test_without_incidence_its_metrics_are_absent_and_the_others_stay() -> None:
    bare = {n: replace(f, incidence=f.incidence[:, :, :0]) for n, f in FLEET.forecasts.items()}
    with_, without = evaluate(FLEET.forecasts, FLEET.lives), evaluate(bare, FLEET.lives)
    gone = {k.split(".")[-1] for k in set(with_.figures) - set(without.figures)}
    assert gone == {"ibs", "concordance_td"}
    assert all(with_.figures[key] == value for key, value in without.figures.items())


def test_the_scorecard_is_plain() -> None:
    card = evaluate(FLEET.forecasts, FLEET.lives)
    data = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert data["cells"] == 40 == data["failed"] + data["censored"] == len(data["per_cell"])
    assert data["figures"] == pytest.approx(dict(card.figures))
    table = card.table()
    assert len(table) == len(card.figures)
    assert set(table[0]) == {"when", "what", "metric", "value", "unit", "better", "cells"}


def test_landmark_risk_is_that_of_the_cells_alive_there() -> None:
    """The pooled weights at one cycle are the textbook ones of the cells at risk at that cycle."""
    fleet = make_fleet(120, seed=4, censored=0.5)
    figures = evaluate(fleet.forecasts, fleet.lives, landmarks=[200]).figures
    here = [n for n, life in fleet.lives.items() if life.cycle > 200]
    left = np.array([fleet.lives[n].cycle - 200 for n in here])
    failed = np.array([fleet.lives[n].failed for n in here])
    score = [fleet.forecasts[n].risk[199, RISKS.index("any"), HORIZONS.index(100)] for n in here]
    weight = survival.ipcw(left, failed, 100, survival.censoring(left, failed))
    label = failed & (left <= 100)
    assert figures["at_200.any_100.auroc"] == pytest.approx(metrics.auroc(label, score, weight))
    assert figures["at_200.any_100.base_rate"] == pytest.approx(
        1 - survival.kaplan_meier(left, failed).at(100).item()
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="no cells"):
        evaluate({}, FLEET.lives)
    with pytest.raises(ConfigError, match=r"no life is known of 1 cells: \['other'\]"):
        evaluate({"other": next(iter(FLEET.forecasts.values()))}, FLEET.lives)
    name, forecast = next(iter(FLEET.forecasts.items()))
    broken = replace(forecast, risk=forecast.risk.copy())
    broken.risk[2, 0, 0] = np.nan
    with pytest.raises(
        CheckError, match=f"cell '{name}': the forecast after cycle 7 is not finite"
    ):
        evaluate({name: broken}, FLEET.lives)
    for life, cycle in ((np.nan, [1]), ([1.0, 2.0, 3.0], [1, 2]), (5.0, [])):
        with pytest.raises(CheckError, match="cell 'a'"):
            evaluate_points({"a": life}, lives(a=10), {"a": cycle})
