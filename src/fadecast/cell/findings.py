"""``Finding``: one thing that is wrong with data, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fadecast.errors import CheckError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with data.

    Args:
        severity: ``error`` (refused), ``warning`` or ``note``.
        code: a short stable name of the kind of finding.
        where: column, row or cycle.
        what: what was seen, in numbers.
        fix: what the user can do.
    """

    severity: Severity
    code: str
    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.where}: {self.what}. {self.fix}"


def refusal(cell_id: str, findings: Sequence[Finding]) -> CheckError:
    """The error that says why data with these findings are refused."""
    errors = [finding for finding in findings if finding.severity == "error"]
    error = CheckError(
        "; ".join(f"{e.what} ({e.code})" for e in errors),
        where=f"cell {cell_id!r}", fix=" ".join(dict.fromkeys(e.fix for e in errors)),
    )  # fmt: skip
    error.findings = tuple(findings)
    return error
