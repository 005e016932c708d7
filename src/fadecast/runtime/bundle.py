"""A bundle on disk: a folder of files that says what it is and proves that it is whole.

    manifest.json    what goes in and out with units and shapes, how it was trained, file hashes
    summarize.onnx   state, samples → state, cycle summary
    forecast.onnx    state, cycle summary → state, forecast
    golden.bin       inputs with the answers of the trained network, replayed on loading
    MODEL_CARD.md    for people
    manifest.sig     if it is signed: an Ed25519 signature of manifest.json

The manifest is canonical JSON that carries the SHA-256 of its own content as ``fingerprint``, so
one changed byte anywhere shows. That proves a bundle whole, not who made it: somebody who forges a
graph can seal it anew. Who made it is proven by the signature, to those who have the public key.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from fadecast.cell.columns import COLUMNS
from fadecast.cell.cycles import CHARGE_RATE, FIRST_CYCLE, GAP_SECOND
from fadecast.cell.design import DESIGN_FIELDS
from fadecast.cell.life import CAUSES
from fadecast.cell.samples import CHANNELS, OBSERVED
from fadecast.cell.summaries import FIELDS
from fadecast.errors import BundleError, TamperedError
from fadecast.forecast.forecast import (
    EDGES,
    HORIZONS,
    QUANTILES,
    RISKS,
    SCORE_COLUMNS,
    VIRTUAL_SENSORS,
)
from fadecast.runtime.audit import audit
from fadecast.runtime.signature import SIGNATURE, check

FORMAT: Final = "fadecast-bundle"
VERSION: Final = 4
MANIFEST: Final = "manifest.json"
SUMMARIZE: Final = "summarize.onnx"
FORECAST: Final = "forecast.onnx"
GOLDEN: Final = "golden.bin"
CARD: Final = "MODEL_CARD.md"
FILES: Final = (SUMMARIZE, FORECAST, GOLDEN, CARD)
"""Files whose hashes the manifest records: these and no others."""
LARGEST: Final = 16 << 20
"""Bytes of the largest file that is read."""

KEYS: Final = frozenset(
    {"format", "version", "fingerprint", "files", "tables", "graphs", "training", "end_of_life",
     "versions", "virtual_sensors"}
)  # fmt: skip
SECTIONS: Final = ("files", "graphs", "training", "end_of_life", "versions")
"""Keys that hold a table of their own (``tables`` too; that is compared as a whole)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a bundle folder, read once.

    Args:
        path: the folder.
        manifest: ``manifest.json``.
        files: bytes of each of ``FILES``.
        signed_by: the public key that its signature was checked with, if one was asked for.
    """

    path: Path
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    signed_by: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, and through its hashes of everything in the bundle."""
        return str(self.manifest["fingerprint"])


def tables() -> dict[str, Any]:
    """Names, units and order of everything a graph's axes count: what a bundle and this library
    must agree on."""
    units = {"duration_second": "s"} | {name: column.unit for name, column in COLUMNS.items()}
    return {
        "channels": [[name, units[name]] for name in CHANNELS],
        "observed_channels": list(OBSERVED),
        "window": [["nominal_capacity_ah", "Ah"], ["voltage_min_v", "V"], ["voltage_max_v", "V"]],
        "fields": [[name, unit] for name, unit in FIELDS.items()],
        "design_fields": list(DESIGN_FIELDS),
        "causes": list(CAUSES),
        "risks": list(RISKS),
        "horizons_cycles": list(HORIZONS),
        "quantiles": list(QUANTILES),
        "edges_cycles": list(EDGES),
        "virtual_sensors": [[name, unit] for name, unit in VIRTUAL_SENSORS.items()],
        "score_columns": [[name, unit] for name, unit in SCORE_COLUMNS.items()],
        "cycle_rule": {
            "closes": "cycle_count changes where it is recorded; else one nominal capacity of "
            "discharge since the cycle began, ended by the next charge",
            "charge_rate_c": CHARGE_RATE,
            "gap_second": GAP_SECOND,
            "first_cycle": FIRST_CYCLE,
        },
    }


def graphs(summary_state: int, forecast_state: int) -> dict[str, Any]:
    """Inputs and outputs of both graphs as ``[name, shape, unit]``; names are free sizes."""
    fields, batch = len(FIELDS), "batch"
    return {
        SUMMARIZE: {
            "inputs": [
                ["state", [batch, summary_state], "zeros at the start of each cycle"],
                ["samples", [batch, "time", len(CHANNELS)], "tables.channels"],
                ["observed", [batch, "time", len(OBSERVED)], "0 or 1, tables.observed_channels"],
                ["window", [batch, 3], "tables.window"],
            ],
            "outputs": [
                ["state_out", [batch, summary_state], "goes into the next call"],
                ["values", [batch, fields], "tables.fields"],
                ["observed_out", [batch, fields], "0 or 1"],
            ],
        },
        FORECAST: {
            "inputs": [
                ["state", [batch, forecast_state], "zeros before a cell's first cycle"],
                ["values", [batch, fields], "tables.fields"],
                ["observed", [batch, fields], "0 or 1"],
                ["design", [batch, len(DESIGN_FIELDS)], "tables.design_fields"],
                ["elapsed", [batch, 1], "cycles since the summary before"],
            ],
            "outputs": [
                ["state_out", [batch, forecast_state], "goes into the next call"],
                ["rul", [batch, len(QUANTILES)], "cycles, at tables.quantiles"],
                ["risk", [batch, len(RISKS), len(HORIZONS)], "probability"],
                ["incidence", [batch, len(CAUSES), len(EDGES) - 1], "probability"],
                ["soh", [batch], "discharge capacity / nominal capacity"],
                ["novelty", [batch], "1 = as far out as 1 % of the training cycles"],
                ["valid", [batch], "0 or 1"],
                ["virtual", [batch, len(VIRTUAL_SENSORS)], "tables.virtual_sensors"],
                ["virtual_spread", [batch, len(VIRTUAL_SENSORS)], "one standard deviation"],
            ],
        },
    }


