"""The network that ships beside the best trees, on cells that nobody has looked at.

The cells are those of training/populations/assb.yaml under another seed, simulated once the
network and the trees' parameters were frozen; nothing is fitted to them or chosen on them. A bundle
that is judged on them later has had its turn: it needs another seed. The trees are fitted to the
designs that taught the network, as in `assb`, and what is done stays in mlruns/assb.
Quick: the same of a few cells, with trees that are hardly trained.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import fadecast
from benchmarks import _common, _trees, assb
from benchmarks._cells import EVERY, VIEWS, Array, Cells, Rows, table
from benchmarks._contest import BUNDLES, CELLS, TREES, Contest
from benchmarks._judging import (
    CALIBRATED,
    RISK,
    Figures,
    calibration,
    gains,
    verdicts,
)
from benchmarks._networks import bundled, heard
from benchmarks._said import Said, by_kind
from benchmarks.assb import RIVAL
from fadecast.physics.population import Population
from fadecast.runtime import Session

SEED, SEEN_BY = 17, "5cba182e4def"
"""Of the cells, and the bundle that was the first to be judged on them."""
COUNT, QUICK_COUNT = 6000, 24
WANTED = {
    f"{RISK}.auroc.gain.low": (0.0, 1.0), f"{RISK}.ap.gain.low": (0.0, 1.0),
    "rul.mdape.last50.network": (0.0, 0.6), **{f"{head}.margin": (0.0, 1e3) for head in assb.AHEAD},
    **CALIBRATED,
}  # fmt: skip
"""Figures and the bounds they are wanted within, as of `assb`; margins are over the trees."""


def main() -> None:
    """Simulate, judge, print, close."""
    quick = _common.options(__doc__).quick
    session = Session.load(fadecast.PRETRAINED)
    print(f"the network is the bundle {session.fingerprint[:12]}; cells of seed {SEED}")
    if not session.fingerprint.startswith(SEEN_BY):
        print(f"these cells are not new: the bundle {SEEN_BY} was judged on them before")
    with tempfile.TemporaryDirectory() as name:
        contest = assb.prepared(quick, Path(name))
        config = Population.from_yaml(assb.CONFIG).model_copy(
            update={"seed": SEED, "cells": QUICK_COUNT if quick else COUNT, "latent": False}
        )
        kept = Path(name) / "fresh" if quick else assb.KEPT.with_name(f"assb-fresh-{SEED}")
        store = assb.simulate(config, kept)
        cells = Cells(store, tuple(store.cell_ids()), contest.test.end_of_life)
        rows, said = heard_of(contest, cells, session)
        design = cells.designs
    print(f"\n{len(cells)} fresh cells, {rows.failed.sum()} of which were seen to fail, at")
    print(f"{len(rows)} cycles, {(rows.label >= 0).sum()} of known outcome")
    figures = {
        k: v for name, one in said.items() for k, v in assb.standing(name, [one], rows).items()
    }
    figures |= assb.margins(figures, list(said))
    assb.show_ranking(figures, list(said))
    ours, theirs = said["network"], said[RIVAL]
    figures |= show_gain(gains([ours], {RIVAL: theirs}, rows, design)[RIVAL])
    assb.show_lives(figures, list(said))
    figures |= assb.show_life_gain(ours, theirs, rows, design)
    figures |= assb.show_calibration(calibration(ours, rows))
    figures = {key: value for key, value in figures.items() if math.isfinite(value)}
    targets, met = ({}, {}) if quick else verdicts(figures, WANTED)
    _common.close("fresh", figures, targets, met, ("numpy", "scikit-learn", "onnxruntime"))


def heard_of(contest: Contest, cells: Cells, session: Session) -> tuple[Rows, dict[str, Said]]:
    """Judged rows of the cells and what the models say there, network first."""
    kept, given = contest.kept, cells.store.digest()
    history = VIEWS[-1]
    asked = kept("fresh_cells", CELLS, lambda: table(cells, EVERY, (history,)), given=given)
    rows, parameters, most = Rows.of(asked), contest.parameters, contest.effort.tree_rows
    network = kept("fresh_network", BUNDLES, lambda: heard(bundled(session), cells, rows),
                   given=f"{given} {session.fingerprint}")  # fmt: skip
    trees = kept(
        "fresh_trees", TREES,
        lambda: _trees.boosted(
            contest.learnt[history], contest.known, asked[history], parameters, most
        ),
        given=f"{given} {parameters}",
    )  # fmt: skip
    kind = by_kind(contest.known, rows)
    return rows, {n: Said.of(x) for n, x in (("network", network), (RIVAL, trees), ("kind", kind))}


def show_gain(spans: Array) -> Figures:
    """Print and return the 95 % intervals of ``gains``, of AUROC and of average precision."""
    told = " / ".join(f"{low:+.4f} … {high:+.4f}" for low, high in spans)
    print(f"The network minus {RIVAL}, pooled, 95 % over designs: {told}")
    return {
        f"{RISK}.{figure}.gain.{end}": float(value)
        for figure, span in zip(("auroc", "ap"), spans, strict=True)
        for end, value in zip(("low", "high"), span, strict=True)
    }


if __name__ == "__main__":
    main()
