"""Who made a bundle: an Ed25519 signature (RFC 8032) over ``manifest.json``, checked offline.

The manifest holds the hash of every file, so a signature of it covers all. Keys are PEM files as
``openssl genpkey -algorithm ed25519`` writes them. ``cryptography`` is loaded only where a
signature is made or checked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from fadecast.errors import BundleError, ConfigError, TamperedError

SIGNATURE: Final = "manifest.sig"
SIZE: Final = 64
_FIX: Final = "Make keys with: openssl genpkey -algorithm ed25519"


def sign(manifest: bytes, key: str | os.PathLike[str]) -> bytes:
    """The 64 bytes of ``manifest.sig``, made with the private key in the PEM file ``key``.

    Raises:
        ConfigError: no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = _load(key, lambda pem: load_pem_private_key(pem, None), "private")
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("this is no Ed25519 key", where=str(key), fix=_FIX)
    return private.sign(manifest)


def check(
    manifest: bytes, signature: bytes | None, key: str | os.PathLike[str], where: str
) -> None:
    """Accept only what the owner of the public key in the PEM file ``key`` signed.

    Raises:
        ConfigError: no such key.
        BundleError: there is no signature.
        TamperedError: the signature is not of this key and this manifest.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = _load(key, load_pem_public_key, "public")
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigError("this is no Ed25519 key", where=str(key), fix=_FIX)
    if signature is None:
        raise BundleError(
            "the bundle is not signed", where=where,
            fix="Export it with --key, or allow unsigned bundles explicitly",
        )  # fmt: skip
    try:
        public.verify(signature, manifest)
    except InvalidSignature:
        raise TamperedError(
            f"{SIGNATURE} is not the signature of this manifest by the key in {key}",
            where=where, fix="Do not use it; take the bundle and the key from where you trust",
        ) from None  # fmt: skip


def _load(key: str | os.PathLike[str], parse: Any, kind: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return parse(Path(key).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the {kind} key cannot be read ({error.strerror})", where=str(key), fix=_FIX
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"this is no {kind} key ({error})", where=str(key), fix=_FIX) from None
