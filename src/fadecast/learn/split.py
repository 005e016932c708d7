"""Division of cells into training, validation and test parts: by design, seeded, per source."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fadecast.cell.record import CellMetadata
from fadecast.errors import ConfigError
from fadecast.learn.config import KindsConfig, SplitConfig

PARTS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Cell ids by part, each sorted; no cell is in two parts.

    Raises:
        ConfigError: a cell is in two parts, or there is none to train on.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        everything = [*self.train, *self.validation, *self.test]
        twice = sorted(cell for cell, times in Counter(everything).items() if times > 1)
        if twice:
            raise ConfigError(f"cells in more than one part: {', '.join(twice[:5])}")
        if not self.train:
            raise ConfigError("no cell is left to train on", fix="Add cells or lower the fractions")

    @property
    def digest(self) -> str:
        """SHA-256 of who is in which part."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Lists of cell ids by part."""
        return {part: list(getattr(self, part)) for part in PARTS}


def split_cells(cells: Sequence[CellMetadata], config: SplitConfig) -> Split:
    """Divide cells by source under ``config``; the order of ``cells`` does not matter.

    Published test sets and what is held out are tested on. Of a source without either, the fraction
    ``test`` is drawn. ``validation`` is drawn from what is left, at least one cell of every source
    that has three or more left. Cells of one design (``notes["design"]``) stay together, also with
    one that is tested on: a sister cell tells too much.

    Raises:
        ConfigError: ``held_out``, ``held_out_kinds`` or ``excluded`` names what is not there, or
            nothing is left to train on.
    """
    known = {m.spec.cell_id for m in cells}
    for name in ("held_out", "excluded"):
        missing = sorted(set(getattr(config, name)) - known)
        if missing:
            raise ConfigError(
                f"split.{name} names cells that are not in the store: {', '.join(missing[:5])}",
                fix="Correct the names or add their source to data.sources",
            )
    _check_kinds(cells, config.held_out_kinds)
    by_source: dict[str, list[CellMetadata]] = defaultdict(list)
    for metadata in cells:
        if metadata.spec.cell_id not in config.excluded:
            by_source[metadata.source].append(metadata)
    train: list[str] = []
    validation: list[str] = []
    test: list[str] = []
    for source, members in by_source.items():
        designs: dict[str, list[str]] = defaultdict(list)
        for m in members:
            designs[design_of(m)].append(m.spec.cell_id)
        apart = {design_of(m) for m in members if _is_tested(m, config)}
        tested = _cells(designs, sorted(apart))
        rest = _shuffled(set(designs) - apart, source, config.seed)
        if not tested:
            n_test = _count(config.test, len(rest))
            tested = _cells(designs, rest[len(rest) - n_test :])
            rest = rest[: len(rest) - n_test]
        n_validation = _count(config.validation, len(rest))
        validation += _cells(designs, rest[:n_validation])
        train += _cells(designs, rest[n_validation:])
        test += tested
    return Split(tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))


def is_of(metadata: CellMetadata, kinds: KindsConfig) -> bool:
    """Whether a cell is of any of the kinds."""
    return any(value in getattr(kinds, name) for name, value in _kind(metadata).items())


def _kind(metadata: CellMetadata) -> dict[str, str]:
    """What is declared of a cell by the names of ``KindsConfig``; a protocol without its rates."""
    protocol, _, _ = metadata.notes.get("protocol", "").partition(" ")
    return {
        "anode": metadata.spec.anode, "fixture": metadata.spec.fixture, "protocol": protocol,
    }  # fmt: skip


def _check_kinds(cells: Sequence[CellMetadata], kinds: KindsConfig) -> None:
    found = [_kind(metadata) for metadata in cells]
    for name, wanted in kinds:
        there = {kind[name] for kind in found}
        if missing := sorted(set(wanted) - there):
            raise ConfigError(
                f"split.held_out_kinds.{name} names what no cell has: {', '.join(missing)}",
                fix=f"Use some of {', '.join(sorted(there - {''})) or 'none'}",
            )


def design_of(metadata: CellMetadata) -> str:
    """The design that a cell shares with others; its own name where none is noted."""
    return metadata.notes.get("design", metadata.spec.cell_id)


def _cells(designs: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> list[str]:
    return [cell for design in chosen for cell in designs[design]]


def _is_tested(metadata: CellMetadata, config: SplitConfig) -> bool:
    published = config.published and (metadata.split or "train") != "train"
    named = metadata.spec.cell_id in config.held_out
    return published or named or is_of(metadata, config.held_out_kinds)


def _count(fraction: float, available: int) -> int:
    """A fraction of the designs, at least one of three or more; never all of them."""
    if not fraction or available < 3:
        return 0
    return min(max(1, round(fraction * available)), available - 1)


def _shuffled(names: Iterable[str], source: str, seed: int) -> list[str]:
    """In an order that depends on the names, the source and the seed alone."""
    entropy = hashlib.sha256(f"{seed}/{source}".encode()).digest()
    order = np.random.default_rng(list(entropy)).permutation(sorted(names))
    return [str(name) for name in order]
