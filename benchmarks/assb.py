"""Simulated solid-state cells: the network beside its opponents, on designs that trained nothing.

Full: the population of training/populations/assb.yaml is simulated (once; it is kept), the
opponents are fitted to the designs that taught the network, the test designs are judged, and
docs/figures/assb_*.svg drawn. The network is the one that ships, which training/configs/assb.yaml
makes, or that of --bundle or of --run. What is done stays in mlruns/assb, so a stopped run goes on.
Quick: the same on a small fresh population, with opponents that are hardly trained.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import fadecast
from benchmarks import _common, _pictures
from benchmarks._announced import announced
from benchmarks._cells import HORIZON, Cells, Ints, Rows
from benchmarks._contest import BUNDLES, DEPTH, NETWORKS, QUICK, TRUTH, Contest, Effort
from benchmarks._film import film
from benchmarks._judging import (
    CALIBRATED,
    LANDMARKS,
    PROTOCOLS,
    RISK,
    Figures,
    calibration,
    gains,
    life_gain,
    mean_of,
    over,
    parts_of,
    ranking,
    ratio,
    remaining_life,
    verdicts,
)
from benchmarks._networks import Forecast, bundled, heard, of
from benchmarks._said import Said
from benchmarks._stages import Stages, say
from fadecast.cell.store import Store
from fadecast.cli.simulation import summarise
from fadecast.learn.config import TrainConfig
from fadecast.learn.run import load_run
from fadecast.learn.split import PARTS, Split, split_cells
from fadecast.physics.generate import generate
from fadecast.physics.population import Population
from fadecast.runtime import Session

CONFIG = _common.ROOT / "training" / "populations" / "assb.yaml"
TRAINING = _common.ROOT / "training" / "configs" / "assb.yaml"
KEPT = _common.ROOT / "mlruns" / "populations" / "assb"
STAGES_KEPT = _common.ROOT / "mlruns" / "assb"
PICTURES = _common.ROOT / "docs" / "figures"
QUICK_CELLS = 96
SEEDS = 5
SEEDED = "network_seeds"
"""The configuration of the shipped network, trained here anew: how much chance there is in it."""
MEAN = "network_mean"
"""The mean of what these say: how much of what is missing is chance."""
RIVAL = "trees_history"
"""Whose median of the cycles left is compared with ours."""
NO_RIVALS = ("network", "micro", SEEDED, MEAN, DEPTH, *TRUTH)
AHEAD = (
    *(f"{RISK}.{figure}{part}" for figure in ("auroc", "ap")
      for part in ("", ".cells", *(f".cycle{n}" for n in LANDMARKS))),
    *(f"{RISK}.auroc.{protocol}" for protocol in PROTOCOLS),
    "rul.mdape.cycle100", "rul.mae.cycle100", *(f"concordance.cycle{n}" for n in LANDMARKS),
)  # fmt: skip
"""Figures in which ours is wanted ahead of every opponent."""
WANTED = {
    "rul.mdape.last50.network": (0.0, 0.6), "rul.mdape.cycle100.ceiling_ratio": (0.0, 1.15),
    "lead.contact_loss": (0.7, 1.0), "lead.lithium_penetration": (0.5, 1.0),
    f"{RISK}.ceiling_share": (0.85, 9.0), f"{RISK}.auroc.gain.low": (0.0, 1.0),
    **{f"{head}.margin": (0.0, 1e3) for head in AHEAD}, **CALIBRATED,
}  # fmt: skip
"""Figures and the bounds they are wanted within; a small population decides nothing."""


def main() -> None:
    """Judge, print, draw, close."""
    options = parsed()
    with tempfile.TemporaryDirectory() as name:
        contest = prepared(options.quick, Path(name))
        networks, asked = judged_networks(contest, options)
        watched, curves = announced(contest, *asked) if asked else ({}, {})
        said = {k: [v] for k, v in contest.opponents().items()} | {"network": networks}
        said["micro"] = [contest.micro()]
        said[SEEDED] = [contest.network(seed) for seed in range(1 if options.quick else SEEDS)]
        said[MEAN] = [mean_of(said[SEEDED])]
        designs = contest.test.designs
    rows = contest.rows
    figures = {k: v for n, many in said.items() for k, v in standing(n, many, rows).items()}
    figures |= ceilings(figures) | margins(figures, list(said))
    show_ranking(figures, [*said, "ceiling"])
    share, depth = (figures[f"{RISK}.{part}_share"] for part in ("ceiling", "depth"))
    print(f"Of the way from kind to the ceiling the network goes {share:.3f}; of what the truth")
    print(f"adds to the history, for trees, the depth of lithium alone is {depth:.3f}")
    figures |= show_gains(said, rows, designs)
    show_lives(figures, [*said, "ceiling"])
    figures |= show_life_gain(networks[0], said[RIVAL][0], rows, designs)
    figures |= show_calibration(over(networks, lambda one: calibration(one, rows)))
    figures |= watched
    if not options.quick:
        drawn = {
            "assb_reliability": _pictures.reliability(networks, rows),
            "assb_landmarks": _pictures.landmarks(list(said), figures),
        }
        if asked:
            drawn["assb_alarms"] = _pictures.lead_times(curves)
            drawn["assb_film"] = film(asked[0], contest.test, rows)
        _pictures.save(drawn, PICTURES)
    figures = {key: value for key, value in figures.items() if np.isfinite(value)}
    targets, met = ({}, {}) if options.quick else verdicts(figures, WANTED)
    libraries = ("numpy", "scikit-learn", "optuna", "torch", "lifelines")
    _common.close("assb", figures, targets, met, libraries)


def parsed() -> argparse.Namespace:
    """The command line; unless told another, the network that the package ships is judged."""
    parser = _common.parser(__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--bundle", type=Path, help="judge this bundle instead of training one")
    which.add_argument(
        "--run", action="append", default=[], metavar="ID",
        help="judge the network of this tracked run; of several the mean is told",
    )  # fmt: skip
    options = parser.parse_args()
    if not options.run and options.bundle is None and fadecast.PRETRAINED.exists():
        options.bundle = fadecast.PRETRAINED
    return options


def prepared(quick: bool, fresh: Path) -> Contest:
    """Cells and rows; a quick run's lie in ``fresh``."""
    config, population = TrainConfig.from_yaml(TRAINING), Population.from_yaml(CONFIG)
    if quick:
        changes = {"cells": QUICK_CELLS, "seed": population.seed + 1000}
        population = population.model_copy(update=changes)
    store = simulate(population, fresh / "population" if quick else KEPT)
    effort = QUICK if quick else Effort()
    split = split_cells([store.metadata(c) for c in store.cell_ids()], config.data.split)
    ids = {part: getattr(split, part) for part in PARTS}
    train, held, test = (Cells(store, ids[part], config.data.end_of_life) for part in PARTS)
    common = replace(effort, steps=0, truth_steps=0)  # of a stage each, which is told them
    data = f"{store.digest()} {split.digest} {config.data.end_of_life} {common}"
    kept = Stages(fresh / "stages" if quick else STAGES_KEPT, data)
    contest = Contest(train, held, test, config, effort, kept)
    print(
        f"{len(train)} cells to learn from, {len(held)} to choose by, {len(test)} to be judged on"
    )
    print(f"at {len(contest.rows)} cycles, {(contest.rows.label >= 0).sum()} of known outcome")
    known = (contest.known.label >= 0).sum()
    print(f"of {len(contest.known)} cycles to learn from or to choose by, {known} of known outcome")
    print(f"trees are fitted to {effort.tree_rows} of these at most, Cox to {effort.cox_rows}")
    return contest


