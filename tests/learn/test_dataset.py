from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fadecast.cell.life import EndOfLife, Life
from fadecast.cell.store import Store
from fadecast.errors import TrainingError
from fadecast.learn.batches import ByLength, Cells, collate, ordered_loader, to_tensors
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


def test_a_damaged_cache_is_made_again(store: Store) -> None:
    digest = data_digest(load_sequences(store, EndOfLife()))
    (kept,) = (store.path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert data_digest(load_sequences(store, EndOfLife())) == digest


def test_nothing_after_the_failure_is_a_target() -> None:
    sequence = made_up_sequence(1)
    assert sequence.life.failed
    tensors = to_tensors(sequence, FORECASTER)
    assert len(tensors.elapsed) == sequence.life.after
    assert torch.equal(tensors.until - tensors.after, torch.ones(len(tensors.after)))
    assert tensors.after[-1] == 0
    longer = CellSequence(sequence.metadata, sequence.summaries, sequence.life)
    for a, b in zip(to_tensors(longer.alive(), FORECASTER), tensors, strict=True):
        assert torch.equal(a, b)


def test_cycles_that_say_nothing_only_age() -> None:
    sequence = made_up_sequence(1)
    values, observed = sequence.summaries.values.copy(), sequence.summaries.observed.copy()
    values[10:15], observed[10:15] = 0, False
    gap = CellSequence(
        sequence.metadata,
        type(sequence.summaries)(sequence.summaries.cycle_count, values, observed),
        sequence.life,
    )
    tensors = to_tensors(gap, FORECASTER)
    assert len(tensors.elapsed) == len(to_tensors(sequence, FORECASTER).elapsed) - 5
    assert tensors.elapsed[10] == 6
    assert torch.equal(tensors.elapsed.cumsum(0) + tensors.after, torch.full_like(
        tensors.after, sequence.life.after))  # fmt: skip


def test_padding_weighs_nothing_and_cells_alike() -> None:
    cells = [made_up_sequence(n) for n in range(4)]
    batch = next(iter(ordered_loader(cells, FORECASTER, 4)))
    assert torch.allclose(batch.weight.sum(1), torch.ones(4))
    assert torch.allclose(batch.soh_weight.sum(1), torch.ones(4))
    padding = batch.weight == 0
    assert padding.any()
    assert (batch.cause[padding] == -1).all()


def test_a_censored_cell_has_no_cause() -> None:
    sequence = made_up_sequence(1).until(50)
    alive = CellSequence(sequence.metadata, sequence.summaries, Life(50, np.inf, None))
    tensors = collate([to_tensors(alive, FORECASTER)])
    assert (tensors.cause == -1).all()
    assert torch.isinf(tensors.until).all()


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    lengths = [*range(10, 40)]
    order, again = ByLength(lengths, 4, seed=1), ByLength(lengths, 4, seed=1)
    for epoch in (3, 4):
        order.set_epoch(epoch)
        again.set_epoch(epoch)
        batches = list(order)
        assert batches == list(again)
        cells = [pair for batch in batches for pair in batch]
        assert sorted(i for i, _ in cells) == list(range(30))
        assert all(until == lengths[i] for i, until in cells)
        assert len(batches) == len(order)
    assert list(ByLength(lengths, 4, seed=2)) != list(ByLength(lengths, 4, seed=1))


def test_a_long_cell_enters_up_to_a_random_cycle() -> None:
    lengths = [5, 40, 900, 900]
    drawn = []
    for epoch in range(200):
        order = ByLength(lengths, 2, seed=1, prefix=100)
        order.set_epoch(epoch)
        drawn.append([until for _, until in sorted(pair for batch in order for pair in batch)])
    until = np.array(drawn)
    assert (until[:, :2] == [5, 40]).all()
    assert until[:, 2:].min() < 120
    assert until[:, 2:].max() > 800
    assert (until[:, 2:] >= 100).all()
    cell = to_tensors(made_up_sequence(1), FORECASTER)
    part = Cells([made_up_sequence(1)], FORECASTER)[[(0, 7)]]
    assert torch.equal(part.described[0], cell.described[:7])
    assert part.after.shape == (1, 7)
