"""What helps the network and what does not: one tracked run a trial, judged on validation designs.

Of the population the first cells are taken, and prepared once; every trial meets the same rows of
them. The first table varies the network that is shipped; the second one stands several networks as
one, and what they teach a single one, beside it; the third one stands trained memories beside its
untrained averages, at about equal numbers of parameters, over the same rows of each cell in their
order. Test cells are never looked at. Every trial is a run of the experiment "trials".
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import _common
from benchmarks._ensemble import drawn_lives, said_by, together
from benchmarks._memories import MEMORIES
from benchmarks._said import PRESSURE, WITHIN
from benchmarks._stages import say
from benchmarks._variations import (
    begun,
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
from fadecast.learn.config import TrackingConfig, TrainConfig, TrainingConfig
from fadecast.learn.dataset import read_cells
from fadecast.learn.fit import Prepared, fit_prepared, prepare
from fadecast.learn.losses import competing_risks_nll, pressure_nll
from fadecast.learn.split import split_cells
from fadecast.learn.tracking import tracked
from fadecast.network.encoder import Encoder
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import HazardHead, Readout, log_hazards
from fadecast.physics.population import Population

CELLS: Final = 5000
"""Of the population, the first: so many that a trial takes minutes."""
HELD: Final = 0.4
"""Share of the designs that judge: with a tenth, two seeds differ more than most trials do."""
EPOCHS: Final = 4
CELLS_AT_ONCE: Final = 32
MEMBERS: Final = 4
PARTS: Final = (0.5, 0.25)
_CAUSES: Final = torch.tensor([CAUSES.index(cause) for cause in PRESSURE_CAUSES])

Figures = Mapping[str, float]


def main() -> None:
    """Prepare, try, print, close."""
    quick = _common.options(__doc__).quick
    with tempfile.TemporaryDirectory() as name:
        config, prepared = cells(quick, Path(name))
        tracking = TrackingConfig(experiment="trials")
        if quick:
            tracking = TrackingConfig(
                experiment="trials", uri=f"sqlite:///{name}/mlflow.db", artifacts=Path(name)
            )
        found: dict[str, dict[str, Figures]] = {}
        groups = {"network": variants, "ensemble": ensembles, "memory": memories}
        for group, trials in ((group, of(config)) for group, of in groups.items()):
            found[group] = {}
            for trial, run in trials.items():
                began = time.monotonic()
                with tracked(tracking, f"{group}: {trial}") as record:
                    settings, figures = run(prepared, Path(name) / f"{group}-{trial}")
                    record.params({"group": group, "trial": trial, **settings})
                    record.metrics(figures)
                found[group][trial] = figures
                say(f"{group} {trial}: {figures} in {time.monotonic() - began:.0f} s")
    show(found)


def cells(quick: bool, folder: Path) -> tuple[TrainConfig, Prepared]:
    """The training's configuration, and its training and validation cells, prepared."""
    config, population = TrainConfig.from_yaml(CONFIG), Population.from_yaml(POPULATION)
    if quick:
        changes = {"cells": QUICK_CELLS, "shard": 4, "seed": population.seed + 1000}
        population = population.model_copy(update=changes)
        training = config.training.model_copy(update={"epochs": 1})
        config = config.model_copy(update={"training": training})
    store = simulate(population, folder / "population" if quick else KEPT)
    metadata = [store.metadata(cell_id) for cell_id in store.cell_ids()[:CELLS]]
    split = split_cells(metadata, config.data.split.model_copy(update={"validation": HELD}))
    train, held = (
        read_cells(store, config.data.end_of_life, [m for m in metadata if m.spec.cell_id in part])
        for part in (set(split.train), set(split.validation))
    )
    return config, prepare(train, held, config.network, config.training)


def variants(config: TrainConfig) -> dict[str, Callable[[Prepared, Path], Any]]:
    """Trials of the shipped network by name."""
    network, training = config.network, config.training

    def trial(
        changed: Mapping[str, Any], learning: Mapping[str, Any], of: Callable[..., Prepared]
    ) -> Callable[[Prepared, Path], Any]:
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


def ensembles(config: TrainConfig) -> dict[str, Callable[[Prepared, Path], Any]]:
    """Trials of several networks that differ in their seed; the first one trains them."""
    network, training, members = config.network, config.training, []

    def trained(prepared: Prepared, folder: Path, **changed: Any) -> Forecaster:
        how = training.model_copy(update=changed)
        return fit_prepared(prepared, network, how, folder=folder)

    def mean(prepared: Prepared, folder: Path) -> tuple[dict[str, object], Figures]:
        members.extend(trained(prepared, folder / f"{n}", seed=n) for n in range(MEMBERS))
        assert prepared.held is not None
        rows = prepared.held.batch
        return {"members": MEMBERS}, judged(rows, together(members)(rows))

    def taught(prepared: Prepared, folder: Path) -> tuple[dict[str, object], Figures]:
        drawn = drawn_lives(prepared.train.batch, together(members), seed=0)
        one = trained(prepared._replace(train=Rows.of(drawn)), folder)
        assert prepared.held is not None
        rows = prepared.held.batch
        return {"members": MEMBERS, "parameters": parameters(one)}, judged(rows, said_by(one)(rows))

    return {f"mean of {MEMBERS}": mean, "taught by them": taught}


