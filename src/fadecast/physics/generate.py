"""Writing a population, shard by shard.

    OUT/store.json, cells/…     a store of cell records (what a cycler would log)
    OUT/truth/shard-00000.npz   lives and hidden states of the shard's cells, never in a record
    OUT/population.json         the configuration, so that a rerun cannot mix two

A shard is done once its truth file exists; it is renamed into place after the shard's cells were
written, each of them atomically. What a killed run left half-done is simulated again, and every
number depends on the configuration alone, so the result is the same bytes as an undisturbed run.
One run at a time may write into a folder; any number may find it finished.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numba
import numpy as np

from fadecast.cell.record import CellRecord
from fadecast.cell.store import Store, write_json
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import ConfigError
from fadecast.physics.failure import DRIVERS, ORIGINS
from fadecast.physics.population import Population
from fadecast.physics.shard import Shard
from fadecast.physics.simulate import Lives
from fadecast.physics.state import TRUTH

Summarise = Callable[[CellRecord], CycleSummaries]


def generate(
    config: Population, out: Path, *, summarise: Summarise | None = None, workers: int = 1
) -> Iterator[tuple[int, int]]:
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
    store = Store(out, create=True)
    header, stated = out / "population.json", config.model_dump(mode="json")
    if header.exists() and _stated(header) != stated:
        raise ConfigError(
            "the folder holds a population of another configuration", where=str(out),
            fix="Choose a new folder",
        )  # fmt: skip
    (out / "truth").mkdir(exist_ok=True)
    waiting = [number for number in range(config.shards) if not _truth(out, number).exists()]
    done = config.shards - len(waiting)
    if done < config.shards:
        store.clear_partial(0.0)
    write_json(header, stated)
    if done == config.shards:
        yield done, config.shards
    elif workers == 1:
        for number in waiting:
            make_shard(config, out, number, summarise)
            yield (done := done + 1), config.shards
    else:
        # The compiled kernel is cached by whoever needs it first; two at once would do it twice.
        make_shard(config, out, waiting[0], summarise)
        yield (done := done + 1), config.shards
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, begin_worker) as pool:
            jobs = [pool.submit(make_shard, config, out, n, summarise) for n in waiting[1:]]
            try:
                for job in as_completed(jobs):
                    job.result()
                    yield (done := done + 1), config.shards
            finally:  # a failed shard, or a user who stops, should not wait for all the others
                pool.shutdown(cancel_futures=True)


def make_shard(
    config: Population, out: Path, number: int, summarise: Summarise | None = None
) -> None:
    """Simulate and write one shard."""
    store, shard = Store(out), Shard(config, number)
    lives, latent = shard.run()
    try:
        for i in range(shard.count):
            logged = shard.record(lives, i)
            if summarise is not None and config.keep == "summaries":
                logged = CellRecord(logged.metadata, summaries=summarise(logged))
            store.write(logged)
        _write_truth(_truth(out, number), shard, lives, latent)
    except OSError as error:
        raise ConfigError(
            f"cannot write: {error}", where=str(out),
            fix="Free some space and run it again; finished shards are kept",
        ) from error  # fmt: skip


def _stated(header: Path) -> dict[str, Any]:
    """The configuration of a folder; a key younger than it has its default."""
    data = json.loads(header.read_text(encoding="utf-8"))
    return Population.checked(data, where=str(header)).model_dump(mode="json")


def _truth(out: Path, number: int) -> Path:
    return out / "truth" / f"shard-{number:05d}.npz"


def _write_truth(path: Path, shard: Shard, lives: Lives, latent: Any) -> None:
    details = np.where(
        lives.cause == 1, np.array(DRIVERS)[lives.detail],
        np.where(lives.cause == 2, np.array(ORIGINS)[lives.detail], ""),
    )  # fmt: skip
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file, cell_id=np.array(shard.ids()), cause=lives.cause, after=lives.after,
            until=lives.until, detail=details, latent=latent, events=shard.events[:, 0],
            columns=np.array(list(TRUTH)), cells=shard.cells,
            hidden=np.concatenate([lives.truth[i, : lives.until[i]] for i in range(shard.count)]),
        )  # fmt: skip
    partial.replace(path)


def begin_worker() -> None:
    """Workers share the cores as processes; threads in them would only get in each other's way.

    They end with the process that started them: a killed one cannot tell them to.
    """
    numba.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
