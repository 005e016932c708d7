"""Tracked runs in MLflow: one place that knows it. Local, offline, no pickle.

Everything goes through a client with an explicit address, never through MLflow's process-wide
state, so two jobs in one process (or a test in a temporary folder) do not disturb each other.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from fadecast import __version__
from fadecast.errors import TrainingError
from fadecast.forecast.scorecard import Scorecard
from fadecast.learn.config import TrackingConfig

_SQLITE = "sqlite:///"
_DIGEST = 36
_BATCH = 500

PARAM_LENGTH = 500
"""Characters that are recorded of a setting."""


@dataclass(frozen=True)
class Run:
    """One tracked run: what is logged goes to it and nowhere else."""

    client: MlflowClient
    run_id: str

    def params(self, values: Mapping[str, object]) -> None:
        """Settings; a long one is cut (the whole configuration is an artifact)."""
        rows = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in values.items()]
        self.client.log_batch(self.run_id, params=rows)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Numbers, at one step."""
        now = int(time.time() * 1000)
        rows = [Metric(name, float(value), now, step) for name, value in values.items()]
        for start in range(0, len(rows), _BATCH):
            self.client.log_batch(self.run_id, metrics=rows[start : start + _BATCH])

    def tags(self, values: Mapping[str, str]) -> None:
        """Texts to find the run by."""
        rows = [RunTag(name, value) for name, value in values.items()]
        self.client.log_batch(self.run_id, tags=rows)

    def dataset(self, name: str, digest: str, context: str, facts: Mapping[str, str]) -> None:
        """What went in: a name, the digest of its content, its role, and where it is from."""
        entity = Dataset(name, digest[:_DIGEST], "code", json.dumps({"tags": dict(facts)}))
        tag = InputTag("mlflow.data.context", context)
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [tag])])

    def json(self, value: Any, file: str) -> None:
        """A JSON artifact."""
        self.text(json.dumps(value, indent=1, allow_nan=False), file)

    def text(self, value: str, file: str) -> None:
        """A text artifact (``.html`` for a figure)."""
        self.client.log_text(self.run_id, value, file)

    def table(self, rows: Sequence[Mapping[str, Any]], file: str) -> None:
        """Rows as MLflow's own table, which its page shows as one."""
        names = list(rows[0]) if rows else []
        self.json({"columns": names, "data": [[row[n] for n in names] for row in rows]}, file)

    def folder(self, path: Path, name: str) -> None:
        """A folder or file as artifact ``name``."""
        if path.is_dir():
            self.client.log_artifacts(self.run_id, str(path), name)
        else:
            self.client.log_artifact(self.run_id, str(path), name)

    def scorecard(self, scorecard: Scorecard) -> None:
        """Figures as metrics, the whole card as JSON and as a table."""
        self.metrics(scorecard.figures)
        self.json(scorecard.to_json(), "scorecard.json")
        self.table(scorecard.table(), "scorecard_table.json")

    def finish(self, status: str) -> None:
        """End the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.client.set_terminated(self.run_id, status)


def client(config: TrackingConfig) -> MlflowClient:
    """A client of the tracking store, whose folder is made on demand."""
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = config.uri
    if uri.startswith(_SQLITE):
        # MLflow keeps one connection per URI, so a relative one would stick to the first folder.
        database = Path(uri.removeprefix(_SQLITE)).resolve()
        database.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{_SQLITE}{database}"
    return MlflowClient(uri, uri)


@contextmanager
def tracked(
    config: TrackingConfig, name: str, *, parent: Run | None = None, resume: str | None = None
) -> Iterator[Run]:
    """A run that ends as finished, or as failed when the block raises.

    Args:
        config: where.
        name: shown in the list of runs.
        parent: the job that it is a part of.
        resume: id of an unfinished run to go on with, instead of a new one.

    Raises:
        TrainingError: there is no run ``resume``.
    """
    if resume is not None:
        run = Run(client(config), find_run(config, resume).info.run_id)
        run.client.update_run(run.run_id, status="RUNNING")
    else:
        tags = {"mlflow.runName": name, "mlflow.source.type": "JOB"} | revision()
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.run_id
        api = parent.client if parent is not None else client(config)
        created = api.create_run(_experiment(api, config), run_name=name, tags=tags)
        run = Run(api, created.info.run_id)
    try:
        yield run
    except BaseException as error:
        run.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.finish("FINISHED")


def find_run(config: TrackingConfig, run_id: str) -> Any:
    """The recorded run.

    Raises:
        TrainingError: there is none.
    """
    try:
        return client(config).get_run(run_id)
    except MlflowException as error:
        raise TrainingError(
            f"no run {run_id!r}", where=config.uri,
            fix="`mlflow ui --backend-store-uri " + config.uri + "` lists the runs",
        ) from error  # fmt: skip


def environment() -> dict[str, Any]:
    """The machine and every installed package with its version."""
    packages = {d.metadata["Name"]: d.version for d in distributions()}
    return {
        "fadecast": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def revision() -> dict[str, str]:
    """The commit of the code and whether it was changed since, where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit, changed = (
            subprocess.run([*command, *what], capture_output=True, text=True, check=True).stdout
            for what in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"fadecast.version": __version__}
    return {
        "fadecast.version": __version__,
        "mlflow.source.git.commit": commit.strip(),
        "fadecast.uncommitted_changes": str(bool(changed.strip())).lower(),
    }


def _experiment(api: MlflowClient, config: TrackingConfig) -> str:
    found = api.get_experiment_by_name(config.experiment)
    if found is not None:
        return str(found.experiment_id)
    place = config.artifacts.absolute()
    place.mkdir(parents=True, exist_ok=True)
    return str(api.create_experiment(config.experiment, artifact_location=place.as_uri()))
