"""Figures: what is drawn, in which colour, and that few points are enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fadecast.cell.life import CAUSES, Life
from fadecast.forecast.evaluate import evaluate
from fadecast.report import figures
from fadecast.report.style import CAUSE_COLOURS, POINTS, colour_of, short, thin
from tests.forecast.fleet import make_fleet

FLEET = make_fleet(40, seed=2)
NAME = max(FLEET.forecasts, key=lambda n: len(FLEET.forecasts[n]) * FLEET.lives[n].failed)
FORECAST, LIFE = FLEET.forecasts[NAME], FLEET.lives[NAME]


def test_thinning_keeps_the_ends_and_what_is_valid() -> None:
    few = thin(FORECAST)
    assert len(few) == POINTS
    assert few.cycle_count[0] == FORECAST.cycle_count[0]
    assert few.cycle_count[-1] == FORECAST.cycle_count[-1]
    assert np.all(np.diff(few.cycle_count) > 0)
    half = replace(FORECAST, valid=FORECAST.cycle_count % 2 == 0)
    assert np.all(thin(half).cycle_count % 2 == 0)
    assert len(thin(replace(FORECAST, valid=np.zeros(len(FORECAST), bool)))) == 0


def test_numbers_are_short_and_gaps_are_gaps() -> None:
    assert short([1.0, 0.123456, np.nan], 3) == [1, 0.123, None]


def test_a_fan_holds_the_quantiles_and_the_truth() -> None:
    figure = figures.forecast_fan(FORECAST, LIFE)
    few = thin(FORECAST)
    traces = {trace.name: np.array(trace.y, float) for trace in figure.data}
    np.testing.assert_allclose(traces["median"], few.rul[:, 2], atol=0.5)
    np.testing.assert_allclose(traces["to 95 %"], few.rul[:, 4], atol=0.5)
    np.testing.assert_allclose(traces["from 5 %"], few.rul[:, 0], atol=0.5)
    np.testing.assert_allclose(traces["truth"], LIFE.until - few.cycle_count)
    assert not len(traces["at least"])


def test_a_single_forecast_is_seen() -> None:
    (median,) = figures.forecast_fan(FORECAST[:1]).select_traces({"name": "median"})
    assert "markers" in median.mode


@pytest.mark.parametrize(
    ("life", "drawn"), [(None, []), (Life(900, np.inf, None), ["at least"]), (LIFE, ["truth"])]
)
def test_truth_is_drawn_only_as_far_as_it_is_known(life: Life | None, drawn: list[str]) -> None:
    fan = figures.forecast_fan(FORECAST, life)
    assert [t.name for t in fan.data if t.name in ("truth", "at least") and len(t.y)] == drawn
    risk = figures.risk_by_cause(FORECAST, life)
    assert len(risk.data[-1].x) == (2 if life is LIFE else 0)


def test_a_cause_has_one_colour_everywhere() -> None:
    risk = figures.risk_by_cause(FORECAST, LIFE)
    assert [t.fillcolor for t in risk.data[: len(CAUSES)]] == list(CAUSE_COLOURS.values())
    bars = figures.most_at_risk(FLEET.forecasts)
    assert [t.marker.color for t in bars.data] == list(CAUSE_COLOURS.values())
    fade = figures.fade_curves(FLEET.forecasts, FLEET.lives)
    assert [t.line.color for t in fade.data] == [colour_of(life) for life in FLEET.lives.values()]
    worst = evaluate(*FLEET).worst(5)
    colours = figures.worst_cells(worst).data[0].marker.color
    assert list(colours) == [CAUSE_COLOURS[cell.cause or ""] for cell in worst]


def test_the_axis_ends_with_the_life_only_if_the_record_comes_near_it() -> None:
    part = FORECAST[:100]
    for life, end in ((Life(119, 120, "capacity_fade"), 120), (LIFE, 100), (None, 100)):
        upper = figures.forecast_fan(part, life).layout.xaxis.range[1]
        assert upper == pytest.approx(1.02 * end)


def test_stacked_risks_add_up_to_the_risk_of_any_cause() -> None:
    figure = figures.risk_by_cause(FORECAST, LIFE, horizon=100)
    total = np.sum([np.array(t.y, float) for t in figure.data[: len(CAUSES)]], axis=0)
    np.testing.assert_allclose(total, thin(FORECAST).risk[:, -1, 2], atol=0.003)


def test_a_calibrated_fleet_lies_on_the_diagonal() -> None:
    fleet = make_fleet(300, seed=5, every=15)
    for trace in figures.calibration(*fleet).data[1:]:
        share = np.array(trace.customdata, float)
        gap = np.abs(np.array(trace.x, float) - np.array(trace.y, float))
        assert share @ gap < 0.05
        assert share.sum() == pytest.approx(1, abs=0.01)


def test_predicted_life_shows_each_cell_once() -> None:
    figure = figures.predicted_life(FLEET.forecasts, FLEET.lives, landmark=100)
    drawn = [name for trace in figure.data[3:] for name in trace.text]
    assert sorted(drawn) == sorted(n for n, life in FLEET.lives.items() if life.cycle > 100)
    row = drawn.index(NAME)
    predicted = [y for trace in figure.data[3:] for y in trace.y][row]
    assert predicted == pytest.approx(100 + float(FORECAST.rul[99, 2]), abs=0.5)
    assert len(figures.predicted_life(FLEET.forecasts, FLEET.lives, landmark=9000).data) == 0


def test_bars_are_sorted() -> None:
    figure = figures.most_at_risk(FLEET.forecasts, number=7)
    total = np.sum([np.array(t.x, float) for t in figure.data], axis=0)
    assert len(total) == 7
    assert np.all(np.diff(total) <= 1e-3)
