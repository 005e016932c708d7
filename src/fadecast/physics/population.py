"""Populations: designs by a Sobol sequence, batches, cells; written shard by shard.

    OUT/cells/…                 a store of cell records (what a cycler would log)
    OUT/truth/shard-00000.npz   lives and hidden states of the shard's cells, never in a record
    OUT/population.json         the configuration, so that a rerun cannot mix two

A shard is done once its truth file exists; it is renamed into place after the shard's cells were
written, each of them atomically. What a killed run left half-done is simulated again, and every
number depends on the configuration alone, so the result is the same bytes as an undisturbed run.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numba
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fadecast.cell.life import CAUSES
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import ConfigError
from fadecast.physics import measure
from fadecast.physics.design import N_COORDINATES, Kind, design, vary
from fadecast.physics.failure import ALIVE, DRIVERS, ORIGINS
from fadecast.physics.protocol import Climate, Protocol, laboratory, vehicle
from fadecast.physics.simulate import Lives, simulate
from fadecast.physics.state import TRUTH

_STRICT = ConfigDict(extra="forbid", frozen=True)
_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]

AREA: Final = 10.0
"""Electrode area of every simulated cell in cm²."""

SOURCE: Final = "simulated"


class Group(BaseModel):
    """A kind of cell under a protocol; ``weight`` is its share of the shards."""

    model_config = _STRICT
    anode: Literal["lithium", "anode_free", "silver_carbon", "silicon"] = "lithium"
    tier: Literal["lab", "engineered"] = "engineered"
    fixture: Literal["spring", "fixed_gap", "constant_force"] = "spring"
    protocol: Literal["laboratory", "vehicle"] = "laboratory"
    weight: _Positive = 1.0


class Population(BaseModel):
    """A population as one value.

    ``pressure`` is the range of the set pressure as a multiple of the one at which stripping at the
    discharge current is just supported (silicon: MPa). ``over_pressure`` is the share of designs
    whose housing limit is close to the pressure they reach. ``held_out`` names what becomes the
    out-of-distribution split: an anode, a fixture or a protocol.
    """

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    seed: Annotated[int, Field(ge=0)] = 0
    cells: Annotated[int, Field(ge=1, le=10_000_000)]
    cycles: Annotated[int, Field(ge=9, le=20_000)] = 1000
    shard: Annotated[int, Field(ge=1, le=1024)] = 32
    cells_per_design: Annotated[int, Field(ge=1, le=64)] = 2
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] = (Group(),)
    charge_rate: tuple[_Positive, _Positive] = (0.1, 0.7)
    discharge_rate: tuple[_Positive, _Positive] = (0.15, 0.8)
    celsius: tuple[float, float] = (20.0, 60.0)
    checkup_every: Annotated[int, Field(ge=0, le=500)] = 25
    pressure: tuple[_Positive, _Positive] = (0.6, 2.0)
    silicon_pressure: tuple[_Positive, _Positive] = (2.0, 60.0)
    over_pressure: _Share = 0.08
    batch_correlation: _Share = 0.5
    keep: Literal["samples", "summaries"] = "summaries"
    latent: bool = True
    test: _Share = 0.2
    held_out: tuple[str, ...] = ()

    @classmethod
    def from_yaml(cls, path: Path) -> Population:
        """Read a configuration.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls.model_validate(data)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read it: {error}", where=str(path)) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{'.'.join(map(str, first['loc'])) or 'configuration'}: {first['msg']}",
                where=str(path),
            ) from error

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.cells // self.shard)


