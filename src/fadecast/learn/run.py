"""What a run keeps of a trained network, and how it is brought back: no pickled objects."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from mlflow.exceptions import MlflowException

from fadecast.cell.store import Store
from fadecast.errors import TrainingError
from fadecast.learn.config import TrackingConfig, TrainConfig
from fadecast.learn.dataset import Cells, data_digest, load_sequences
from fadecast.learn.split import Split
from fadecast.learn.tracking import Run, client, find_run
from fadecast.network.forecaster import Forecaster

FOLDER: Final = "network"
_WEIGHTS, _INFO = "weights.pt", "run.json"


@dataclass(frozen=True)
class RunInfo:
    """How a network came to be: configuration, who was in which part, digest of the data."""

    config: TrainConfig
    split: Split
    data_digest: str
    store: str
    run_id: str
    metrics: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary: what the manifest of a bundle says of the training.

        The run itself names every cell; a bundle that goes to a vehicle counts them.
        """
        return {
            "run_id": self.run_id,
            "config": self.config.to_json(),
            "cells": {part: len(cells) for part, cells in self.split.to_json().items()},
            "split_digest": self.split.digest,
            "data_digest": self.data_digest,
            "metrics": dict(self.metrics),
        }


def save_run(run: Run, info: RunInfo, forecaster: Forecaster) -> None:
    """Log the weights and how they came to be."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.save(forecaster.state_dict(), folder / _WEIGHTS)
        described = {"store": info.store, "split": info.split.to_json(), **info.to_json()}
        (folder / _INFO).write_text(json.dumps(described, indent=1), encoding="utf-8")
        run.folder(folder, FOLDER)


def load_run(run_id: str, tracking: TrackingConfig | None = None) -> tuple[Forecaster, RunInfo]:
    """The trained network of a run, and how it came to be.

    Raises:
        TrainingError: there is no such run, or it did not get as far as a trained network.
    """
    tracking = tracking or TrackingConfig()
    metrics = find_run(tracking, run_id).data.metrics
    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = Path(client(tracking).download_artifacts(run_id, FOLDER, temporary))
        except (MlflowException, OSError) as error:
            raise TrainingError(
                "the run holds no trained network", where=f"run {run_id}",
                fix="Resume it, or choose a run that finished",
            ) from error  # fmt: skip
        data = json.loads((folder / _INFO).read_text(encoding="utf-8"))
        state = torch.load(folder / _WEIGHTS, map_location="cpu", weights_only=True)
    config = TrainConfig.from_mapping(data["config"], where=f"run {run_id}")
    split = Split(**{part: tuple(cells) for part, cells in data["split"].items()})
    forecaster = Forecaster(config.network)
    try:
        forecaster.load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(
            "its network is of another version of this library", where=f"run {run_id}",
            fix="Train again, or install the version that trained it",
        ) from error  # fmt: skip
    info = RunInfo(config, split, data["data_digest"], data["store"], run_id, metrics)
    return forecaster.eval(), info


def sources_of(info: RunInfo, store: Store) -> list[dict[str, Any]]:
    """Where the cells of a run come from: source, licence, citation and cells by part."""
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    parts = info.split.to_json()
    for part, cells in parts.items():
        for cell_id in cells:
            of = store.metadata(cell_id)
            counts = found.setdefault((of.source, of.licence, of.citation), dict.fromkeys(parts, 0))
            counts[part] += 1
    return [
        {"source": source, "licence": licence, "citation": citation, "cells": counts}
        for (source, licence, citation), counts in sorted(found.items())
    ]


def held_out_cells(info: RunInfo, store: Store) -> Cells:
    """The test cells of a run.

    Raises:
        TrainingError: the store is not the one that the run was trained on.
    """
    data = info.config.data
    sequences = load_sequences(store, data.end_of_life, data.sources)
    if data_digest(sequences) != info.data_digest:
        raise TrainingError(
            "the cells are not those that the run was trained on", where=str(store.path),
            fix="Give the store of that training, or train again",
        )  # fmt: skip
    tested = set(info.split.test)
    return sequences.where(lambda head: head.cell_id in tested)
