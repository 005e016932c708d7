"""A whole job in a temporary folder: what it leaves in MLflow, and that it comes back whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from fadecast.cell.store import Store
from fadecast.errors import TrainingError
from fadecast.forecast.forecast import QUANTILES
from fadecast.learn import train as job
from fadecast.learn.config import TrackingConfig, TrainConfig
from fadecast.learn.dataset import data_digest, load_sequences
from fadecast.learn.predict import forecast_cells
from fadecast.learn.run import RunInfo, held_out_cells, load_run, sources_of
from fadecast.learn.split import Split
from fadecast.learn.train import NETWORK, TrainResult, train
from tests.learn.population import made_up_cell


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("job") / "store", create=True)
    for number in range(18):
        store.write(made_up_cell(number, fade=0.0015 + 0.0001 * number, cycles=140))
    return store


@pytest.fixture(scope="module")
def config(store: Store) -> TrainConfig:
    folder = store.path.parent / "mlruns"
    return TrainConfig.from_mapping({
        "name": "tiny",
        "network": {"hidden": 8},
        "training": {"epochs": 2, "accelerator": "cpu"},
        "tracking": {
            "uri": f"sqlite:///{folder}/mlflow.db",
            "artifacts": str(folder / "artifacts"),
        },
    })  # fmt: skip


@pytest.fixture(scope="module")
def result(config: TrainConfig, store: Store) -> TrainResult:
    return train(config, store=store)


@pytest.fixture
def client(config: TrainConfig) -> MlflowClient:
    return MlflowClient(config.tracking.uri, config.tracking.uri)


def artifact(client: MlflowClient, run_id: str, name: str, folder: Path):
    return json.loads(Path(client.download_artifacts(run_id, name, str(folder))).read_text())


def test_weights_of_another_version_are_a_message(result, config, monkeypatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: {})
    with pytest.raises(TrainingError, match="another version"):
        load_run(result.run.run_id, config.tracking)


def test_the_run_tells_all(result, client, config, store, tmp_path) -> None:
    run = client.get_run(result.run.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "2"
    assert run.data.params["data_digest"] == result.info.data_digest
    assert run.data.params["split_digest"] == result.info.split.digest
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert artifact(client, run.info.run_id, "config.json", tmp_path) == config.to_json()
    packages = artifact(client, run.info.run_id, "environment.json", tmp_path)["packages"]
    assert packages["torch"].startswith("2.")
    card = artifact(client, run.info.run_id, "scorecard.json", tmp_path)
    assert card == result.scorecards[NETWORK].to_json()
    assert run.data.metrics["any_cycle.rel_error"] == card["figures"]["any_cycle.rel_error"]
    table = artifact(client, run.info.run_id, "scorecard_table.json", tmp_path)
    assert len(table["data"]) == len(result.scorecards[NETWORK].rows)


def test_losses_by_epoch(result, client) -> None:
    for name in ("train_nll", "validation_nll", "learning_rate"):
        history = client.get_metric_history(result.run.run_id, name)
        assert [m.step for m in history] == [0, 1]
        assert all(np.isfinite(m.value) for m in history)


def test_lineage_of_the_data(result, client, store, config) -> None:
    inputs = client.get_run(result.run.run_id).inputs.dataset_inputs
    by_part = {i.tags[0].value: i.dataset for i in inputs}
    assert set(by_part) == {"train", "validation", "test"}
    sequences = load_sequences(store, config.data.end_of_life)
    own = [s for s in sequences if s.cell_id in result.info.split.test]
    assert data_digest(own).startswith(by_part["test"].digest)
    assert by_part["test"].name == "lab"


def test_baselines_are_runs_of_the_same_experiment(result, client, config) -> None:
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    children = client.search_runs(
        [experiment.experiment_id], f"tags.mlflow.parentRunId = '{result.run.run_id}'"
    )
    names = {run.data.tags["mlflow.runName"] for run in children}
    assert names == set(result.scorecards) - {NETWORK}
    assert {"population_mean", "plsr", "random_forest"} <= names
    assert all("any_cycle.rel_error" in run.data.metrics for run in children)


def test_the_network_comes_back(result, config, store) -> None:
    forecaster, info = load_run(result.run.run_id, config.tracking)
    assert info.config == config
    assert info.split == result.info.split
    cells = held_out_cells(info, store)
    assert {c.cell_id for c in cells} == set(info.split.test)
    for cell, forecast in forecast_cells(forecaster, cells).items():
        assert np.array_equal(forecast.rul, result.forecasts[cell].rul)
        assert forecast.rul.shape[1] == len(QUANTILES)


def test_sources_are_counted_by_part_with_their_licences(tmp_path, config) -> None:
    store = Store(tmp_path / "store", create=True)
    origins = [("b", "MIT"), ("a", ""), ("a", ""), ("b", "MIT"), ("b", "other")]
    for number, (source, licence) in enumerate(origins):
        cell = made_up_cell(number, cycles=20)
        store.write(replace(cell, metadata=replace(cell.metadata, source=source, licence=licence)))
    names = [made_up_cell(number, cycles=20).spec.cell_id for number in range(len(origins))]
    split = Split(train=tuple(names[:2]), validation=(), test=tuple(names[2:]))
    found = sources_of(RunInfo(config, split, "", "", "run"), store)
    assert [(s["source"], s["licence"], tuple(s["cells"].values())) for s in found] == [
        ("a", "", (1, 0, 1)), ("b", "MIT", (1, 0, 1)), ("b", "other", (0, 0, 1)),
    ]  # fmt: skip
    assert list(found[0]["cells"]) == ["train", "validation", "test"]


def test_another_store_is_not_taken_for_it(result, config, tmp_path) -> None:
    other = Store(tmp_path / "other", create=True)
    for number in range(3):
        other.write(made_up_cell(number, cycles=60))
    with pytest.raises(TrainingError, match="not those that the run was trained on"):
        held_out_cells(result.info, other)


def test_no_such_run(config: TrainConfig) -> None:
    with pytest.raises(TrainingError, match="no run 'nothing'"):
        load_run("nothing", config.tracking)


def test_a_second_job_and_a_killed_one_resumed(result, config, store, client, monkeypatch) -> None:
    plain = config.model_copy(update={"baselines": False})
    whole = train(plain, store=store)
    assert whole.run.run_id != result.run.run_id
    on_end = job._EpochMetrics.on_train_epoch_end

    def die(self, trainer, module) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        on_end(self, trainer, module)

    monkeypatch.setattr(job._EpochMetrics, "on_train_epoch_end", die)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(plain, store=store)
    monkeypatch.undo()
    experiment = client.get_experiment_by_name(plain.tracking.experiment)
    newest = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])[0]
    assert newest.info.status in ("KILLED", "FAILED")
    with pytest.raises(TrainingError, match="holds no trained network"):
        load_run(newest.info.run_id, plain.tracking)
    resumed = train(plain, store=store, resume=newest.info.run_id)
    assert client.get_run(newest.info.run_id).info.status == "FINISHED"
    for name, value in whole.forecaster.state_dict().items():
        assert torch.equal(value, resumed.forecaster.state_dict()[name]), name


def test_a_run_begins_with_the_network_of_another(result, config, store) -> None:
    changes = {"initial": result.run.run_id, "learning_rate": 1e-12}
    training = config.training.model_copy(update=changes)
    plain = config.model_copy(update={"baselines": False, "training": training})
    tuned = train(plain, store=store)
    for part in ("encoder", "scaler", "hazards"):
        wanted = getattr(result.forecaster, part).state_dict()
        for name, value in getattr(tuned.forecaster, part).state_dict().items():
            assert torch.allclose(value, wanted[name], atol=1e-9), name
    other = plain.data.split.model_copy(update={"seed": 5})
    mixed = plain.model_copy(update={"data": plain.data.model_copy(update={"split": other})})
    with pytest.raises(TrainingError, match="learnt from cells that are tested on"):
        train(mixed, store=store)


def test_a_run_is_not_resumed_as_another(result, config, store, client, tmp_path) -> None:
    longer = config.training.model_copy(update={"epochs": 3})
    other = Store(tmp_path / "other", create=True)
    for number in range(18):
        other.write(made_up_cell(number, cycles=60))
    run_id = result.run.run_id
    for settings, cells, what in (
        (config.model_copy(update={"training": longer}), store, "training.epochs"),
        (config, other, "data_digest"),
    ):
        with pytest.raises(TrainingError, match=f"it began with another {what}"):
            train(settings, store=cells, resume=run_id)
    assert client.get_run(run_id).info.status == "FINISHED"


def test_the_process_wide_state_is_left_alone(result, config) -> None:
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() != config.tracking.uri


def test_the_default_place_is_below_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    from fadecast.learn.tracking import tracked

    with tracked(TrackingConfig(), "here") as run:
        run.metrics({"x": 1.0})
        run.text("hello", "note.txt")
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()
    assert list((tmp_path / "mlruns" / "artifacts").rglob("note.txt"))
    with pytest.raises(ZeroDivisionError), tracked(TrackingConfig(), "fails") as run:
        _ = 1 / 0
    found = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db").get_run(run.run_id)
    assert found.info.status == "FAILED"
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with tracked(TrackingConfig(), "there"):
        pass
    assert (elsewhere / "mlruns" / "mlflow.db").is_file()
