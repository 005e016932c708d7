"""The recorded sets: what was published arrives, what was not is masked, outliers are not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import torch

from fadecast.cell.checks import check_strict
from fadecast.cell.life import EndOfLife, find_life
from fadecast.cell.record import CellRecord
from fadecast.cell.store import data_digest
from fadecast.cell.summaries import BINS, FIELDS, INDEX
from fadecast.network.summary import Summary
from fadecast.sources import read
from fadecast.sources.matr import VOLTAGE, curve_fields
from fadecast.sources.matr import record as matr_record
from tests.sources.cells import spec

FILES = {
    "matr": "matr/matr_qdlin.parquet",
    "hust": "hust/hust_cycles.parquet",
    "xjtu": "xjtu/xjtu_cycles.parquet",
    "samsung30q": "samsung30q_strain/samsung30q_strain_10s.parquet",
    "lpscl_tohoku": "lpscl_tohoku/tohoku_cell1_LPSCl_capacity_per_cycle.csv",
    "assb_nmc811_liin": "assb_nmc811_liin/cycle5.csv",
}
CELLS = {"matr": 124, "hust": 77, "xjtu": 55, "samsung30q": 3, "lpscl_tohoku": 1,
         "assb_nmc811_liin": 1}  # fmt: skip


@pytest.fixture(scope="module")
def sets(recorded_data: Path) -> dict[str, dict[str, CellRecord]]:
    return {
        name: {one.spec.cell_id: one for one in read(recorded_data / file)}
        for name, file in FILES.items()
    }


def test_all_cells_arrive_and_pass_the_strict_checks(sets) -> None:
    assert {name: len(cells) for name, cells in sets.items()} == CELLS
    for name, cells in sets.items():
        for one in cells.values():
            check_strict(one)
            assert one.metadata.source == name
            assert one.metadata.licence


def test_matr_is_as_published(sets, recorded_data: Path) -> None:
    splits = [one.metadata.split for one in sets["matr"].values()]
    assert {s: splits.count(s) for s in set(splits)} == {"train": 41, "test1": 43, "test2": 40}
    assert sets["matr"]["matr-test1-22"].metadata.published_life.cycle == 148
    table = pq.read_table(
        recorded_data / FILES["matr"], filters=[("cell_id", "=", "train-05")]
    ).sort_by("cycle_index")
    curves = np.array(table["discharge_capacity_ah"].to_pylist())
    one = sets["matr"]["matr-train-05"]
    np.testing.assert_allclose(
        one.summaries.field("discharge_throughput") * 1.1, curves[:, -1], rtol=1e-6
    )
    binned = sum(one.summaries.field(f"capacity.discharge.{k:02d}") for k in range(BINS))
    np.testing.assert_allclose(binned * 1.1, curves[:, -1] - curves[:, 0], atol=1e-5)
    seen = one.summaries.observed.any(0)
    known = {n for n in FIELDS if ".discharge." in n and n.split(".")[0] in ("capacity", "energy")}
    assert {n for n in FIELDS if seen[INDEX[n]]} == known | {
        "discharge_throughput", "discharge_energy",
    }  # fmt: skip


def test_matr_outliers_are_masked_not_filled(sets) -> None:
    for cell, cycle in (("train-02", 12), ("train-09", 13), ("test1-03", 12), ("test1-09", 13)):
        one = sets["matr"][f"matr-{cell}"].summaries
        at = one.cycle_count == cycle
        assert not one.observed[at].any()
        assert np.nanmax(one.field("discharge_throughput")) < 1.1
    broken = sets["matr"]["matr-train-16"].summaries
    at = broken.cycle_count == 73  # the curve is broken, its end is right
    assert np.isnan(broken.field("capacity.discharge.05")[at]).all()
    assert broken.field("discharge_throughput")[at] == pytest.approx(0.9654, abs=1e-3)
    masked = sum(int(one.metadata.notes["masked_cycles"]) for one in sets["matr"].values())
    assert 30 <= masked <= 50


def test_matr_masking_looks_only_back(recorded_data: Path) -> None:
    table = pq.read_table(
        recorded_data / FILES["matr"], filters=[("cell_id", "in", ["test1-39", "train-09"])]
    )
    curves = np.array(table["discharge_capacity_ah"].to_pylist(), np.float32)
    names = np.array(table["cell_id"].to_pylist())
    cycles = table["cycle_index"].to_numpy()
    for cell in ("test1-39", "train-09"):
        rows = names == cell
        whole = matr_record(cell, cycles[rows], curves[rows], 100).summaries
        for cut in (3, 12, 13, 50, 80):
            part = matr_record(cell, cycles[rows][:cut], curves[rows][:cut], 100).summaries
            np.testing.assert_array_equal(part.values, whole.values[:cut])
            np.testing.assert_array_equal(part.observed, whole.observed[:cut])


def test_binning_a_curve_is_binning_the_samples_of_that_discharge() -> None:
    """The published curve of a discharge gives what the cycle summary makes of its samples."""
    one = spec(nominal_capacity_ah=1.1, voltage_min_v=2.0, voltage_max_v=3.6)
    shape = 1.06 / (1 + np.exp(-(3.25 - VOLTAGE) / 0.04))
    capacity = shape - shape[0]
    hours = capacity / 1.1  # at 1 C
    samples = np.zeros((1, len(VOLTAGE), 6), np.float32)
    samples[0, :, 0] = np.diff(hours, prepend=0) * 3600
    samples[0, :, 1], samples[0, :, 2] = VOLTAGE, -1.1
    observed = np.zeros((1, len(VOLTAGE), 4), np.float32)
    observed[..., 0] = 1
    summary = Summary()
    tensors = [torch.from_numpy(a) for a in (samples, observed, one.window[None])]
    values, _ = summary.read(summary.digest(*tensors))
    for name, binned in curve_fields(VOLTAGE, capacity[None], one):
        assert float(values[0, INDEX[name]]) == pytest.approx(float(binned[0]), abs=2e-5), name


def published_folder(root: Path, source: Path, cells: list[str]) -> Path:
    """The publisher's folder layout, written from the Parquet table."""
    table = pq.read_table(source)
    lives: dict[str, dict[int, float]] = {}
    for cell, life in zip(
        table["cell_id"].to_pylist(), table["cycle_life"].to_pylist(), strict=True
    ):
        split, number = cell.split("-")
        lives.setdefault(split, {})[int(number)] = life
    (root / "cycle_lives").mkdir(parents=True)
    for split, numbers in lives.items():
        text = "".join(f"{numbers[n]:.0f}\n" for n in sorted(numbers))
        (root / "cycle_lives" / f"{split}_cycle_lives.csv").write_text(text)
    for cell in cells:
        rows = table.filter(np.array(table["cell_id"].to_pylist()) == cell).sort_by("cycle_index")
        split, number = cell.split("-")
        (root / split).mkdir(exist_ok=True)
        curves = np.array(rows["discharge_capacity_ah"].to_pylist())
        np.savetxt(root / split / f"cell{int(number)}.csv", curves.T, "%.9g", ",")
    return root


