from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from fadecast.errors import ConfigError
from fadecast.learn.config import TrainConfig
from fadecast.network.forecaster import PRESETS

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_json(path: Path) -> None:
    config = TrainConfig.from_yaml(path)
    assert config.name == path.stem
    assert TrainConfig.from_mapping(config.to_json()) == config
    assert config.flat()["training.seed"] == str(config.training.seed)


def test_there_are_the_promised_configs() -> None:
    assert {p.stem for p in CONFIGS} >= {"demo", "matr", "hust", "recorded"}


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"name": "x", "epoch": 3}, "unknown key 'epoch'"),
        ({"name": "x", "training": {"lr": 1e-3}}, "unknown key 'training.lr'"),
        ({"name": "x", "network": {"width": 3}}, "unknown key 'network.width'"),
        ({"name": "x", "data": {"end_of_life": {"share": 0.8}}}, "data.end_of_life.share"),
        ({"name": "x", "training": {"epochs": 0}}, "training.epochs is 0"),
        ({"name": "x", "training": {"epochs": "many"}}, "training.epochs is 'many'"),
        ({"name": "x", "training": {"risk_weight": float("inf")}}, "training.risk_weight is inf"),
        ({"name": "x", "network": {"dropout": float("nan")}}, "network.dropout is nan"),
        ({"name": "x", "data": {"split": {"test": 1.5}}}, "data.split.test is 1.5"),
        ({"name": "x", "training": {"accelerator": "abacus"}}, "training.accelerator"),
        ({"name": "x", "tracking": {"uri": "mlruns"}}, "tracking.uri is 'mlruns'"),
        ({}, "key 'name' is missing"),
        (["name"], "not a mapping"),
    ],
)
def test_an_error_names_the_key(data: object, key: str) -> None:
    with pytest.raises(ConfigError, match="configuration: ") as caught:
        TrainConfig.from_mapping(data)
    assert key in str(caught.value)


@pytest.mark.parametrize("network", [{"hidden": 4}, {"reference_cycles": 0}, {"dropout": 1.0}])
def test_a_network_out_of_range_is_refused(network: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TrainConfig.from_mapping({"name": "x", "network": network})


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainConfig.from_yaml(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed")
    with pytest.raises(ConfigError, match="not YAML"):
        TrainConfig.from_yaml(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not YAML"):
        TrainConfig.from_yaml(broken)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.yaml"
    hostile.write_text(yaml.dump({"name": print}))
    with pytest.raises(ConfigError, match="not YAML"):
        TrainConfig.from_yaml(hostile)


@pytest.mark.parametrize("preset", ["base", "micro"])
def test_a_preset_is_what_its_configuration_trains(preset: str) -> None:
    config = TrainConfig.from_yaml(f"training/configs/{preset}.yaml")
    assert asdict(config.network) == asdict(PRESETS[preset])
