"""Is a record fit to be used: all findings on it, and a strict mode that raises.

Severities:
    error    the record would mislead every number made from it (wrong unit, wrong sign, time going
             back, nothing in it): it is refused, and an ingest quarantines its file.
    warning  usable, but somebody should look; unusable rows are masked later, never filled.
    note     worth knowing.

The rules and their thresholds are in ``fadecast.cell.rules``.
"""

from __future__ import annotations

from fadecast.cell.findings import Finding, Severity, refusal
from fadecast.cell.record import CellRecord
from fadecast.cell.rules import SAMPLE_RULES, SUMMARY_RULES
from fadecast.cell.view import RecordView, spikes


def check(record: CellRecord) -> list[Finding]:
    """All findings on a record, errors first."""
    rules = SUMMARY_RULES if record.samples is None else SAMPLE_RULES
    view = RecordView(record)
    if not view.n:
        kind = "cycles" if record.samples is None else "samples"
        return [Finding("error", f"no_{kind}", "record", f"no {kind}", "Check the export: empty")]
    findings = [finding for rule in rules for finding in rule(view)]
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def check_strict(record: CellRecord) -> list[Finding]:
    """The findings of a record that may be used.

    Raises:
        CheckError: there is at least one error; its ``findings`` holds them all.
    """
    findings = check(record)
    if any(finding.severity == "error" for finding in findings):
        raise refusal(record.spec.cell_id, findings)
    return findings


__all__ = ["Finding", "Severity", "check", "check_strict", "refusal", "spikes"]
