from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fadecast.cell.life import EndOfLife, Life
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import TrainingError
from fadecast.forecast.questions import followed
from fadecast.learn import dataset
from fadecast.learn.batches import (
    EARLY,
    MOST,
    Batch,
    Rows,
    Shuffled,
    ordered_loader,
    to_rows,
    training_loader,
)
from fadecast.learn.config import TrainingConfig
from fadecast.learn.dataset import CellSequence, data_digest, load_sequences
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from tests.bundles import made_up_record
from tests.learn.population import made_up_cell, made_up_sequence

FORECASTER = Forecaster(ForecasterConfig())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", create=True)
    for record in (made_up_record("series"), made_up_cell(1), made_up_cell(2, source="other")):
        store.write(record)
    return store


def test_series_and_summaries_become_sequences(store: Store) -> None:
    sequences = load_sequences(store, EndOfLife())
    assert [s.cell_id for s in sequences] == ["lab-001", "other-002", "series"]
    assert [s.cell_id for s in load_sequences(store, EndOfLife(), ["other"])] == ["other-002"]
    with pytest.raises(TrainingError, match="no cells of nowhere"):
        load_sequences(store, EndOfLife(), ["nowhere"])


def test_the_cache_gives_the_same_and_follows_the_content(store: Store) -> None:
    digest, before = data_digest(load_sequences(store, EndOfLife())), store.digest()
    kept = list((store.path / "cache").iterdir())
    assert len(kept) == 1
    assert data_digest(load_sequences(store, EndOfLife())) == digest
    assert store.digest() == before
    store.write(made_up_record("series", seed=5))
    assert data_digest(load_sequences(store, EndOfLife())) != digest
    assert len(list((store.path / "cache").iterdir())) == 2


def test_the_cache_follows_all_code_that_makes_summaries() -> None:
    known = {module.__name__ for module in dataset._SUMMARISERS}
    used = {
        value.__module__
        for module in dataset._SUMMARISERS
        for value in vars(module).values()
        if getattr(value, "__module__", None) and callable(value)
    }
    told = {"fadecast.cell.record", "fadecast.cell.summaries"}  # of the cell digest and the key
    assert {name for name in used if name.startswith("fadecast.")} - told - {
        "fadecast.errors"
    } <= known