def memories(config: TrainConfig) -> dict[str, Callable[[Prepared, Path], Any]]:
    """Trials of trained memories by name."""

    def trial(memory: type[nn.Module]) -> Callable[[Prepared, Path], Any]:
        def run(prepared: Prepared, _folder: Path) -> tuple[dict[str, object], Figures]:
            model = Remembering(config.network, memory)
            model.load(prepared)
            train_sequences(model, prepared.train.batch, config.training)
            assert prepared.held is not None
            settings = {"epochs": EPOCHS, "parameters": parameters(model)}
            return settings, judged(prepared.held.batch, model.said(prepared.held.batch))

        return run

    return {name: trial(memory) for name, memory in MEMORIES.items()}


class Remembering(nn.Module):
    """The network with a trained memory behind its first layer, and without averages."""

    def __init__(self, config: ForecasterConfig, memory: type[nn.Module]) -> None:
        super().__init__()
        self.encoder = Encoder(config.hidden, config.dropout, 0)
        self.memory = memory(config.hidden)
        self.second = nn.Linear(config.hidden, config.hidden)
        self.hazards = HazardHead(config.hidden)

    def load(self, prepared: Prepared) -> None:
        """Take over the scales."""
        own = self.state_dict()
        self.load_state_dict({**own, **{k: v for k, v in prepared.scales.items() if k in own}})

    def forward(self, rows: Batch, order: Tensor) -> Tensor:
        """Hazards of the rows of cells ``order (B, T)``, whose padding repeats the last row."""
        encoder, flat = self.encoder, order.flatten()
        declared = encoder.declared(rows.design[flat])
        age = rows.age[flat]
        features = rows.described[flat, : encoder.features].float()
        inputs = torch.cat([features, declared, torch.log1p(age) / 8, age / 1000], 1)
        hidden = encoder.dropout(nn.functional.silu(encoder.first(inputs)))
        x = self.memory(hidden.unflatten(0, order.shape), age.unflatten(0, order.shape))
        hazards: Tensor = self.hazards(torch.tanh(self.second(x)))
        return hazards

    @torch.no_grad()
    def said(self, rows: Batch) -> Tensor:
        """Log-hazards of all rows."""
        self.eval()
        out = torch.zeros(len(rows.age), self.hazards.middles.shape[0], len(CAUSES))
        for order, mask in batches(rows, None):
            out[order[mask]] = self(rows, order)[mask]
        return log_hazards(out)


def train_sequences(model: Remembering, rows: Batch, config: TrainingConfig) -> None:
    """By the same losses, weights and optimiser, cells in batches."""
    torch.manual_seed(config.seed)
    readout = Readout()
    draw = np.random.default_rng(config.seed)
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
    steps = EPOCHS * len(list(batches(rows, np.random.default_rng(0))))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=max(steps, 6), pct_start=0.2
    )
    for _ in range(EPOCHS):
        for order, mask in batches(rows, draw):
            model.train()
            chosen = order[mask]
            some = rows.take(chosen)
            hazards = log_hazards(model(rows, order)[mask])
            told = competing_risks_nll(hazards, some.after, some.until, some.cause)
            loss = (told * some.weight).sum() / some.weight.sum()
            risk = pressure_nll(readout.risks(hazards)[0][:, PRESSURE], some.until, some.cause)
            risk = (risk * some.settled).sum() / some.settled.sum().clamp(min=1e-12)
            loss = loss + config.risk_weight * risk
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimiser.step()
            schedule.step()


def batches(rows: Batch, draw: np.random.Generator | None) -> list[tuple[Tensor, Tensor]]:
    """Cells of about equal length together: rows ``(B, T)`` and which of them are no padding."""
    first, count = begun(rows)
    order = np.argsort(count + (draw.random(len(count)) if draw else 0), kind="stable")
    groups = np.array_split(order, -(-len(order) // CELLS_AT_ONCE))
    if draw is not None:
        draw.shuffle(groups)
    out = []
    for group in groups:
        step = np.arange(count[group].max())
        place = first[group][:, None] + np.minimum(step, count[group][:, None] - 1)
        mask = step < count[group][:, None]
        out.append((torch.from_numpy(place), torch.from_numpy(mask)))
    return out


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


if __name__ == "__main__":
    main()
