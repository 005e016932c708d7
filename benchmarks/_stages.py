"""Stages of a long benchmark, each kept once it is done, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import _common

_BEGAN: Final = time.monotonic()
_SOURCES: Final = {".py", ".cpp", ".h", ".txt"}

Arrays = Mapping[str, NDArray[Any]]


def say(what: str) -> None:
    """Progress, with the seconds since the beginning."""
    print(f"{time.monotonic() - _BEGAN:7.0f} s  {what}", file=sys.stderr, flush=True)


class Stages:
    """Results in ``folder``, named after the data and the code that made them.

    Args:
        folder: made on demand.
        data: digest of all that goes in and is not code.
    """

    def __init__(self, folder: Path, data: str) -> None:
        self.folder, self.data = folder, data

    def __call__(
        self, name: str, code: tuple[str, ...], make: Callable[[], Arrays], *, given: str = ""
    ) -> Arrays:
        """The arrays of ``make``, from the folder where they were made before.

        Args:
            name: of the stage; what an earlier code or other data left under it is removed.
            code: files and folders of the repository that decide the result.
            given: whatever else does.

        Returns:
            Arrays by name, each read from the file when it is asked for: none is held.
        """
        key = hashlib.sha256(f"{self.data} {given} {digest(code)}".encode()).hexdigest()[:16]
        path = self.folder / f"{name}.{key}.npz"
        if not path.exists():
            began = time.monotonic()
            arrays = make()
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            for old in self.folder.glob(f"{name}.*.npz"):
                old.unlink()
            partial.replace(path)
            say(f"{name} took {time.monotonic() - began:.0f} s")
        return np.load(path, allow_pickle=False)


def digest(code: tuple[str, ...]) -> str:
    """SHA-256 of the sources of files and folders of the repository."""
    total = hashlib.sha256()
    for part in code:
        place = _common.ROOT / part
        found = [p for p in place.rglob("*") if p.suffix in _SOURCES] if place.is_dir() else [place]
        for path in sorted(found):
            total.update(path.relative_to(_common.ROOT).as_posix().encode() + b"\0")
            total.update(path.read_bytes())
    return total.hexdigest()
