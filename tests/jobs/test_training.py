"""The jobs of ``training/`` from the command line, on a handful of made-up cells."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import yaml
from mlflow import MlflowClient
from mlflow import onnx as mlflow_onnx

from fadecast.cell.store import Store
from fadecast.runtime import Session
from tests.learn.population import made_up_cell
from training import evaluate, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    store = Store(folder / "store", create=True)
    for number in range(8):
        store.write(made_up_cell(number, fade=0.002 + 0.0002 * number, cycles=110))
    tracking = {
        "uri": f"sqlite:///{folder}/mlruns/mlflow.db",
        "artifacts": str(folder / "mlruns" / "artifacts"),
        "model": "tiny",
    }
    config = {
        "name": "tiny", "baselines": False, "tracking": tracking,
        "network": {"hidden": 8}, "training": {"epochs": 1, "accelerator": "cpu"},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def run_id(folder: Path) -> str:
    train.main([
        "--config", str(folder / "tiny.yaml"), "--store", str(folder / "store"),
        "--bundle", str(folder / "bundle"),
    ])  # fmt: skip
    return str(Session.load(folder / "bundle").manifest["training"]["run_id"])


def test_the_bundle_is_in_the_run_and_registered(folder: Path, run_id: str, tmp_path) -> None:
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    client = MlflowClient(uri, uri)
    (version,) = client.search_model_versions("name = 'tiny'")
    assert version.run_id == run_id
    bundle = client.download_artifacts(run_id, "bundle", str(tmp_path))
    assert Session.load(bundle).fingerprint == Session.load(folder / "bundle").fingerprint
    model = Path(client.download_artifacts(run_id, "model", str(tmp_path)))
    described = yaml.safe_load((model / "MLmodel").read_text())
    names = [entry["name"] for entry in json.loads(described["signature"]["inputs"])]
    graph = onnx.load(str(folder / "bundle" / "forecast.onnx")).graph
    assert names == [value.name for value in graph.input]
    assert described["saved_input_example_info"]["artifact_path"]
    assert not [p for p in model.rglob("*") if p.suffix in (".pkl", ".pickle")]
    assert mlflow_onnx.load_model(str(model)).graph.output[0].name == graph.output[0].name


def test_the_run_shows_its_figures(folder: Path, run_id: str, tmp_path) -> None:
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    page = Path(MlflowClient(uri, uri).download_artifacts(run_id, "figures.html", str(tmp_path)))
    text = page.read_text("utf-8")
    assert text.count("Plotly.newPlot(") == 3
    for title in ("Predicted life", "Calibration of the risks", "Worst cells"):
        assert f"<h2>{title}</h2>" in text
    assert "<script src=" not in text, "it needs nothing from elsewhere"


def test_a_run_is_judged_again_with_the_same_result(folder: Path, run_id: str) -> None:
    out = folder / "card.json"
    evaluate.main([run_id, "--config", str(folder / "tiny.yaml"), "--json", str(out)])
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    recorded = MlflowClient(uri, uri).get_run(run_id).data.metrics
    for key, value in json.loads(out.read_text())["figures"].items():
        assert recorded[key] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [["--config", "absent.yaml"], ["--config", "{tiny}", "--store", "absent"]],
)
def test_a_refusal_is_a_message(folder: Path, arguments: list[str], capsys) -> None:
    filled = [a.format(tiny=folder / "tiny.yaml") for a in arguments]
    with pytest.raises(SystemExit) as caught:
        train.main(filled)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_unknown_run_is_a_message(folder: Path, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate.main(["nothing", "--config", str(folder / "tiny.yaml")])
    assert caught.value.code == 2
    assert "no run 'nothing'" in capsys.readouterr().err