def simulate(config: Population, out: Path) -> Store:
    """The population in ``out``, simulated as far as it is not there yet."""
    for done, total in generate(config, out, summarise=summarise, workers=os.cpu_count() or 1):
        if done % 512 == 0 or done == total:
            say(f"{done} of {total} shards")
    return Store(out)


def judged_networks(
    contest: Contest, options: argparse.Namespace
) -> tuple[list[Said], tuple[Forecast, str] | None]:
    """What the given networks say, and the first of them with its name; or what the one that is
    trained here does, of which nothing else is kept."""
    cells, rows, kept = contest.test, contest.rows, contest.kept
    if options.bundle is not None:
        session = Session.load(options.bundle)
        print(f"the network is the bundle {session.fingerprint[:12]}")
        own = Split(contest.train.ids, contest.held_cells.ids, cells.ids).digest
        if not options.quick and session.manifest["training"].get("split_digest") != own:
            sys.exit(f"{options.bundle} was trained on another split of the cells")
        given, shipped = session.fingerprint, bundled(session)
        arrays = kept("bundle", BUNDLES, lambda: heard(shipped, cells, rows), given=given)
        return [Said.of(arrays)], (shipped, given)
    out: list[Said] = []
    first: tuple[Forecast, str] | None = None
    for run in options.run:
        network, info = load_run(run)
        trained_on = {*info.split.train, *info.split.validation}
        if not options.quick and trained_on & set(cells.ids):
            sys.exit(f"run {run} was trained on cells that are to be judged")
        forecast = of(network)
        first = first or (forecast, run)
        arrays = kept(f"run-{run}", NETWORKS, lambda f=forecast: heard(f, cells, rows), given=run)
        out.append(Said.of(arrays))
    if out:
        print(f"the network is that of {len(out)} tracked runs")
    return out or [contest.network(0)], first


