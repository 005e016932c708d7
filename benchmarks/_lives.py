"""Whole lives through the Python runtime: ``BUNDLE LIVES ANSWERS``.

Needs numpy and onnxruntime alone, so that it runs on a foreign processor too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.record import CellSpec
from fadecast.forecast.forecast import Forecasts
from fadecast.runtime import Session
from fadecast.runtime.golden import answer_error

Columns = Mapping[str, NDArray[Any]]


class Life(NamedTuple):
    """A cell and all of its samples, columns by name."""

    spec: CellSpec
    samples: Columns


def main() -> None:
    """As told above, the lives and the answers as files of ``dump``."""
    bundle, lives, out = map(Path, sys.argv[1:])
    told = of_runtime(Session.load(bundle), load_lives(lives))
    dump(out, told)


def of_runtime(session: Session, lives: Iterable[Life]) -> list[Columns]:
    """The answers of a bundle to lives, one after the other."""
    told = []
    for spec, samples in lives:
        stream = session.stream(spec)
        steps = [*stream.push(samples), *stream.close()]
        names = Forecasts.__slots__
        life = Forecasts(*(np.concatenate([getattr(s, name) for s in steps]) for name in names))
        told.append(of_forecasts(life, session.virtual_sensors))
    return told


def of_forecasts(forecasts: Forecasts, sensors: Iterable[str]) -> Columns:
    """The answers that forecasts hold, those of the taught virtual sensors among them."""
    return grouped(forecasts.columns(sensors)) | {"incidence": forecasts.incidence}


def grouped(columns: Columns) -> dict[str, NDArray[Any]]:
    """Columns of a score table with the quantiles as one, ``rul``, ``(n, quantiles)``."""
    quantiles = [name for name in columns if name.startswith("rul_")]
    others = {name: column for name, column in columns.items() if name not in quantiles}
    return others | {"rul": np.stack([columns[name] for name in quantiles], -1)}


def difference(found: Columns, expected: Columns) -> tuple[float, str]:
    """The largest ``answer_error`` of a life, and what it is of.

    Infinite where an answer is missing; the incidence, which the C++ program does not tell, may be.
    """
    asked = [name for name in expected if name in found or name != "incidence"]
    nothing = np.zeros(0)
    errors = {n: answer_error(n, found.get(n, nothing), expected[n]) for n in asked}
    worst = max(errors, key=lambda name: errors[name])
    return errors[worst], worst


def dump_lives(path: Path, lives: Sequence[Life]) -> None:
    """Write lives for ``load_lives``."""
    path.with_suffix(".json").write_text(json.dumps([asdict(life.spec) for life in lives]))
    dump(path, [life.samples for life in lives])


def load_lives(path: Path) -> list[Life]:
    """What ``dump_lives`` wrote."""
    specs = json.loads(path.with_suffix(".json").read_text())
    return [Life(CellSpec(**s), c) for s, c in zip(specs, load(path), strict=True)]


def dump(path: Path, tables: Sequence[Columns]) -> None:
    """Write the columns of some cells for ``load``; ``path`` ends in .npz."""
    named = {f"{i}/{name}": c for i, table in enumerate(tables) for name, c in table.items()}
    np.savez(path, **named)


def load(path: Path) -> list[Columns]:
    """What ``dump`` wrote."""
    tables: dict[int, dict[str, NDArray[Any]]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition("/")
            tables.setdefault(int(number), {})[name] = file[key]
    return [tables[number] for number in sorted(tables)]


if __name__ == "__main__":
    main()
