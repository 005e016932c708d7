"""``CellRecord``: what is known of one cell, as a frozen value that checks itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import CheckError

CATHODES: Final = ("unknown", "lfp", "nmc", "nca", "lco")
ANODES: Final = (
    "unknown", "graphite", "silicon", "lithium", "anode_free", "silver_carbon", "indium_lithium",
)  # fmt: skip
ELECTROLYTES: Final = ("unknown", "liquid", "sulfide", "oxide", "polymer")
FIXTURES: Final = ("unknown", "none", "spring", "fixed_gap", "constant_force")

_CELL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]{0,127}")


def is_cell_id(name: str) -> bool:
    """Whether a cell may have this name: it is also that of a folder and of lanes in tables."""
    return _CELL_ID.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class CellSpec:
    """The declared design of a cell: all that a forecast needs besides what is measured.

    Args:
        cell_id: letters, digits and ``._+=@-``, at most 128; unique within a store or a file.
        nominal_capacity_ah: rated capacity in Ah, > 0. Charge is scaled by it.
        voltage_min_v: lower end of the operating window in V. Voltage is scaled to the window.
        voltage_max_v: upper end of the operating window in V, > ``voltage_min_v``.
        cathode, anode, electrolyte, fixture: one of the names declared in this module.
        applied_pressure_pa: what the fixture is set to, in Pa, ≥ 0; ``None`` if not known.
        pressure_limit_pa: highest stack pressure that the cell is permitted, in Pa, 1e5…1e9, at
            least what the fixture is set to; ``None`` if not known.

    Raises:
        CheckError: a value is missing, not finite, out of range or not a declared name.
    """

    cell_id: str
    nominal_capacity_ah: float
    voltage_min_v: float
    voltage_max_v: float
    cathode: str = "unknown"
    anode: str = "unknown"
    electrolyte: str = "unknown"
    fixture: str = "unknown"
    applied_pressure_pa: float | None = None
    pressure_limit_pa: float | None = None

    def __post_init__(self) -> None:
        where = f"cell {self.cell_id!r}"
        if not (isinstance(self.cell_id, str) and is_cell_id(self.cell_id)):
            raise CheckError(
                f"cell_id {self.cell_id!r} is not a plain name",
                fix="Use 1–128 letters, digits or ._+=@- and start with a letter or digit",
            )
        for name in ("nominal_capacity_ah", "voltage_min_v", "voltage_max_v"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise CheckError(f"{name} is {value!r}", where=where, fix="Give a finite number")
        if not 1e-6 <= self.nominal_capacity_ah <= 1e4:
            raise CheckError(
                f"nominal_capacity_ah is {self.nominal_capacity_ah}, outside 1e-6…1e4 Ah",
                where=where, fix="Give the rated capacity in ampere-hours, not mAh",
            )  # fmt: skip
        if not -10.0 <= self.voltage_min_v < self.voltage_max_v <= 10.0:
            raise CheckError(
                f"voltage window {self.voltage_min_v}…{self.voltage_max_v} V is empty or not volts",
                where=where, fix="Give voltage_min_v < voltage_max_v in volts",
            )  # fmt: skip
        for name, known in (
            ("cathode", CATHODES), ("anode", ANODES),
            ("electrolyte", ELECTROLYTES), ("fixture", FIXTURES),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise CheckError(
                    f"{name} {getattr(self, name)!r} is not known",
                    where=where, fix=f"Use one of {', '.join(known)}",
                )  # fmt: skip
        for name, least in (("applied_pressure_pa", 0.0), ("pressure_limit_pa", 1e5)):
            pressure = getattr(self, name)
            if pressure is not None and not least <= pressure <= 1e9:
                raise CheckError(
                    f"{name} is {pressure}", where=where,
                    fix=f"Give pascal, {least:g}…1e9, or None",
                )  # fmt: skip
        if (self.applied_pressure_pa or 0.0) > (self.pressure_limit_pa or math.inf):
            raise CheckError(
                f"applied_pressure_pa is {self.applied_pressure_pa}, pressure_limit_pa but "
                f"{self.pressure_limit_pa}", where=where, fix="Give both in pascal",
            )  # fmt: skip

    @property
    def window(self) -> NDArray[np.float32]:
        """``(3,)`` nominal capacity in Ah, lower and upper voltage in V: the summary's scale."""
        return np.array(
            [self.nominal_capacity_ah, self.voltage_min_v, self.voltage_max_v], np.float32
        )


