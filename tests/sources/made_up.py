"""What tests of formats share: the made-up cell, and reading a file as a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fadecast.sources import detect
from fadecast.sources.part import Part
from fadecast.sources.readers import read_file
from tests.sources.cells import columns

GOOD = columns(3)
N = len(GOOD["voltage_volt"])


def part_of(path: Path, reader: str) -> Part:
    """The one part of a file, whose format is detected as ``reader``."""
    assert detect(path) == reader
    (one,) = read_file(path, reader)
    assert isinstance(one, Part)
    return one


def assert_good(one: Part, tolerance: float = 1e-6) -> None:
    """Time, voltage and current are those of the made-up cell."""
    for name in ("test_time_second", "voltage_volt", "current_ampere"):
        np.testing.assert_allclose(one.columns[name], GOOD[name], atol=tolerance, err_msg=name)


def dates(form: str) -> list[str]:
    """Wall-clock texts of the samples, from 6 May 2021 on."""
    start = np.datetime64("2021-05-06T11:00:00")
    stamps = start + GOOD["test_time_second"].astype("timedelta64[s]")
    return [stamp.item().strftime(form) for stamp in stamps]
