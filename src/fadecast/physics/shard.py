"""One shard of a population: its designs and cells, their lives, and what is logged of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.life import CAUSES
from fadecast.cell.record import CellMetadata, CellRecord, CellSpec, PublishedLife
from fadecast.physics import measure
from fadecast.physics.design import N_COORDINATES, Kind, design, vary
from fadecast.physics.failure import ALIVE, LITHIUM_PENETRATION
from fadecast.physics.penetration import SOFT
from fadecast.physics.population import Group, Population
from fadecast.physics.protocol import EVENT, LOOSEN, REPRESS, Climate, Protocol, laboratory, vehicle
from fadecast.physics.simulate import ALL_CAUSES, Lives, simulate

AREA: Final = 10.0
"""Electrode area of every simulated cell in cm²."""

SOURCE: Final = "simulated"

_SWINGS: Final = {"constant": (0.0, 0.0), "daily": (4.0, 0.0), "seasonal": (4.0, 8.0)}
_LOOSEST: Final = 0.5
"""Least share of the set pressure that is left where a fixture loosens."""


def group_of(config: Population, number: int) -> Group:
    """The group of a shard, of low discrepancy: every prefix of the shards has the right mix."""
    weights = np.array([g.weight for g in config.groups])
    position = (number * 0.6180339887498949 + 0.5) % 1.0
    chosen = int(np.searchsorted(np.cumsum(weights) / weights.sum(), position, side="right"))
    return config.groups[min(chosen, len(config.groups) - 1)]


class Shard:
    """The cells of one shard: all of one group under one protocol."""

    def __init__(self, config: Population, number: int) -> None:
        self.config, self.number = config, number
        self.count = min(config.shard, config.cells - number * config.shard)
        draw = np.random.default_rng([config.seed, 1, number])
        self.group = group_of(config, number)
        self.protocol, self.rate = _protocol(config, self.group, draw)
        kind = Kind(self.group.anode, self.group.tier, self.group.fixture)
        designs = -(-self.count // config.cells_per_design)
        points = _sobol(config.seed, number * -(-config.shard // config.cells_per_design), designs)
        normals = draw.normal(size=(designs + self.count, N_COORDINATES))
        shared = np.sqrt(config.batch_correlation)
        alone = np.sqrt(1.0 - config.batch_correlation)
        self.designs = np.arange(self.count) // config.cells_per_design
        nominal = [_design(config, kind, point, self.rate) for point in points]
        self.cells: NDArray[Any] = np.array([
            vary(nominal[d], kind, shared * normals[d] + alone * normals[designs + i])
            for i, d in enumerate(self.designs)
        ])  # fmt: skip
        self.nominal: NDArray[Any] = np.array(nominal)
        self.keys = draw.integers(0, 2**63, self.count, dtype=np.uint64)
        self.events = _events(config, self.count, draw)

    def ids(self) -> list[str]:
        """Cell names: population, shard, design, cell."""
        name, number = self.config.name, self.number
        return [f"{name}-{number:05d}-{d:02d}-{i:03d}" for i, d in enumerate(self.designs)]

    def split(self, i: int) -> str:
        """What cell ``i`` is for: whole designs, and whatever is of a kind held out."""
        group, config = self.group, self.config
        if {group.anode, group.fixture, group.protocol} & set(config.held_out):
            return "out-of-distribution"
        draw = np.random.default_rng([config.seed, 3, self.number, int(self.designs[i])])
        return "test" if draw.random() < config.test else "train"

    def run(self) -> tuple[Lives, NDArray[np.int64]]:
        """Simulate; also the latent time ``(n, 4)`` of every cause.

        A latent time is the cycle at which a cause would have ended the cell had no other done so
        before, or minus the last cycle looked at where it did not. Only a short changes what a cell
        does (it leaks), so a life followed beyond its failure shows them all, except where lithium
        came that far: there the other causes are those of a rerun that never shorts.
        """
        config = self.config
        if config.engine == "pybamm":
            from fadecast.physics import fullorder  # PyBaMM loads for seconds

            lives = fullorder.simulate(self.cells, self.protocol, self.keys, events=self.events)
        else:
            lives = simulate(
                self.cells, self.protocol, self.keys, events=self.events, samples=True,
                follow=config.latent,
            )  # fmt: skip
        if not config.latent or config.engine == "pybamm":
            return lives, lives.first  # 0: not looked for
        first, failed = lives.first.copy(), lives.cause != ALIVE
        leaking = np.nonzero(failed & (lives.states["penetration"] > SOFT))[0]
        if len(leaking):
            alone = simulate(
                self.cells[leaking], self.protocol, self.keys[leaking], events=self.events[leaking],
                causes=ALL_CAUSES & ~(1 << LITHIUM_PENETRATION), follow=True, truth=False,
            )  # fmt: skip
            others = np.arange(len(CAUSES)) != LITHIUM_PENETRATION
            others = others & (np.arange(len(CAUSES)) != lives.cause[leaking, None])
            first[leaking] = np.where(others, alone.first, first[leaking])
        return lives, np.where(first > 0, first, -config.cycles)

    def record(self, lives: Lives, i: int) -> CellRecord:
        """What is logged of cell ``i``; the life is stated, nothing hidden is."""
        config, group = self.config, self.group
        cell, nominal = self.cells[i], self.nominal[self.designs[i]]
        draw = np.random.default_rng([config.seed, 4, self.number, i])
        until, cause = int(lives.until[i]), int(lives.cause[i])
        rows = lives.rows[i, :until]
        set_pressure = float(nominal["set_pressure"])
        columns = measure.log(
            lives.samples[i, : rows[-1]], rows, AREA, set_pressure, config.cycles,
            config.sensors, draw,
        )  # fmt: skip
        if cause == ALIVE:
            life = PublishedLife(max(int(lives.after[i]), 1), None, "simulated, alive at the end")
        else:
            life = PublishedLife(until, CAUSES[cause], "simulated", int(lives.after[i]))
        fixture: str = group.fixture
        applied: float | None = 1e6 * set_pressure
        limit: float | None = 1e6 * float(nominal["pressure_limit"])
        hidden = np.random.default_rng([config.seed, 5, self.number, i]).random(2)
        if hidden[0] < config.undeclared:
            fixture, applied = "unknown", None
            del columns["applied_pressure_pa"]
        if hidden[1] < config.undeclared:
            limit = None
        spec = CellSpec(
            self.ids()[i], float(cell["rated"]) * AREA * 1e-3, float(cell["voltage_min"]),
            float(cell["voltage_max"]), "nmc", group.anode, "sulfide", fixture, applied, limit,
        )  # fmt: skip
        notes = {
            "tier": group.tier, "protocol": self.protocol.name, "population": config.name,
            "design": f"{config.name}-{self.number:05d}-{self.designs[i]:02d}",
        }  # fmt: skip
        metadata = CellMetadata(spec, SOURCE, self.split(i), life, notes=notes)
        return CellRecord(metadata, samples=columns)


def _sobol(seed: int, first: int, count: int) -> NDArray[np.float64]:
    from scipy.stats import qmc

    sequence = qmc.Sobol(N_COORDINATES + 2, scramble=True, rng=np.random.default_rng([seed, 2]))
    if first:
        sequence.fast_forward(first)
    # The sequence is balanced, and SciPy content, at powers of two; a prefix of one is the same.
    return np.asarray(sequence.random(1 << (count - 1).bit_length()))[:count]


def _protocol(
    config: Population, group: Group, draw: np.random.Generator
) -> tuple[Protocol, float]:
    """The shard's protocol and its discharge rate in C."""
    climate = Climate(float(draw.uniform(*config.celsius)), *_SWINGS[group.climate])
    rates = [
        float(np.exp(draw.uniform(np.log(low), np.log(high))))
        for low, high in (config.charge_rate, config.discharge_rate)
    ]
    if group.protocol == "vehicle":
        seed = int(draw.integers(1000))
        return vehicle(config.cycles, seed, climate=climate, fast=max(rates[0], 0.4)), 0.3
    checkup = config.checkup_every if draw.random() < 0.7 else 0
    return laboratory(config.cycles, rates[0], rates[1], checkup, climate), rates[1]


