"""The training job: data → baselines → network → evaluation, all of it in one tracked run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import Tensor

from fadecast.cell.store import Store
from fadecast.errors import TrainingError
from fadecast.forecast.evaluate import evaluate
from fadecast.forecast.forecast import Forecasts
from fadecast.forecast.scorecard import Scorecard
from fadecast.learn.baselines import all_baselines
from fadecast.learn.config import TrainConfig
from fadecast.learn.dataset import Cells, data_digest, load_sequences
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells, known_truth
from fadecast.learn.run import RunInfo, load_run, save_run
from fadecast.learn.split import PARTS, Split, split_cells
from fadecast.learn.tracking import PARAM_LENGTH, Run, environment, find_run, tracked
from fadecast.network.forecaster import Forecaster

NETWORK = "network"
"""The network's name among the scorecards."""


@dataclass(frozen=True)
class TrainResult:
    """What a job leaves: the network, how it and the baselines were judged, and where it is kept.

    ``forecasts`` are the network's after every cycle of the test cells; ``scorecards`` are by name
    of the model, all on the test cells (an early baseline: on those it can forecast).
    """

    run: Run
    info: RunInfo
    forecaster: Forecaster
    test: Cells
    forecasts: Mapping[str, Forecasts]
    scorecards: Mapping[str, Scorecard]


def train(
    config: TrainConfig,
    *,
    store: Store,
    resume: str | None = None,
    console: Console | None = None,
) -> TrainResult:
    """Run a job.

    Args:
        config: all that decides the result, together with the store.
        store: the cells.
        resume: id of a run that was stopped; it goes on after its last finished epoch. The cells
            and all settings must be those it began with.
        console: where progress is shown; ``None`` for silence.

    Raises:
        TrainingError, ConfigError: the job cannot start or go on; a run that began ends as failed.
    """
    say = (console or Console(quiet=True)).print
    end_of_life = config.data.end_of_life
    say(f"reading the cells of {store.path}")
    sequences = load_sequences(
        store, end_of_life, config.data.sources, progress=console is not None
    )
    split = split_cells([head.metadata for head in sequences.heads], config.data.split)
    parts = {part: _part(sequences, getattr(split, part)) for part in PARTS}
    if not parts["test"]:
        raise TrainingError(
            "no cell is left to test on", fix="Raise data.split.test or name data.split.held_out"
        )
    say(f"{len(sequences)} cells: " + ", ".join(f"{len(c)} {part}" for part, c in parts.items()))
    digest = data_digest(sequences)
    if resume is not None:
        _check_same(config, resume, _settings(config, split, digest))
    initial = _network_to_begin_with(config, split)
    with tracked(config.tracking, config.name, resume=resume) as run:
        info = RunInfo(config, split, digest, str(store.path), run.run_id)
        if resume is None:
            _record_inputs(run, info, parts)
        scorecards = _judge_baselines(config, run, parts, say) if config.baselines else {}
        say(f"preparing cycles, then training the network, at most {config.training.epochs} epochs")
        forecaster = fit(
            parts["train"], parts["validation"], config.network, config.training,
            folder=checkpoints(config, run.run_id), initial=initial, resume=resume is not None,
            progress=console is not None, callbacks=[_EpochMetrics(run)],
        )  # fmt: skip
        forecasts = forecast_cells(forecaster, parts["test"])
        scorecards[NETWORK] = evaluate(
            forecasts, {head.cell_id: head.life for head in parts["test"].heads},
            truth=known_truth(forecaster, parts["test"]),
        )  # fmt: skip
        run.scorecard(scorecards[NETWORK])
        save_run(run, info, forecaster)
    return TrainResult(run, info, forecaster, parts["test"], forecasts, scorecards)


def checkpoints(config: TrainConfig, run_id: str) -> Path:
    """Where the checkpoints of a run are while it trains."""
    return config.tracking.artifacts.parent / "checkpoints" / run_id


def _part(cells: Cells, names: Sequence[str]) -> Cells:
    chosen = set(names)
    return cells.where(lambda head: head.cell_id in chosen)


class _EpochMetrics(Callback):
    """Every epoch's losses into the tracked run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning, after validation."""
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.run.metrics(values | {"learning_rate": rate}, step=trainer.current_epoch)


def _record_inputs(run: Run, info: RunInfo, parts: Mapping[str, Cells]) -> None:
    run.params(_settings(info.config, info.split, info.data_digest))
    run.params({f"cells.{part}": len(cells) for part, cells in parts.items()})
    run.json(info.config.to_json(), "config.json")
    run.json(info.split.to_json(), "split.json")
    run.json(environment(), "environment.json")
    for part, cells in parts.items():
        for source, members in cells.by_source().items():
            metadata = members.heads[0].metadata
            facts = {
                "cells": str(len(members)),
                "licence": metadata.licence,
                "citation": metadata.citation,
            }
            run.dataset(source, data_digest(members), part, facts)


def _network_to_begin_with(config: TrainConfig, split: Split) -> Mapping[str, Tensor] | None:
    """The state of ``training.initial``, which must not have learnt from cells tested on here."""
    run_id = config.training.initial
    if run_id is None:
        return None
    forecaster, info = load_run(run_id, config.tracking)
    known = {*info.split.train, *info.split.validation}
    while info.config.training.initial is not None:
        _, info = load_run(info.config.training.initial, config.tracking)
        known |= {*info.split.train, *info.split.validation}
    if taught := sorted(known & set(split.test)):
        raise TrainingError(
            f"it has learnt from cells that are tested on: {', '.join(taught[:5])}",
            where=f"run {run_id}", fix="Use the split of that run, or begin anew",
        )  # fmt: skip
    return forecaster.state_dict()


def _settings(config: TrainConfig, split: Split, digest: str) -> dict[str, str]:
    """All that decides the result."""
    return config.flat() | {"data_digest": digest, "split_digest": split.digest}


def _check_same(config: TrainConfig, run_id: str, settings: Mapping[str, str]) -> None:
    """Refuse to go on with a run under other settings: its record would be of neither."""
    began = find_run(config.tracking, run_id).data.params
    changed = [
        name
        for name, value in settings.items()
        if began.get(name) != value[:PARAM_LENGTH] and not name.startswith("tracking.")
    ]
    if changed:
        raise TrainingError(
            f"it began with another {', '.join(changed[:5])}", where=f"run {run_id}",
            fix="Resume with the store and the configuration of that run, or start a new one",
        )  # fmt: skip


def _judge_baselines(
    config: TrainConfig, parent: Run, parts: Mapping[str, Cells], say: Any
) -> dict[str, Scorecard]:
    """Fit and judge every baseline that the cells allow, each in a run of its own."""
    found: dict[str, Scorecard] = {}
    for name, baseline in all_baselines(parts["train"], config.training.seed).items():
        say(f"baseline {name}")
        with tracked(config.tracking, name, parent=parent) as run:
            baseline.fit(parts["train"], parts["validation"])
            all_forecasts = {s.cell_id: baseline.forecast(s) for s in parts["test"]}
            forecasts = {cell: f for cell, f in all_forecasts.items() if len(f)}
            if not forecasts:
                continue
            lives = {head.cell_id: head.life for head in parts["test"].heads}
            found[name] = evaluate(forecasts, lives)
            run.params({"model": name, "cells.test": len(forecasts)})
            run.scorecard(found[name])
    return found