def standing(name: str, said: Sequence[Said], rows: Rows) -> Figures:
    """How well a model ranks risks and tells lives."""
    return over(said, lambda one: ranking(name, one, rows) | remaining_life(name, one, rows))


def ceilings(figures: Figures) -> Figures:
    """The better of those who know the truth, figure by figure; how much of it ours reaches, and
    how much of what the truth adds to the history, for trees, is how deep lithium has come."""
    out, (one, other) = {}, TRUTH
    for key in [key for key in figures if key.endswith(f".{one}")]:
        head = key.removesuffix(one)
        best = min if head.startswith("rul.") else max
        values = [v for v in (figures[head + one], figures[head + other]) if np.isfinite(v)]
        out[f"{head}ceiling"] = best(values, default=float("nan"))
    low, high, own = (
        (figures | out)[f"{RISK}.auroc.{name}"] for name in ("kind", "ceiling", "network")
    )
    out[f"{RISK}.ceiling_share"] = ratio(own - low, high - low)
    at_100 = "rul.mdape.cycle100"
    reached = ratio(figures[f"{at_100}.network"], out[f"{at_100}.ceiling"])
    known, seen, all_ = (figures[f"{RISK}.auroc.{n}"] for n in ("trees_history", DEPTH, one))
    out[f"{RISK}.depth_share"] = ratio(seen - known, all_ - known)
    return out | {f"{at_100}.ceiling_ratio": reached}


def margins(figures: Figures, names: Sequence[str]) -> Figures:
    """By how much ours is better than the best opponent; below 0 where it is not."""
    rivals = [name for name in names if name not in NO_RIVALS]
    out = {}
    for head in AHEAD:
        sign = -1 if head.startswith("rul.") else 1  # errors are better where they are lower
        best = max(sign * figures[f"{head}.{name}"] for name in rivals)
        out[f"{head}.margin"] = sign * figures[f"{head}.network"] - best
    return out


def show_ranking(figures: Figures, names: Sequence[str]) -> None:
    """Print AUROC and average precision."""
    parts = {"pooled": "", "cells alike": ".cells"}
    parts |= {f"cycle {n}": f".cycle{n}" for n in LANDMARKS} | {p: f".{p}" for p in PROTOCOLS}
    print(f"\nPressure-related failure within {HORIZON} cycles: AUROC / average precision")
    heads = [(f"{RISK}.auroc{part}", f"{RISK}.ap{part}") for part in parts.values()]
    lines = [
        [name, *(f"{text(figures, f'{a}.{name}')} / {text(figures, f'{b}.{name}')}"
                 for a, b in heads)]
        for name in names
    ]  # fmt: skip
    _common.table(["", *parts], lines)


def show_lives(figures: Figures, names: Sequence[str]) -> None:
    """Print how well the remaining life is told."""
    parts = {"cycle 100": "rul.mdape.cycle100", "last 50": "rul.mdape.last50"}
    parts |= {"mean |error|": "rul.mae.cycle100"}
    parts |= {f"C {n}": f"concordance.cycle{n}" for n in LANDMARKS}
    print("\nRemaining life: median |error| / life left at cycle 100 and in the last 50 cycles, of")
    print(
        "cells that failed; mean |error| at cycle 100 in cycles, up to the end of the follow-up and"
    )
    print("freed of the censoring, and concordance C at landmarks, of all")
    lines = [[n, *(text(figures, f"{head}.{n}") for head in parts.values())] for n in names]
    _common.table(["", *parts], lines)


