"""Every raw cycler file at hand: read, and its numbers confirmed by a route of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fadecast.cell.cycles import GAP_SECOND
from fadecast.errors import ReadError
from fadecast.sources import READERS, detect, read
from fadecast.sources.part import Part
from fadecast.sources.readers import read_file
from tests.sources.cells import spec

READER = {
    "neware_small.ndax": "neware", "neware_m50t.ndax": "neware", "neware_issue72.nda": "neware",
    "biologic_gcpl.mpr": "biologic-mpr", "maccor_two.txt": "maccor",
    "arbin_calce_CS2_35_8_18_10.xlsx": "arbin", "arbin_calce_CS2_35_9_8_10.xlsx": "arbin",
    "landt_ligr_r2032.csv": "landt", "legacy.bdf.parquet": "bdf",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(recorded_data: Path) -> Path:
    return recorded_data / "cycler_files"


@pytest.fixture(scope="module")
def part(folder: Path):
    seen: dict[str, Part] = {}

    def load(name: str) -> Part:
        if name not in seen:
            (one,) = read_file(folder / name, detect(folder / name))
            assert isinstance(one, Part)
            seen[name] = one
        return seen[name]

    return load


def codes(one: Part) -> set[str]:
    return {finding.code for finding in one.findings}


def charge_ah(one: Part, rows: slice | np.ndarray = slice(None)) -> float:
    time, ampere = one.columns["test_time_second"][rows], one.columns["current_ampere"][rows]
    hours = np.diff(time) / 3600
    hours[hours > GAP_SECOND / 3600] = 0
    return float((0.5 * (ampere[1:] + ampere[:-1]) * hours).sum())


def test_every_file_is_read_and_none_was_forgotten(folder: Path) -> None:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == set(READER)
    for name, reader in READER.items():
        assert detect(folder / name) == reader
        assert reader in READERS
        (one,) = read(folder / name, {Path(name).stem: spec(Path(name).stem)})
        assert one.samples is not None
        assert one.metadata.source == reader


def test_a_file_without_a_declared_design_says_what_to_add(folder: Path) -> None:
    with pytest.raises(ReadError, match=r"design of cell 'neware_small'.*--cells"):
        read(folder / "neware_small.ndax")


def test_neware_ndax(part) -> None:
    """A 5 Ah cell at C/10 … 1C: capacities as the protocol implies, counters agree (no finding)."""
    one = part("neware_m50t.ndax")
    assert len(one) == 77745
    assert codes(one) == set()  # integrated current is within 3 % of the cycler's counters
    assert one.columns["cycle_count"][-1] == 8
    step = one.columns["step_count"]
    assert charge_ah(one, step == 6) == pytest.approx(-4.7175, abs=1e-3)
    volt = one.columns["voltage_volt"]
    assert volt.min() > 2.49
    assert volt.max() < 4.201
    assert np.allclose(
        np.diff(one.columns["unix_time_second"]),
        np.diff(one.columns["test_time_second"]),
        atol=1e-3,
    )


def test_neware_nda_with_a_power_cut(part) -> None:
    one = part("neware_issue72.nda")
    assert codes(one) == set()
    step = one.columns["step_count"]
    assert charge_ah(one, step == 7) == pytest.approx(-5.8066, abs=1e-3)
    passed = np.diff(one.columns["unix_time_second"])
    assert passed.min() < 0  # the cycler's clock was set back
    assert passed.max() == pytest.approx(16969, abs=1)  # and the power was out for 4.7 h
    assert (np.diff(one.columns["test_time_second"]) >= 0).all()


def test_newarenda_agrees_on_neware(folder: Path, part) -> None:
    other = pytest.importorskip("NewareNDA")
    for name in ("neware_m50t.ndax", "neware_issue72.nda", "neware_small.ndax"):
        table, one = other.read(str(folder / name)), part(name)
        np.testing.assert_allclose(one.columns["voltage_volt"], table["Voltage"], rtol=1e-6)
        np.testing.assert_allclose(
            one.columns["current_ampere"], table["Current(mA)"] / 1e3, rtol=1e-6
        )
        wall = table["Timestamp"].astype("int64").to_numpy() / 1e9
        np.testing.assert_allclose(one.columns["unix_time_second"], wall, atol=0.01)


def test_biologic_mpr_at_rest(part) -> None:
    """Four points at open circuit: charge and current are exactly 0, time steps are 1 s."""
    one = part("biologic_gcpl.mpr")
    np.testing.assert_allclose(one.columns["test_time_second"], [0, 1, 2, 2.813], atol=1e-3)
    np.testing.assert_allclose(one.columns["voltage_volt"], 3.515, atol=1e-3)
    assert not one.columns["current_ampere"].any()
    assert one.started == pytest.approx(1725284972.494, abs=1)  # 2024-09-02 13:49:32


def test_maccor_time_is_in_minutes_and_the_cut_row_is_told(part) -> None:
    one = part("maccor_two.txt")
    assert len(one) == 213
    assert codes(one) == {"cut_off", "ambiguous_date"}
    assert one.columns["test_time_second"][-1] == 212 * 60
    passed = one.columns["unix_time_second"][-1] - one.started
    assert passed == pytest.approx(one.columns["test_time_second"][-1], abs=1)
    assert one.started == 1620300226  # 6 May 2021, day first as in the rest of the file
    np.testing.assert_allclose(one.columns["voltage_volt"][:2], [0.1377, 0.1385])


@pytest.mark.parametrize(
    ("name", "cycles", "discharged"),
    [("arbin_calce_CS2_35_8_18_10.xlsx", 1, 1.14), ("arbin_calce_CS2_35_9_8_10.xlsx", 7, 7.1)],
)
def test_arbin(part, name: str, cycles: int, discharged: float) -> None:
    """A 1.1 Ah cell at 1 C: the counters agree, and so does the wall clock."""
    one = part(name)
    assert codes(one) == set()
    assert one.columns["cycle_count"][-1] == cycles
    flow = {"test_time_second": one.columns["test_time_second"]}
    flow["current_ampere"] = np.minimum(one.columns["current_ampere"], 0)
    assert -charge_ah(Part(flow)) == pytest.approx(discharged, rel=0.05)
    wall = np.diff(one.columns["unix_time_second"])
    assert abs(wall - np.diff(one.columns["test_time_second"])).max() < 120
    assert np.median(wall / np.diff(one.columns["test_time_second"])) == pytest.approx(1, abs=0.02)


def test_landt_has_no_pressure_sensor_and_a_coarse_current(part) -> None:
    one = part("landt_ligr_r2032.csv")
    assert codes(one) == {"no_sensor", "counter_disagrees"}
    assert "surface_pressure_pa" not in one.columns
    assert len(np.unique(one.columns["current_ampere"])) == 3  # resolved to 0.1 mA
    falls = one.columns["step_count"] == 2
    assert one.columns["current_ampere"][falls].max() < 0
    assert np.ptp(one.columns["voltage_volt"][falls]) > 2


def test_legacy_bdf(part) -> None:
    """Time in ms and a wall clock in ms become seconds and agree."""
    one = part("legacy.bdf.parquet")
    time, wall = one.columns["test_time_second"], one.columns["unix_time_second"]
    assert time[-1] == pytest.approx(148781.953)
    np.testing.assert_allclose(wall - wall[0], time, atol=1e-3)
    assert one.columns["cycle_count"].tolist() == sorted(one.columns["cycle_count"])
    assert (one.columns["ambient_temperature_celsius"] == 25).all()
