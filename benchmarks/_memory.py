"""Memory of a process and its children while something runs, shared pages counted once."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_EVERY: Final = 1.0
"""Seconds between two looks, each of which walks all pages: four a second take much of a core."""


@contextmanager
def watched() -> Iterator[list[float]]:
    """Yields a list that holds, once the block has ended, the largest sum in GB."""
    found = [0.0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_EVERY):
            found[0] = max(found[0], sum(map(_proportional, _tree(os.getpid()))) / 1e6)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _proportional(pid: int) -> int:
    """Proportional set size in kB; 0 of a process that has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    size = re.search(r"^Pss: +(\d+)", text, re.MULTILINE)
    return int(size[1]) if size else 0
