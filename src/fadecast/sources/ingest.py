"""From raw files to a store: what can be trusted goes in, the rest is quarantined with a reason.

Every cell is written atomically and every finished group of files leaves a note of its content
in ``STORE/ingest``; a rerun skips what is in already. Killed at any moment and run again, an
ingest ends at the same store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from fadecast.cell.cellsfile import read_patterns, read_specs
from fadecast.cell.checks import Finding, check, check_strict, refusal
from fadecast.cell.cycles import assign_cycles
from fadecast.cell.record import CellRecord, CellSpec
from fadecast.cell.store import Store, read_json, write_json
from fadecast.errors import CheckError, FadecastError, StoreError
from fadecast.sources.part import Part
from fadecast.sources.plan import Group, file_digest, find_files, group_files, printable
from fadecast.sources.readers import design, read_file
from fadecast.sources.stitch import in_order, stitch, to_record

Status = Literal["read", "kept", "companion", "quarantined"]
QUARANTINE: Final = "quarantine.json"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class IngestRow:
    """What became of one file and cell.

    Args:
        file: path as found.
        reader: its reader; empty where none recognised it.
        cell: the cell it is of; empty where that is not known.
        cycles, samples: of the record; samples is 0 where cycles were published.
        findings: in words, errors first.
        status: ``read`` now, ``kept`` from an earlier run, ``companion`` (read along with another
            file) or ``quarantined``.
    """

    file: str
    reader: str
    cell: str
    cycles: int
    samples: int
    findings: tuple[str, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did, one row for every file and cell."""

    rows: tuple[IngestRow, ...]

    @property
    def exit_code(self) -> int:
        """0, or 1 if any file is in quarantine."""
        return int(any(row.status == "quarantined" for row in self.rows))

    def by_file(self) -> list[IngestRow]:
        """One row a file: its cells counted, their findings together."""
        out: dict[str, IngestRow] = {}
        for row in self.rows:
            cells = [r.cell for r in self.rows if r.file == row.file and r.cell]
            first = out.get(row.file)
            out[row.file] = row if first is None else replace(
                first, cell=f"{len(cells)} cells", cycles=first.cycles + row.cycles,
                samples=first.samples + row.samples, findings=first.findings + row.findings,
            )  # fmt: skip
        return list(out.values())


