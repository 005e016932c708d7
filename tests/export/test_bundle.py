"""Writing a bundle: proven equal to the network, or nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fadecast.cell.life import EndOfLife
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import BundleError, ParityError
from fadecast.export import bundle as module
from fadecast.export import parity
from fadecast.export.bundle import export_bundle
from fadecast.export.card import write_card
from fadecast.export.parity import parity_errors, require_parity, torch_forecasts
from fadecast.runtime import Session
from fadecast.runtime.bundle import CARD, FILES, FORECAST, GOLDEN, MANIFEST, SUMMARIZE
from fadecast.runtime.golden import OUTPUTS, TOLERANCE, Golden
from fadecast.runtime.summarise import summarise_samples
from tests.bundles import made_up_cycles, made_up_record, tiny_network


@pytest.fixture
def quick(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds: use the graphs that the tiny bundle already has."""
    files = {name: session.bundle.files[name] for name in (SUMMARIZE, FORECAST)}
    monkeypatch.setattr(
        module, "export_graphs", lambda *_: (dict(files), session.manifest["graphs"])
    )


def _export(out: Path, **changes: Any) -> Path:
    summary, forecaster = tiny_network()
    arguments: dict[str, Any] = {
        "training": {"run_id": "abc", "metrics": {"mae": 12.5}, "config": {"seed": 1}},
        "end_of_life": EndOfLife(fraction=0.7),
        "held_out": [made_up_cycles("a"), made_up_cycles("b", cycles=20, seed=1)],
    } | changes
    return export_bundle(summary, changes.pop("forecaster", forecaster), out, **{
        k: v for k, v in arguments.items() if k != "forecaster"
    })  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_what_is_written(tmp_path: Path) -> None:
    out = _export(tmp_path / "deep" / "bundle")
    assert sorted(p.name for p in out.iterdir()) == sorted([MANIFEST, *FILES])
    assert [p.name for p in out.parent.iterdir()] == ["bundle"]
    session = Session.load(out)
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["end_of_life"]["fraction"] == 0.7
    assert manifest["training"]["run_id"] == "abc"
    assert {"torch", "onnxruntime", "fadecast"} <= set(manifest["versions"])
    units = dict(manifest["tables"]["fields"])
    assert units["resistance"] == "window per C"
    golden = Golden.from_bytes(session.bundle.files[GOLDEN])
    assert len(golden.cycle_count) == 20  # a held-out life, whole
    card = (out / CARD).read_text()
    assert "12.5" in card
    assert "70%" in card
    assert "not recorded" not in card


@pytest.mark.usefixtures("quick")
def test_the_card_shows_figures_as_tables_and_what_cannot_be_seen(tmp_path: Path) -> None:
    metrics = {
        "train_nll": 3.0625, "any_cycle.rmse": 1321.8, "at_100.rmse": 40.5, "at_50.rmse": 30.25,
        "any_cycle.any_100.brier": 0.125, "any_cycle.any_50.brier": 0.25,
        "any_cycle.any_50.auroc": 0.9125, "any_cycle.penetration.sensor_mae": 0.0784,
        "any_cycle.silicon.coverage_90": 0.875, "at_100.over_pressure.ibs": 0.013125,
        "at_100.any_50.brier": 0.0625,
    }  # fmt: skip
    sources = [
        {"source": "simulated", "licence": "", "citation": "", "cells": {"train": 7, "test": 2}},
        {
            "source": "a | b",
            "licence": "MIT",
            "citation": "10.1/x",
            "cells": {"train": 0, "test": 3},
        },
    ]
    training = {
        "run_id": "abc", "cells": {"train": 7, "test": 5}, "metrics": metrics, "sources": sources,
        "config": {"split": {"seed": 31, "excluded": []}},
    }  # fmt: skip
    card = (_export(tmp_path / "bundle", training=training) / CARD).read_text()
    heads = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert heads == ["What it is", "Data", "Figures", "Limits", "Versions", "Configuration"]
    for row in (
        "| simulated | 7 | 2 | own | – |",
        r"| a \| b | 0 | 3 | MIT | 10.1/x |",
        "|  | any cycle | at 50 | at 100 |",
        "| rmse (cycles) | 1322 | 30.2 | 40.5 |",
        "| any cause within 50 cycles | 0.912 | 0.25 |",
        "| any cause within 100 cycles | – | 0.125 |",
        "| penetration | 0.0784 |",
        "| silicon | 0.875 |",
        "| over-pressure | 0.0131 |",
        "| train nll | 3.06 |",
        "- split\n  - seed: 31\n  - excluded: –",
    ):
        assert row in card
    assert card.index("within 50 cycles") < card.index("within 100 cycles")
    assert "0.0625" not in card  # of a landmark only the ranking and the incidence are shown
    for limit in ("60 %", "history and declared design", "No experiment anchors", "no coverage"):
        assert limit.lower() in card.lower()