def test_a_damaged_cache_is_made_again(store: Store) -> None:
    digest = data_digest(load_sequences(store, EndOfLife()))
    (kept,) = (store.path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert data_digest(load_sequences(store, EndOfLife())) == digest


def test_cells_beyond_the_memory_are_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load_sequences(store, EndOfLife())
    assert kept[0].summaries is kept[0].summaries
    monkeypatch.setattr(dataset, "MEMORY", 0)
    read = load_sequences(store, EndOfLife())
    assert read[0].summaries is not read[0].summaries
    assert data_digest(read) == data_digest(kept) == data_digest(list(kept))
    for one, other in zip(read, kept, strict=True):
        np.testing.assert_array_equal(one.summaries.values, other.summaries.values)
        assert one.life == other.life


def test_cells_are_chosen_without_being_read(store: Store) -> None:
    cells = load_sequences(store, EndOfLife())
    some = cells.where(lambda head: head.metadata.source == "other")
    assert [s.cell_id for s in some] == ["other-002"]
    by_source = {source: [s.cell_id for s in own] for source, own in cells.by_source().items()}
    assert by_source == {"lab": ["lab-001"], "other": ["other-002"], "made-up": ["series"]}
    ordered = cells.sorted(lambda head: -head.cycles)
    assert [len(s.summaries) for s in ordered] == sorted(h.cycles for h in cells.heads)[::-1]
    assert [s.cell_id for s in cells[1:]] == ["other-002", "series"]
    for head, cell in zip(cells.heads, cells, strict=True):
        assert head.alive == len(cell.alive().summaries)


def test_nothing_after_the_failure_is_a_target() -> None:
    sequence = made_up_sequence(1)
    assert sequence.life.failed
    rows = to_rows(sequence, FORECASTER)
    assert len(rows.age) == sequence.life.after
    assert torch.equal(rows.until - rows.after, torch.ones(len(rows.after)))
    assert rows.after[-1] == 0
    for a, b in zip(to_rows(sequence.alive(), FORECASTER), rows, strict=True):
        assert torch.equal(a, b)


def test_cycles_that_say_nothing_only_age() -> None:
    sequence = made_up_sequence(1)
    silent = without_cycles(sequence, slice(10, 15))
    rows, whole = to_rows(silent, FORECASTER), to_rows(sequence, FORECASTER)
    assert len(rows.age) == len(whole.age) - 5
    assert rows.age[8:12, 0].tolist() == [9, 10, 16, 17]
    assert (rows.age[:, 0] + rows.after == sequence.life.after).all()


@pytest.mark.parametrize("every", [1, 3, 7])
def test_of_later_cycles_one_in_every_few_is_learnt_from(every: int) -> None:
    """As it is where all are: what a cycle is does not depend on which others are met."""
    sequence = made_up_sequence(1)
    rows, whole = (to_rows(sequence, FORECASTER, n) for n in (every, 1))
    kept = [int(age) - 1 for age in rows.age[:, 0]]
    assert kept[:EARLY] == list(range(EARLY))
    later = np.array(kept[EARLY:]) - EARLY
    blocks = (len(whole.age) - EARLY) // every
    assert (later[:blocks] // every == np.arange(blocks)).all()
    assert len(later) - blocks <= (every > 1)
    for name in set(Batch._fields) - {"weight", "soh_weight", "settled"}:
        assert torch.equal(getattr(rows, name), getattr(whole, name)[kept]), name


@pytest.mark.parametrize("every", [1, 3, 10])
def test_rows_stand_for_the_cycles_of_a_cell(every: int) -> None:
    cells = [made_up_sequence(n, fade=2e-3) for n in range(40)]
    stand = sum(to_rows(cell, FORECASTER, every).settled.sum(0) for cell in cells)
    there = sum(cell.life.after for cell in cells)
    np.testing.assert_allclose(stand, there, rtol=0.03)
    assert (to_rows(cells[0], FORECASTER, every).settled[:EARLY] == 1).all()


def lived(life: Life, others: Sequence[Life]) -> Tensor:
    """What is settled of a cell after its first 60 cycles, beside others."""
    cell = made_up_sequence(0, cycles=60)
    steps = followed([life, *others])
    return to_rows(replace(cell, life=life), FORECASTER, 1, steps).settled[:60]


def test_whether_a_cell_fails_in_time_weighs_as_what_is_known_of_it() -> None:
    """Horizons of 10, 50 and 100 cycles."""
    ends = [Life(200, np.inf, None)] * 3
    seen = lived(Life(69, 70, "contact_loss"), ends)
    assert (seen == 1).all()
    either = lived(Life(64, 72, "contact_loss"), ends)  # between two check-ups
    wanted = torch.ones(60, 3)
    wanted[14:21, 1] = 0  # after cycles 15…21, 50 ahead
    wanted[54:60, 0] = 0  # after cycles 55…60, 10 ahead
    assert torch.equal(either, wanted)
    assert (lived(Life(64, 72, "capacity_fade"), ends) == 1).all()  # no failure by pressure anyway
    lost = lived(Life(80, np.inf, None), [Life(300, np.inf, None)] * 3)
    wanted = torch.ones(60, 3)
    wanted[:, 2], wanted[30:, 1] = 0, 0
    assert torch.equal(lost > 0, wanted > 0)


def test_failures_near_the_end_of_the_follow_up_do_not_stand_for_all() -> None:
    """After cycle 60 all that was not seen to fail within 50 is lost, so failures say nothing."""
    settled = lived(Life(99, 100, "contact_loss"), [Life(105, np.inf, None)] * 3)
    assert (settled[:55, 1] == 1).all()
    assert (settled[55:, 1] == 0).all()
    assert (settled[5:, 2] == 0).all()


def test_what_was_seen_stands_for_the_like_that_were_lost() -> None:
    others = [Life(70, np.inf, None), Life(500, np.inf, None), Life(500, np.inf, None)]
    settled = lived(Life(79, 80, "contact_loss"), others)
    # One of four is lost after cycle 70; the other three stand for it.
    assert settled[10, 1] == 1
    assert settled[40, 1] == pytest.approx(4 / 3)


def test_who_was_lost_before_a_cycle_is_not_stood_for_after_it() -> None:
    others = [Life(30, np.inf, None), Life(500, np.inf, None), Life(500, np.inf, None)]
    settled = lived(Life(79, 80, "contact_loss"), others)
    assert settled[20, 1] == pytest.approx(4 / 3)
    assert (settled[31:, 1] == 1).all()


def test_few_that_are_followed_for_long_do_not_decide_for_all_others() -> None:
    settled = lived(Life(500, np.inf, None), [Life(61, np.inf, None)] * 99)
    assert settled[20, 1] == MOST
    assert settled[5, 1] == 1


def test_what_recurs_is_learnt_from_as_often_as_it_occurs() -> None:
    """A check-up every 25 cycles must not fall between rows that are 10 cycles apart."""
    ages = [to_rows(made_up_sequence(n, fade=1e-3), FORECASTER, 10).age[EARLY:] for n in range(40)]
    phase = torch.cat(ages)[:, 0].long() % 25
    count = torch.bincount(phase, minlength=25)
    assert (count > 0.4 * len(phase) / 25).all()


def test_a_cell_weighs_the_root_of_its_rows() -> None:
    cells = [made_up_sequence(n, fade=fade) for n, fade in enumerate((4e-3, 1e-3))]
    short, long = (to_rows(cell, FORECASTER) for cell in cells)
    assert len(long.age) > 3 * len(short.age)
    for rows in (short, long):
        n = len(rows.age)
        torch.testing.assert_close(rows.weight, torch.full((n,), n**-0.5))
        assert torch.equal(rows.soh_weight, rows.weight)
        torch.testing.assert_close(rows.weight.sum(), torch.tensor(n**0.5))


def test_no_health_is_learnt_where_no_capacity_was_seen() -> None:
    sequence = made_up_sequence(1)
    s = sequence.summaries
    fields = {"charge_throughput": np.ones(len(s)),
              "discharge_throughput": np.where(s.cycle_count < 50, np.nan, 0.9)}  # fmt: skip
    blind = replace(sequence, summaries=CycleSummaries.from_fields(s.cycle_count, fields))
    rows = to_rows(blind, FORECASTER)
    seen = rows.age[:, 0] >= 45  # a median over five cycles to either side
    assert torch.equal(rows.soh_weight, rows.weight * seen)
    assert (rows.weight > 0).all()
    assert torch.isfinite(rows.soh).all()


def test_a_censored_cell_has_no_cause() -> None:
    sequence = made_up_sequence(1).until(50)
    alive = CellSequence(sequence.metadata, sequence.summaries, Life(50, np.inf, None))
    rows = to_rows(alive, FORECASTER)
    assert (rows.cause == -1).all()
    assert torch.isinf(rows.until).all()


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 9), st.integers(0, 9))
def test_all_rows_are_met_once_an_epoch_in_an_order_of_seed_and_epoch(
    rows: int, batch: int, seed: int, epoch: int
) -> None:
    order, again = (Shuffled(rows, batch, seed) for _ in range(2))
    list(again)  # what was drawn before does not count
    for one in (order, again):
        one.set_epoch(epoch)
    batches = [part.tolist() for part in order]
    assert batches == [part.tolist() for part in again]
    assert sorted(row for part in batches for row in part) == list(range(rows))
    assert len(batches) == len(order)
    assert max(map(len, batches)) <= batch


