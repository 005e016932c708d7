"""Made-up cells whose fade rate decides their life: small enough to train on in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fadecast.cell.life import EndOfLife, find_life
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec
from fadecast.cell.summaries import BINS, CycleSummaries
from fadecast.learn.dataset import CellSequence


def made_up_cell(
    number: int, *, source: str = "lab", fade: float | None = None, cycles: int = 400, seed: int = 0
) -> CellRecord:
    """A cell that loses ``fade`` of its capacity a cycle, recorded until just after its failure."""
    rng = np.random.default_rng([seed, number])
    fade = fade if fade is not None else float(np.exp(rng.uniform(np.log(5e-4), np.log(3e-3))))
    count = np.arange(1, cycles + 1)
    soh = 1 - fade * count + rng.normal(0, 5e-4, cycles)
    end = min(int(np.argmax(soh < 0.79)) or cycles, cycles) + 3
    curve = np.linspace(0.5, 1.5, BINS) / BINS
    fields = {"discharge_throughput": soh, "charge_time": 1 + fade * count}
    for node in range(BINS):
        tilt = fade * count * (node - BINS / 2) / BINS**2
        fields[f"capacity.discharge.{node:02d}"] = soh * curve[node] + tilt
    spec = CellSpec(f"{source}-{number:03d}", 1.0, 2.5, 4.2)
    rows = {name: values[:end] for name, values in fields.items()}
    summaries = CycleSummaries.from_fields(count[:end], rows)
    return CellRecord(CellMetadata(spec, source), summaries=summaries)


def made_up_sequence(number: int, **settings: object) -> CellSequence:
    """The same as a sequence."""
    record = made_up_cell(number, **settings)  # type: ignore[arg-type]
    assert record.summaries is not None
    life = find_life(record.summaries, record.metadata, EndOfLife())
    return CellSequence(record.metadata, record.summaries, life)


def made_up_truth(number: int, **settings: object) -> CellSequence:
    """The same with hidden states: contact and coverage fall with the capacity, lithium grows
    twice as fast, and nothing gets disconnected."""
    sequence = made_up_sequence(number, **settings)
    s = sequence.summaries
    lost = 1 - s.field("discharge_throughput")
    states = [1 - lost, 1 - lost / 2, np.full(len(s), 0.9), 2 * lost]
    return replace(sequence, truth=np.stack(states, 1).clip(0, 1).astype(np.float16))


def with_life_of(sequence: CellSequence, other: CellSequence) -> CellSequence:
    """The cycles of one cell with the life of another, until either ends."""
    life = other.life
    return CellSequence(sequence.metadata, sequence.summaries, life).until(life.cycle)
