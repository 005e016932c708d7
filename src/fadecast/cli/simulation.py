"""Simulating a population: physics for the cells, the network's summary for their cycles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fadecast.errors import ConfigError

if TYPE_CHECKING:
    from fadecast.cell.record import CellRecord
    from fadecast.cell.summaries import CycleSummaries


def summarise(record: CellRecord) -> CycleSummaries:
    """On one thread: the processes share the cores."""
    import torch

    from fadecast.network.batch import summarise_record

    torch.set_num_threads(1)
    return summarise_record(record)


def simulate_population(
    path: Path, out: Path, engine: str | None, workers: int | None,
    progress: Callable[[int, int, str], None],
) -> tuple[dict[str, Any], Path]:  # fmt: skip
    """Write the population of a configuration into ``out``; its data card, and the card's page.

    Raises:
        ConfigError: the configuration is wrong, the folder holds another population, or the disk
            is full.
    """
    from fadecast.physics.datacard import write_card
    from fadecast.physics.generate import generate
    from fadecast.physics.population import Population

    config = Population.from_yaml(path)
    if engine is not None:
        if engine not in ("kernel", "pybamm"):
            raise ConfigError(f"no engine {engine!r}", fix="Use kernel or pybamm")
        config = Population.checked(config.model_dump() | {"engine": engine}, where=str(path))
    processes = workers or os.cpu_count() or 1
    progress(0, config.shards, config.name)
    for done, total in generate(config, out, summarise=summarise, workers=processes):
        progress(done, total, config.name)
    return write_card(out)
