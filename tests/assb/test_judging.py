"""How what was said is judged, told and drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _judging, _pictures, assb
from benchmarks._alarms import Alarms
from benchmarks._said import Said
from fadecast.forecast import metrics
from tests.assb.made_up import PRESSURE, random_lives, rows_of

ROOT = Path(__file__).resolve().parents[2]


@given(st.integers(0, 10_000))
def test_a_sorted_score_is_judged_as_the_metrics_do(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 40))
    label, score = draw.integers(0, 2, n), draw.integers(0, 6, n) / 5
    weight = draw.integers(0, 3, n).astype(float)
    found = _judging.Ranked(label, score)(weight)
    wanted = [m(label, score, weight) for m in (metrics.auroc, metrics.average_precision)]
    if np.isfinite(wanted[0]):
        np.testing.assert_allclose(found, wanted)
    else:
        assert np.isnan(found).all()


def test_a_better_score_gains_and_the_same_one_does_not() -> None:
    rows = rows_of([(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(120)])
    perfect = Said(-rows.left, rows.left)
    chance = Said(np.random.default_rng(0).random(len(rows)), rows.left)
    alone = np.arange(120)
    found = _judging.gains([perfect], {"chance": chance, "same": perfect}, rows, alone, draws=60)
    assert (found["chance"][:, 0] > 0.1).all()
    np.testing.assert_array_equal(found["same"], 0.0)
    assert found["chance"][0, 0] < found["chance"][0, 1] - 0.01  # designs are drawn anew
    mean = _judging.gains([perfect, chance], {"chance": chance}, rows, alone, draws=60)
    np.testing.assert_allclose(mean["chance"], found["chance"] / 2, atol=1e-9)
    at = rows.cycle == 50
    late = {"late": replace(chance, risk=np.where(at, perfect.risk, chance.risk))}
    there = _judging.gains([perfect], late, rows, alone, at, draws=60)
    np.testing.assert_array_equal(there["late"], 0.0)  # as good as ours at that landmark
    few = _judging.gains([perfect], {"chance": chance}, rows, alone // 30, draws=60)["chance"]
    assert np.ptp(few[0]) != np.ptp(found["chance"][0])
    one = _judging.gains([perfect], {"chance": chance}, rows, 0 * alone, draws=9)["chance"]
    assert np.ptp(one[0]) == 0.0  # a single design is drawn whole every time
    cells = _judging.gains([perfect], {"x": chance}, rows, 0 * alone, alike=True, draws=9)["x"]
    told = [_judging.ranking("x", said, rows) for said in (perfect, chance)]
    for row, figure in zip(cells, ("auroc", "ap"), strict=True):
        ours, theirs = (one[f"risk50.{figure}.cells.x"] for one in told)
        np.testing.assert_allclose(row, ours - theirs)
    assert abs(cells[1, 0] - one[1, 0]) > 1e-3


def test_the_perfect_forecast_has_no_error_and_every_figure_its_name() -> None:
    lives = [(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(80)]
    rows = rows_of(lives)
    end = np.where(rows.failed[rows.cell], rows.left, 5000)
    said = Said((rows.label == 1).astype(float), rows.left, rows.left, end)
    figures = assb.standing("x", [said], rows)
    assert np.isnan(figures["risk50.auroc.vehicle.x"])  # there is none
    for key in ("risk50.auroc.x", "risk50.auroc.cells.x", "risk50.ap.cycle100.x"):
        assert figures[key] == pytest.approx(1.0)
    assert figures["concordance.cycle100.x"] > 0.99  # a cell lost when another fails ties with it
    assert figures["rul.mdape.cycle100.x"] == figures["rul.mdape.last50.x"] == 0.0
    assert figures["rul.mae.cycle100.x"] == 0.0
    covered = _judging.calibration(said, rows)
    assert covered["risk50.calibration_error"] == 0.0
    assert 0.95 < covered["coverage90.overall"] < 1.0  # open intervals may miss what is not seen
    assert covered["coverage90.stage1.00"] == pytest.approx(1.0)
    short = replace(said, low=rows.left - 9, high=rows.left - 5)
    assert _judging.calibration(short, rows)["coverage90.overall"] < 0.25  # beyond τ


def test_lives_count_up_to_the_end_of_the_follow_up() -> None:
    """Of 40 cells 30 fail at cycles 140…430, the others are followed to 500."""
    lives = [(t - 1, t, PRESSURE) for t in range(140, 440, 10)] + [(500, np.inf, -1)] * 10
    rows = rows_of(lives)
    assert _judging.counted(rows.left, rows).max() == 500 - rows.cycle.min()

    def judged(left: np.ndarray) -> dict[str, float]:
        return _judging.remaining_life("x", Said(-left, left), rows)

    long = judged(np.where(rows.failed[rows.cell], rows.left, 3000.0))
    assert long["rul.mae.cycle100.x"] == long["rul.mdape.cycle100.x"] == 0.0
    forever, to_the_end = judged(9e3 - rows.cycle), judged(500.0 - rows.cycle)
    assert forever["rul.mae.cycle100.x"] == to_the_end["rul.mae.cycle100.x"]
    true = np.array([min(t, 500) - 100 for t in [*range(140, 440, 10), *[500] * 10]])
    assert forever["rul.mae.cycle100.x"] == pytest.approx(np.mean(400 - true))
    assert forever["rul.mdape.cycle100.x"] == pytest.approx(np.median(8900 / true[:30] - 1))


def test_the_error_of_a_life_is_freed_of_the_censoring() -> None:
    """Half of the cells are lost at cycle 200, whatever their life: the others speak for them."""
    life = np.arange(110, 510)
    lost = np.arange(400) % 2 > 0
    true = [(t - 1, t, PRESSURE) if not gone or t <= 200 else (200, np.inf, -1)
            for t, gone in zip(life, lost, strict=True)]  # fmt: skip
    rows = rows_of(true)
    said = Said(np.zeros(len(rows)), np.full(len(rows), 100.0))
    found = _judging.remaining_life("x", said, rows)["rul.mae.cycle100.x"]
    assert found == pytest.approx(np.abs(life - 100 - 100).mean(), rel=0.02)


def test_true_quantiles_are_found_to_hold_what_they_promise() -> None:
    """After every 60th cycle of cells of two kinds, half of them lost before they failed."""
    draw, n, shape = np.random.default_rng(0), 20_000, 1.5
    scale = draw.choice([300.0, 1200.0], n)
    life = np.ceil(scale * draw.weibull(shape, n))
    lost = np.minimum(np.ceil(draw.exponential(600, n)), 1500)
    lives = [(t - 1, t, PRESSURE) if t <= c else (c, np.inf, -1)
             for t, c in zip(life, lost, strict=True)]  # fmt: skip
    assert np.mean(life <= lost) < 0.55
    anode = np.where(scale > 300, "silicon", "lithium").tolist()
    rows = rows_of(lives, every=60, cycles=2000, anode=anode)
    own, used = scale[rows.cell], (rows.cycle / scale[rows.cell]) ** shape
    low, high = (own * (used - np.log(q)) ** (1 / shape) - rows.cycle for q in (0.95, 0.05))
    said = Said(np.zeros(len(rows)), low, low, high)
    found = _judging.calibration(said, rows)
    assert found["coverage90.overall"] == pytest.approx(0.9, abs=0.01)
    assert found["coverage90.lithium"] == pytest.approx(0.9, abs=0.01)
    assert found["coverage90.silicon"] == pytest.approx(0.9, abs=0.01)
    assert found["coverage90.stage1.00"] < 0.7  # given the life, even right quantiles miss it
    held, weight = _judging.covered(said, rows)
    assert metrics.mean(held, weight * rows.alike) < 0.87
    decided = rows.failed[rows.cell] | (rows.after[rows.cell] > high + rows.cycle)
    assert held[decided].mean() < 0.89


def test_cycles_that_are_known_count_for_those_that_are_not() -> None:
    rows = rows_of([(9, 10, 1), (100, 101, 1), (100, np.inf, -1)], every=1,
                   anode=["lithium", "lithium", "silicon"])  # fmt: skip
    hit = rows.cell == 0
    low = np.where(hit, rows.left, 500.0)
    high = np.where(hit, rows.left, 600.0)  # never outlived: the censored cell decides nothing,
    covered = _judging.calibration(Said(np.zeros(len(rows)), low, low, high), rows)
    assert covered["coverage90.overall"] == pytest.approx(9 / 209)  # and the failed one for both
    assert covered["coverage90.lithium"] == pytest.approx(9 / 109)
    assert covered["coverage90.silicon"] == pytest.approx(0.95)  # alone, it is judged until 100


def test_of_several_trainings_the_mean_and_the_spread_are_told() -> None:
    said = [Said(np.full(1, v), np.zeros(1)) for v in (1.0, 3.0)]
    found = _judging.over(said, lambda one: {"a": float(one.risk[0])})
    assert found == {"a": 2.0, "a.std": pytest.approx(np.sqrt(2))}
    assert _judging.over(said[:1], lambda one: {"a": 1.0}) == {"a": 1.0}
    assert assb.text(found, "a") == "2.000 ± 1.414"


def test_the_ceiling_is_the_better_of_those_who_know() -> None:
    values = {"kind": 0.6, "truth_trees": 0.9, "truth_network": 0.8, "network": 0.75, "cox": 0.7}
    values |= {"trees_history": 0.65, "depth_trees": 0.85}
    heads = [head for head in assb.AHEAD if head.startswith("risk50.")]
    figures = {f"{head}.{n}": v for head in heads for n, v in values.items()}
    figures |= {f"rul.mdape.cycle100.{n}": 1 - v for n, v in values.items()}
    found = assb.ceilings(figures)
    assert found["risk50.auroc.ceiling"] == 0.9
    assert found["rul.mdape.cycle100.ceiling"] == pytest.approx(0.1)
    assert found["risk50.ceiling_share"] == pytest.approx(0.5)
    assert found["risk50.depth_share"] == pytest.approx(0.8)
    assert found["rul.mdape.cycle100.ceiling_ratio"] == pytest.approx(2.5)
    figures |= {f"rul.mae.cycle100.{n}": 100 - v for n, v in values.items()}
    figures |= {f"concordance.cycle{c}.{n}": v for c in assb.LANDMARKS for n, v in values.items()}
    ahead = assb.margins(figures | {"concordance.cycle20.cox": 0.8}, list(values))
    assert ahead["risk50.auroc.margin"] == ahead["rul.mdape.cycle100.margin"] == pytest.approx(0.05)
    assert ahead["concordance.cycle20.margin"] == pytest.approx(-0.05)


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    rows = rows_of([(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(80)])
    said = [Said(np.clip(1 / rows.left.clip(min=1), 0, 1), rows.left)]
    figures = assb.standing("network", said, rows)
    curves = {name: Alarms.of(rows, said[0].risk).curve() for name in ("network", "truth_trees")}
    for folder in ("a", "b"):
        drawn = {
            "one": _pictures.reliability(said, rows), "two": _pictures.lead_times(curves),
            "three": _pictures.landmarks(["network"], figures),
        }  # fmt: skip
        _pictures.save(drawn, tmp_path / folder)
    for name in ("one", "two", "three"):
        first, second = ((tmp_path / f / f"{name}.svg").read_bytes() for f in ("a", "b"))
        assert first == second
        assert b"<svg" in first


def test_a_figure_is_met_within_its_bounds_and_never_where_it_is_missing() -> None:
    bounds = dict.fromkeys(("low", "high", "inside"), (0.88, 0.92)) | {"none": (-2.0, 1.0)}
    targets, met = _judging.verdicts({"low": 0.87, "high": 0.93, "inside": 0.92}, bounds)
    assert met == {"low": False, "high": False, "inside": True, "none": False}
    assert targets["inside"] == "0.88 … 0.92"
    wanted = {"coverage90.overall", "coverage90.stage1.00", "coverage90.silicon"}
    assert wanted < set(_judging.CALIBRATED)


def test_the_error_of_lives_is_compared_over_designs_of_cells_that_failed() -> None:
    rows = rows_of([(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(200)])
    alone, at = np.arange(200), rows.cycle == 100
    draw = np.random.default_rng(1)
    off = Said(rows.left, rows.left * draw.uniform(0.5, 0.9, len(rows)))
    right = Said(rows.left, rows.left)
    low, high = _judging.life_gain(right, off, rows, alone, draws=60)
    assert -0.5 < low < high < -0.1  # in the share of what was left; below 0 is better
    assert _judging.life_gain(off, right, rows, alone, draws=60)[0] == pytest.approx(-high)
    elsewhere = replace(right, left=np.where(at & rows.failed[rows.cell], rows.left, 1.0))
    np.testing.assert_array_equal(_judging.life_gain(right, elsewhere, rows, alone, draws=9), 0.0)
    one = _judging.life_gain(right, off, rows, 0 * alone, draws=9)
    assert one[0] == one[1]  # a single design is drawn whole every time
    assert np.isnan(_judging.life_gain(right, off, rows_of([(50, 51, PRESSURE)]), alone[:1])).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["assb", "fresh"])
def test_a_quick_run_goes_from_cells_to_figures(name: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    record = next(line for line in told.stdout.splitlines() if line.startswith('{"benchmark"'))
    found = json.loads(record)
    assert found["benchmark"] == name
    assert 0.5 < found["figures"]["risk50.auroc.network"] <= 1
    assert found["figures"]["risk50.auroc.gain.low"] < found["figures"]["risk50.auroc.gain.high"]
