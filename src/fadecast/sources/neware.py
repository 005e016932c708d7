"""Neware ``.nda`` and ``.ndax`` files, through fastnda.

fastnda was chosen over NewareNDA because its total time has one meaning in both formats (NewareNDA
gives step time for .ndax and test time for .nda) and because it needs no pandas.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from fadecast.cell.checks import Finding
from fadecast.sources.layout import Layout
from fadecast.sources.part import Part, make_part
from fadecast.sources.vendor import guarded, library

LAYOUT: Final = Layout(
    columns={
        "total_time_s": ("test_time_second", "s"),
        "voltage_V": ("voltage_volt", "V"),
        "current_mA": ("current_ampere", "mA"),
        "unix_time_s": ("unix_time_second", "s"),
        "cycle_count": ("cycle_count", "1"),
        "step_count": ("step_count", "1"),
        "aux_temperature_degC": ("surface_temperature_celsius", "°C"),
        "aux1_temperature_degC": ("surface_temperature_celsius", "°C"),
    },
    signature=("total_time_s", "voltage_V", "current_mA"),
    counters={"capacity_mAh": ("net", "mAh")},
)

_WITH_SUMMARY: Final = 129


def read(path: Path) -> list[Part]:
    """The file as one part; the first auxiliary temperature is the surface temperature.

    Raises:
        ConfigError: fastnda is not installed.
        ReadError: the file is damaged.
    """
    fastnda = library("fastnda")
    # What it warns of (a wall clock going back) is found by cell.checks too, and told there.
    logging.getLogger("fastnda").setLevel(logging.ERROR)
    frame = guarded(path, lambda: fastnda.read(str(path)))
    wanted = [n for n in frame.columns if n in LAYOUT.columns or n in LAYOUT.counters]
    table = {name: frame[name].to_numpy() for name in wanted}
    net = LAYOUT.counted(table, "net")  # counts up while charging, down while discharging
    return [
        make_part(
            LAYOUT.settle(table),
            charged_ah=None if net is None else np.maximum(net, 0.0),
            discharged_ah=None if net is None else np.maximum(-net, 0.0),
            findings=_cut_off(fastnda, path, frame.height) if path.suffix == ".nda" else (),
        )
    ]


def _cut_off(fastnda: Any, path: Path, rows: int) -> Iterator[Finding]:
    """An .nda of BTS 9 ends in a summary with the number of its points; cut off, it lacks it."""
    facts = guarded(path, lambda: fastnda.read_metadata(str(path))) or {}
    if facts.get("nda_version", 0) >= _WITH_SUMMARY and facts.get("num_datapoints") != rows:
        yield Finding(
            "warning", "cut_off", "end of file",
            f"{rows} points and no closing summary that says so",
            "Later data may be missing; copy the file again from the cycler",
        )  # fmt: skip
