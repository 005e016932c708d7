"""A bundle is whole, of this version and for these tables, or it is refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fadecast.errors import BundleError, ParityError, TamperedError
from fadecast.runtime import Session
from fadecast.runtime.arrays import dump, load
from fadecast.runtime.bundle import CARD, FILES, FORECAST, GOLDEN, MANIFEST, SUMMARIZE, seal
from fadecast.runtime.golden import Golden, summary_error, worst_error
from tests.bundles import TAUGHT


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def _reseal(folder: Path, **changes: Any) -> None:
    """Change the manifest as somebody would who knows how the fingerprint is made."""
    import hashlib

    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    for name in manifest["files"]:
        if (folder / name).is_file():
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_bytes(seal(manifest))


def test_it_loads_and_says_what_it_is(session: Session) -> None:
    assert len(session.fingerprint) == 64
    assert session.manifest["end_of_life"] == {
        "fraction": 0.8, "reference": "nominal", "consecutive": 3,
    }  # fmt: skip
    assert session.manifest["training"]["datasets"] == ["made-up"]


def test_a_copy_has_the_same_fingerprint(copy: Path, session: Session) -> None:
    assert Session.load(copy).fingerprint == session.fingerprint


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
@pytest.mark.parametrize("where", [0.0, 0.31, 0.5, 0.77, 1.0])
def test_one_changed_byte_is_refused(copy: Path, name: str, where: float) -> None:
    data = bytearray((copy / name).read_bytes())
    data[round(where * (len(data) - 1))] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError):
        Session.load(copy)


@pytest.mark.parametrize("name", [SUMMARIZE, FORECAST, GOLDEN, CARD])
def test_the_changed_file_is_named(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes() + b"\0")
    with pytest.raises(TamperedError, match=name):
        Session.load(copy)


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        Session.load(copy)


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
def test_an_empty_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"")
    with pytest.raises(BundleError):
        Session.load(copy)


def test_no_folder_and_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        Session.load(tmp_path / "nowhere")
    (tmp_path / MANIFEST).write_text("[1, 2]")
    with pytest.raises(BundleError, match="no Fadecast bundle"):
        Session.load(tmp_path)


@pytest.mark.parametrize(("version", "said"), [(2, "format 2,"), (99, "99 is newer")])
def test_another_format_version_is_refused(copy: Path, version: int, said: str) -> None:
    _reseal(copy, version=version)
    with pytest.raises(BundleError, match=said):
        Session.load(copy)


def test_it_says_which_virtual_sensors_it_was_taught(copy: Path, session: Session) -> None:
    assert session.virtual_sensors == TAUGHT
    assert "anode contact, penetration" in (copy / CARD).read_text()
    for wrong in (["temperature"], list(TAUGHT[::-1]), "penetration", [["penetration"]], None):
        _reseal(copy, virtual_sensors=wrong)
        with pytest.raises(TamperedError, match="virtual sensors"):
            Session.load(copy)
    _reseal(copy, virtual_sensors=[])
    assert Session.load(copy).virtual_sensors == ()


def test_other_tables_are_refused_by_name(copy: Path) -> None:
    tables = json.loads((copy / MANIFEST).read_text())["tables"]
    tables["fields"][0][0] = "capacity.charge.zero"
    _reseal(copy, tables=tables)
    with pytest.raises(BundleError, match="fields"):
        Session.load(copy)


def test_a_file_outside_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.onnx"
    shutil.move(copy / FORECAST, outside)
    (copy / FORECAST).symlink_to(outside)
    with pytest.raises(TamperedError, match="leads out"):
        Session.load(copy)


@pytest.mark.parametrize("name", ["../elsewhere.onnx", "/etc/passwd", "extra.bin"])
def test_a_manifest_that_lists_other_files_is_refused(copy: Path, name: str) -> None:
    files = json.loads((copy / MANIFEST).read_text())["files"]
    _reseal(copy, files=files | {name: "0" * 64})
    with pytest.raises(TamperedError, match="it lists"):
        Session.load(copy)


def test_a_graph_that_is_none_or_the_wrong_one_is_refused(copy: Path) -> None:
    (copy / SUMMARIZE).write_bytes(b"not a graph")
    _reseal(copy)
    with pytest.raises(TamperedError, match="no ONNX graph"):
        Session.load(copy)
    shutil.copy(copy / FORECAST, copy / SUMMARIZE)
    _reseal(copy)
    with pytest.raises(BundleError, match="inputs or outputs"):
        Session.load(copy)


def test_golden_vectors_that_differ_are_a_parity_error(copy: Path) -> None:
    golden = Golden.from_bytes((copy / GOLDEN).read_bytes())
    golden.rul[-1, 2] *= 1.001
    (copy / GOLDEN).write_bytes(golden.to_bytes())
    _reseal(copy)
    with pytest.raises(ParityError, match="rul"):
        Session.load(copy)
    Session.load(copy, verify=False)


def test_golden_vectors_of_wrong_shape_and_hostile_ones(copy: Path) -> None:
    data = (copy / GOLDEN).read_bytes()
    arrays = load(data)
    for wrong in (
        dump(arrays | {"values": arrays["values"][:-1]}), dump(arrays | {"rul": arrays["rul"][1:]}),
        data[:-1], data + b"\0", data[:40], b"\x80\x04K\x01.", data.replace(b"f", b"O", 1),
    ):  # fmt: skip
        (copy / GOLDEN).write_bytes(wrong)
        _reseal(copy)
        with pytest.raises(BundleError):
            Session.load(copy)


def test_golden_vectors_hold_a_whole_life(session: Session) -> None:
    golden = Golden.from_bytes(session.bundle.files[GOLDEN])
    assert golden.cycle_count.tolist() == list(range(1, 13))
    assert golden.valid.all()
    assert len(golden.samples) > 100
    assert Golden.from_bytes(golden.to_bytes()).to_bytes() == golden.to_bytes()


def test_worst_error() -> None:
    assert worst_error(np.array([1.0, 200.0]), np.array([1.5, 100.0])) == 1.0
    assert worst_error(np.zeros(2), np.zeros(3)) == np.inf
    assert worst_error(np.array([np.nan]), np.zeros(1)) == np.inf
    assert worst_error(np.zeros(0), np.zeros(0)) == 0.0
    assert summary_error(np.ones((2, 384)), np.ones((2, 384))) == 0.0


@pytest.mark.parametrize("value", ["NaN", '"\\ud800"', "[" * 950 + "]" * 950])
def test_a_manifest_that_could_not_have_been_written_is_refused(copy: Path, value: str) -> None:
    text = (copy / MANIFEST).read_text().rstrip()
    (copy / MANIFEST).write_text(f'{text[:-1]}, "more": {value}}}')
    with pytest.raises(TamperedError, match=MANIFEST):
        Session.load(copy)


@pytest.mark.parametrize("name", ["graphs", "end_of_life", "training", "versions"])
def test_a_manifest_of_other_shape_is_refused(copy: Path, name: str) -> None:
    _reseal(copy, **{name: [1]})
    with pytest.raises(TamperedError, match=MANIFEST):
        Session.load(copy)


def test_links_in_a_circle_and_impossible_paths(copy: Path) -> None:
    (copy / GOLDEN).unlink()
    (copy / GOLDEN).symlink_to(GOLDEN)
    with pytest.raises(BundleError, match=GOLDEN):
        Session.load(copy)
    with pytest.raises(BundleError, match=MANIFEST):
        Session.load("nul\0byte")