def show_life_gain(own: Said, rival: Said, rows: Rows, design: Ints) -> Figures:
    """Print and return the 95 % interval of our error at cycle 100 minus that of ``RIVAL``."""
    low, high = life_gain(own, rival, rows, design)
    print(f"The network's median error at cycle 100 minus that of {RIVAL}, 95 % over designs: "
          f"{low:+.3f} … {high:+.3f}")  # fmt: skip
    return {"rul.mdape.cycle100.gain.low": float(low), "rul.mdape.cycle100.gain.high": float(high)}


def text(figures: Mapping[str, float], key: str) -> str:
    """A figure, with its standard deviation where it has one."""
    spread = f" ± {figures[f'{key}.std']:.3f}" if f"{key}.std" in figures else ""
    return f"{figures[key]:.3f}{spread}"


def show_gains(said: Mapping[str, Sequence[Said]], rows: Rows, design: Ints) -> Figures:
    """Print and return 95 % intervals of ours minus each opponent's, designs drawn anew."""
    others = {n: many[0] for n, many in said.items() if n not in NO_RIVALS}
    found = gains(said["network"], others, rows, design)
    figures, lines = {}, []
    for name, quantiles in found.items():
        for figure, (low, high) in zip(("auroc", "ap"), quantiles, strict=True):
            figures[f"{RISK}.{figure}.gain.{name}.low"] = float(low)
            figures[f"{RISK}.{figure}.gain.{name}.high"] = float(high)
        lines.append([name, *(f"{low:+.4f} … {high:+.4f}" for low, high in quantiles)])
    print("\nThe network minus each opponent, 95 % over designs")
    _common.table(["", "AUROC", "average precision"], lines)
    trees = [name for name in others if name.startswith("trees_")]
    standings = {name: ranking(name, one, rows) for name, one in others.items()}
    tree = max(trees, key=lambda n: standings[n][f"{RISK}.auroc.{n}"])
    for end in ("low", "high"):
        figures[f"{RISK}.auroc.gain.{end}"] = figures[f"{RISK}.auroc.gain.{tree}.{end}"]
    lines = []
    for part, chosen in {"cells": None, **parts_of(rows)}.items():
        best = max(others, key=lambda n: standings[n][f"{RISK}.auroc.{part}.{n}"])
        rival, alike = {best: others[best]}, chosen is None
        quantiles = gains(said["network"], rival, rows, design, chosen, alike=alike)[best]
        for figure, (low, high) in zip(("auroc", "ap"), quantiles, strict=True):
            head = f"{RISK}.{figure}.{part}.gain"
            figures |= {f"{head}.low": float(low), f"{head}.high": float(high)}
        told = (f"{low:+.4f} … {high:+.4f}" for low, high in quantiles)
        lines.append(["cells alike" if alike else part, best, *told])
    print("\nThe network minus the opponent whose AUROC is best there, 95 % over designs")
    _common.table(["", "opponent", "AUROC", "average precision"], lines)
    seeds = gains(said[SEEDED], {tree: others[tree]}, rows, design)[tree][0]
    print(f"The mean of {len(said[SEEDED])} trainings minus {tree}, pooled: "
          f"{seeds[0]:+.4f} … {seeds[1]:+.4f}")  # fmt: skip
    return figures | {f"{RISK}.auroc.gain.seeds.{end}": float(value)
                      for end, value in zip(("low", "high"), seeds, strict=True)}  # fmt: skip


def show_calibration(figures: Figures) -> Figures:
    """Print and return them."""
    print("\nExpected calibration error of the risk, cycles alike")
    head = f"{RISK}.calibration_error"
    parts = [k for k in figures if k.startswith(head) and not k.endswith(".std")]
    lines = [[k.removeprefix(head).strip(".") or "pooled", text(figures, k)] for k in parts]
    _common.table(["", "error"], lines)
    print("Coverage of the 90 % intervals, freed of the censoring, cycles alike")
    parts = [k for k in figures if k.startswith("coverage90.") and not k.endswith(".std")]
    _common.table(["", "covered"], [[k.partition(".")[2], text(figures, k)] for k in parts])
    return figures


if __name__ == "__main__":
    main()
