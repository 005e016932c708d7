"""Published data sets by download: every file verified by its checksum, an interrupted download
goes on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from fadecast.errors import ConfigError, ReadError
from fadecast.sources.vendor import library

Progress = Callable[[int, int, str], None]
ATTEMPTS: Final = 3
"""How often a file is tried before giving up."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A published set of files.

    Args:
        what: the set in words, with its licence.
        base_url: where the files are; fixed to one version of them.
        files: resource of this package with a path and a ``sha256:…`` in every line.
    """

    what: str
    base_url: str
    files: str

    def registry(self) -> dict[str, str]:
        """Checksum by path below ``base_url``."""
        text = resources.files("fadecast.sources").joinpath(self.files).read_text("utf-8")
        pairs = (line.split(" ", 1) for line in text.splitlines() if line.strip())
        return dict(pairs)


DATASETS: Final[dict[str, Dataset]] = {
    "matr": Dataset(
        "MATR: discharge curves of 124 LFP/graphite cells, 94 MB (MIT licence)",
        "https://raw.githubusercontent.com/petermattia/revisit-severson-et-al/"
        "3a77c7d513126e921896315038d0f8f2645e440d/",
        "matr_files.txt",
    ),
}
"""What can be downloaded, by name."""


def get(
    name: str, folder: Path, *, base_url: str | None = None, progress: Progress | None = None
) -> Path:
    """Download a data set, or what is still missing of it.

    Args:
        name: one of ``DATASETS``.
        folder: where to put it, under ``name``; ``ingest`` reads that folder.
        base_url: a mirror to use instead of the publisher.
        progress: called with files done, files in all, and the next file.

    Returns:
        The folder of the data set.

    Raises:
        ConfigError: the name is not known, or pooch is not installed.
        ReadError: a file cannot be had or does not match its checksum.
    """
    if name not in DATASETS:
        raise ConfigError(f"data set {name!r} is not known", fix=f"Known: {', '.join(DATASETS)}")
    pooch = library("pooch")
    pooch.get_logger().setLevel(logging.ERROR)
    registry = DATASETS[name].registry()
    url = base_url or DATASETS[name].base_url
    target = folder / name
    fetcher = pooch.create(
        path=target, base_url=url.rstrip("/") + "/", registry=registry,
        retry_if_failed=ATTEMPTS - 1,
    )  # fmt: skip
    for done, path in enumerate(registry):
        if progress:
            progress(done, len(registry), path)
        try:
            fetcher.fetch(path)
        except ValueError as error:  # pooch: the checksum differs, and the file was thrown away
            raise ReadError(
                "what was downloaded does not match its checksum", where=path,
                fix="Try again; if it happens again, the publisher or a proxy changed the file",
            ) from error  # fmt: skip
        except Exception as error:  # whatever the transport raises
            raise ReadError(
                f"cannot be downloaded from {url} ({type(error).__name__})", where=path,
                fix="Check the connection and run the command again: it goes on where it stopped",
            ) from error  # fmt: skip
    if progress:
        progress(len(registry), len(registry), "")
    return target
