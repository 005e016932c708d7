"""How readers reach the optional libraries that vendor files need, and speak of their failures."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fadecast.errors import ConfigError, FadecastError, ReadError

T = TypeVar("T")


def library(name: str) -> Any:
    """The library ``name``, imported only now.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f"{name} is not installed, which reads this kind of file",
            fix='Install it with: pip install "fadecast[sources]"',
        ) from None


def guarded(path: Path, read: Callable[[], T]) -> T:
    """What ``read`` returns; anything a parser raises on a broken file becomes a ``ReadError``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except (FadecastError, MemoryError):
        raise
    except Exception as error:
        raise ReadError(
            f"the file is damaged, cut off or of an unknown version "
            f"({type(error).__name__}: {str(error)[:120]})",
            where=path.name, fix="Copy it again from the cycler, or export it as text",
        ) from None  # fmt: skip
