"""Networks of the benchmark: described once, blinded without being described again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _memories, _networks, _variations, trials
from benchmarks._cells import Cells, Rows, judged_rows
from benchmarks._stages import Arrays
from fadecast.cell.design import encode_design
from fadecast.learn import batches
from fadecast.learn.config import TrainConfig
from fadecast.network.forecaster import ForecasterConfig

NETWORK = ForecasterConfig(hidden=8, averages=(5.0, 50.0))
CONFIG = TrainConfig(name="made-up").model_copy(update={"network": NETWORK})


@pytest.fixture(scope="module")
def rows(cells: Cells) -> Rows:
    return judged_rows(cells)


@pytest.fixture(scope="module")
def arrays(cells: Cells, rows: Rows) -> Arrays:
    return _networks.described(cells.some(slice(8)), cells.some(slice(8, 12)), cells, rows, CONFIG)


def test_kept_cells_come_back_as_they_were(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "kept.npz", **arrays)
    with np.load(tmp_path / "kept.npz", allow_pickle=False) as kept:
        again = _networks.restored(kept)
    first = _networks.restored(arrays)
    for one, two in zip(first.prepared.train.batch, again.prepared.train.batch, strict=True):
        assert torch.equal(one, two)
    assert torch.equal(first.described, again.described)


def test_a_network_says_at_a_row_what_it_says_cycle_by_cycle(
    arrays: Arrays, cells: Cells, rows: Rows
) -> None:
    given_ = _networks.restored(arrays)
    training = CONFIG.training.model_copy(update={"epochs": 1})
    network = _networks.learnt(given_, NETWORK, training)
    quick = _networks.answers(network, given_)
    slow = _networks.heard(_networks.of(network), cells, rows)
    for name, said in slow.items():
        # rows are in half precision
        np.testing.assert_allclose(quick[name], said, rtol=0.05, atol=1e-2, err_msg=name)


def test_blinded_rows_are_those_of_cells_without_a_sensor(
    arrays: Arrays, cells: Cells, rows: Rows
) -> None:
    whole = _networks.restored(arrays)
    blinded = _networks.without_pressure(whole, NETWORK)
    training = CONFIG.training.model_copy(update={"epochs": 1})
    forecaster = _networks.learnt(blinded, NETWORK, training)
    own = rows.cell == 3
    cell = list(cells.without_pressure())[3]
    values, observed, _ = batches.valid_rows(cell)
    design = torch.tensor(encode_design(cell.spec))[None]
    described = forecaster.describe(values[None], observed[None], design).described
    described = described[0, rows.row[own]]
    torch.testing.assert_close(blinded.described[own].float(), described, rtol=2e-3, atol=2e-3)
    assert (blinded.described[own] != whole.described[own]).any()


def test_fewer_averages_are_those_of_a_network_that_has_but_them(
    arrays: Arrays, cells: Cells, rows: Rows
) -> None:
    fewer = _networks.fewer_averages(_networks.restored(arrays), NETWORK, (50.0,))
    network = ForecasterConfig(hidden=8, averages=(50.0,))
    forecaster = _networks.learnt(fewer, network, CONFIG.training.model_copy(update={"epochs": 1}))
    own = rows.cell == 2
    cell = list(cells)[2]
    values, observed, _ = batches.valid_rows(cell)
    design = torch.tensor(encode_design(cell.spec))[None]
    described = forecaster.describe(values[None], observed[None], design).described
    described = described[0, rows.row[own]]
    torch.testing.assert_close(fewer.described[own].float(), described, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", _memories.MEMORIES)
def test_a_memory_is_causal_and_remembers(name: str) -> None:
    torch.manual_seed(0)
    memory = _memories.MEMORIES[name](8).eval()
    x, age = torch.randn(2, 21, 8), torch.arange(1.0, 22).expand(2, -1).unsqueeze(2)
    with torch.no_grad():
        whole = memory(x, age)
        torch.testing.assert_close(memory(x[:, :13], age[:, :13]), whole[:, :13])
        x[:, 5] = torch.randn(2, 8)
        moved = (memory(x, age) - whole).abs().amax((0, 2)) > 1e-6
    assert not moved[:5].any()
    assert moved[5]
    assert moved[6:].any() == (name not in ("no memory", "averages"))  # these are given, not learnt


@given(st.integers(1, 40), st.integers(0, 1000))
def test_a_recurrence_in_parallel_is_the_one_in_steps(length: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    keep, add = torch.rand(2, length, 3, generator=rng), torch.rand(2, length, 3, generator=rng)
    found, state = _memories.recurrence(keep, add), torch.zeros(2, 3)
    for t in range(length):
        state = keep[:, t] * state + add[:, t]
        torch.testing.assert_close(found[:, t], state)


def test_trials_know_where_cells_begin(arrays: Arrays) -> None:
    prepared = _networks.restored(arrays).prepared
    rows = prepared.train.batch
    first, count = _variations.begun(rows)
    assert len(first) == 8
    assert count.sum() == len(rows.age)
    assert (rows.age[first] == 1).all()
    half = _variations.thinned(prepared, 0.5).train.batch
    assert 0 < len(half.age) < len(rows.age)
    met = torch.cat([order[mask] for order, mask in _memories.batches(rows, None)])
    assert met.sort().values.equal(torch.arange(len(rows.age)))


def test_trained_memories_learn_and_are_judged(arrays: Arrays) -> None:
    prepared = _networks.restored(arrays).prepared
    training = CONFIG.training.model_copy(update={"learning_rate": 1e-2})
    assert prepared.held is not None
    figures = []
    for learnt in (False, True):
        torch.manual_seed(0)
        model = _memories.Remembering(NETWORK, _memories.Gated)
        model.load(prepared)
        if learnt:
            _memories.train_sequences(model, prepared.train.batch, training)
        figures.append(trials.judged(prepared.held.batch, model.said(prepared.held.batch)))
    assert figures[1]["nll"] < figures[0]["nll"]
