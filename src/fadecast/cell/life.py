"""From a record to a life: an end-of-life definition applied to a cell's cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fadecast.cell.record import CellMetadata
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import CheckError, ConfigError

CAUSES: Final = ("capacity_fade", "contact_loss", "lithium_penetration", "over_pressure")
"""The competing causes of failure, in the order of every array that has a cause axis."""

PRESSURE_CAUSES: Final = CAUSES[1:]
"""Causes that stack pressure drives."""


@dataclass(frozen=True, slots=True)
class EndOfLife:
    """When a cell counts as failed by capacity.

    Args:
        fraction: of the reference capacity, in (0, 1).
        reference: ``"nominal"`` or ``"early"`` (the largest discharge of the first five cycles
            that were observed, for cells whose nominal capacity is only nominal).
        consecutive: how many observed cycles in a row must lie below; life is the last of them.
    """

    fraction: float = 0.8
    reference: str = "nominal"
    consecutive: int = 3

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction < 1.0:
            raise ConfigError(f"end-of-life fraction {self.fraction} is not between 0 and 1")
        if self.reference not in ("nominal", "early"):
            raise ConfigError(f"end-of-life reference {self.reference!r}", fix="nominal or early")
        if self.consecutive < 1:
            raise ConfigError(f"consecutive is {self.consecutive}", fix="Give 1 or more")


@dataclass(frozen=True, slots=True)
class Life:
    """When a cell failed, or until when it is known not to have.

    ``after < life ≤ until`` in cycles. A failure seen at one cycle has ``after = until − 1``; one
    between two check-ups keeps both ends; a censored cell has ``until = inf``, ``cause = None``
    and ``after`` the last cycle at which it was known to be alive.
    """

    after: float
    until: float
    cause: str | None

    def __post_init__(self) -> None:
        if not 0 <= self.after < self.until:
            raise CheckError(f"life between {self.after} and {self.until} is empty")
        if (self.cause is None) != np.isinf(self.until):
            raise CheckError("a failure has a cause and a finite end, a censored life neither")
        if self.cause is not None and self.cause not in CAUSES:
            raise CheckError(f"cause {self.cause!r} is not one of {CAUSES}")

    @property
    def failed(self) -> bool:
        """Whether the failure was observed."""
        return self.cause is not None

    @property
    def cycle(self) -> float:
        """The cycle of failure, or the last one known alive."""
        return self.until if self.failed else self.after


def find_life(summaries: CycleSummaries, metadata: CellMetadata, definition: EndOfLife) -> Life:
    """The life of a cell under ``definition``; a published life, where there is one, wins.

    A cell that never meets the definition is censored at its last cycle: neither dropped nor
    called dead. Cycles whose discharge was not observed are passed over: a failure seen after such
    cycles lies somewhere between the observed one before it and its own.

    Raises:
        CheckError: there is no cycle at all.
    """
    if not len(summaries):
        raise CheckError("no cycles", where=f"cell {metadata.spec.cell_id!r}")
    if metadata.published_life is not None:
        published = metadata.published_life
        if published.cause is None:
            return Life(published.cycle, float("inf"), None)
        after = published.cycle - 1 if published.after is None else published.after
        return Life(after, published.cycle, published.cause)
    capacity = summaries.field("discharge_throughput")
    seen = np.isfinite(capacity)
    count, capacity = summaries.cycle_count[seen], capacity[seen]
    reference = 1.0
    if definition.reference == "early" and len(capacity):
        reference = float(capacity[:5].max())
    below = capacity < definition.fraction * reference
    run, before = 0, 0.0
    for cycle, low in zip(count, below, strict=True):
        run = run + 1 if low else 0
        if run == definition.consecutive:
            return Life(before, float(cycle), "capacity_fade")
        before = float(cycle)
    return Life(float(summaries.cycle_count[-1]), float("inf"), None)