def seal(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of ``manifest.json``: canonical, with the fingerprint of the rest in it."""
    rest = {key: value for key, value in manifest.items() if key != "fingerprint"}
    return _canonical(rest | {"fingerprint": hashlib.sha256(_canonical(rest)).hexdigest()})


def read_bundle(
    path: str | os.PathLike[str],
    *,
    verify: bool = True,
    trust: str | os.PathLike[str] | None = None,
) -> Bundle:
    """Read a bundle folder.

    Args:
        path: the folder.
        verify: compare every file with its recorded hash, and the manifest with its fingerprint;
            look what the graphs are made of.
        trust: PEM file of the public key that must have signed the bundle.

    Raises:
        BundleError: no bundle, one of another format version, or made for other tables.
        TamperedError: a file differs from what was exported, or ``trust`` did not sign it.
    """
    folder = Path(path)
    content = _read(folder, MANIFEST)
    if trust is not None:
        signed = (folder / SIGNATURE).is_file()
        check(content, _read(folder, SIGNATURE) if signed else None, trust, str(folder))
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TamperedError(f"not JSON ({error})", where=str(folder / MANIFEST)) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        _refuse("this is no Fadecast bundle", folder, "Give the folder that `fadecast export` made")
    found = manifest.get("version")
    if found != VERSION:
        newer = isinstance(found, int) and found > VERSION
        _refuse(
            f"bundle format {found!r}{' is newer' * newer}, this library reads {VERSION}", folder,
            "Train and export with this version, or install the one that wrote it",
        )  # fmt: skip
    if verify and not _is_sealed(manifest, content):
        _tampered(folder / MANIFEST, "it does not match its own fingerprint")
    if set(manifest) != KEYS or not all(isinstance(manifest[k], dict) for k in SECTIONS):
        _tampered(folder / MANIFEST, f"its keys are not {sorted(KEYS)}, {SECTIONS} being tables")
    if set(manifest["files"]) != set(FILES):
        _tampered(folder / MANIFEST, f"it lists {sorted(manifest['files'])}, not {sorted(FILES)}")
    taught = manifest["virtual_sensors"]
    if taught != [name for name in VIRTUAL_SENSORS if isinstance(taught, list) and name in taught]:
        _tampered(folder / MANIFEST, f"its virtual sensors are not of {list(VIRTUAL_SENSORS)}")
    _agree(manifest["tables"], folder)
    files = {name: _read(folder, name) for name in FILES}
    for name, data in files.items():
        if verify and hashlib.sha256(data).hexdigest() != manifest["files"][name]:
            _tampered(folder / name, "it does not match its recorded hash")
        if verify and name in (SUMMARIZE, FORECAST) and (reason := audit(data)):
            _tampered(folder / name, reason)
    return Bundle(folder, manifest, files, None if trust is None else str(trust))


def _is_sealed(manifest: Mapping[str, Any], content: bytes) -> bool:
    try:
        return content == seal(manifest)
    except (ValueError, RecursionError):  # NaN, half a character, deeper than can be written
        return False


def _agree(found: Any, folder: Path) -> None:
    expected = json.loads(_canonical(tables()))
    if found == expected:
        return
    differ = sorted(
        key
        for key in set(expected) | set(found if isinstance(found, dict) else ())
        if not isinstance(found, dict) or found.get(key) != expected.get(key)
    )
    _refuse(
        f"its tables {', '.join(differ)} are not those of this library", folder,
        "Train and export with this version, or install the one that wrote it",
    )  # fmt: skip


def _read(folder: Path, name: str) -> bytes:
    path, reason = folder / name, ""
    try:
        if path.resolve(strict=True).parent != folder.resolve():
            _tampered(path, "it leads out of the bundle's folder")
        if path.stat().st_size > LARGEST:
            _tampered(path, f"it is larger than {LARGEST >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        reason = str(error.strerror)
    except (RuntimeError, ValueError) as error:  # links in a circle, a path that cannot be one
        reason = str(error)
    _refuse(
        f"{name} cannot be read ({reason})", folder,
        f"A bundle holds {', '.join((MANIFEST, *FILES))}",
    )  # fmt: skip


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode() + b"\n"


def _refuse(what: str, where: Path, fix: str) -> NoReturn:
    raise BundleError(what, where=str(where), fix=fix)


def _tampered(where: Path, why: str) -> NoReturn:
    raise TamperedError(why, where=str(where), fix="Do not use it; export or copy it again")
