"""Which files belong together, before any of them is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Final

from fadecast import __version__
from fadecast.cell.record import CellSpec
from fadecast.errors import ConfigError, DataError, ReadError
from fadecast.sources.readers import READERS, SUFFIXES, detect

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are read together: all of one cell, or one file of a published set.

    Args:
        files: in name order.
        readers: the reader's name for each file.
        cell_id: the cell the files are of, ``None`` for a published set.
        lost: how many more files the cell has that were not recognised.
    """

    files: tuple[Path, ...]
    readers: tuple[str, ...]
    cell_id: str | None = None
    lost: int = 0

    def key(self, specs: Mapping[str, CellSpec]) -> str:
        """SHA-256 of all that the result depends on: contents, names, design, software."""
        total = hashlib.sha256(f"{__version__} {self.lost}".encode())
        for path, name in zip(self.files, self.readers, strict=True):
            beside = READERS[name].beside
            for one in (path, beside(path)) if beside else (path,):
                total.update(f"\0{name} {one.name} {file_digest(one)}".encode())
        if self.cell_id is not None:
            known = {cell: asdict(spec) for cell, spec in sorted(specs.items())}
            named = known.get(self.cell_id, known)  # a file may name its cells itself
            total.update(json.dumps(named, sort_keys=True).encode())
        return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; empty where it cannot be read."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    except OSError:
        return ""
    return total.hexdigest()


def printable(path: Path) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 show as escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def find_files(paths: Iterable[Path], leave_out: Sequence[Path]) -> list[Path]:
    """Files to look at: those given, and in folders those with a known suffix, sorted.

    Args:
        paths: files and folders.
        leave_out: a file or a folder (the store, the table of cells) not to look into.

    Raises:
        ConfigError: a path does not exist.
    """
    out: set[Path] = set()
    away = [path.resolve() for path in leave_out]
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path} does not exist", fix="Give files or folders of raw data")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            known = file.suffix.lower() in SUFFIXES or file == path
            if not known or hidden or not file.is_file():
                continue
            if not any(file.resolve().is_relative_to(place) for place in away):
                out.add(file)
    return sorted(out)


def group_files(
    files: Iterable[Path], patterns: Mapping[str, Sequence[str]]
) -> tuple[list[Group], dict[Path, DataError]]:
    """Groups in order of their first file, and why the other files belong to none.

    Args:
        files: what to read.
        patterns: file patterns by cell id; a file that matches none is the cell of its stem.
    """
    refused: dict[Path, DataError] = {}
    published: list[Group] = []
    by_cell: dict[str, list[tuple[Path, str]]] = {}
    by_stem: dict[str, list[tuple[Path, str]]] = {}
    lost: Counter[str] = Counter()
    for path in files:
        owner = None
        try:
            _check_name(path)
            owner = _owner(path, patterns)
            name = detect(path)
        except DataError as error:
            refused[path] = error
            lost[owner or path.stem] += 1
            continue
        if not READERS[name].declared:
            published.append(Group((path,), (name,)))
        elif owner is not None:
            by_cell.setdefault(owner, []).append((path, name))
        else:
            by_stem.setdefault(path.stem, []).append((path, name))
    for stem, members in by_stem.items():
        if len(members) > 1 or stem in by_cell:
            for path, _ in members:
                refused[path] = ReadError(
                    f"several files would be cell {stem!r}", where=path.name,
                    fix="Say which files are whose in the column 'files' of the table of cells",
                )  # fmt: skip
        else:
            by_cell[stem] = members
    cells = [
        Group(tuple(p for p, _ in members), tuple(n for _, n in members), cell, lost[cell])
        for cell, members in by_cell.items()
    ]
    return sorted([*published, *cells], key=lambda group: group.files), refused


def _check_name(path: Path) -> None:
    if printable(path) != str(path):
        raise ReadError(
            "the name is not UTF-8", where=printable(path),
            fix="Rename the file or its folder, with plain letters best",
        )  # fmt: skip


def _owner(path: Path, patterns: Mapping[str, Sequence[str]]) -> str | None:
    """The one cell whose patterns the file matches (from the right, folders included)."""
    owners = [
        cell for cell, globs in patterns.items() if any(PurePath(path).match(g) for g in globs)
    ]
    if len(owners) > 1:
        raise ReadError(
            f"it matches the patterns of {', '.join(owners)}", where=path.name,
            fix="Make the patterns in the column 'files' exclude each other",
        )  # fmt: skip
    return owners[0] if owners else None