def test_a_card_of_recorded_cells_says_nothing_of_a_simulator(session: Session) -> None:
    recorded = session.manifest | {"virtual_sensors": [], "training": {"run_id": "abc"}}
    assert "simulator does" in write_card(session.manifest)
    assert "simulator does" not in write_card(recorded)
    assert "not recorded" in write_card(recorded)


@pytest.mark.usefixtures("quick")
def test_an_own_model_card(tmp_path: Path) -> None:
    out = _export(tmp_path / "bundle", model_card="# Mine\n")
    assert (out / CARD).read_text() == "# Mine\n"


@pytest.mark.usefixtures("quick")
def test_an_older_bundle_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    out = _export(tmp_path / "bundle")
    before = Session.load(out).fingerprint
    _export(out, training={"run_id": "other"})
    assert Session.load(out).fingerprint != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="overwritten"):
        _export(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.usefixtures("quick")
def test_a_network_that_differs_is_not_shipped(tmp_path: Path) -> None:
    _, other = tiny_network()
    with torch.no_grad():
        other.hazards.linear.bias += 1e-3
    with pytest.raises(ParityError):
        _export(tmp_path / "bundle", forecaster=other)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_it_is_proven_on_every_life_not_only_the_golden_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "parity_errors", lambda *_: {"rul": 1e-3, "soh": float("nan")})
    with pytest.raises(ParityError, match=r"rul by 0\.001, soh by nan"):
        _export(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_there_must_be_something_to_prove_it_on(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="held-out"):
        _export(tmp_path / "bundle", held_out=[])
    assert list(tmp_path.iterdir()) == []


def test_parity_errors_over_lives_and_records(session: Session) -> None:
    _, forecaster = tiny_network()
    lives = [made_up_cycles(f"c{i}", cycles=3 + i, seed=i) for i in range(40)]
    errors = parity_errors(session, forecaster, lives, [made_up_record(seed=5)])
    assert set(errors) == {*OUTPUTS, "summary"}
    assert max(errors.values()) <= TOLERANCE
    require_parity(errors)


def test_raw_samples_are_proven_all_the_way_to_the_forecast(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in two halves, of which the second starts from torch's own summaries."""

    def nudged(*arguments: Any) -> CycleSummaries:
        found = summarise_samples(*arguments)
        return CycleSummaries(found.cycle_count, found.values * 1.01, found.observed)

    monkeypatch.setattr(parity, "summarise_samples", nudged)
    errors = parity_errors(
        session, tiny_network()[1], [made_up_cycles("a")], [made_up_record(seed=5)]
    )
    assert errors["summary"] > TOLERANCE
    assert errors["rul"] > TOLERANCE


def test_padding_does_not_reach_a_shorter_life() -> None:
    _, forecaster = tiny_network()
    cells = [made_up_cycles("a", cycles=5), made_up_cycles("b", cycles=12, seed=1)]
    lives = [(cell.spec, cell.summaries) for cell in cells if cell.summaries is not None]
    together = torch_forecasts(forecaster, lives)
    for life, both in zip(lives, together, strict=True):
        alone = torch_forecasts(forecaster, [life])[0]
        assert len(alone) == len(life[1])
        np.testing.assert_allclose(both.rul, alone.rul, rtol=1e-5)
