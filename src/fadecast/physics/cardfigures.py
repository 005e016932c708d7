"""The figures of a population's data card, as SVG files that are the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.life import CAUSES
from fadecast.physics.design import N_COORDINATES, Kind, design
from fadecast.physics.population import Population
from fadecast.physics.protocol import Protocol, laboratory
from fadecast.physics.shard import Shard, group_of
from fadecast.physics.simulate import simulate
from fadecast.physics.state import TRUTH

OUTCOMES: Final = (*CAUSES, "censored")
_SHOWN: Final = 12
"""Cells of each outcome that are drawn."""
_COLUMNS: Final = list(TRUTH)
_PRESSURES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_DESIGNS: Final = 16
_LONGEST: Final = 400


def draw_figures(
    config: Population, truth: dict[str, NDArray[Any]], out: Path
) -> list[tuple[str, str]]:
    """Write the figures of a population into ``out``; their names and captions."""
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = config.name  # the same file every time
    return [
        _save(out, "fade", _by_outcome(truth, _fade, "measured capacity / rated"),
              "Measured discharge capacity of some cells of each outcome (their check-ups, where "
              "the protocol has them)."),
        _save(out, "pressure", _by_outcome(truth, _pressure, "stack pressure, MPa", log=True),
              "True stack pressure of the same cells: the mean of each cycle and, shaded, its "
              "lowest and highest."),
        _save(out, "voltage", _voltage(config),
              "The fifth cycle of one cell of each anode, without noise."),
        _save(out, "window", _window(config),
              f"The pressure window: geometric mean life of the same {_DESIGNS} engineered designs "
              "of each anode under constant force at C/3 and 25 °C, by set pressure, in a housing "
              "that bears it; bars are one standard error. This is an experiment of its own: in "
              "the population the set pressure follows the current, which hides the window."),
    ]  # fmt: skip


def _save(out: Path, name: str, figure: Any, caption: str) -> tuple[str, str]:
    figure.savefig(out / f"{name}.svg", metadata={"Date": None})
    return name, caption


def _by_outcome(truth: dict[str, NDArray[Any]], draw: Any, label: str, log: bool = False) -> Any:
    """One panel per outcome."""
    from matplotlib.figure import Figure

    figure = Figure((11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(OUTCOMES), sharey=True)
    outcome = np.where(truth["cause"] < 0, len(CAUSES), truth["cause"])
    for number, (axes, name) in enumerate(zip(panels, OUTCOMES, strict=True)):
        cells = np.nonzero(outcome == number)[0]
        for i in cells[np.linspace(0, len(cells) - 1, min(_SHOWN, len(cells))).astype(int)]:
            rows = slice(truth["start"][i], truth["start"][i] + truth["until"][i])
            draw(axes, np.arange(1, truth["until"][i] + 1), truth["hidden"][rows])
        axes.set_title(f"{name.replace('_', ' ')}: {len(cells)}", fontsize="medium")
        axes.set_xlabel("cycle")
    panels[0].set_ylabel(label)
    if log:
        panels[0].set_yscale("log")
    return figure


def _fade(axes: Any, cycle: NDArray[Any], hidden: NDArray[Any]) -> None:
    seen = hidden[:, _COLUMNS.index("measured")] > 0
    axes.plot(cycle[seen], hidden[seen, _COLUMNS.index("capacity")], linewidth=0.8)


def _pressure(axes: Any, cycle: NDArray[Any], hidden: NDArray[Any]) -> None:
    mean, low, high = (
        hidden[:, _COLUMNS.index(f"pressure_{name}")] for name in ("mean", "lowest", "highest")
    )
    (line,) = axes.plot(cycle, mean, linewidth=0.8)
    axes.fill_between(cycle, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def _voltage(config: Population) -> Any:
    from matplotlib.figure import Figure

    figure = Figure((7, 4), layout="constrained")
    axes = figure.add_subplot()
    seen: set[str] = set()
    for number in range(config.shards):
        anode = group_of(config, number).anode
        if anode in seen:
            continue
        seen.add(anode)
        shard = Shard(config, number)
        plan = shard.protocol
        short = Protocol(
            "card", plan.programs, plan.schedule[:9], plan.reference, plan.checkups, plan.climate
        )
        lives = simulate(shard.cells[:1], short, shard.keys[:1], causes=0, samples=True)
        samples = lives.samples[0, lives.rows[0, 3] : lives.rows[0, 4]]
        name = f"{anode.replace('_', ' ')}, {plan.name}"
        axes.plot((samples[:, 0] - samples[0, 0]) / 3600, samples[:, 1], linewidth=0.9, label=name)
    axes.set(xlabel="hours of cycle 5", ylabel="voltage, V")
    axes.legend(fontsize="small")
    return figure


def _window(config: Population) -> Any:
    from matplotlib.figure import Figure

    figure = Figure((7, 4), layout="constrained")
    axes = figure.add_subplot()
    plan = laboratory(min(config.cycles, _LONGEST), 1 / 3, 1 / 3)
    for anode in dict.fromkeys(group.anode for group in config.groups):
        points = np.random.default_rng(config.seed).random((_DESIGNS, N_COORDINATES))
        kind = Kind(anode, "engineered", "constant_force")
        cells = np.array([
            design(kind, point, set_pressure=at, cathode_thickness=55.0, pressure_limit=150.0)
            for at in _PRESSURES for point in points
        ])  # fmt: skip
        lives = simulate(cells, plan, np.arange(len(cells), dtype=np.uint64), truth=False)
        life = np.log(lives.until.reshape(len(_PRESSURES), _DESIGNS))
        mean, error = np.exp(life.mean(1)), life.std(1) / np.sqrt(_DESIGNS)
        spread = [mean * (1 - np.exp(-error)), mean * (np.exp(error) - 1)]
        axes.errorbar(
            _PRESSURES, mean, spread, marker="o", capsize=2, label=anode.replace("_", " ")
        )
    axes.set(xscale="log", yscale="log", xlabel="set pressure, MPa")
    axes.set_ylabel(f"mean life, at most {len(plan.schedule)} cycles")
    axes.set_xticks(_PRESSURES, [f"{at:g}" for at in _PRESSURES])
    axes.minorticks_off()
    axes.legend(fontsize="small")
    return figure
