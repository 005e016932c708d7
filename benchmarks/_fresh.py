"""The network beside the best opponent on designs that nothing was fitted to or chosen on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks import _common, _trees
from benchmarks._cells import EVERY, VIEWS, Array, Cells, Rows, table
from benchmarks._contest import BUNDLES, CELLS, TREES, Contest
from benchmarks._judging import LANDMARKS, RISK, Figures, gains, ranking
from benchmarks._networks import Forecast, heard
from benchmarks._said import Said

RIVAL = "trees_history"
_HERE = "benchmarks/_fresh.py"


def confirm(contest: Contest, cells: Cells, network: Forecast, given: str) -> Figures:
    """How well both rank the risk of these cells, printed, and the gain.

    Args:
        given: what names ``network``.
    """
    kept, given_cells = contest.kept, cells.store.digest()
    asked = kept("fresh_cells", CELLS, lambda: table(cells, EVERY, VIEWS[-1:]), given=given_cells)
    rows = Rows.of(asked)

    def trees() -> Mapping[str, Array]:
        known = contest.known
        some = _trees.known_rows(known.label, contest.effort.tree_rows)
        x = contest.learnt[VIEWS[-1]][some]
        risk = _trees.risk_by(x, known.label[some], asked[VIEWS[-1]], contest.parameters)
        return {"risk": risk, "left": np.full(len(risk), np.nan)}

    said = {
        "network": kept("fresh_network", (_HERE, *BUNDLES),
                        lambda: heard(network, cells, rows), given=f"{given_cells} {given}"),
        RIVAL: kept("fresh_trees", (_HERE, *TREES), trees,
                    given=f"{given_cells} {contest.parameters}"),
    }  # fmt: skip
    ours, theirs = (Said.of(arrays) for arrays in said.values())
    found = ranking("network", ours, rows) | ranking(RIVAL, theirs, rows)
    figures = {f"fresh.{key}": value for key, value in found.items()}
    design = cells.designs
    print(f"\n{len(cells)} fresh cells of {design.max() + 1} designs at {len(rows)} cycles:")
    print("AUROC / average precision")
    parts = {"pooled": ""} | {f"cycle {n}": f".cycle{n}" for n in LANDMARKS}
    heads = [(f"{RISK}.auroc{part}", f"{RISK}.ap{part}") for part in parts.values()]
    _common.table(["", *parts], [
        [name, *(f"{found[f'{a}.{name}']:.3f} / {found[f'{b}.{name}']:.3f}" for a, b in heads)]
        for name in said
    ])  # fmt: skip
    spans = gains([ours], {RIVAL: theirs}, rows, design)[RIVAL]
    for figure, (low, high) in zip(("auroc", "ap"), spans, strict=True):
        head = f"fresh.{RISK}.{figure}.gain"
        figures |= {f"{head}.low": float(low), f"{head}.high": float(high)}
    told = " / ".join(f"{low:+.4f} … {high:+.4f}" for low, high in spans)
    print(f"The network minus {RIVAL}, pooled, 95 % over designs: {told}")
    return figures
