"""The hidden truth of simulated cells: aligned to their cycles, a target, never an input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fadecast.cell.life import EndOfLife
from fadecast.cell.store import Store
from fadecast.errors import TrainingError
from fadecast.forecast.forecast import VIRTUAL_SENSORS, Forecasts
from fadecast.learn.batches import Batch, Rows, ordered_loader, to_rows
from fadecast.learn.dataset import CellSequence, data_digest, load_sequences
from fadecast.learn.features import cycle_features
from fadecast.learn.predict import forecast_cells, known_truth
from fadecast.learn.truth import read_truth
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.physics.state import TRUTH
from tests.bundles import tiny_network
from tests.learn.population import made_up_cell, made_up_truth

COLUMNS = ["damage", "contact_least", "penetration", "coverage"]
"""In another order than the sensors, with one that is none and one sensor missing."""


def write_truth(store: Store, lives: dict[str, int], columns: list[str] = COLUMNS) -> np.ndarray:
    """A shard in which every number tells where it stands; returns all rows of it."""
    hidden = np.arange(sum(lives.values()) * len(columns), dtype=np.float32) / 1e4
    hidden = hidden.reshape(-1, len(columns))
    (store.path / "truth").mkdir(exist_ok=True)
    np.savez(
        store.path / "truth" / "shard-00000.npz", cell_id=np.array(list(lives)),
        until=np.array(list(lives.values())), columns=np.array(columns), hidden=hidden,
    )  # fmt: skip
    return hidden


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", create=True)
    for number in (1, 2):
        store.write(made_up_cell(number, fade=0.004))
    return store


def test_the_names_of_the_columns_are_the_simulators() -> None:
    from fadecast.learn import truth

    assert list(truth.COLUMNS) == list(VIRTUAL_SENSORS)
    assert set(truth.COLUMNS.values()) <= set(TRUTH)


def test_truth_belongs_to_its_cell_and_cycle(store: Store) -> None:
    hidden = write_truth(store, {"elsewhere": 7, "lab-001": 40, "more": 3})
    first, second = load_sequences(store, EndOfLife())
    assert second.truth is None
    assert first.truth is not None
    assert first.truth.dtype == np.float16
    assert first.truth.shape == (len(first.summaries), len(VIRTUAL_SENSORS))
    known = {"anode_contact": 1, "cathode_coverage": 3, "penetration": 2}
    for column, sensor in enumerate(VIRTUAL_SENSORS):
        states = first.truth[:, column].astype(float)
        if sensor in known:
            assert states[:40] == pytest.approx(hidden[7:47, known[sensor]], abs=1e-3)
            assert np.isnan(states[40:]).all()
        else:
            assert np.isnan(states).all()
    part = first.until(13).truth
    assert part is not None
    np.testing.assert_array_equal(part, first.truth[:13])


def test_states_beyond_their_range_are_at_its_end(store: Store) -> None:
    write_truth(store, {"lab-001": 4000})
    truth = read_truth(store.path, {"lab-001": np.array([0, 3999, 4000, 4001])})["lab-001"]
    there = truth[:, [0, 1, 3]]
    assert np.isnan(there[[0, 3]]).all()
    assert (there[[1, 2]] == 1).all()


def test_a_damaged_table_is_named(store: Store) -> None:
    write_truth(store, {"lab-001": 40})
    shard = store.path / "truth" / "shard-00000.npz"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(TrainingError, match="shard-00000"):
        load_sequences(store, EndOfLife())


def test_it_decides_what_is_learnt_so_it_is_in_the_digest(store: Store) -> None:
    bare = data_digest(load_sequences(store, EndOfLife()))
    write_truth(store, {"lab-001": 40})
    told = data_digest(load_sequences(store, EndOfLife()))
    write_truth(store, {"lab-001": 41})
    assert len({bare, told, data_digest(load_sequences(store, EndOfLife()))}) == 3


def test_it_never_enters_an_input() -> None:
    """Whatever the truth says, every feature and every forecast of a given network is the same."""
    forecaster = tiny_network(hidden=8)[1]
    cell = made_up_truth(1)
    assert cell.truth is not None
    targets = ("virtual", "virtual_known")
    inputs: list[Batch] = []
    said: list[Forecasts] = []
    features = []
    for truth in (None, cell.truth, 1 - cell.truth, np.full_like(cell.truth, np.nan)):
        other = replace(cell, truth=truth)
        inputs.append(to_rows(other, forecaster))
        said.append(forecast_cells(forecaster, [other])[cell.cell_id])
        features.append(cycle_features(other))
    for batch, forecast, row in zip(inputs, said, features, strict=True):
        for name in set(Batch._fields) - set(targets):
            assert torch.equal(getattr(batch, name), getattr(inputs[0], name)), name
        for name in Forecasts.__slots__:
            np.testing.assert_array_equal(getattr(forecast, name), getattr(said[0], name))
        np.testing.assert_array_equal(row, features[0])
    assert not torch.equal(inputs[1].virtual, inputs[2].virtual)


def test_targets_are_known_where_there_is_a_truth() -> None:
    cells: list[CellSequence] = [made_up_truth(1), replace(made_up_truth(2), truth=None)]
    forecaster = Forecaster(ForecasterConfig(hidden=8))
    batch = next(iter(ordered_loader(Rows(cells, forecaster, 1))))
    told = len(to_rows(cells[0], forecaster).age)
    assert batch.virtual.dtype == torch.float16
    assert batch.virtual_known[:told].all()
    assert not batch.virtual_known[told:].any()
    assert torch.isfinite(batch.virtual).all()


def test_only_what_was_taught_is_judged() -> None:
    forecaster = tiny_network(hidden=8)[1]
    truth = known_truth(forecaster, [made_up_truth(1), replace(made_up_truth(2), truth=None)])
    assert list(truth) == ["lab-001"]
    assert np.isfinite(truth["lab-001"]).all(0).tolist() == [True, False, False, True]