def test_matr_as_published_gives_the_same_records(sets, recorded_data: Path, tmp_path) -> None:
    cells = ["train-01", "train-09", "test2-40"]
    folder = published_folder(tmp_path / "data", recorded_data / FILES["matr"], cells)
    for cell in cells:
        split, number = cell.split("-")
        (one,) = read(folder / split / f"cell{int(number)}.csv")
        same = sets["matr"][f"matr-{cell}"]
        assert one.metadata == same.metadata
        assert data_digest(one) == data_digest(same)


def test_hust_and_xjtu(sets, recorded_data: Path) -> None:
    for name, nominal, low, high in (("hust", 1.1, 2.0, 3.6), ("xjtu", 2.0, 2.5, 4.2)):
        table = pq.read_table(recorded_data / FILES[name]).to_pylist()
        cell = table[0]["cell_id"]
        raw = [row for row in table if row["cell_id"] == cell]
        one = sets[name][f"{name}-{cell}"]
        assert one.summaries.cycle_count.tolist() == list(range(1, len(raw) + 1))
        first = {field: float(one.summaries.field(field)[0]) for field in FIELDS}
        assert first["discharge_throughput"] == pytest.approx(raw[0]["capacity"] / nominal)
        assert first["top_voltage_mean"] == pytest.approx(
            (raw[0]["voltage_mean"] - low) / (high - low)
        )
        assert first["top_time"] == pytest.approx(raw[0]["cc_charge_time"] / 3600)
        # the constant current: charge over time is one C-rate, at the last 0.2 V
        rate = first["top_capacity"] / first["top_time"]
        assert rate == pytest.approx(1.0 if name == "hust" else 2.0, rel=0.01)
        assert 0.1 / nominal < first["hold_rate_mean"] < 0.5 / nominal
        mean = first["hold_capacity"] / first["hold_time"]
        assert mean == pytest.approx(first["hold_rate_mean"], rel=0.1)
        assert 1 - 0.2 / (high - low) < first["top_voltage_mean"] < 1


