"""A population of simulated cells as one value, read from YAML; unknown keys are errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator, with_config

from fadecast.errors import ConfigError
from fadecast.physics.measure import Sensors

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_Positive = Annotated[float, Field(gt=0)]
_Rate = Annotated[float, Field(ge=0.01, le=20)]
_Celsius = Annotated[float, Field(ge=-28, le=108)]  # around it the climate swings
_Pressure = Annotated[float, Field(gt=0, le=400)]
_Share = Annotated[float, Field(ge=0, le=1)]
_MOST_AT_ONCE = 65_536
"""Cell-cycles of a shard, all of whose samples are held at once: below 1 GB."""


@with_config(_STRICT)
@dataclass(frozen=True)
class _Sensors(Sensors):
    """``Sensors`` that refuses unknown keys."""


class Group(BaseModel):
    """A kind of cell under a protocol; ``weight`` is its share of the shards.

    ``climate`` is the ambient temperature around its mean: a chamber's is constant, a ``daily`` one
    swings by 4 K a day, a ``seasonal`` one also by 8 K a year.
    """

    model_config = _STRICT
    anode: Literal["lithium", "anode_free", "silver_carbon", "silicon"] = "lithium"
    tier: Literal["lab", "engineered"] = "engineered"
    fixture: Literal["spring", "fixed_gap", "constant_force"] = "spring"
    protocol: Literal["laboratory", "vehicle"] = "laboratory"
    climate: Literal["constant", "daily", "seasonal"] = "constant"
    weight: _Positive = 1.0


class Population(BaseModel):
    """A population as one value.

    ``pressure`` is the range of the set pressure as a multiple of the one at which stripping at the
    discharge current is just supported (``silicon_pressure``: in MPa), ``pressure_limit`` that of
    the permitted pressure as a multiple of the highest one that the design reaches when it is new.
    ``events`` is the share of cells that are re-pressed or whose fixture loosens, once.
    ``charge_rate`` and ``discharge_rate`` are in C, ``celsius`` is the mean ambient temperature.
    Seven in ten laboratory shards have a check-up every ``checkup_every`` cycles, vehicles one
    every 50. ``undeclared`` is the share of cells whose fixture and set pressure nobody states, and
    of those whose permitted pressure nobody does. ``held_out`` names what becomes the
    out-of-distribution split: anodes, fixtures or protocols. ``latent`` keeps when every other
    cause would have ended the cell.
    """

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    seed: Annotated[int, Field(ge=0)] = 0
    cells: Annotated[int, Field(ge=1, le=10_000_000)]
    cycles: Annotated[int, Field(ge=9, le=20_000)] = 1000
    shard: Annotated[int, Field(ge=1, le=1024)] = 32
    cells_per_design: Annotated[int, Field(ge=1, le=64)] = 2
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] = (Group(),)
    charge_rate: tuple[_Rate, _Rate] = (0.1, 0.7)
    discharge_rate: tuple[_Rate, _Rate] = (0.15, 0.8)
    celsius: tuple[_Celsius, _Celsius] = (20.0, 60.0)
    checkup_every: Annotated[int, Field(ge=0, le=500)] = 25
    pressure: tuple[_Positive, _Positive] = (0.6, 2.0)
    silicon_pressure: tuple[_Pressure, _Pressure] = (2.0, 60.0)
    pressure_limit: tuple[_Positive, _Positive] = (1.05, 5.0)
    events: _Share = 0.1
    batch_correlation: _Share = 0.5
    undeclared: _Share = 0.0
    sensors: _Sensors = _Sensors()
    engine: Literal["kernel", "pybamm"] = "kernel"
    keep: Literal["samples", "summaries"] = "summaries"
    latent: bool = True
    test: _Share = 0.2
    held_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Population:
        for name in (
            "charge_rate", "discharge_rate", "celsius", "pressure", "silicon_pressure",
            "pressure_limit",
        ):  # fmt: skip
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} runs from {low} down to {high}")
        if self.pressure_limit[0] < 1:
            raise ValueError("pressure_limit begins below 1: new cells would exceed it")
        if self.cells_per_design > self.shard:
            raise ValueError(
                f"a shard of {self.shard} cells does not hold the {self.cells_per_design} of a "
                f"design; give shard: {self.cells_per_design} or more"
            )
        if self.shard * self.cycles > _MOST_AT_ONCE:
            raise ValueError(
                f"a shard of {self.shard} cells × {self.cycles} cycles does not fit in memory; "
                f"give shard: {_MOST_AT_ONCE // self.cycles} or less"
            )
        if self.engine == "pybamm" and any(g.anode == "silicon" for g in self.groups):
            raise ValueError("the pybamm engine has no silicon branches; leave silicon out")
        kinds = {k for g in self.groups for k in (g.anode, g.fixture, g.protocol)}
        unknown = sorted(set(self.held_out) - kinds)
        if unknown:
            raise ValueError(f"held_out names {unknown}, which no group has")
        if kinds and not any(
            {g.anode, g.fixture, g.protocol}.isdisjoint(self.held_out) for g in self.groups
        ):
            raise ValueError("held_out leaves no group to train on")
        return self

    @classmethod
    def from_yaml(cls, path: Path) -> Population:
        """Read a configuration.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"cannot read it: {error}", where=str(path),
                fix="Give a YAML file such as training/populations/demo.yaml",
            ) from error  # fmt: skip
        return cls.checked(data, where=str(path))

    @classmethod
    def checked(cls, data: Any, *, where: str) -> Population:
        """Check plain data.

        Raises:
            ConfigError: a key or value is wrong.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{'.'.join(map(str, first['loc'])) or 'configuration'}: {first['msg']}",
                where=where, fix="Keys stand in fadecast.physics.population",
            ) from error  # fmt: skip

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.cells // self.shard)
