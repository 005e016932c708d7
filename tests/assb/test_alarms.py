"""Alarms: when they begin and end, what they are worth, and who is heard after which cycle."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _announced, _networks, _watch
from benchmarks._alarms import AHEAD, RATE, THRESHOLDS, Alarms, Curve, lead, lead_at, stands
from benchmarks._cells import VIEWS, Cells, Rows, judged_rows, table
from benchmarks._said import PRESSURE as PRESSURE_RISK
from fadecast.cell.summaries import FIELDS
from fadecast.forecast.forecast import HORIZONS, RISKS
from tests.assb.made_up import PRESSURE, rows_of

PRESSURE_FIELDS = np.array([name.startswith("pressure.") for name in FIELDS])


def one_by_one(
    risk: list[float], first: list[bool], threshold: float, release: float
) -> list[bool]:
    out, on = [], False
    for value, begins in zip(risk, first, strict=True):
        on = value >= threshold or (on and not begins and value >= release * threshold)
        out.append(on)
    return out


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]), st.booleans()), min_size=1),
    st.sampled_from([0.15, 0.2, 0.4]), st.sampled_from([1.0, 0.5, 0.3]),
)  # fmt: skip
def test_an_alarm_stands_until_the_risk_is_well_below(
    cycles: list[tuple[float, bool]], threshold: float, release: float
) -> None:
    risk, first = [r for r, _ in cycles], [True, *(f for _, f in cycles[1:])]
    found = stands(np.array(risk), np.array(first), threshold, release)
    assert found.tolist() == one_by_one(risk, first, threshold, release)


def test_alarms_are_early_late_or_false() -> None:
    lives = [(399, 400, PRESSURE), (399, 400, PRESSURE), (400, np.inf, -1), (14, 15, PRESSURE)]
    rows = rows_of(lives, every=1, anode=["lithium", "silicon", "silicon", "silicon"])
    risk = np.zeros(len(rows))
    risk[(rows.cell == 0) & (rows.cycle >= 350)] = 0.5  # in time
    risk[(rows.cell == 1) & (rows.cycle >= 390)] = 0.5  # too late
    risk[(rows.cell == 1) & (rows.cycle == 50)] = 0.5  # too early to be meant
    risk[(rows.cell == 2) & ((rows.cycle == 100) | (rows.cycle == 102))] = 0.5
    risk[(rows.cell == 2) & (rows.cycle == 101)] = 0.3  # it wavers: one alarm of three cycles
    risk[(rows.cell == 3)] = 0.9  # it dies too young to be announced
    curve = Alarms.of(rows, risk).curve()
    at = int(np.flatnonzero(THRESHOLDS <= 0.5)[-1])
    assert curve.false[at] == pytest.approx(2 / len(rows))
    assert curve.standing[at] == pytest.approx(4 / len(rows))
    assert curve.failures == {"all": 3, "contact_loss": 3, "lithium": 1, "silicon": 2}
    assert {k: v[at] for k, v in curve.told.items()} == {
        "all": 1 / 3, "contact_loss": 1 / 3, "lithium": 1.0, "silicon": 0.0,
    }  # fmt: skip
    at_once = Alarms.of(rows, risk, release=1.0).curve()
    assert at_once.false[at] == pytest.approx(3 / len(rows))  # the waver is an alarm more
    quiet = lead(curve)
    assert quiet["lead.threshold"] > 0.5  # above it nothing is false, and nothing is told
    assert quiet["lead.contact_loss"] == 0.0
    loud = replace(curve, false=np.ones_like(curve.false))
    assert lead(loud) == {}


@pytest.mark.parametrize(
    ("begins", "until", "told", "false"),
    [(200, 400, 1, 0), (199, 400, 0, 1), (380, 400, 1, 0), (381, 400, 0, 0),
     (370, 410, 1, 0), (381, 410, 0, 0)],
)  # fmt: skip
def test_an_alarm_is_in_time_from_200_to_20_cycles_before(
    begins: int, until: int, told: int, false: int
) -> None:
    """Alive at 399; of a failure between check-ups the first cycle that it may have been counts."""
    rows = rows_of([(399, until, PRESSURE)], every=1)
    curve = Alarms.of(rows, np.where(rows.cycle >= begins, 0.9, 0.0)).curve()
    at = int(np.flatnonzero(THRESHOLDS <= 0.9)[-1])
    assert curve.told["all"][at] == told
    assert curve.false[at] == pytest.approx(false / 399)


def test_a_threshold_counts_as_quiet_if_all_higher_ones_are() -> None:
    """So low that it stands from the first cycle on, an alarm is seldom false, and never meant."""
    false = np.where(np.arange(len(THRESHOLDS)) == 50, 2 * RATE, 0.0)
    curve = Curve(false, false, {"all": np.arange(len(THRESHOLDS)) / 1e3}, {"all": 1})
    assert curve.quiet() == 51
    assert lead(curve) == lead_at(curve, 51)
    assert replace(curve, false=np.full(len(THRESHOLDS), np.nan)).quiet() is None


def wavering() -> tuple[Any, np.ndarray]:
    """Failures foreseen by a risk that wavers by a third, also of cells that live on."""
    lives = [(399, 400, PRESSURE), (900, np.inf, -1)] * 12
    rows = rows_of(lives, every=1)
    doomed = rows.cause[rows.cell] >= 0
    risk = np.where(doomed & (rows.left <= 150), 0.8, 0.05)
    loud = ~doomed & (rows.cycle > 700) & (rows.cell == 1)
    return rows, np.where(loud, 0.8, risk) * np.where(rows.cycle % 2, 1.0, 0.66)


def test_an_opponent_has_the_release_that_serves_it_best() -> None:
    rows, risk = wavering()
    alarms, release = _announced.best(rows, risk)
    curve = alarms.curve()
    assert release < 0.66
    assert lead(curve)["lead.all"] == 1.0
    assert lead(Alarms.of(rows, risk, 1.0).curve())["lead.threshold"] > 0.8


def test_the_threshold_of_validation_designs_is_told_of_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, risk = wavering()
    held = Alarms.of(rows, risk).curve()
    test = Alarms.of(rows, np.where(rows.cycle == 20, 0.9, risk)).curve()
    found = _announced.chosen(held, test)
    at = held.quiet()
    assert found["lead.chosen.threshold"] == THRESHOLDS[at]
    assert (
        found["lead.chosen.false_per_cycle"] == test.false[at] > RATE
    )  # louder there, and told so
    assert f"{test.false[at]:.5f}" in capsys.readouterr().out
    assert _announced.chosen(replace(held, false=np.ones(len(THRESHOLDS))), test) == {}
    _announced.show_choice(rows, np.column_stack([risk] * len(HORIZONS)))
    shown = capsys.readouterr().out
    assert "100 cycles" in shown
    assert "1.000" in shown


def test_ours_and_trees_are_heard_after_every_cycle(cells: Cells) -> None:
    rows = judged_rows(cells, 1)
    assert (np.bincount(rows.cell) == rows.after).all()
    history = table(cells, 1, VIEWS[-1:])[VIEWS[-1]]
    for column in (0, 7):
        found = _watch.asked(lambda x, c=column: x[:, c].astype(float), cells, rows, None)
        np.testing.assert_array_equal(found, history[:, column])

    def forecast(some: Any) -> dict[str, SimpleNamespace]:
        out = {}
        for cell in some:
            count = cell.summaries.cycle_count
            risk = np.zeros((len(count), len(RISKS), len(HORIZONS)))
            risk[:, PRESSURE_RISK, _watch.NOW] = 1 / count
            out[cell.cell_id] = SimpleNamespace(cycle_count=count, risk=risk)
        return out

    found = _networks.heard_always(forecast, cells, rows)["risk"]
    np.testing.assert_allclose(found[:, _watch.NOW], 1 / rows.cycle, rtol=1e-6)
    hidden = rows.cycle[:, None].astype(np.float32)
    told = _watch.asked(lambda x: x[:, -1].astype(float), cells, rows, hidden)
    np.testing.assert_array_equal(told, rows.cycle)


def test_opponents_learn_the_risk_of_alarms_from_what_they_may_know(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees learn the risk within 100 cycles; those told the truth see it; the blind are blind."""
    known = Rows.of(table(cells, 5, views=()))
    every, seen = judged_rows(cells, 1), []
    truth = {len(known): known.cycle[:, None] * 10.0, len(every): every.cycle[:, None] * 10.0}
    monkeypatch.setattr(_watch, "hidden_truth", lambda _, rows: truth[len(rows)].astype("f4"))

    def classifier(x: np.ndarray, label: np.ndarray, _: Any) -> Any:
        seen.append((x, label))
        return lambda asked: asked[:, -1].astype(float)

    monkeypatch.setattr(_watch._trees, "classifier", classifier)

    def forecast(some: Any) -> dict[str, SimpleNamespace]:
        assert not any(c.summaries.observed[:, PRESSURE_FIELDS].any() for c in some)
        nothing = np.zeros((1, len(RISKS), len(HORIZONS)))
        counts = {c.cell_id: c.summaries.cycle_count for c in some}
        return {
            name: SimpleNamespace(cycle_count=count, risk=nothing.repeat(len(count), 0))
            for name, count in counts.items()
        }

    contest = SimpleNamespace(
        known=known, every=every, test=cells, learn=cells, parameters={},
        learnt=table(cells, 5, VIEWS[-1:]), effort=SimpleNamespace(tree_rows=10_000),
        config=SimpleNamespace(network="", training=""), blind=lambda: forecast,
        kept=lambda name, code, make, given: make(),
    )  # fmt: skip
    found = _watch.opponents(contest)
    label = known.within(AHEAD)
    assert (label != known.within(50)).any()
    for (x, taught), width in zip(seen, (0, 1), strict=True):
        np.testing.assert_array_equal(taught, label[label >= 0])
        assert x.shape[1] == contest.learnt[VIEWS[-1]].shape[1] + width
    np.testing.assert_array_equal(found["truth_trees"], every.cycle * 10.0)
    assert (found["network_blind"] == 0).all()
