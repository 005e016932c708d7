"""Recorded cells in the benchmarks: what simulated ones teach about them, and one illustration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fadecast
from benchmarks import lpscl
from benchmarks.transfer import QUICK, Size, Task, drawn, errors, opened, recorded
from fadecast.cell.summaries import FIELDS, INDEX, CycleSummaries
from fadecast.forecast.forecast import Forecasts
from fadecast.learn import dataset
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import fit_scales
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.runtime import Session
from tests.learn.population import made_up_sequence


def task(source: str, size: Size, few: int, draw: int) -> Task:
    nowhere = Path("nowhere")
    return Task(source, nowhere, nowhere, nowhere, ForecasterConfig(), size, "scratch", few, draw)


def test_draws_of_few_cells_are_nested_and_never_judged_on() -> None:
    cells = [made_up_sequence(n, cycles=20 + 400 * (n % 2), fade=0.003) for n in range(20)]
    assert sum(c.life.failed for c in cells) == 10
    size = replace(QUICK, sizes=2)

    def names(few: int, draw: int) -> tuple[set[str], set[str]]:
        train, test = drawn(cells, task("hust", size, few, draw))
        assert all(c.life.failed for c in test)
        return {c.cell_id for c in train}, {c.cell_id for c in test}

    (three, test), (six, same), (other, _) = names(3, 0), names(6, 0), names(3, 1)
    assert (len(three), len(six), len(test)) == (3, 6, QUICK.tested)
    assert three < six
    assert test == same
    assert six.isdisjoint(test)
    assert other != three


def test_errors_are_of_the_cycles_left_and_in_percent() -> None:
    cell = made_up_sequence(0, fade=0.001)
    count = cell.summaries.cycle_count
    n, left = len(count), cell.life.cycle - count
    rul = np.repeat(1.2 * left[:, None], 5, axis=1)
    rul[count == 100] = 0.5 * left[count == 100]
    said = Forecasts(count, rul, *np.zeros((4, n)), np.ones(n, bool), *np.zeros((2, n, 0)))
    found = errors({cell.cell_id: said}, [cell])
    assert found == pytest.approx({"any": 20, "cycle100": 50})


def test_each_of_three_cells_is_left_out_in_turn() -> None:
    cells = [made_up_sequence(n, cycles=420, fade=0.003) for n in range(3)]
    size = replace(QUICK, sizes=2, draws=3)
    parts = [drawn(cells, task("samsung30q", size, 2, draw)) for draw in range(3)]
    for train, test in parts:
        assert {c.cell_id for c in train} | {c.cell_id for c in test} == {c.cell_id for c in cells}
    assert len({test[0].cell_id for _, test in parts}) == 3


def test_a_channel_that_pretraining_never_saw_is_opened_at_the_few_cells_scale() -> None:
    def strained(cell: CellSequence, strain: float) -> CellSequence:
        s = cell.summaries
        fields = {n: s.field(n) for n in FIELDS if s.observed[:, INDEX[n]].any()}
        fields["strain.mean"] = strain + 0.01 * s.cycle_count
        summaries = CycleSummaries.from_fields(s.cycle_count, fields)
        return CellSequence(cell.metadata, summaries, cell.life)

    plain = [made_up_sequence(n) for n in range(3)]
    network = Forecaster(ForecasterConfig())
    fit_scales(network, dataset.Cells.of(plain), teach=False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    after = opened(before, [strained(c, 7.0) for c in plain], network.config)
    at = INDEX["strain.mean"]
    assert before["scaler.known"][at] == 0
    assert after["scaler.known"][at] == 1
    assert after["scaler.centre"][at] > 7
    changed = [k for k, v in after.items() if not torch.equal(v, before[k])]
    assert {key.partition(".")[0] for key in changed} == {"scaler"}
    others = np.arange(len(FIELDS)) != at
    assert torch.equal(after["scaler.centre"][others], before["scaler.centre"][others])


def test_strain_is_told_or_withheld_and_every_samsung_cell_fails(recorded_data: Path) -> None:
    strain = np.array([name.startswith("strain.") for name in FIELDS])
    without = recorded("samsung30q", recorded_data, 10_000)
    given = recorded("samsung30q.strain", recorded_data, 10_000)
    assert [cell.life.cycle for cell in without] == [269, 325, 310]
    for a, b in zip(without, given, strict=True):
        assert not a.summaries.observed[:, strain].any()
        assert b.summaries.observed[:, strain].any()
        assert np.array_equal(a.summaries.observed[:, ~strain], b.summaries.observed[:, ~strain])


def test_a_dip_is_below_what_came_before_it() -> None:
    capacity = np.linspace(1.0, 0.7, 60, dtype=np.float32)
    assert not lpscl.dips(capacity).any()
    capacity[[20, 59]] = 0.5, 0.63
    assert np.flatnonzero(lpscl.dips(capacity)).tolist() == [20, 59]
    capacity[0] = 0.0
    assert not lpscl.dips(capacity)[0]  # nothing came before it


def test_the_recorded_solid_state_cell_is_told_and_drawn(
    recorded_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded_data / lpscl.FILE
    if not path.exists():
        pytest.skip(f"the LPSCl record is not at {path}")
    cell, said = lpscl.told(path, Session.load(fadecast.PRETRAINED))
    figures = lpscl.show(cell, said)
    assert (figures["cycles"], figures["dips"], figures["life"]) == (477, 3, 146)
    assert figures["novel"] == 1  # a stranger to the bundle, and told to be one
    assert "an illustration" in capsys.readouterr().out
    lpscl.picture(cell, said).savefig(tmp_path / "lpscl.svg")
    assert "not a validation" in (tmp_path / "lpscl.svg").read_text()
