"""The page of results tells what was measured: misses and failures included, nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fadecast
from benchmarks import __main__ as runner
from benchmarks import _pictures
from benchmarks._alarms import Alarms
from benchmarks._cells import Cells
from benchmarks._conditions import noisier, undeclared, without_pressure
from benchmarks._ensemble import _within, drawn_lives, mixed
from benchmarks._judge import Judged, differences, matched
from benchmarks._said import Said
from benchmarks.pretrained import same
from benchmarks.shift import FEWEST, WORTH, failures, too_few
from fadecast.cell.life import CAUSES, EndOfLife, Life
from fadecast.cell.record import PublishedLife
from fadecast.cell.summaries import FIELDS
from fadecast.export.bundle import export_bundle
from fadecast.forecast.forecast import HORIZONS, LONGEST, RISKS, Forecasts
from fadecast.learn.batches import Batch
from fadecast.learn.dataset import CellSequence
from fadecast.network.heads import N_INTERVALS, log_hazards
from fadecast.physics.population import Population
from tests.assb.made_up import PRESSURE, made_up_cells, random_lives, rows_of
from tests.bundles import made_up_cycles, tiny_network

RESULT = {
    "benchmark": "made_up",
    "figures": {"speed.ratio": 2.123456, "speed.other": 0.5, "count": 7},
    "targets": {"speed.ratio": "at least 3", "speed.other": "at most 1", "size": "at most 9"},
    "met": {"speed.ratio": False, "speed.other": True},
    "machine": {"processor": "made up", "cores": 2},
    "versions": {"python": "3.11"},
}


def test_a_miss_is_told_as_one() -> None:
    page = runner.section("made_up", ["a table", json.dumps(RESULT)], RESULT, 0)
    assert "```text\na table\n```" in page
    assert "| `speed.ratio` | at least 3 | 2.123 | **no** |" in page
    assert "| `speed.other` | at most 1 | 0.5 | yes |" in page
    assert "| `size` | at most 9 | – | not measured |" in page
    assert "cores 2" in page


def test_a_failure_leaves_no_figures() -> None:
    page = runner.section("made_up", ["a table"], None, 1)
    assert "`python -m benchmarks.made_up` failed (exit code 1)" in page
    assert "a table" not in page


@pytest.mark.parametrize("line", ["", "not json", "[]", json.dumps({"benchmark": "made_up"})])
def test_only_a_whole_result_counts(line: str) -> None:
    assert runner.read_result(line) is None
    assert runner.read_result(json.dumps(RESULT)) == RESULT


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the results of a folder of made-up benchmarks are written."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    good = f"import sys\nprint('fine', *sys.argv[1:])\nprint({json.dumps(json.dumps(RESULT))})\n"
    (folder / "good.py").write_text(good)
    (folder / "other.py").write_text("print('## other')\n" + good)
    (folder / "poor.py").write_text("raise SystemExit(3)\n")
    (folder / "_helper.py").write_text("raise SystemExit(4)\n")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.md")
    return tmp_path / "results.md"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    runner.main()


def test_all_run_and_a_failing_one_is_said(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="failed: poor"):
        run(monkeypatch)
    text = page.read_text()
    assert text.startswith("# Results")
    assert [m[1] for m in runner.SECTION.finditer(text)] == ["good", "other", "poor"]
    assert "failed (exit code 3)" in text
    assert "_helper" not in text


def test_a_named_run_refreshes_its_own_section_only(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.write_text("# Results\n\nNothing is measured here yet.\n")
    run(monkeypatch, "other")
    run(monkeypatch, "good")
    both = page.read_text()
    assert "yet" not in both
    assert [m[1] for m in runner.SECTION.finditer(both)] == ["good", "other"]
    run(monkeypatch, "other")
    assert page.read_text() == both  # the same output gives the same page
    good = page.parent / "benchmarks" / "good.py"
    good.write_text(good.read_text().replace("fine", "better"))
    run(monkeypatch, "good")
    assert page.read_text() == both.replace("fine", "better", 1)
    (page.parent / "benchmarks" / "other.py").unlink()
    run(monkeypatch, "good")
    assert [m[1] for m in runner.SECTION.finditer(page.read_text())] == ["good"]


def test_a_quick_run_leaves_the_page_alone(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "good", "--quick")
    assert not page.exists()
    run(monkeypatch, "good")
    full = page.read_bytes()
    run(monkeypatch, "good", "other", "--quick")
    assert page.read_bytes() == full


def judged(
    kinds: list[str], risk: list[float], label: list[int], protocol: list[str] | None = None
) -> Judged:
    """One judged forecast of each of some made-up cells, at cycle 100."""
    lives = [(119, 120, PRESSURE) if soon else (499, 500, PRESSURE) for soon in label]
    protocol = protocol or ["x"] * len(kinds)
    rows = rows_of(lives, every=100, cycles=100, anode=kinds, protocol=protocol)
    left = rows.left * np.linspace(1.1, 1.5, len(kinds))
    yes = np.ones(len(kinds), bool)
    risks = np.array(risk)
    said = Said(risks, left, 0.5 * left, 2 * left)
    return Judged(rows, said, yes, ~yes, rows, risks, np.arange(len(kinds)))


def test_kinds_are_weighed_alike_and_those_of_one_side_not_at_all() -> None:
    own = judged(["a", "a", "a", "b", "c"], [0.5] * 5, [0, 1, 0, 1, 0])
    other = judged(["a", "b", "b", "d"], [0.5] * 4, [0, 1, 0, 1])
    kept, there = matched(own, other)
    assert kept.tolist() == [1, 1, 1, 1, 0]
    assert there.tolist() == [3, 0.5, 0.5, 0]


def test_differences_are_of_the_same_cells() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 60)
    own = judged(["a"] * 60, (label + rng.normal(0, 0.5, 60)).tolist(), label.tolist())
    blind = judged(["a"] * 60, rng.random(60).tolist(), label.tolist())
    same, worse = differences(own, own, paired=True), differences(own, blind, paired=True)
    assert same["auroc"] == (0, 0, 0)
    value, low, high = worse["auroc"]
    assert low < value < high < 0
    assert worse["rul.mdape.cycle100"][0] == 0
    assert "coverage90.flagged" not in worse  # nothing is flagged


def test_a_change_is_told_of_the_cells_of_one_protocol() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 80)
    protocol = ["vehicle", "laboratory"] * 40
    risk = label + rng.normal(0, 0.5, 80)
    blind = np.where(np.array(protocol) == "vehicle", rng.random(80), risk)
    own, other = (judged(["a"] * 80, r.tolist(), label.tolist(), protocol) for r in (risk, blind))
    assert differences(own, other, paired=True, protocol="laboratory")["auroc"] == (0, 0, 0)
    value, low, high = differences(own, other, paired=True, protocol="vehicle")["auroc"]
    assert low < value < high < 0
    inside = np.array(protocol) == "vehicle"
    wanted = other.figures(inside * 1.0)["auroc"] - own.figures(inside * 1.0)["auroc"]
    assert value == pytest.approx(wanted)
    soon = int(label[inside].sum())
    assert failures(own, "vehicle")["lead.contact_loss"] == int(inside.sum())
    assert soon < failures(own, "vehicle")["rul.mdape.cycle100"] == int(inside.sum())
    assert too_few(own, "vehicle") == {"lead.lithium_penetration", "lead.over_pressure"}
    few = judged(["a"] * (FEWEST - 1), [0.5] * (FEWEST - 1), [1] * (FEWEST - 1))
    assert too_few(few, None) == {*WORTH} - {"auroc", "ap"}


def test_alarms_of_weighed_cells_are_those_of_the_cells_that_weigh() -> None:
    lives = [(a, u, PRESSURE if c >= 0 else c) for a, u, c in random_lives(60)]
    anode = ["lithium", "silicon"] * 30
    rows, risk = rows_of(lives, anode=anode), {}
    draw = np.random.default_rng(1)
    for cell in range(60):
        chosen = rows.cell == cell
        risk[cell] = np.clip(30 / rows.left[chosen].clip(min=1), 0, 1) * draw.random(chosen.sum())
    kept = list(range(0, 60, 3))
    weight = np.isin(np.arange(60), kept) * 2.0
    found = Alarms.of(rows, np.concatenate([*risk.values()])).curve(weight)
    some = rows_of([lives[i] for i in kept], anode=[anode[i] for i in kept])
    wanted = Alarms.of(some, np.concatenate([risk[i] for i in kept])).curve()
    np.testing.assert_allclose(found.false, wanted.false)
    np.testing.assert_allclose(found.standing, wanted.standing)
    for name, share in wanted.told.items():
        np.testing.assert_allclose(found.told[name], share)
    assert 0 < wanted.told["contact_loss"].max() <= 1


def test_changes_are_drawn_alike_and_gaps_stay_empty(tmp_path: Path) -> None:
    span = (-0.01, -0.03, 0.02)
    spans = {
        (name, part): {key: span for key in WORTH if key != "lead.over_pressure"}
        for name in ("noise2", "dead") for part in (None, "vehicle")
    }  # fmt: skip
    for folder in ("one", "two"):
        _pictures.save({"x": _pictures.changes(spans, WORTH, "3 cells")}, tmp_path / folder)
    first, second = ((tmp_path / folder / "x.svg").read_text() for folder in ("one", "two"))
    assert first == second
    assert "too few failures" in first
    assert "3 cells" in first


def test_forecasts_are_judged_at_their_cycles_and_cells_alike(tmp_path: Path) -> None:
    """Of two cells the first is told right; the other far too short, and flagged."""
    lives = [PublishedLife(120, "contact_loss"), PublishedLife(300, "contact_loss")]
    store = made_up_cells(tmp_path / "store", lives)
    cells = list(Cells(store, tuple(store.cell_ids()), EndOfLife()))
    forecasts = {}
    for cell, share in zip(cells, (1.0, 0.5), strict=True):
        count = cell.summaries.cycle_count
        left = share * (cell.life.cycle - count)
        rul = left[:, None] * [0.9, 0.95, 1.0, 1.05, 1.1]
        risk = np.zeros((len(count), len(RISKS), len(HORIZONS)))
        risk[:, RISKS.index("pressure"), HORIZONS.index(50)] = cell.life.cycle - count <= 50
        risk[:, RISKS.index("pressure"), HORIZONS.index(100)] = cell.life.cycle - count <= 77
        n = len(count)
        forecasts[cell.cell_id] = Forecasts(
            count, rul, risk, np.zeros((n, 1, 1)), np.ones(n), np.full(n, 2.0 - share),
            count != 5, np.zeros((n, 4)), np.ones((n, 4)),
        )  # fmt: skip
    found = Judged.of(forecasts, cells)
    assert (found.valid == (found.rows.cycle != 5)).all()
    figures = found.figures()
    assert figures["auroc"] == figures["ap"] == 1
    assert figures["rul.mdape.cycle100"] == 0  # of two, the lower median
    assert found.figures(np.array([1.0, 3.0]))["rul.mdape.cycle100"] == 0.5
    assert figures["coverage90"] == pytest.approx(0.28, abs=0.01)  # cycles alike
    assert figures["novelty"] == pytest.approx(0.5)
    assert len(found.every) == 119 + 299  # all cycles at which they are known alive
    assert (found.ahead == (found.every.left <= 77)).all()  # alarms hear of every cycle
    assert figures["lead.contact_loss"] == 1
    assert figures["coverage90.unflagged"] == pytest.approx(1)
    assert figures["coverage90.flagged"] < 0.02


def test_a_dead_pressure_sensor_leaves_the_rest() -> None:
    record = made_up_cycles(cycles=10)
    assert record.summaries is not None
    cell = CellSequence(record.metadata, record.summaries, Life(10, np.inf, None))
    seen = without_pressure(cell, 0.5).summaries.observed
    pressure = np.array([name.startswith("pressure") for name in FIELDS])
    before = record.summaries.observed
    assert before[:, pressure].any(1).all()
    assert np.array_equal(seen[:, ~pressure], before[:, ~pressure])
    assert seen[:, pressure].any(1).tolist() == [True] * 5 + [False] * 5
    unknown = undeclared(cell).spec
    assert (unknown.fixture, unknown.applied_pressure_pa) == ("unknown", None)
    assert unknown.pressure_limit_pa is None
    assert unknown.nominal_capacity_ah == cell.spec.nominal_capacity_ah


def test_noisier_sensors_are_twice_as_noisy() -> None:
    config = Population.from_yaml(
        Path(__file__).parent.parent / "training" / "populations" / "assb.yaml"
    )
    before, after = config.sensors, noisier(config).sensors
    assert after.voltage_noise == 2 * before.voltage_noise
    assert after.pressure_drift == tuple(2 * end for end in before.pressure_drift)
    assert after.pressure_noise == tuple(2 * end for end in before.pressure_noise)
    assert (after.current_noise, after.temperature_noise) == (
        2 * before.current_noise, 2 * before.temperature_noise
    )  # fmt: skip
    assert after.pressure_missing == before.pressure_missing


@pytest.mark.parametrize("name", ["assb", "elsewhere"])
def test_the_populations_that_are_compared_hold_the_same_kinds(name: str) -> None:
    path = Path(__file__).parent.parent / "training" / "populations" / f"{name}.yaml"
    kinds = {(g.anode, g.tier, g.protocol) for g in Population.from_yaml(path).groups}
    assert len(kinds) == 12


def test_a_mixture_of_lives_is_their_mean_and_teaches_by_draws() -> None:
    """Also where hardly a cell is left; what is drawn of it comes as often as it says."""
    draw = torch.Generator().manual_seed(0)
    raw = 4 * torch.randn(3, 2, N_INTERVALS, len(CAUSES), generator=draw) - 2
    raw[0, 0, 5:] = 4.0  # dead soon
    members = [log_hazards(one) for one in raw]
    both = mixed(members)
    assert torch.allclose(both.exp().sum(-1), torch.ones(both.shape[:-1]), atol=1e-5)
    within = _within(both)
    assert torch.allclose(within, torch.stack([_within(m) for m in members]).mean(0), atol=1e-6)
    many = 40_000
    rows = Batch(*(torch.zeros(many, 1) for _ in Batch._fields))
    drawn = drawn_lives(rows, lambda some: both[1].expand(len(some.age), -1, -1), seed=0)
    for cause in range(len(CAUSES)):
        seen = (drawn.cause == cause).float().mean()
        assert seen.item() == pytest.approx(within[1, :, cause].sum().item(), abs=0.01)
    survived = drawn.cause < 0
    assert (drawn.after[survived] == LONGEST).all()
    assert (drawn.until[~survived] > drawn.after[~survived]).all()


def test_bundles_are_the_same_when_their_graphs_are(tmp_path: Path) -> None:
    summary, forecaster = tiny_network()
    held_out = [made_up_cycles("held-out", cycles=12, seed=9)]
    made = export_bundle(
        summary, forecaster, tmp_path / "bundle", training={}, end_of_life=EndOfLife(),
        held_out=held_out,
    )  # fmt: skip
    again = export_bundle(
        summary, forecaster, tmp_path / "again", training={"run_id": "another"},
        end_of_life=EndOfLife(), held_out=held_out,
    )  # fmt: skip
    assert same(made, again)
    assert not same(made, fadecast.PRETRAINED)