@dataclass(frozen=True, slots=True)
class PublishedLife:
    """A life stated by the publisher of a data set, for records that do not show it themselves.

    Args:
        cycle: of failure; where ``cause`` is None the last cycle known alive (censored).
        cause: one of ``fadecast.cell.life.CAUSES``, or None.
        definition: in words.
        after: last cycle known alive before a failure seen only between two check-ups;
            ``None`` means the cycle before.
    """

    cycle: int
    cause: str | None = "capacity_fade"
    definition: str = ""
    after: int | None = None


@dataclass(frozen=True, slots=True)
class CellMetadata:
    """A cell's declared design plus where the record comes from.

    ``split`` is the publisher's own split, if any. ``notes`` holds further facts as plain strings.
    """

    spec: CellSpec
    source: str
    split: str | None = None
    published_life: PublishedLife | None = None
    licence: str = ""
    citation: str = ""
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that ``from_json`` turns back into an equal value."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out["spec"] = asdict(self.spec)
        out["published_life"] = asdict(self.published_life) if self.published_life else None
        out["notes"] = dict(self.notes)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellMetadata:
        """Inverse of ``to_json``."""
        values = dict(data)
        values["spec"] = CellSpec(**values["spec"])
        life = values.get("published_life")
        values["published_life"] = PublishedLife(**life) if life else None
        values["notes"] = MappingProxyType(dict(values.get("notes") or {}))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One cell: metadata with its time series or, where only those were published, its cycles.

    Args:
        metadata: declared design and provenance.
        samples: columns of ``fadecast.cell.columns`` by name, each ``(n_samples,)``, time-ordered;
            NaN marks a missing value of an optional column. ``None`` where none were published.
        summaries: cycle summaries, for sets published as per-cycle curves or tables.

    Raises:
        CheckError: both or neither are given, a column is unknown, a required one is missing, or
            lengths differ. Values are looked at by ``fadecast.cell.checks``.
    """

    metadata: CellMetadata
    samples: Mapping[str, NDArray[Any]] | None = None
    summaries: CycleSummaries | None = None

    def __post_init__(self) -> None:
        where = f"cell {self.metadata.spec.cell_id!r}"
        if (self.samples is None) == (self.summaries is None):
            raise CheckError("a record holds either samples or summaries", where=where)
        if self.samples is None:
            return
        unknown = sorted(set(self.samples) - set(COLUMNS))
        missing = [name for name in REQUIRED if name not in self.samples]
        if unknown or missing:
            raise CheckError(
                f"missing columns {missing}, unknown columns {unknown}", where=where,
                fix=f"Known columns are {', '.join(COLUMNS)}",
            )  # fmt: skip
        columns = {k: np.asarray(v, COLUMNS[k].dtype) for k, v in self.samples.items()}
        lengths = {len(v) for v in columns.values()}
        if len(lengths) > 1 or any(v.ndim != 1 for v in columns.values()):
            raise CheckError(f"columns differ in length: {sorted(lengths)}", where=where)
        for values in columns.values():
            values.setflags(write=False)
        object.__setattr__(self, "samples", MappingProxyType(columns))

    @property
    def spec(self) -> CellSpec:
        """The declared design."""
        return self.metadata.spec

    def with_metadata(self, **changes: Any) -> CellRecord:
        """A new record whose metadata differ in the given fields."""
        return replace(self, metadata=replace(self.metadata, **changes))
