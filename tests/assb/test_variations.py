"""Trials change what they say they change, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import _networks, _variations
from benchmarks._cells import Cells, judged_rows
from fadecast.cell.summaries import FIELDS
from fadecast.learn.config import TrainConfig
from fadecast.learn.fit import Prepared
from fadecast.network.encoder import CURVES, Encoder
from fadecast.network.forecaster import ForecasterConfig

NETWORK = ForecasterConfig(hidden=8, averages=(5.0, 50.0))
CONFIG = TrainConfig(name="made-up").model_copy(update={"network": NETWORK})


@pytest.fixture(scope="module")
def prepared(cells: Cells) -> Prepared:
    parts = cells.some(slice(8)), cells.some(slice(8, 12)), cells
    arrays = _networks.described(*parts, judged_rows(cells), CONFIG)
    return _networks.restored(arrays).prepared


@pytest.mark.parametrize(
    ("change", "judged"),
    [("without_reference", True), ("without_curves", True), ("with_noise", False)],
)
def test_what_is_judged_is_changed_unless_the_change_is_an_augmentation(
    prepared: Prepared, change: str, *, judged: bool
) -> None:
    found = getattr(_variations, change)(prepared)
    assert prepared.held is not None
    same = torch.equal(found.held.batch.described, prepared.held.batch.described)
    assert same is not judged
    assert torch.equal(found.held.batch.until, prepared.held.batch.until)


@pytest.mark.parametrize(("change", "part"), [
    ("without_reference", slice(None)), ("without_curves", slice(0, CURVES)),
])  # fmt: skip
def test_columns_of_changes_are_those_that_changes_reach(
    prepared: Prepared, change: str, part: slice
) -> None:
    encoder, draw = Encoder(8, 0.0, 0), torch.Generator().manual_seed(0)
    level, other = torch.rand(2, 1, 1, len(FIELDS), generator=draw)
    seen, room, changed = torch.ones(1, 1, len(FIELDS)), torch.ones(1, 1, 1), level.clone()
    changed[..., part] = other[..., part]
    one, two = (encoder.describe(level, c, seen, room)[0, 0] for c in (level, changed))
    reached = torch.nonzero(one != two)[:, 0]
    before = prepared.train.batch.described
    ones = prepared._replace(train=_rows(prepared, torch.ones_like(before)))
    after = getattr(_variations, change)(ones).train.batch.described
    assert torch.nonzero((after != 1).all(0))[:, 0].equal(reached)
    assert not after[:, reached].any()


def test_cells_met_again_are_blind_and_as_many_as_said(prepared: Prepared) -> None:
    rows = prepared.train.batch
    found = _variations.with_blind(prepared, NETWORK).train.batch
    again = found.take(torch.arange(len(rows.age), len(found.age)))
    assert torch.equal(found.described[: len(rows.age)], rows.described)
    assert 0 < len(_variations.begun(again)[0]) < len(_variations.begun(rows)[0])
    gone, _ = _networks._of_pressure(NETWORK)
    assert rows.described[:, gone].any()
    assert not again.described[:, gone].any()


def test_noise_spares_what_is_not_observed(prepared: Prepared) -> None:
    rows = prepared.train.batch
    found = _variations.with_noise(prepared).train.batch
    more = (found.described[len(rows.age) :] - rows.described).float()
    assert not more[rows.described == 0].any()
    assert float(more[rows.described != 0].std()) == pytest.approx(_variations.NOISE, rel=0.1)
    assert torch.equal(found.until[len(rows.age) :], rows.until)


def test_a_capacity_ahead_is_that_of_the_same_cell_later(prepared: Prepared) -> None:
    rows = prepared.train.batch
    found = _variations.with_capacity_ahead(prepared).train.batch
    age, soh = rows.age[:, 0].numpy(), rows.soh.numpy()
    seen = 0
    for start, count in zip(*_variations.begun(rows), strict=True):
        for row in range(start, start + count):
            later = [i for i in range(row, start + count) if age[i] >= age[row] + _variations.AHEAD]
            if later:
                assert found.soh[row] == soh[later[0]]
                seen += 1
            else:
                assert found.soh_weight[row] == 0
    assert seen > 100
    assert np.isfinite(found.soh_weight.numpy()).all()


def _rows(prepared: Prepared, described: torch.Tensor) -> _variations.Rows:
    return _variations.Rows.of(prepared.train.batch._replace(described=described))
