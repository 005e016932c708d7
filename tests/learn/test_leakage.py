"""No leak: not of the life into the features, of the future into the past, or between the parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.cycles import assign_cycles
from fadecast.cell.life import EndOfLife, Life, find_life
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries
from fadecast.forecast.forecast import HORIZONS, RISKS, Forecasts
from fadecast.learn.batches import to_rows
from fadecast.learn.config import SplitConfig, TrainingConfig
from fadecast.learn.dataset import CellSequence
from fadecast.learn.features import cycle_features
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells
from fadecast.learn.split import split_cells
from fadecast.network.batch import summarise_record
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.report.scores import read_scores
from fadecast.runtime import Session
from fadecast.runtime.golden import OUTPUTS
from fadecast.scoring.local import score
from tests.bundles import made_up_cycles, made_up_record, tiny_network
from tests.learn.population import made_up_sequence, with_life_of

LANDMARK, AHEAD = 20, 50
"""Cycle at which cells are told apart, and within how many they fail or do not."""
NETWORK = ForecasterConfig(hidden=16, dropout=0.0)
TRAINING = TrainingConfig(epochs=20, risk_weight=3.0, accelerator="cpu")

Array = np.ndarray


# ── The life does not leak into the features ─────────────────────────────────


@pytest.fixture(scope="module")
def population() -> list[CellSequence]:
    fades = np.exp(np.random.default_rng(0).uniform(np.log(1.5e-3), np.log(6e-3), 72))
    cells = [made_up_sequence(n, fade=float(fade), cycles=150) for n, fade in enumerate(fades)]
    # Whatever ends them is called a failure by pressure, so that the risks of one are learnt too.
    return [replace(c, life=replace(c.life, cause="contact_loss")) if c.life.failed else c
            for c in cells]  # fmt: skip


@pytest.fixture(scope="module")
def train(population: list[CellSequence]) -> list[CellSequence]:
    return population[:-24]


@pytest.fixture(scope="module")
def test(population: list[CellSequence]) -> list[CellSequence]:
    return population[-24:]


def risks(forecaster: Forecaster, cells: Sequence[CellSequence]) -> Array:
    """Risk of failing within ``AHEAD`` cycles after ``LANDMARK``, told after the whole record."""
    place = RISKS.index("any"), HORIZONS.index(AHEAD)
    found = forecast_cells(forecaster, cells)
    return np.array([found[c.cell_id].risk[LANDMARK - 1][place] for c in cells])


def told_apart(risk: Array, fails: Array) -> float:
    """Mean risk of those that fail less that of those that do not (Yates 1982).

    An area under a ROC curve would not do: it ranks by the faintest trace of chance in the labels
    as well as by knowledge.
    """
    return float(risk[fails].mean() - risk[~fails].mean())


def shuffled(cells: Sequence[CellSequence], seed: int) -> list[CellSequence]:
    order = np.random.default_rng(seed).permutation(len(cells))
    return [with_life_of(c, cells[j]) for c, j in zip(cells, order, strict=True)]


def telling_its_life(cell: CellSequence) -> CellSequence:
    """The leak that is looked for: a field that knows when the cell will fail."""
    s = cell.summaries
    fields = {"discharge_throughput": s.field("discharge_throughput"),
              "rest_time": np.full(len(s), np.log(cell.life.cycle))}  # fmt: skip
    return CellSequence(cell.metadata, CycleSummaries.from_fields(s.cycle_count, fields), cell.life)


def test_permuted_lives_teach_nothing_and_a_leak_would_be_found(
    train: list[CellSequence], test: list[CellSequence], tmp_path: Path
) -> None:
    """Chance: what forecasts as bold as those of true lives reach on permuted held-out lives."""
    fails = np.array([c.life.cycle <= LANDMARK + AHEAD for c in test])
    assert fails.sum() >= 6

    def trained(cells: list[CellSequence], name: str) -> Forecaster:
        return fit(cells, [], NETWORK, TRAINING, folder=tmp_path / name)

    bold = risks(trained(train, "true"), test)
    rng = np.random.default_rng(0)
    chance = [told_apart(bold, rng.permutation(fails)) for _ in range(2000)]
    bound = float(np.quantile(chance, 0.99))
    assert told_apart(bold, fails) > 1.5 * bound
    false = trained(shuffled(train, 0), "shuffled")
    assert told_apart(risks(false, test), fails) < bound
    leaky = trained([telling_its_life(c) for c in shuffled(train, 0)], "leaky")
    assert told_apart(risks(leaky, [telling_its_life(c) for c in test]), fails) > bound


# ── The future does not leak into the past ───────────────────────────────────


@pytest.fixture(scope="module")
def network() -> Forecaster:
    return tiny_network()[1]


@pytest.fixture(scope="module")
def lived() -> CellSequence:
    """A cell with sensors, of which two cycles said nothing."""
    s = made_up_cycles(cycles=30, seed=3).summaries
    assert s is not None
    values, observed = s.values.copy(), s.observed.copy()
    values[[4, 11]], observed[[4, 11]] = 0, False
    metadata = made_up_cycles(cycles=30, seed=3).metadata
    return CellSequence(
        metadata, CycleSummaries(s.cycle_count, values, observed), Life(30, np.inf, None)
    )


def equal(found: Forecasts, whole: Forecasts) -> None:
    for name in OUTPUTS:
        assert np.array_equal(getattr(found, name), getattr(whole, name)[: len(found)]), name


@pytest.mark.parametrize("cut", [1, 5, 12, 29])
def test_forecasts_and_features_end_with_the_record(
    network: Forecaster, lived: CellSequence, cut: int
) -> None:
    """The same to the bit whether the record ends there or goes on; so in training."""
    part = CellSequence(lived.metadata, lived.summaries[:cut], Life(cut, np.inf, None))
    whole = forecast_cells(network, [lived])[lived.cell_id]
    equal(forecast_cells(network, [part])[part.cell_id], whole)
    ours = cycle_features(part)
    assert np.array_equal(ours, cycle_features(lived)[: len(ours)], equal_nan=True)
    short, long = to_rows(part, network), to_rows(lived, network)
    for name in ("described", "capacity", "age"):
        ours = getattr(short, name)
        assert torch.equal(ours, getattr(long, name)[: len(ours)]), name


def test_training_recalls_what_is_deployed(network: Forecaster, lived: CellSequence) -> None:
    """But for the half precision in which features wait, and the cycles that say nothing.

    Nor does it matter beside which other rows one is met.
    """
    batch = to_rows(lived, network)
    some = torch.tensor([20, 3, 11])
    with torch.no_grad():
        hidden, alone = (
            network.recall(rows.features, rows.design, rows.age)
            for rows in (batch, batch.take(some))
        )
        rul, risk, _ = network.read(hidden.memory, batch.design)
    deployed = forecast_cells(network, [lived])[lived.cell_id]
    said = deployed[deployed.valid]
    assert len(said) == 28
    assert np.allclose(rul, said.rul, rtol=0.02)
    assert np.allclose(risk, said.risk, atol=2e-3)
    assert np.allclose(hidden.soh, said.soh, atol=1e-3)
    assert torch.allclose(alone.memory, hidden.memory[some], atol=1e-6)


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_a_closed_cycle_is_not_opened_again(session: Session, cut: int) -> None:
    """Whatever is sampled later, the summary and the forecast of a closed cycle stay."""
    record = made_up_record(cycles=12)
    assert record.samples is not None
    whole = summarise_record(record)
    streamed = list(session.stream(record.spec).push(record.samples))
    count = assign_cycles(record.samples, record.spec.nominal_capacity_ah)
    end = int(np.argmax(count > whole.cycle_count[cut - 1])) + 1  # the next cycle has begun
    later = {
        name: np.concatenate([v[:end], v[end:] * (1.0 if name.endswith("second") else 0.7)])
        for name, v in record.samples.items()
    }
    other = summarise_record(CellRecord(record.metadata, later))
    closed = session.stream(record.spec).push({name: v[:end] for name, v in later.items()})
    assert len(closed) == cut
    for row, forecast in enumerate(closed):
        equal(forecast, streamed[row])
        assert np.array_equal(other.values[row], whole.values[row])
        assert np.array_equal(other.observed[row], whole.observed[row])
    assert not np.array_equal(other.values[-1], whole.values[-1])


# ── The record's length never enters ─────────────────────────────────────────


def test_a_longer_record_has_the_same_early_forecasts(session: Session, tmp_path: Path) -> None:
    """Scored side by side, from a store, as a fleet is."""
    store = Store(tmp_path / "store", create=True)
    whole = made_up_cycles("long", cycles=40).summaries
    assert whole is not None
    for name, rows in (("long", 40), ("short", 13)):
        metadata = made_up_cycles(name, cycles=40).metadata
        store.write(CellRecord(metadata, summaries=whole[:rows]))
    score(store.path, None, session, tmp_path / "scores.parquet")
    found = read_scores(tmp_path / "scores.parquet").forecasts
    short, long = found["short"], found["long"][:13]
    for column, ours in short.columns().items():
        assert np.allclose(ours, long.columns()[column], rtol=1e-6, atol=1e-6), column


def test_a_label_is_a_life_and_not_a_length(network: Forecaster) -> None:
    whole = made_up_cycles(cycles=40).summaries
    spec = made_up_cycles().spec
    assert whole is not None
    failed, alive = PublishedLife(20, "contact_loss"), PublishedLife(20, None)
    for published in (failed, alive):
        metadata = CellMetadata(spec, "made-up", published_life=published)
        batches = []
        for rows in (40, 25, 20):
            summaries = whole[:rows]
            life = find_life(summaries, metadata, EndOfLife())
            batches.append(to_rows(CellSequence(metadata, summaries, life), network))
        for longer in batches[:-1]:
            names = [n for n in longer._fields if n != "soh"]  # smoothed over neighbours: a target
            for name in names:
                assert torch.equal(getattr(longer, name), getattr(batches[-1], name)), name
    assert (batches[0].cause == -1).all()
    assert torch.isinf(batches[0].until).all()
    unpublished = CellMetadata(spec, "made-up")
    assert find_life(whole[:25], unpublished, EndOfLife()) == Life(25, np.inf, None)


# ── Nothing leaks between the parts ──────────────────────────────────────────


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["train", "test", None])), min_size=12),
    st.integers(0, 11), st.floats(0, 0.5), st.integers(0, 99),
)  # fmt: skip
def test_no_design_is_in_two_parts(
    cells: list[tuple[int, str | None]], named: int, fraction: float, seed: int
) -> None:
    spare = [(99, None)]  # so that something is left to train on
    metadata = [
        CellMetadata(
            CellSpec(f"cell-{i}", 1.0, 2.0, 4.0), "made-up", split=split,
            notes={"design": f"design-{design}"},
        )
        for i, (design, split) in enumerate(cells + spare)
    ]  # fmt: skip
    config = SplitConfig(seed=seed, test=fraction, validation=fraction, held_out=(f"cell-{named}",))
    split = split_cells(metadata, config)
    design = {m.spec.cell_id: m.notes["design"] for m in metadata}
    parts = [{design[c] for c in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert f"cell-{named}" in split.test
