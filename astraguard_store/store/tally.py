"""What a check has seen so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from astraguard_store.reports import CheckReport, Finding, FindingKind

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Counts and findings of one check; one thread uses it.

    Attributes:
        runs: Runs that were looked at.
        files: Files of theirs that were found.
        bytes: What these hold together.
    """

    runs: int = 0
    files: int = 0
    bytes: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _mended: list[Finding] = field(default_factory=list)

    def fault(self, kind: FindingKind, where: str, what: str, advice: str) -> None:
        """Add what is not as the store promises."""
        self._findings.append(Finding(kind, "fault", where, what, advice))

    def note(self, kind: FindingKind, where: str, what: str, advice: str) -> None:
        """Add what is worth knowing."""
        self._findings.append(Finding(kind, "note", where, what, advice))

    def mended(self, kind: FindingKind, where: str, what: str, done: str) -> None:
        """Add a fault that is none any more."""
        self._mended.append(Finding(kind, "fault", where, what, done))

    def report(self) -> CheckReport:
        """Return all of it, faults before notes."""
        findings = sorted(self._findings, key=lambda finding: finding.severity == "note")
        return CheckReport(self.runs, self.files, self.bytes, tuple(findings), tuple(self._mended))
