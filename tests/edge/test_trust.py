"""The C++ program trusts what the Python runtime trusts, and nothing else."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from pathlib import Path

import onnx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fadecast.runtime.audit import PORTABLE, audit
from fadecast.runtime.bundle import FILES, FORECAST, GOLDEN, MANIFEST, SUMMARIZE, VERSION
from fadecast.runtime.signature import SIGNATURE
from tests.edge.program import SOURCE, Program
from tests.runtime.test_signature import make_keys, reseal

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1: secret, public, message, signature.
VECTORS = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


def in_python(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def ask(program: Program, cases: list[tuple[bytes, bytes, bytes]]) -> list[bool]:
    lines = [f"verify {key.hex()} {sig.hex()} {message.hex()}" for key, sig, message in cases]
    return [answer == "1" for answer in program.ask(lines)]


def test_hashes(program: Program) -> None:
    rng = random.Random(0)
    messages = [rng.randbytes(n) for n in (*range(1, 260), 1000, 4096)]
    found = program.ask([f"hash {message.hex()}" for message in messages] + ["hash "])
    for message, answer in zip([*messages, b""], found, strict=True):
        expected = hashlib.sha256(message).hexdigest(), hashlib.sha512(message).hexdigest()
        assert tuple(answer.split()) == expected


def test_published_vectors(program: Program) -> None:
    cases = [tuple(map(bytes.fromhex, (key, sig, msg))) for _, key, msg, sig in VECTORS]
    for (secret, key, _, _), (raw, _, _) in zip(VECTORS, cases, strict=True):
        made = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).public_key()
        assert made.public_bytes_raw().hex() == key == raw.hex()
    assert ask(program, cases) == [True] * len(cases)


def test_random_signatures_and_changed_ones(program: Program) -> None:
    rng = random.Random(1)
    cases = []
    for n in range(60):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        public, message = key.public_key().public_bytes_raw(), rng.randbytes(n)
        signature = key.sign(message)
        cases.append((public, signature, message))
        for place in range(3):
            parts = [bytearray(part) for part in (public, signature, message + b"x" * (n == 0))]
            at = rng.randrange(8 * len(parts[place]))
            parts[place][at // 8] ^= 1 << at % 8
            cases.append(tuple(map(bytes, parts)))
    expected = [in_python(*case) for case in cases]
    assert ask(program, cases) == expected
    assert sum(expected) == 60


def test_malleable_and_not_canonical_ones_are_refused(program: Program) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, message = key.public_key().public_bytes_raw(), b"manifest"
    signature = key.sign(message)
    scalar = int.from_bytes(signature[32:], "little")
    cases = [(public, signature[:32] + (scalar + ORDER * k).to_bytes(32, "little"), message)
             for k in range(1, 8)]  # fmt: skip
    small = [
        0,
        1,
        P - 1,
        P,
        P + 1,
    ]  # the identity, points of small order, and their other spellings
    small += [int("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", 16)]
    for y in small:
        for sign in (0, 1 << 255):
            point = (y | sign).to_bytes(32, "little")
            cases.append((point, signature, message))
            cases.append((point, point + bytes(32), message))
            cases.append((public, point + signature[32:], message))
    assert not any(ask(program, cases))


def test_graphs_are_audited_alike(program: Program, bundle: Path) -> None:
    rng = random.Random(2)
    graphs = []
    for name in (SUMMARIZE, FORECAST):
        data = (bundle / name).read_bytes()[:30_000]
        graphs += [(bundle / name).read_bytes(), data]
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            graphs.append(bytes(changed))
    model = onnx.load_from_string((bundle / SUMMARIZE).read_bytes())
    model.graph.initializer[0].external_data.add(key="location", value="x")
    graphs += [model.SerializeToString(), b"", b"\x3a"]
    found = [not re.fullmatch("fine", a) for a in program.ask([f"audit {g.hex()}" for g in graphs])]
    assert found == [bool(audit(graph)) for graph in graphs]


def test_the_lists_of_operators_are_one() -> None:
    text = (SOURCE / "src" / "audit.cpp").read_text()
    assert set(re.findall(r'"([A-Z]\w+)"', text.split("kPortable")[1].split("};")[0])) == PORTABLE


def refused(program: Program, folder: Path, *options: str | Path) -> str:
    run = program.run(folder, "--verify", *options)
    assert run.returncode == 65, (run.stdout, run.stderr)
    return run.stderr


def test_what_is_refused_and_why(program: Program, bundle: Path, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path)
    assert "not signed" in refused(program, bundle, "--key", public)
    signed = Path(shutil.copytree(bundle, tmp_path / "signed"))
    reseal(signed, private)
    run = program.run(signed, "--verify", "--key", public)
    assert run.returncode == 0, run.stderr
    other = make_keys(tmp_path, "other")[1]
    assert "not the signature" in refused(program, signed, "--key", other)
    for name in (MANIFEST, SIGNATURE, *FILES):
        data = (signed / name).read_bytes()
        (signed / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        refused(program, signed, "--key", public)
        (signed / name).write_bytes(data)
    reseal(signed, private, version=VERSION + 1)
    assert "newer" in refused(program, signed, "--key", public)
    reseal(signed, private, version=VERSION)
    (signed / GOLDEN).write_bytes((signed / GOLDEN).read_bytes()[:-1])
    reseal(signed, private)
    assert "golden" in refused(program, signed, "--key", public)


@pytest.mark.parametrize("options", [[], ["--key", "nowhere"], ["--key", "x", "--allow-unsigned"]])
def test_it_must_be_told_whom_to_trust(program: Program, bundle: Path, options: list[str]) -> None:
    assert program.run(bundle, "--verify", *options).returncode == 64
