"""A training job as one typed, frozen value, read from YAML; unknown keys are errors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, with_config

from fadecast.cell.life import EndOfLife
from fadecast.errors import ConfigError
from fadecast.network.forecaster import ForecasterConfig

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]


class _Section(BaseModel):
    model_config = _STRICT


@with_config(_STRICT)
@dataclass(frozen=True)
class _EndOfLife(EndOfLife):
    """``EndOfLife`` that refuses unknown keys."""


@with_config(_STRICT)
@dataclass(frozen=True)
class _Network(ForecasterConfig):
    """``ForecasterConfig`` that refuses unknown keys."""


class KindsConfig(_Section):
    """Kinds of cells by what is declared of them; a cell with any of the names is of them."""

    anode: tuple[str, ...] = ()
    fixture: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()


class SplitConfig(_Section):
    """How cells are divided; always whole cells, never cycles.

    ``validation`` and ``test`` are fractions of every source. With ``published``, a cell whose
    publisher put it into a test set is tested on and one of the training set never is.
    ``held_out`` cells and those of ``held_out_kinds`` are tested on whatever else holds;
    ``excluded`` cells are left out of all.
    """

    seed: int = 0
    validation: _Fraction = 0.15
    test: _Fraction = 0.2
    published: bool = True
    held_out: tuple[str, ...] = ()
    held_out_kinds: KindsConfig = KindsConfig()
    excluded: tuple[str, ...] = ()


class DataConfig(_Section):
    """Which cells, and when one counts as failed. No ``sources`` means every source."""

    sources: tuple[str, ...] | None = None
    end_of_life: _EndOfLife = _EndOfLife()
    split: SplitConfig = SplitConfig()


class TrainingConfig(_Section):
    """How the network is fitted.

    ``patience`` epochs without a better validation likelihood end the training; without validation
    cells all ``epochs`` run. ``risk_weight`` is the share of the loss on pressure-related failures
    within the horizons; ``soh_weight`` that of the state of health, ``virtual_weight`` that of the
    virtual sensors (0: they are not taught). After a cell's first 20 cycles, one in ``every`` is
    learnt from; a step meets ``batch_rows`` of them, of any cells.
    ``initial`` is the id of a run whose network is trained on, at its scales, instead of a new one:
    then a low ``learning_rate`` fits.
    """

    epochs: _Count = 20
    patience: _Count = 5
    batch_rows: _Count = 256
    every: _Count = 1
    learning_rate: _Positive = 2e-3
    weight_decay: _NotNegative = 0.1
    gradient_clip: _Positive = 1.0
    risk_weight: _NotNegative = 0.0
    soh_weight: _NotNegative = 0.1
    virtual_weight: _NotNegative = 0.1
    seed: int = 0
    initial: str | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"


class TrackingConfig(_Section):
    """Where runs are recorded. A relative place is relative to the working directory."""

    experiment: str = "fadecast"
    uri: str = "sqlite:///mlruns/mlflow.db"
    artifacts: Path = Path("mlruns/artifacts")
    model: str = "fadecast"

    @field_validator("uri")
    @classmethod
    def _database(cls, uri: str) -> str:
        if "://" not in uri:
            raise ValueError("is not a URI such as sqlite:///mlruns/mlflow.db")
        return uri


class TrainConfig(_Section):
    """One training job."""

    name: str
    data: DataConfig = DataConfig()
    network: _Network = _Network()
    training: TrainingConfig = TrainingConfig()
    baselines: bool = True
    tracking: TrackingConfig = TrackingConfig()

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> TrainConfig:
        """Read and check a configuration.

        Raises:
            ConfigError: the file cannot be read, is not a YAML mapping, or a key is unknown or
                has a wrong value; the message names the key.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot be read ({error.strerror})", where=str(path),
                fix="Give the path of a file such as training/configs/demo.yaml",
            ) from error  # fmt: skip
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not YAML ({error})", where=str(path)) from error
        return cls.from_mapping(data, where=str(path))

    @classmethod
    def from_mapping(cls, data: Any, *, where: str = "configuration") -> TrainConfig:
        """Check plain data, as read from YAML or JSON.

        Raises:
            ConfigError: as ``from_yaml``.
        """
        if not isinstance(data, dict):
            raise ConfigError("is not a mapping of keys", where=where, fix="Begin with `name: …`")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(
                "; ".join(_explain(e) for e in error.errors()), where=where,
                fix="Keys and their ranges stand in fadecast.learn.config",
            ) from error  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data that ``from_mapping`` turns back into an equal value."""
        return self.model_dump(mode="json")

    def flat(self) -> dict[str, str]:
        """Every setting by its dotted name, as text: what a tracked run records."""
        return dict(_flatten(self.to_json()))


def _explain(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {key!r}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    return f"{key} is {error['input']!r}: {error['msg']}"


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [(prefix, str(value))]
    return [
        pair
        for key, inner in value.items()
        for pair in _flatten(inner, f"{prefix}.{key}" if prefix else key)
    ]
