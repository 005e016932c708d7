"""Compilation of the physics: numba, strict floating point, a cache that cannot go stale."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config as config

F = TypeVar("F", bound=Callable[..., Any])


def _cache_folder() -> str:
    """One folder per version of these sources.

    Numba invalidates a cached function when its own file changes, not when a function it calls in
    another file does; the digest of the whole package closes that hole. The folder is the user's
    own: compiled code in a place that others may write to would be theirs to choose.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(home) / "fadecast" / "numba" / digest.hexdigest()[:16])


_FOLDER = _cache_folder()


def compiled(function: F) -> F:
    """``function`` compiled for scalars and records; the same numbers on every machine's threads.

    ``fastmath`` stays off: results must not depend on how a loop happened to be vectorised.
    """
    return _compile(function, parallel=False)


def compiled_parallel(function: F) -> F:
    """As ``compiled``, with ``numba.prange`` loops spread over threads."""
    return _compile(function, parallel=True)


def _compile(function: F, *, parallel: bool) -> F:
    # The folder is a setting of the whole process, so it is lent for this one decoration.
    settings = vars(config)
    previous = settings["CACHE_DIR"]
    settings["CACHE_DIR"] = _FOLDER
    try:
        return cast(
            "F",
            numba.njit(cache=True, fastmath=False, error_model="numpy", parallel=parallel)(
                function
            ),
        )
    finally:
        settings["CACHE_DIR"] = previous