def test_another_epoch_or_seed_has_another_order() -> None:
    orders = [Shuffled(500, 500, seed) for seed in (1, 1, 2)]
    orders[1].set_epoch(1)
    first, other_epoch, other_seed = (next(iter(order)).tolist() for order in orders)
    assert first != other_epoch
    assert first != other_seed


def test_a_step_meets_rows_of_many_cells() -> None:
    cells = [made_up_sequence(n) for n in range(12)]
    whole = [to_rows(cell, FORECASTER, 4) for cell in cells]
    loader = training_loader(Rows(cells, FORECASTER, 4), TrainingConfig(batch_rows=64))
    batches = list(loader)
    assert [len(b.age) for b in batches[:-1]] == [64] * (len(batches) - 1)
    lives = [len(set((b.age[:, 0] + b.until).tolist())) for b in batches[:-1]]
    assert min(lives) >= 8
    for name in ("described", "age", "weight"):
        met = torch.cat([getattr(b, name) for b in batches]).double().sum(0)
        told = torch.cat([getattr(b, name) for b in whole]).double().sum(0)
        torch.testing.assert_close(met, told)


def test_watched_rows_come_cell_by_cell_and_empty_cells_not_at_all() -> None:
    cells = [made_up_sequence(n) for n in range(3)]
    silent = without_cycles(cells[1], slice(None))
    (batch,) = ordered_loader(Rows([cells[0], silent, cells[2]], FORECASTER, 2))
    wanted = [to_rows(cells[n], FORECASTER, 2) for n in (0, 2)]
    for name in Batch._fields:
        told = torch.cat([getattr(rows, name) for rows in wanted])
        assert torch.equal(getattr(batch, name), told), name


def without_cycles(sequence: CellSequence, rows: slice) -> CellSequence:
    """The cell, some of whose cycles say nothing."""
    s = sequence.summaries
    values, observed = s.values.copy(), s.observed.copy()
    values[rows], observed[rows] = 0, False
    return replace(sequence, summaries=CycleSummaries(s.cycle_count, values, observed))
