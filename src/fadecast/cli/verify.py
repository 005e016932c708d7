"""``fadecast verify``: whether a bundle may be trusted and computes here what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fadecast.errors import ConfigError


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of an exported bundle.")],
    key: Annotated[
        Path | None, typer.Option(help="Public key (PEM, Ed25519) that must have signed it.")
    ] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Do without a signature.")
    ] = False,
) -> None:
    """Check a bundle: signature, hashes, operators, and its golden vectors on this machine."""
    from fadecast.runtime import Session

    if (key is None) != allow_unsigned:
        raise ConfigError(
            "nothing says whom to trust" if key is None else "--key and --allow-unsigned exclude",
            fix="Give --key PUBLIC.pem, or --allow-unsigned for a bundle of your own making",
        )
    session = Session.load(bundle, trust=key)
    typer.echo(f"{bundle}: {session.fingerprint}, {f'signed by {key}' if key else 'unsigned'}")
