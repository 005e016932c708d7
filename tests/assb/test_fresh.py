"""The confirmation on fresh cells: they are judged, others teach, and a later bundle is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fadecast
from benchmarks import _said, _trees, assb, fresh
from benchmarks._cells import EVERY, Cells, Rows, table
from fadecast.cell.record import PublishedLife
from fadecast.runtime import Session
from tests.assb.made_up import made_up_cells


@pytest.fixture
def judged(cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All but the populations is real; what the stages, the simulator and the trees were given."""
    seen: dict[str, Any] = {}

    def kept(name: str, _code: tuple[str, ...], make: Any, *, given: str = "") -> Any:
        seen[name] = given
        return make()

    def simulate(config: Any, out: Path) -> Any:
        seen.update(config=config, out=out)
        lives = [PublishedLife(70 + 9 * i, "contact_loss", "made up", None) for i in range(13)]
        store = made_up_cells(tmp_path / "fresh", lives)
        seen["digest"] = store.digest()
        return store

    def boosted(x: Any, known: Rows, asked: Any, *rest: Any) -> Any:
        seen.update(taught=len(x), known=len(known), asked=len(asked))
        return real(x, known, asked, *rest)

    real, learnt = _trees.boosted, table(cells, EVERY)
    contest = SimpleNamespace(
        kept=kept, test=cells, learnt=learnt, known=Rows.of(learnt), effort=assb.QUICK,
        parameters={"max_iter": 5},
    )  # fmt: skip
    monkeypatch.setattr(_trees, "boosted", boosted)
    monkeypatch.setattr(assb, "prepared", lambda *_: contest)
    monkeypatch.setattr(assb, "simulate", simulate)
    monkeypatch.setattr("sys.argv", ["fresh"])
    fresh.main()
    return seen


def test_fresh_cells_are_judged_by_what_others_taught(
    capsys: pytest.CaptureFixture[str], judged: dict[str, Any], cells: Cells
) -> None:
    session = Session.load(fadecast.PRETRAINED)
    closing = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert judged["config"].seed == fresh.SEED
    assert judged["config"].cells == fresh.COUNT
    assert str(fresh.SEED) in judged["out"].name
    assert judged["known"] == judged["taught"] == len(Rows.of(table(cells, EVERY, ())))
    assert judged["asked"] != judged["taught"]
    assert judged["fresh_network"] == f"{judged['digest']} {session.fingerprint}"
    assert judged["fresh_trees"].startswith(judged["digest"])
    figures = closing["figures"]
    for key in ("concordance.cycle50", "rul.mdape.last50", "risk50.auroc.cells"):
        assert figures[f"{key}.network"] >= 0
        assert figures[f"{key}.network"] != figures[f"{key}.trees_history"]
    margin = figures["concordance.cycle50.margin"]
    others = max(figures[f"concordance.cycle50.{n}"] for n in ("trees_history", "kind"))
    assert margin == pytest.approx(figures["concordance.cycle50.network"] - others, abs=2e-6)
    assert closing["targets"].keys() == closing["met"].keys() == fresh.WANTED.keys()


def test_a_bundle_that_comes_later_is_told_that_the_cells_are_not_new(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    monkeypatch.setattr(fresh, "SEEN_BY", "0" * 12)
    request.getfixturevalue("judged")
    assert "not new: the bundle 000000000000" in capsys.readouterr().out
    monkeypatch.undo()
    assert len(fresh.SEEN_BY) == 12


def test_intervals_are_told_under_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    figures = fresh.show_gain(np.array([[0.001, 0.002], [-0.03, 0.04]]))
    head = _said.HORIZON
    assert figures == {
        f"risk{head}.auroc.gain.low": 0.001, f"risk{head}.auroc.gain.high": 0.002,
        f"risk{head}.ap.gain.low": -0.03, f"risk{head}.ap.gain.high": 0.04,
    }  # fmt: skip
    assert "+0.0010 … +0.0020 / -0.0300 … +0.0400" in capsys.readouterr().out
