"""What helps the network and what does not: one tracked run a trial, judged on validation designs.

Of the population the first cells are taken, and prepared once; every trial meets the same rows of
them. The first table varies the network that is shipped; the second one stands several networks as
one, and what they teach a single one, beside it; the third one stands trained memories beside its
untrained averages, at about equal numbers of parameters, over the same rows of each cell in their
order. Test cells are never looked at. Every trial is a run of the experiment "trials"; what is done
stays in mlruns/trials, so a stopped run goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import _common
from benchmarks._contest import NETWORKS
from benchmarks._ensemble import drawn_lives, said_by, together
from benchmarks._memories import EPOCHS, MEMORIES, Remembering, train_sequences
from benchmarks._said import PRESSURE, WITHIN
from benchmarks._stages import Arrays, Stages
from benchmarks._variations import (
    thinned,
    with_blind,
    with_capacity_ahead,
    with_noise,
    without_averages,
    without_curves,
    without_reference,
)
from benchmarks.assb import CONFIG as POPULATION
from benchmarks.assb import KEPT, QUICK_CELLS, simulate
from benchmarks.assb import TRAINING as CONFIG
from fadecast.cell.life import CAUSES, PRESSURE_CAUSES
from fadecast.forecast import metrics
from fadecast.forecast.forecast import HORIZONS, QUANTILES
from fadecast.learn.batches import Batch, Rows
from fadecast.learn.config import TrackingConfig, TrainConfig
from fadecast.learn.dataset import read_cells
from fadecast.learn.fit import Prepared, fit_prepared, prepare
from fadecast.learn.losses import competing_risks_nll
from fadecast.learn.split import split_cells
from fadecast.learn.tracking import tracked
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import Readout
from fadecast.physics.population import Population

CELLS: Final = 5000
"""Of the population, the first: so many that a trial takes minutes."""
HELD: Final = 0.4
"""Share of the designs that judge: with a tenth, two seeds differ more than most trials do."""
MEMBERS: Final = 4
PARTS: Final = (0.5, 0.25)
_CAUSES: Final = torch.tensor([CAUSES.index(cause) for cause in PRESSURE_CAUSES])

STAGES_KEPT = KEPT.parents[1] / "trials"

Figures = Mapping[str, float]
Trial = Callable[[Prepared, Path], tuple[Mapping[str, object], Figures]]
"""Prepared cells and a folder → settings and figures."""


def main() -> None:
    """Try what was not tried before, print, close."""
    quick = _common.options(__doc__).quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, data, prepared = cells(quick, folder)
        tracking = TrackingConfig(experiment="trials")
        if quick:
            tracking = TrackingConfig(
                experiment="trials", uri=f"sqlite:///{name}/mlflow.db", artifacts=folder
            )
        kept = Stages(folder / "stages" if quick else STAGES_KEPT, data)

        def tried(name: str, run: Trial) -> Arrays:
            with tracked(tracking, name) as record:
                settings, figures = run(prepared(), folder / name)
                record.params({"trial": name, **settings})
                record.metrics(figures)
            return {key: np.array(value) for key, value in figures.items()}

        found: dict[str, dict[str, Figures]] = {}
        for group, (of, code) in GROUPS.items():
            found[group] = {}
            for trial, run in of(config).items():
                one = f"{group} {trial}"
                arrays = kept(one, code, lambda one=one, run=run: tried(one, run))
                found[group][trial] = {key: float(value) for key, value in arrays.items()}
    show(found)


def cells(quick: bool, folder: Path) -> tuple[TrainConfig, str, Callable[[], Prepared]]:
    """The training's configuration, what names it and its cells, and its training and validation
    cells, prepared once they are asked for."""
    config, population = TrainConfig.from_yaml(CONFIG), Population.from_yaml(POPULATION)
    if quick:
        changes = {"cells": QUICK_CELLS, "shard": 4, "seed": population.seed + 1000}
        population = population.model_copy(update=changes)
        training = config.training.model_copy(update={"epochs": 1})
        config = config.model_copy(update={"training": training})
    store = simulate(population, folder / "population" if quick else KEPT)
    metadata = [store.metadata(cell_id) for cell_id in store.cell_ids()[:CELLS]]
    split = split_cells(metadata, config.data.split.model_copy(update={"validation": HELD}))
    end_of_life = config.data.end_of_life

    @cache
    def prepared() -> Prepared:
        train, held = (
            read_cells(store, end_of_life, [m for m in metadata if m.spec.cell_id in part])
            for part in (set(split.train), set(split.validation))
        )
        return prepare(train, held, config.network, config.training)

    given = f"{store.digest()} {split.digest} {end_of_life} {config.network} {config.training}"
    return config, given, prepared


def variants(config: TrainConfig) -> dict[str, Trial]:
    """Trials of the shipped network by name."""
    network, training = config.network, config.training

    def trial(
        changed: Mapping[str, Any], learning: Mapping[str, Any], of: Callable[..., Prepared]
    ) -> Trial:
        def run(prepared: Prepared, folder: Path) -> tuple[dict[str, object], Figures]:
            own = replace(network, **changed)
            how = training.model_copy(update=dict(learning))
            one = fit_prepared(of(prepared), own, how, folder=folder)
            assert prepared.held is not None
            settings = {**changed, **learning, "parameters": parameters(one)}
            return settings, judged(prepared.held.batch, said_by(one)(prepared.held.batch))

        return run

    def whole(prepared: Prepared) -> Prepared:
        return prepared

    plans: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Callable[..., Prepared]]] = {
        "as shipped": ({}, {}, whole),
        "another seed": ({}, {"seed": 1}, whole),
        "a third seed": ({}, {"seed": 2}, whole),
        "half the width": ({"hidden": network.hidden // 2}, {}, whole),
        "twice the width": ({"hidden": 2 * network.hidden}, {}, whole),
        "no dropout": ({"dropout": 0.0}, {}, whole),
        "weight decay 0.01": ({}, {"weight_decay": 0.01}, whole),
        "half the epochs": ({}, {"epochs": -(-training.epochs // 2)}, whole),
        "twice the epochs": ({}, {"epochs": 2 * training.epochs}, whole),
        "no risk loss": ({}, {"risk_weight": 0.0}, whole),
        "no virtual sensors": ({}, {"virtual_weight": 0.0}, whole),
        "no capacity": ({}, {"soh_weight": 0.0}, whole),
        "capacity 50 cycles ahead": ({}, {}, with_capacity_ahead),
        "no averages": ({}, {}, without_averages),
        "no reference": ({}, {}, without_reference),
        "no curves": ({}, {}, without_curves),
        "some met without pressure": ({}, {}, lambda p: with_blind(p, network)),
        "met with noise too": ({}, {}, with_noise),
    } | {f"{part:g} of the cells": ({}, {}, lambda p, part=part: thinned(p, part))
         for part in PARTS}  # fmt: skip
    return {name: trial(*plan) for name, plan in plans.items()}


def ensembles(config: TrainConfig) -> dict[str, Trial]:
    """Trials of several networks that differ in their seed."""
    network, training = config.network, config.training
    members: list[Forecaster] = []

    def trained(prepared: Prepared, folder: Path, **changed: Any) -> Forecaster:
        how = training.model_copy(update=changed)
        return fit_prepared(prepared, network, how, folder=folder)

    def all_of(prepared: Prepared, folder: Path) -> list[Forecaster]:
        if not members:
            members.extend(trained(prepared, folder / f"{n}", seed=n) for n in range(MEMBERS))
        return members

    def mean(prepared: Prepared, folder: Path) -> tuple[Mapping[str, object], Figures]:
        assert prepared.held is not None
        rows = prepared.held.batch
        return {"members": MEMBERS}, judged(rows, together(all_of(prepared, folder))(rows))

    def taught(prepared: Prepared, folder: Path) -> tuple[Mapping[str, object], Figures]:
        many = all_of(prepared, folder)
        drawn = drawn_lives(prepared.train.batch, together(many), seed=0)
        one = trained(prepared._replace(train=Rows.of(drawn)), folder / "taught")
        assert prepared.held is not None
        rows = prepared.held.batch
        return {"members": MEMBERS, "parameters": parameters(one)}, judged(rows, said_by(one)(rows))

    return {f"mean of {MEMBERS}": mean, "taught by them": taught}


def memories(config: TrainConfig) -> dict[str, Trial]:
    """Trials of trained memories by name."""

    def trial(memory: type[nn.Module]) -> Trial:
        def run(prepared: Prepared, _folder: Path) -> tuple[dict[str, object], Figures]:
            torch.manual_seed(config.training.seed)
            model = Remembering(config.network, memory)
            model.load(prepared)
            train_sequences(model, prepared.train.batch, config.training)
            assert prepared.held is not None
            settings = {"epochs": EPOCHS, "parameters": parameters(model)}
            return settings, judged(prepared.held.batch, model.said(prepared.held.batch))

        return run

    return {name: trial(memory) for name, memory in MEMORIES.items()}


@torch.no_grad()
def judged(rows: Batch, hazards: Tensor) -> dict[str, float]:
    """Likelihood with rows weighed as in training, AUROC and average precision of the risk."""
    levels = -torch.log1p(-torch.tensor(QUANTILES)).expand(len(hazards), -1)
    risk = Readout()(hazards, levels)[1][:, PRESSURE, WITHIN]
    ahead = HORIZONS[WITHIN]
    known = rows.settled[:, WITHIN] > 0
    fails = torch.isin(rows.cause, _CAUSES) & (rows.until <= ahead)
    label = fails[known].long().numpy()
    told = competing_risks_nll(hazards, rows.after, rows.until, rows.cause)
    return {
        "nll": float((told * rows.weight).sum() / rows.weight.sum()),
        "auroc": metrics.auroc(label, risk[known].double().numpy()),
        "ap": metrics.average_precision(label, risk[known].double().numpy()),
    }


def parameters(model: nn.Module) -> int:
    """How many are trained."""
    return sum(p.numel() for p in model.parameters())


def show(found: Mapping[str, Mapping[str, Figures]]) -> None:
    """Print both tables and the closing line."""
    figures = {}
    for group, trials in found.items():
        print(f"\nTrials of the {group}, on validation designs")
        rows = []
        for trial, values in trials.items():
            rows.append([trial, *(f"{values[key]:.4f}" for key in ("nll", "auroc", "ap"))])
            figures |= {f"{group}.{trial}.{key}": value for key, value in values.items()}
        _common.table(["", "nll", "AUROC", "AP"], rows)
    _common.close("trials", figures, {}, {}, ("numpy", "torch", "lightning"))


GROUPS: Final = {
    "network": (variants, ("benchmarks/trials.py", "benchmarks/_variations.py", *NETWORKS)),
    "ensemble": (ensembles, ("benchmarks/trials.py", "benchmarks/_ensemble.py", *NETWORKS)),
    "memory": (memories, ("benchmarks/trials.py", "benchmarks/_memories.py", *NETWORKS)),
}
"""Trials by name, and the code that decides them."""

if __name__ == "__main__":
    main()
