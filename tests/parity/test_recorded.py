"""Streaming = batch = training-time forecast, to 1e-5, on every recorded cell.

Training runs the network over whole lives at once and in torch; a vehicle steps it cycle by cycle
through onnxruntime; a batch job steps many cells together. They have to say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from fadecast.cell.cycles import elapsed_cycles
from fadecast.cell.design import encode_design
from fadecast.cell.record import CellRecord
from fadecast.cell.store import Store
from fadecast.forecast.forecast import Forecasts
from fadecast.network.batch import summarise_record
from fadecast.network.forecaster import Forecaster, valid_cycles
from fadecast.runtime import Session
from fadecast.runtime.golden import OUTPUTS, TOLERANCE, summary_error, worst_error
from fadecast.runtime.summarise import summarise_samples
from fadecast.scoring.local import score
from fadecast.sources import read
from tests.bundles import tiny_network

PLACES = {
    "matr": "matr/matr_qdlin.parquet",
    "hust": "hust/hust_cycles.parquet",
    "xjtu": "xjtu/xjtu_cycles.parquet",
    "lpscl": "lpscl_tohoku/tohoku_cell1_LPSCl_capacity_per_cycle.csv",
    "nmc811": "assb_nmc811_liin/cycle5.csv",
    "samsung30q": "samsung30q_strain/samsung30q_strain_10s.parquet",
}
CELLS = {"matr": 124, "hust": 77, "xjtu": 55, "lpscl": 1, "nmc811": 1, "samsung30q": 3}
SOURCES = pytest.mark.parametrize("source", list(PLACES))


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    """The network that the tiny bundle was exported from."""
    return tiny_network()[1]


_read = cache(read)


@pytest.fixture
def records(recorded_data: Path, source: str) -> list[CellRecord]:
    found = _read(recorded_data / PLACES[source])
    assert len(found) == CELLS[source]
    return found


@torch.no_grad()
def training_time(forecaster: Forecaster, record: CellRecord) -> Forecasts:
    """As in training: one pass over the valid cycles of the whole life."""
    s = summarise_record(record)
    values, seen = torch.tensor(s.values), torch.tensor(s.observed, dtype=torch.float32)
    valid = valid_cycles(values, seen)[:, 0] > 0
    age = torch.tensor(elapsed_cycles(s.cycle_count)).cumsum(0)[valid]
    elapsed = torch.diff(age, prepend=age.new_zeros(1))[None]
    design = torch.tensor(encode_design(record.spec))[None]
    hidden = forecaster.sequence(values[valid][None], seen[valid][None], design, elapsed)
    memory = hidden.memory[0]
    readout = forecaster.read(memory, design.expand(len(memory), -1))
    strangeness = forecaster.encoder.strangeness(design).expand(len(memory), -1)
    novelty = forecaster.novelty(memory, strangeness)
    return Forecasts(
        s.cycle_count[valid.numpy()], *(x.numpy() for x in readout), hidden.soh[0].numpy(),
        novelty[:, 0].numpy(), np.ones(int(valid.sum()), bool),
        *(x.numpy() for x in forecaster.virtual(hidden.memory[0])),
    )  # fmt: skip


def streaming(session: Session, record: CellRecord, seed: int = 0) -> Forecasts:
    """As on a vehicle: samples in chunks of any size, or one cycle after the other."""
    stream, parts = session.stream(record.spec), []
    if record.summaries is not None:
        cycles = record.summaries
        parts = [stream.push_summary(cycles[i : i + 1]) for i in range(len(cycles))]
    else:
        assert record.samples is not None
        rng, at, n = np.random.default_rng(seed), 0, len(record.samples["voltage_volt"])
        while at < n:
            part = slice(at, at + int(rng.integers(1, 3000)))
            parts += stream.push({name: column[part] for name, column in record.samples.items()})
            at = part.stop
        parts += stream.close()
    names = ("cycle_count", *OUTPUTS)
    return Forecasts(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def same(found: Forecasts, expected: Forecasts) -> None:
    np.testing.assert_array_equal(found.cycle_count, expected.cycle_count)
    errors = {n: worst_error(getattr(found, n), getattr(expected, n)) for n in OUTPUTS}
    assert max(errors.values()) <= TOLERANCE, errors


@SOURCES
def test_batch_equals_training_time_on_every_cell(
    session: Session, forecaster: Forecaster, records: Sequence[CellRecord], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", create=True)
    for record in records:
        store.write(record)
    report = score(store.path, None, session, tmp_path / "scores.parquet")
    assert report.problems == {}
    table = pq.read_table(report.out)
    ids = np.array(table["cell_id"].to_pylist())
    assert len(set(ids)) == len(records)
    scores = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names[1:]}
    for record in records:
        expected = training_time(forecaster, record)
        rows = (ids == record.spec.cell_id) & scores["valid"]
        for name, column in expected.columns().items():
            error = worst_error(scores[name][rows], column)
            assert error <= TOLERANCE, (record.spec.cell_id, name, error)


@SOURCES
def test_streaming_equals_training_time(
    session: Session, forecaster: Forecaster, records: Sequence[CellRecord]
) -> None:
    for record in records[:3]:
        found = streaming(session, record)
        same(found[found.valid], training_time(forecaster, record))


@pytest.mark.slow  # some 165 thousand single steps
@SOURCES
def test_streaming_equals_training_time_on_every_cell(
    session: Session, forecaster: Forecaster, records: Sequence[CellRecord]
) -> None:
    for record in records:
        found = streaming(session, record)
        same(found[found.valid], training_time(forecaster, record))


@pytest.mark.parametrize("source", ["samsung30q", "nmc811"])
def test_the_summaries_of_raw_series_equal_those_of_training(
    session: Session, records: Sequence[CellRecord]
) -> None:
    for record in records:
        assert record.samples is not None
        found, expected = (
            summarise_samples(session, record.samples, record.spec), summarise_record(record)
        )  # fmt: skip
        np.testing.assert_array_equal(found.cycle_count, expected.cycle_count)
        np.testing.assert_array_equal(found.observed, expected.observed)
        assert summary_error(found.values, expected.values) <= TOLERANCE


@pytest.mark.parametrize("source", ["samsung30q"])
def test_three_cells_from_raw_series_to_forecasts(
    session: Session, records: Sequence[CellRecord]
) -> None:
    """Cell 1 goes open-circuit and two gauges saturate: nothing breaks, every number is finite."""
    for record, cycles in zip(records, (387, 361, 355), strict=True):
        found = streaming(session, record)
        assert found.cycle_count.tolist() == list(range(1, cycles + 1))
        for name in OUTPUTS:
            assert np.isfinite(getattr(found, name)).all()
        assert found.soh[0] > 0.9
        assert (np.diff(found.rul, axis=1) >= 0).all()
        assert found.valid[:100].all()


@pytest.mark.parametrize("source", ["samsung30q"])
def test_without_a_recorded_count_the_declared_rule_closes_cycles(
    session: Session, forecaster: Forecaster, records: Sequence[CellRecord]
) -> None:
    record = records[1]
    assert record.samples is not None
    samples = {k: v for k, v in record.samples.items() if k != "cycle_count"}
    as_on_a_vehicle = CellRecord(record.metadata, samples)
    found = streaming(session, as_on_a_vehicle)
    same(found[found.valid], training_time(forecaster, as_on_a_vehicle))
    summaries = summarise_record(as_on_a_vehicle)
    drawn = summaries.field("discharge_throughput")[:-1]
    assert (drawn >= 0.99).all()
    assert found.cycle_count.tolist() == list(range(1, len(found) + 1))
