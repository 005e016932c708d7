"""The parts of `python -m benchmarks.assb`: labels, weights, opponents and how they are judged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter

from benchmarks import _cox, _hazards, _judging, _networks, _patches, _pictures, _trees, assb
from benchmarks._alarms import THRESHOLDS, Curve, alarms, lead
from benchmarks._cells import HORIZON, Cells, Rows, hidden_truth, judged_rows, standard, table
from benchmarks._said import Said, by_kind, falls_to
from benchmarks._stages import Stages
from fadecast.cell.life import CAUSES, EndOfLife
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import INDEX, CycleSummaries
from fadecast.forecast import metrics, survival
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import HazardHead
from fadecast.runtime import Session
from tests.bundles import bundle, session, tiny_network  # noqa: F401

PRESSURE = CAUSES.index("contact_loss")
FADE = CAUSES.index("capacity_fade")


def rows_of(
    lives: list[tuple[float, float, int]], every: int = 5, cycles: int = 1000, **kinds: Any
) -> Rows:
    """Rows of cells given as (after, until, cause)."""
    after, until, cause = np.array(lives, np.float64).T
    count = [np.arange(every, min(a, cycles) + 1, every) for a in after]
    cell = np.repeat(np.arange(len(lives)), [len(c) for c in count])
    named = {n: np.array(kinds.get(n, ["x"] * len(lives))) for n in ("anode", "tier", "protocol")}
    cycle = np.concatenate(count).astype(np.int64)
    return Rows(**named, after=after, until=until, cause=cause.astype(int), cell=cell,
                row=cycle - 1, cycle=cycle)  # fmt: skip


def random_lives(n: int, seed: int = 0, end: float = 400.0) -> list[tuple[float, float, int]]:
    """Some fail, some are lost on the way, some are alive at the end."""
    draw = np.random.default_rng(seed)
    life, lost = np.ceil(draw.exponential(150, n)), np.ceil(draw.uniform(10, 2 * end, n))
    cause = draw.integers(0, len(CAUSES), n)
    out = []
    for t, c, k in zip(life, np.minimum(lost, end), cause, strict=True):
        out.append((t - 1, t, int(k)) if t <= c else (c, np.inf, -1))
    return out


def made_up_cells(folder: Path, lives: list[PublishedLife]) -> Store:
    """A store of fading cells with a measured pressure."""
    store = Store(folder, create=True)
    for i, life in enumerate(lives):
        n = int(life.cycle)
        count = np.arange(1, n + 1)
        fade = 1 - 0.2 * count / (n + 1)
        summaries = CycleSummaries.from_fields(count, {
            "charge_throughput": fade, "discharge_throughput": fade, "resistance": 0.1 + count / n,
            "pressure.mean": 5 + 0.01 * count, "capacity.charge.03": fade / 28,
        })  # fmt: skip
        anode = ("lithium", "silicon")[i % 2]
        spec = CellSpec(f"cell-{i}", 1.0, 2.5, 4.2, "nmc", anode, "sulfide", "spring", 5e6)
        notes = {"tier": "lab", "protocol": "laboratory 1C"}
        metadata = CellMetadata(spec, "simulated", "train", life, notes=notes)
        store.write(CellRecord(metadata, summaries=summaries))
    return store


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    lives = [PublishedLife(60 + 12 * i, "contact_loss", "made up", None) for i in range(11)]
    lives.append(PublishedLife(150, None, "made up"))
    store = made_up_cells(tmp_path_factory.mktemp("cells"), lives)
    return Cells(store, tuple(store.cell_ids()), EndOfLife())


@given(
    after=st.integers(1, 300), width=st.integers(1, 80), cause=st.integers(-1, len(CAUSES) - 1),
    cycle=st.integers(1, 300),
)  # fmt: skip
def test_a_label_holds_for_every_moment_at_which_the_cell_may_have_failed(
    after: int, width: int, cause: int, cycle: int
) -> None:
    cycle = min(cycle, after)
    until = after + width if cause >= 0 else np.inf
    rows = replace(rows_of([(after, until, cause)]), cell=np.array([0]), row=np.array([0]),
                   cycle=np.array([cycle]))  # fmt: skip
    moments = range(after + 1, after + width + 1) if cause >= 0 else [after + 1, 10**6]
    within = {m <= cycle + HORIZON for m in moments}
    wanted = -1 if len(within) > 1 else int(within == {True} and cause != FADE)
    assert rows.label[0] == wanted
    assert rows.left[0] == (until if cause >= 0 else after) - cycle


def test_cells_are_read_with_their_rows_features_and_lives(cells: Cells) -> None:
    found = table(cells, 10)
    rows = Rows.of(found)
    assert len(rows) == len(found["history"]) == len(found["current"]) == len(found["design"])
    assert set(rows.cycle % 10) == {0}
    first = rows.cell == 0
    assert rows.cycle[first].tolist() == [10, 20, 30, 40, 50]  # it fails at 60
    np.testing.assert_array_equal(rows.row, rows.cycle - 1)
    assert rows.anode[:2].tolist() == ["lithium", "silicon"]
    assert rows.failed.sum() == 11
    np.testing.assert_array_equal(judged_rows(cells, 10).cycle, rows.cycle)
    np.testing.assert_allclose(np.bincount(rows.cell, rows.alike), 1.0)


def test_blind_cells_lose_the_measured_pressure_alone(cells: Cells) -> None:
    seen, blind = next(iter(cells)), next(iter(cells.without_pressure()))
    assert seen.summaries.observed[:, INDEX["pressure.mean"]].all()
    assert not blind.summaries.observed[:, INDEX["pressure.mean"]].any()
    assert blind.summaries.observed.sum() == seen.summaries.observed.sum() - len(seen.summaries)
    assert blind.spec == seen.spec


def test_the_hidden_truth_is_that_of_the_cycle_and_of_the_cell(
    cells: Cells, tmp_path: Path
) -> None:
    (tmp_path / "truth").mkdir()
    until = np.array([int(cell.life.cycle) for cell in cells])
    order = np.random.default_rng(0).permutation(len(cells))
    hidden = np.concatenate([
        np.column_stack([np.full(until[i], i), np.arange(1, until[i] + 1)]) for i in order
    ])  # fmt: skip
    own = np.array([(float(i), 2.0 * i) for i in order], [("a", "f8"), ("b", "f8")])
    names = np.array([cells.ids[i] for i in order] + ["other"])
    hidden = np.concatenate([hidden, np.full((5, 2), -1)]).astype(np.float32)
    np.savez(
        tmp_path / "truth" / "shard-00000.npz", cell_id=names, hidden=hidden,
        until=np.append(until[order], 5), cells=np.append(own, own[:1]),
    )  # fmt: skip
    rows = judged_rows(cells)
    shutil.copytree(cells.store.path, tmp_path, dirs_exist_ok=True)
    found = hidden_truth(replace(cells, store=Store(tmp_path)), rows)
    wanted = np.column_stack([rows.cell, rows.cycle, rows.cell, 2 * rows.cell])
    np.testing.assert_array_equal(found, wanted)


def test_standard_passes_over_what_is_missing() -> None:
    x = np.array([[1, np.nan, 5], [3, np.nan, 5], [np.nan, np.nan, 5]], np.float32)
    centre, scale = standard(x)
    np.testing.assert_allclose(centre, [2, 0, 5])
    np.testing.assert_allclose(scale, [1, 0, 0])


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
    again = _trees.tuned(x, label, held, 5, 100, 40)
    np.testing.assert_array_equal(found["trials"], again["trials"])
    assert all(8 <= _trees.named(values)["max_iter"] <= 40 for values in found["trials"])


def test_trees_tell_risk_and_life_where_one_feature_is_the_life() -> None:
    rows = rows_of(random_lives(150))
    x = rows.left[:, None].astype(np.float32)
    parameters = {"max_iter": 40, "learning_rate": 0.3, "min_samples_leaf": 5}
    said = _trees.boosted(x, rows, x, parameters)
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

    def run() -> tuple[Told, dict[str, Any]]:
        torch.manual_seed(0)
        model = Told()
        inputs = lambda chosen: [torch.from_numpy(x[chosen])]  # noqa: E731
        _hazards.fit_hazards(model, inputs, rows, held, steps=200, batch=128, rate=2e-2)
        return model, _hazards.read(model, inputs, len(rows))

    (model, said), (again, _) = run(), run()
    at = np.flatnonzero((rows.cycle == 20) & (rows.left > 0))
    found = survival.concordance(-said["left"][at], rows.time[rows.cell[at]],
                                 rows.failed[rows.cell[at]])  # fmt: skip
    assert found > 0.95
    assert (said["low"] <= said["left"])[rows.left > 0].all()
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


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


def test_a_bundle_says_what_its_network_says(cells: Cells, session: Session) -> None:  # noqa: F811
    rows = judged_rows(cells)
    mine = _networks.heard(_networks.of(tiny_network()[1]), cells, rows)
    its = _networks.heard(_networks.bundled(session), cells, rows)
    for name in mine:
        np.testing.assert_allclose(mine[name], its[name], rtol=1e-3, atol=1e-4)


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
    found = _judging.gains([perfect], {"chance": chance, "same": perfect}, rows, draws=60)
    assert (found["chance"][:, 0] > 0.1).all()
    np.testing.assert_array_equal(found["same"], 0.0)


def test_the_perfect_forecast_has_no_error_and_every_figure_its_name() -> None:
    lives = [(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(80)]
    rows = rows_of(lives)
    said = Said((rows.label == 1).astype(float), rows.left, rows.left, rows.left)
    figures = assb.standing("x", [said], rows)
    for key in ("risk50.auroc.x", "risk50.auroc.cells.x", "risk50.ap.cycle100.x"):
        assert figures[key] == pytest.approx(1.0)
    assert figures["concordance.cycle100.x"] > 0.99  # a cell lost when another fails ties with it
    assert figures["rul.mdape.cycle100.x"] == figures["rul.mdape.last50.x"] == 0.0
    covered = _judging.calibration(said, rows)
    assert covered["risk50.calibration_error"] == 0.0
    assert covered["coverage90.overall"] == covered["coverage90.stage1.00"] == 1.0
    short = replace(said, low=rows.left - 9, high=rows.left - 5)
    assert _judging.calibration(short, rows)["coverage90.overall"] == 0.0


def test_coverage_counts_cells_alike_and_only_what_is_decided() -> None:
    rows = rows_of([(9, 10, 1), (100, 101, 1), (100, np.inf, -1)], every=1,
                   anode=["lithium", "lithium", "silicon"])  # fmt: skip
    hit = rows.cell == 0
    low = np.where(hit, rows.left, 500.0)
    high = np.where(hit, rows.left, 600.0)  # never outlived: the censored cell decides nothing
    covered = _judging.calibration(Said(np.zeros(len(rows)), low, low, high), rows)
    assert covered["coverage90.overall"] == pytest.approx(0.5)
    assert covered["coverage90.lithium"] == pytest.approx(0.5)
    assert np.isnan(covered["coverage90.silicon"])


def test_of_several_trainings_the_mean_and_the_spread_are_told() -> None:
    said = [Said(np.full(1, v), np.zeros(1)) for v in (1.0, 3.0)]
    found = _judging.over(said, lambda one: {"a": float(one.risk[0])})
    assert found == {"a": 2.0, "a.std": pytest.approx(np.sqrt(2))}
    assert _judging.over(said[:1], lambda one: {"a": 1.0}) == {"a": 1.0}
    assert assb.text(found, "a") == "2.000 ± 1.414"


def test_alarms_are_early_late_or_false() -> None:
    lives = [(399, 400, PRESSURE), (399, 400, PRESSURE), (400, np.inf, -1), (14, 15, PRESSURE)]
    rows = rows_of(lives, anode=["lithium", "silicon", "silicon", "silicon"])
    risk = np.zeros(len(rows))
    risk[(rows.cell == 0) & (rows.cycle >= 350)] = 0.5  # in time
    risk[(rows.cell == 1) & (rows.cycle >= 390)] = 0.5  # too late
    risk[(rows.cell == 1) & (rows.cycle == 50)] = 0.5  # too early to be meant
    risk[(rows.cell == 2) & ((rows.cycle == 100) | (rows.cycle == 105))] = 0.5  # one alarm
    risk[(rows.cell == 3)] = 0.9  # it dies too young to be announced
    curve = alarms(rows, risk)
    at = int(np.flatnonzero(THRESHOLDS <= 0.5)[-1])
    assert curve.false[at] == pytest.approx(2 / (5 * len(rows)))
    assert curve.failures == {"contact_loss": 2, "lithium": 1, "silicon": 1}
    assert {k: v[at] for k, v in curve.told.items()} == {
        "contact_loss": 0.5, "lithium": 1.0, "silicon": 0.0,
    }  # fmt: skip
    quiet = lead(curve)
    assert quiet["lead.threshold"] > 0.5  # above it nothing is false, and nothing is told
    assert quiet["lead.contact_loss"] == 0.0
    loud = Curve(np.ones_like(curve.false), curve.told, curve.failures)
    assert lead(loud) == {}


def test_the_ceiling_is_the_better_of_those_who_know() -> None:
    values = {"kind": 0.6, "truth_trees": 0.9, "truth_network": 0.8, "network": 0.75, "cox": 0.7}
    figures = {f"risk50.auroc{p}.{n}": v for p in ("", *(f".cycle{c}" for c in assb.LANDMARKS))
               for n, v in values.items()}  # fmt: skip
    figures |= {f"rul.mdape.cycle100.{n}": 1 - v for n, v in values.items()}
    found = assb.ceilings(figures)
    assert found["risk50.auroc.ceiling"] == 0.9
    assert found["rul.mdape.cycle100.ceiling"] == pytest.approx(0.1)
    assert found["risk50.ceiling_share"] == pytest.approx(0.5)
    assert found["rul.mdape.cycle100.ceiling_ratio"] == pytest.approx(2.5)
    assert assb.margins(figures, list(values))["risk50.auroc.margin"] == pytest.approx(0.05)


def test_a_stage_is_made_once_and_again_for_other_data(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"x": np.array([len(made)])}

    code = ("benchmarks/_stages.py",)
    assert (
        Stages(tmp_path, "a")("s", code, make)["x"] == Stages(tmp_path, "a")("s", code, make)["x"]
    )
    assert len(made) == 1
    assert Stages(tmp_path, "b")("s", code, make)["x"] == 2
    assert Stages(tmp_path, "b")("s", code, make, given="other")["x"] == 3
    Stages(tmp_path, "b")("s", ("benchmarks/_said.py",), make, given="other")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="stop"):
        Stages(tmp_path, "c")("s", code, lambda: (_ for _ in ()).throw(ValueError("stop")))
    assert len(list(tmp_path.iterdir())) == 1


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    rows = rows_of([(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(80)])
    said = [Said(np.clip(1 / rows.left.clip(min=1), 0, 1), rows.left)]
    figures = assb.standing("network", said, rows)
    curves = {name: alarms(rows, said[0].risk) for name in assb.COMPARED}
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