def _events(config: Population, count: int, draw: np.random.Generator) -> NDArray[Any]:
    """``(count, 1)`` at most one event a cell, in the first half of the schedule."""
    events = np.zeros((count, 1), EVENT)
    happens = draw.random(count) < config.events
    events["cycle"][:, 0] = np.where(happens, draw.integers(10, 11 + config.cycles // 2, count), 0)
    events["kind"][:, 0] = np.where(draw.random(count) < 0.5, REPRESS, LOOSEN)
    events["value"][:, 0] = draw.uniform(_LOOSEST, 0.95, count)
    return events


def _design(config: Population, kind: Kind, point: NDArray[np.float64], rate: float) -> np.void:
    """A nominal design: priors at ``point``, set pressure after its own stripping limit, and the
    permitted one after what the design reaches."""
    cell = design(kind, point[:N_COORDINATES])
    u, room = point[N_COORDINATES:]
    if kind.anode == "silicon":
        low, high = config.silicon_pressure
        cell["set_pressure"] = low * (high / low) ** u
    else:
        low, high = config.pressure
        wanted = rate * cell["rated"] / cell["stripping_factor"]
        above = max(wanted - cell["stripping_base"], 1e-3) / cell["stripping_gain"]
        needed = 3.0 * above ** (1.0 / cell["stripping_exponent"])
        cell["set_pressure"] = min(needed * low * (high / low) ** u, 80.0)
    swing = cell["stiffness"] * cell["anode_breathing"] * cell["rated"]
    low, high = config.pressure_limit
    cell["pressure_limit"] = max((cell["set_pressure"] + swing) * low * (high / low) ** room, 1.0)
    return cell