def ingest(
    paths: Iterable[Path],
    store: Path,
    *,
    cells: Path | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read files and folders into a store.

    Args:
        paths: raw files, or folders that are searched for files with a known suffix.
        store: the store's folder; made if it is not there.
        cells: the table of cells (``fadecast.cell.cellsfile``); cycler files need one.
        progress: called with groups done, groups in all, and the next group's first file.

    Raises:
        ConfigError: a path does not exist.
        ReadError, CheckError: the table of cells is wrong.
        StoreError: the store is no store or of another version.
    """
    target = Store(store, create=True)
    target.clear_partial()
    (target.path / "ingest").mkdir(exist_ok=True)
    specs = read_specs(cells) if cells else {}
    files = find_files(paths, [target.path, *([cells] if cells else [])])
    groups, refused = group_files(files, read_patterns(cells) if cells else {})
    rows = [_quarantined(printable(path), "", "", error) for path, error in refused.items()]
    owners: dict[str, str] = {}
    _note_quarantine(target, rows)
    for done, group in enumerate(groups):
        if progress:
            progress(done, len(groups), str(group.files[0]))
        new = _ingest_group(target, group, specs, owners)
        _note_quarantine(target, new)
        rows += new
    if progress:
        progress(len(groups), len(groups), "")
    return IngestReport(tuple(sorted(rows, key=lambda row: (row.file, row.cell))))


def _ingest_group(
    store: Store, group: Group, specs: Mapping[str, CellSpec], owners: dict[str, str]
) -> list[IngestRow]:
    note = store.path / "ingest" / f"{group.key(specs)}.json"
    kept = _kept(store, group, note)
    if kept is None:
        records, rows = _read_group(group, specs)
    else:
        records, rows = [], kept
    here = {str(path): name for path, name in zip(group.files, group.readers, strict=True)}
    for row in rows:
        if row.status in ("read", "kept") and owners.setdefault(row.cell, row.file) not in here:
            taken = CheckError(
                f"cell {row.cell!r} was already read from {owners[row.cell]}",
                fix="Give the cells different ids, or say which files are whose in 'files'",
            )
            return [_quarantined(file, name, row.cell, taken) for file, name in here.items()]
    for record in records:
        store.write(record)
    if kept is None and not any(row.status == "quarantined" for row in rows):
        digests = {r.spec.cell_id: store.cell_digest(r.spec.cell_id) for r in records}
        places = {file: str(place) for place, file in enumerate(here)}
        plain = [asdict(replace(row, file=places[row.file])) for row in rows]
        write_json(note, {"cells": digests, "rows": plain})
    return rows


def _kept(store: Store, group: Group, note: Path) -> list[IngestRow] | None:
    """The rows of an earlier run, if all its cells are still in the store as they were."""
    if not note.exists():
        return None
    try:
        found = read_json(note)
        for cell, digest in found["cells"].items():
            if cell not in store or store.cell_digest(cell) != digest:
                return None
        rows = [IngestRow(**row) for row in found["rows"]]
        return [
            replace(
                row, file=str(group.files[int(row.file)]), findings=tuple(row.findings),
                status="kept" if row.status == "read" else row.status,
            )
            for row in rows
        ]  # fmt: skip
    except (StoreError, LookupError, TypeError, ValueError, AttributeError):
        return None  # a note that cannot be trusted is as good as none


def _read_group(
    group: Group, specs: Mapping[str, CellSpec]
) -> tuple[list[CellRecord], list[IngestRow]]:
    """Records that may be stored, and what became of every file."""
    records: list[CellRecord] = []
    rows: list[IngestRow] = []
    parts: dict[str, list[tuple[str, Part]]] = {}
    names = {str(path): name for path, name in zip(group.files, group.readers, strict=True)}
    first: dict[str, str] = {}
    for file, name in names.items():
        path = Path(file)
        twin = first.setdefault(file_digest(path), file)
        if twin != file:
            again = CheckError(f"it is a copy of {Path(twin).name}", fix="Remove one of the two")
            rows.append(_quarantined(file, name, group.cell_id or "", again))
            continue
        try:
            items = read_file(path, name)
        except FadecastError as error:
            rows.append(_quarantined(file, name, group.cell_id or "", error))
            continue
        if not items:
            rows.append(IngestRow(file, name, "", 0, 0, (), "companion"))
        for item in items:
            cell = group.cell_id or path.stem
            cell = item.cell_id or cell if isinstance(item, Part) else item.spec.cell_id
            try:
                if isinstance(item, Part):
                    _check_part(item, design(cell, specs, path.name), name)
                    parts.setdefault(cell, []).append((file, item))
                else:
                    rows.append(_row(file, name, item, check_strict(item)))
                    records.append(item)
            except FadecastError as error:
                rows.append(_quarantined(file, name, cell, error))
    copies = len(names) - len(first)
    lost = group.lost + len({r.file for r in rows if r.status == "quarantined"}) - copies
    for cell, named in parts.items():
        ordered = in_order(named)
        try:
            whole = stitch([part for _, part in ordered])
            record = to_record(whole, specs[cell], names[ordered[0][0]])
            found = [
                *whole.findings,
                *check_strict(record),
                *_lost(lost, len(group.files) + group.lost),
            ]
        except FadecastError as error:
            rows += [_quarantined(file, names[file], cell, error) for file, _ in ordered]
            continue
        records.append(record)
        rows += [
            _row(file, names[file], to_record(part, specs[cell], names[file]), found)
            for file, part in ordered
        ]
    return records, rows


def _check_part(part: Part, spec: CellSpec, reader: str) -> None:
    """Refuse a part with findings that mislead, so that it does not spoil the cell's others."""
    findings = [*part.findings, *check(to_record(part, spec, reader))]
    if any(finding.severity == "error" for finding in findings):
        raise refusal(spec.cell_id, findings)


def _lost(lost: int, files: int) -> Iterator[Finding]:
    if lost:
        yield Finding(
            "warning", "file_missing", "record",
            f"{lost} of the cell's {files} files are in quarantine and missing here",
            "Cycle counts are those of the other files; mend the file and ingest again",
        )  # fmt: skip


def _row(file: str, reader: str, record: CellRecord, findings: Sequence[Finding]) -> IngestRow:
    cycles, samples = len(record.summaries or ()), 0
    if record.samples is not None:
        count = assign_cycles(record.samples, record.spec.nominal_capacity_ah)
        cycles, samples = len(np.unique(count)), len(count)
    return IngestRow(
        file, reader, record.spec.cell_id, cycles, samples,
        tuple(str(finding) for finding in findings), "read",
    )  # fmt: skip


def _quarantined(file: str, reader: str, cell: str, error: FadecastError) -> IngestRow:
    findings = getattr(error, "findings", ())
    said = tuple(str(finding) for finding in findings) or (str(error),)
    return IngestRow(file, reader, cell, 0, 0, said, "quarantined")


def _note_quarantine(store: Store, rows: Sequence[IngestRow]) -> None:
    """Bring ``quarantine.json`` up to date: reason and content of every refused file."""
    path = store.path / QUARANTINE
    before: dict[str, Any] = read_json(path) if path.exists() else {}
    after = dict(before)
    for row in rows:
        after.pop(row.file, None)
    for row in rows:
        if row.status == "quarantined":
            after[row.file] = {
                "reader": row.reader,
                "reasons": list(row.findings),
                "sha256": file_digest(Path(row.file)),
            }
    if after != before:
        write_json(path, after)