def test_lives(sets) -> None:
    """HUST ends at its life; most XJTU cells are censored; MATR lives are the published ones."""
    hust = sets["hust"].values()
    assert all(find_life(o.summaries, o.metadata, EndOfLife()).failed for o in hust)
    assert all(find_life(o.summaries, o.metadata, EndOfLife()).cycle == len(o.summaries)
               for o in hust)  # fmt: skip
    assert all(o.summaries.field("discharge_throughput")[-1] == pytest.approx(0.8, abs=0.03)
               for o in hust)  # fmt: skip
    xjtu = [find_life(o.summaries, o.metadata, EndOfLife()) for o in sets["xjtu"].values()]
    assert sum(not life.failed for life in xjtu) >= 40


def test_samsung_strain_is_strain(sets, recorded_data: Path) -> None:
    cells = sets["samsung30q"]
    assert {c: len(np.unique(o.samples["cycle_count"])) for c, o in cells.items()} == {
        "samsung30q-cell1": 387, "samsung30q-cell2": 361, "samsung30q-cell3": 355,
    }  # fmt: skip
    raw = pq.read_table(recorded_data / FILES["samsung30q"]).to_pandas()
    for cell, one in cells.items():
        assert "hoop_strain_dimensionless" in one.samples
        assert not [n for n in one.samples if "pressure" in n]
        assert (np.diff(one.samples["test_time_second"]) >= 0).all()
        rows = raw[raw.cell_id == cell.removeprefix("samsung30q-")]
        np.testing.assert_array_equal(one.samples["hoop_strain_dimensionless"], rows.hoop_strain)
        np.testing.assert_array_equal(one.samples["current_ampere"], rows.current_a)


def test_solid_state_cells(sets) -> None:
    lpscl = sets["lpscl_tohoku"]["lpscl-tohoku-cell1"]
    capacity = lpscl.summaries.field("discharge_throughput")
    assert len(lpscl.summaries) == 477
    assert capacity[0] == pytest.approx(1.03696, abs=1e-4)  # 103.7 of 100 mAh/g
    assert capacity[lpscl.summaries.cycle_count == 430] < 0.2  # the dip is kept as measured
    assert (lpscl.spec.anode, lpscl.spec.electrolyte) == ("indium_lithium", "sulfide")
    cycle = sets["assb_nmc811_liin"]["assb-nmc811-liin"]
    assert len(cycle.samples["voltage_volt"]) == 925
    hours = np.diff(cycle.samples["test_time_second"], prepend=0) / 3600
    charge = np.maximum(cycle.samples["current_ampere"], 0) @ hours
    assert charge / cycle.spec.nominal_capacity_ah == pytest.approx(1, rel=1e-3)


BASE_ONLY = """
import sys
from pathlib import Path

class Forbid:
    heavy = {"torch", "pandas", "polars", "sklearn", "mlflow", "fastnda", "fastexcel", "pooch"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.heavy:
            raise ImportError(name)

sys.meta_path.insert(0, Forbid())
from fadecast.errors import ConfigError
from fadecast.sources import read
for path in sys.argv[2:]:
    assert read(Path(path))
try:
    read(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


def test_the_base_install_is_enough(recorded_data: Path) -> None:
    """Recorded sets need numpy and pyarrow only; other files say what to install."""
    neware = recorded_data / "cycler_files" / "neware_small.ndax"
    sets = [str(recorded_data / FILES[name]) for name in ("xjtu", "lpscl_tohoku", "samsung30q")]
    done = subprocess.run(
        [sys.executable, "-c", BASE_ONLY, str(neware), *sets],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'pip install "fadecast[sources]"' in done.stdout


def test_csv_round_trips_the_published_precision(recorded_data: Path, tmp_path: Path) -> None:
    """A float32 written with nine digits is read back as itself (the publisher's own precision)."""
    curve = pq.read_table(recorded_data / FILES["matr"])["discharge_capacity_ah"][0].as_py()
    np.savetxt(tmp_path / "c.csv", np.array(curve)[:, None], "%.9g")
    options = pcsv.ReadOptions(autogenerate_column_names=True)
    back = pcsv.read_csv(tmp_path / "c.csv", options).column(0).to_numpy().astype(np.float32)
    assert (back == np.array(curve, np.float32)).all()
