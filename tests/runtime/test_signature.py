"""Who made a bundle, and of what a graph may be made: each refusal with its reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fadecast.cli import main
from fadecast.errors import BundleError, ConfigError, TamperedError
from fadecast.runtime import Session
from fadecast.runtime.audit import PORTABLE, audit
from fadecast.runtime.bundle import FORECAST, LARGEST, MANIFEST, SUMMARIZE, VERSION, seal
from fadecast.runtime.signature import SIGNATURE, sign


def make_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def reseal(folder: Path, private: Path | None = None, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_bytes(seal(manifest))
    if private is not None:
        (folder / SIGNATURE).write_bytes(sign((folder / MANIFEST).read_bytes(), private))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path)


@pytest.fixture
def signed(bundle: Path, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    folder = Path(shutil.copytree(bundle, tmp_path / "signed"))
    reseal(folder, keys[0])
    return folder


def test_what_is_signed_opens_with_its_key(signed: Path, keys: tuple[Path, Path]) -> None:
    assert Session.load(signed, trust=keys[1]).bundle.signed_by == str(keys[1])
    assert Session.load(signed).bundle.signed_by is None


def test_what_is_not_signed_or_by_another(
    bundle: Path, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="not signed"):
        Session.load(bundle, trust=keys[1])
    with pytest.raises(TamperedError, match="not the signature"):
        Session.load(signed, trust=make_keys(tmp_path, "other")[1])


@pytest.mark.parametrize("where", [0, 31, 32, 63])
def test_a_changed_signature(signed: Path, keys: tuple[Path, Path], where: int) -> None:
    data = bytearray((signed / SIGNATURE).read_bytes())
    data[where] ^= 1
    for wrong in (bytes(data), b"", bytes(data[:-1]), bytes(data) + b"\0"):
        (signed / SIGNATURE).write_bytes(wrong)
        with pytest.raises(TamperedError):
            Session.load(signed, trust=keys[1])


def test_a_forger_who_seals_anew(signed: Path, keys: tuple[Path, Path]) -> None:
    reseal(signed, training={})
    Session.load(signed)
    with pytest.raises(TamperedError, match="not the signature"):
        Session.load(signed, trust=keys[1])


def test_keys_that_are_none(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    elliptic = tmp_path / "p256.pem"
    elliptic.write_bytes(
        generate_private_key(SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for key in (tmp_path / "nowhere", keys[0], signed / MANIFEST, elliptic):
        with pytest.raises(ConfigError):
            Session.load(signed, trust=key)


def test_a_version_from_the_future_and_an_oversize_file(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    reseal(signed, keys[0], version=VERSION + 1)
    with pytest.raises(BundleError, match="newer"):
        Session.load(signed, trust=keys[1])
    with (signed / FORECAST).open("r+b") as file:
        file.truncate(LARGEST + 1)
    reseal(signed, keys[0], version=VERSION)
    with pytest.raises(TamperedError, match="larger"):
        Session.load(signed, trust=keys[1])


def _loop(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def _domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def _external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")


def _located(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def _inner(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "x"


def _hidden(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.external_data.add(key="location", value="x")


def _function(model: onnx.ModelProto) -> None:
    model.functions.add(name="x")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_loop, "Loop"), (_domain, "not on the list"), (_external, "outside"),
        (_located, "outside"), (_inner, "graph of its own"), (_hidden, "outside"),
        (_function, "functions"),
    ],
)  # fmt: skip
def test_a_signed_graph_that_must_not_run(
    signed: Path,
    keys: tuple[Path, Path],
    change: Callable[[onnx.ModelProto], None],
    reason: str,
) -> None:
    model = onnx.load_from_string((signed / SUMMARIZE).read_bytes())
    change(model)
    (signed / SUMMARIZE).write_bytes(model.SerializeToString())
    reseal(signed, keys[0])
    with pytest.raises(TamperedError, match=reason):
        Session.load(signed, trust=keys[1])


def test_graphs_of_the_bundle_pass_and_cut_ones_do_not(session: Session) -> None:
    for name in (SUMMARIZE, FORECAST):
        data = session.bundle.files[name]
        assert audit(data) == ""
        assert {n.op_type for n in onnx.load_from_string(data).graph.node} <= PORTABLE
        assert all(audit(data[:length]) for length in range(0, 2000, 37))


def test_the_command(
    bundle: Path, signed: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in (
        ([str(signed), "--key", str(keys[1])], 0), ([str(bundle), "--allow-unsigned"], 0),
        ([str(bundle), "--key", str(keys[1])], 2), ([str(bundle)], 2),
        ([str(signed), "--key", str(keys[1]), "--allow-unsigned"], 2),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(["verify", *arguments])
        assert end.value.code == code, arguments
    assert "signed by" in capsys.readouterr().out