class Shard:
    """The cells of one shard: all of one group under one protocol."""

    def __init__(self, config: Population, number: int) -> None:
        self.number = number
        self.count = min(config.shard, config.cells - number * config.shard)
        draw = np.random.default_rng([config.seed, 1, number])
        weights = np.array([g.weight for g in config.groups])
        # low-discrepancy choice of the group: every prefix of the shards has about the right mix
        position = (number * 0.6180339887498949 + 0.5) % 1.0
        chosen = int(np.searchsorted(np.cumsum(weights) / weights.sum(), position, side="right"))
        self.group = config.groups[min(chosen, len(config.groups) - 1)]
        self.protocol, self.rate = _protocol(config, self.group, draw)
        kind = Kind(self.group.anode, self.group.tier, self.group.fixture)
        designs = -(-self.count // config.cells_per_design)
        points = _sobol(config.seed, number * -(-config.shard // config.cells_per_design), designs)
        normals = draw.normal(size=(designs + self.count, N_COORDINATES))
        shared = np.sqrt(config.batch_correlation)
        rows = []
        for i in range(self.count):
            d = i // config.cells_per_design
            nominal = _design(config, kind, points[d], self.rate)
            z = shared * normals[d] + np.sqrt(1 - shared**2) * normals[designs + i]
            rows.append(vary(nominal, z))
        self.cells: NDArray[Any] = np.array(rows)
        self.designs = np.arange(self.count) // config.cells_per_design
        self.keys = draw.integers(0, 2**63, self.count, dtype=np.uint64)

    def ids(self, config: Population) -> list[str]:
        """Cell names: population, shard, design, cell."""
        return [
            f"{config.name}-{self.number:05d}-{d:02d}-{i:03d}" for i, d in enumerate(self.designs)
        ]


def _sobol(seed: int, first: int, count: int) -> NDArray[np.float64]:
    from scipy.stats import qmc

    sequence = qmc.Sobol(N_COORDINATES + 4, scramble=True, rng=np.random.default_rng([seed, 2]))
    if first:
        sequence.fast_forward(first)
    return np.asarray(sequence.random(count))


def _protocol(
    config: Population, group: Group, draw: np.random.Generator
) -> tuple[Protocol, float]:
    """The shard's protocol and its discharge rate in C."""
    celsius = float(draw.uniform(*config.celsius))
    rates = [
        float(np.exp(draw.uniform(np.log(low), np.log(high))))
        for low, high in (config.charge_rate, config.discharge_rate)
    ]
    if group.protocol == "vehicle":
        climate = Climate(celsius, 3.0, 5.0)
        seed = int(draw.integers(1000))
        return vehicle(config.cycles, seed, climate=climate, fast=max(rates[0], 0.4)), 0.3
    checkup = config.checkup_every if draw.random() < 0.7 else 0
    return laboratory(config.cycles, rates[0], rates[1], checkup, Climate(celsius)), rates[1]


def _design(config: Population, kind: Kind, point: NDArray[np.float64], rate: float) -> np.void:
    """A nominal design: priors at ``point``, set pressure after its own stripping limit."""
    cell = design(kind, point[:N_COORDINATES])
    u, over, closeness = point[N_COORDINATES : N_COORDINATES + 3]
    if kind.anode == "silicon":
        low, high = config.silicon_pressure
        cell["set_pressure"] = low * (high / low) ** u
    else:
        low, high = config.pressure
        wanted = rate * cell["rated"] / cell["stripping_factor"]
        above = max(wanted - cell["stripping_base"], 1e-3) / cell["stripping_gain"]
        needed = 3.0 * above ** (1.0 / cell["stripping_exponent"])
        cell["set_pressure"] = min(needed * low * (high / low) ** u, 80.0)
    if over < config.over_pressure:
        swing = cell["stiffness"] * cell["anode_breathing"] * cell["rated"]
        reached = (cell["set_pressure"] + swing) / (0.87 + 0.15 * closeness)
        cell["pressure_limit"] = max(reached, 1.0)
    else:
        cell["pressure_limit"] = max(cell["pressure_limit"], 1.5 * cell["set_pressure"] + 10.0)
    return cell


def run_shard(config: Population, shard: Shard) -> tuple[Lives, NDArray[np.int64]]:
    """Simulate a shard; also latent times ``(n, 4)`` of every cause, negative if not reached."""
    lives = simulate(shard.cells, shard.protocol, shard.keys, samples=True)
    latent = np.full((shard.count, len(CAUSES)), -config.cycles, np.int64)
    for cause in range(len(CAUSES)):
        first = lives.cause == cause
        latent[first, cause] = lives.until[first]
        rest = np.nonzero(~first & (lives.cause != ALIVE))[0]
        if config.latent and len(rest):
            alone = simulate(
                shard.cells[rest], shard.protocol, shard.keys[rest], causes=1 << cause, truth=False
            )
            reached = alone.cause == cause
            latent[rest[reached], cause] = alone.until[reached]
    return lives, latent


def _split(config: Population, shard: Shard, design_number: int) -> str:
    group = shard.group
    if {group.anode, group.fixture, group.protocol} & set(config.held_out):
        return "out-of-distribution"
    draw = np.random.default_rng([config.seed, 3, shard.number, design_number])
    return "test" if draw.random() < config.test else "train"


def record(config: Population, shard: Shard, lives: Lives, i: int) -> CellRecord:
    """What is logged of cell ``i`` of a shard; the life is stated, nothing hidden is."""
    cell, group = shard.cells[i], shard.group
    draw = np.random.default_rng([config.seed, 4, shard.number, i])
    until = int(lives.until[i])
    rows = lives.rows[i, :until]
    columns = measure.log(
        lives.samples[i, : rows[-1]], rows, AREA, float(cell["set_pressure"]), measure.Sensors(),
        draw,
    )  # fmt: skip
    cause = int(lives.cause[i])
    if cause == ALIVE:
        life = PublishedLife(max(int(lives.after[i]), 1), None, "simulated, alive at the end")
    else:
        life = PublishedLife(until, CAUSES[cause], "simulated", int(lives.after[i]))
    spec = CellSpec(
        shard.ids(config)[i], float(cell["rated"]) * AREA * 1e-3, float(cell["voltage_min"]),
        float(cell["voltage_max"]), "nmc", group.anode, "sulfide", group.fixture,
        1e6 * float(cell["set_pressure"]),
    )  # fmt: skip
    notes = {
        "tier": group.tier, "protocol": shard.protocol.name, "population": config.name,
        "design": f"{shard.number:05d}-{shard.designs[i]:02d}",
    }  # fmt: skip
    metadata = CellMetadata(
        spec, SOURCE, _split(config, shard, int(shard.designs[i])), life, notes=notes
    )
    return CellRecord(metadata, samples=columns)


def _write_truth(path: Path, config: Population, shard: Shard, lives: Lives, latent: Any) -> None:
    details = np.where(
        lives.cause == 1, np.array(DRIVERS)[lives.detail],
        np.where(lives.cause == 2, np.array(ORIGINS)[lives.detail], ""),
    )  # fmt: skip
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file, cell_id=np.array(shard.ids(config)), cause=lives.cause, after=lives.after,
            until=lives.until, detail=details, latent=latent,
            columns=np.array(list(TRUTH)), cells=shard.cells,
            hidden=np.concatenate([lives.truth[i, : lives.until[i]] for i in range(shard.count)]),
        )  # fmt: skip
    partial.replace(path)


def make_shard(
    config: Population, out: Path, number: int,
    summarise: Callable[[CellRecord], CycleSummaries] | None = None,
) -> None:  # fmt: skip
    """Simulate and write one shard unless it is done already."""
    done = out / "truth" / f"shard-{number:05d}.npz"
    if done.exists():
        return
    store = Store(out)
    shard = Shard(config, number)
    lives, latent = run_shard(config, shard)
    try:
        for i in range(shard.count):
            logged = record(config, shard, lives, i)
            if summarise is not None and config.keep == "summaries":
                logged = CellRecord(logged.metadata, summaries=summarise(logged))
            store.write(logged)
        _write_truth(done, config, shard, lives, latent)
    except OSError as error:
        raise ConfigError(
            f"cannot write: {error}", where=str(out),
            fix="Free some space and run it again; finished shards are kept",
        ) from error  # fmt: skip


def generate(
    config: Population, out: Path, *,
    summarise: Callable[[CellRecord], CycleSummaries] | None = None, workers: int = 1,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Write the population into ``out``; yields (shards done, shards in all) after each.

    Args:
        summarise: turns a time series into cycle summaries; needed where the configuration keeps
            summaries. A function of a module where ``workers`` is above one.
        workers: processes; the bytes written do not depend on how many.

    Raises:
        ConfigError: ``out`` holds another population, or the disk is full.
    """
    if config.keep == "summaries" and summarise is None:
        raise ConfigError("keep: summaries needs a summariser", where=config.name)
    if workers < 1:
        raise ConfigError(f"{workers} workers", fix="Give 1 or more")
    Store(out, create=True)
    header, stated = out / "population.json", config.model_dump(mode="json")
    if header.exists() and json.loads(header.read_text(encoding="utf-8")) != stated:
        raise ConfigError(
            "the folder holds a population of another configuration", where=str(out),
            fix="Choose a new folder",
        )  # fmt: skip
    partial = header.with_suffix(".partial")
    partial.write_text(json.dumps(stated, indent=1), encoding="utf-8")
    partial.replace(header)
    (out / "truth").mkdir(exist_ok=True)
    if workers == 1:
        for number in range(config.shards):
            make_shard(config, out, number, summarise)
            yield number + 1, config.shards
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _one_thread) as pool:
        jobs = [
            pool.submit(make_shard, config, out, number, summarise)
            for number in range(config.shards)
        ]
        for finished, job in enumerate(as_completed(jobs), 1):
            job.result()
            yield finished, config.shards


def _one_thread() -> None:
    """Workers share the cores as processes; threads in them would only get in each other's way."""
    numba.set_num_threads(1)
