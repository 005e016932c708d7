"""Every error Fadecast raises on purpose, as one tree.

    FadecastError
    ├── DataError            something is wrong with data that came from outside
    │   ├── ReadError        a file cannot be read (unknown format, truncated, hostile)
    │   ├── CheckError       data were read but break a rule; carries the findings
    │   └── StoreError       a store folder is missing, damaged or of another version
    ├── ConfigError          a configuration, an argument or a combination of them is wrong
    ├── TrainingError        a training job cannot start or cannot go on
    └── BundleError          a bundle cannot be written, trusted or run
        ├── ParityError      the exported graphs disagree with the trained network
        └── TamperedError    a file of the bundle does not match its recorded hash

A message says what is wrong, where, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FadecastError(Exception):
    """Base of all deliberate errors: ``what`` is wrong, ``where`` it is, ``fix`` how to mend it."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message}. {fix}" if fix else message)


class DataError(FadecastError):
    """Something is wrong with data that came from outside."""


class ReadError(DataError):
    """A file cannot be read."""


class CheckError(DataError):
    """Data were read but break a rule; ``findings`` holds all that ``cell.checks`` found."""

    findings: Sequence[Any] = ()


class StoreError(DataError):
    """A store folder is missing, damaged or of another version."""


class ConfigError(FadecastError):
    """A configuration, an argument or a combination of them is wrong."""


class TrainingError(FadecastError):
    """A training job cannot start or cannot go on."""


class BundleError(FadecastError):
    """A bundle cannot be written, trusted or run."""


class ParityError(BundleError):
    """The exported graphs disagree with the trained network."""


class TamperedError(BundleError):
    """A file of the bundle does not match its recorded hash."""
