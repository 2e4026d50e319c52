"""What a fault did: findings, and the table that adds them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Harm(Enum):
    """The three ways in which a store can fail a fault."""

    LOST = "lost"
    """Something acknowledged isn't there, or can't be had."""
    TORN = "torn"
    """Row, JSON and CSV, or the rows among themselves, disagree."""
    LEFT_OVER = "left over"
    """Something is there that nothing refers to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One harm, and what was seen."""

    harm: Harm
    seen: str


@dataclass(slots=True)
class Tally:
    """What the tries of one fault came to."""

    fault: str
    tries: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, findings: Iterable[Finding], when: str = "") -> None:
        """Count one try, and what was found after it, under the circumstances *when*."""
        self.tries += 1
        self.findings.extend(
            Finding(found.harm, f"{when}: {found.seen}" if when else found.seen)
            for found in findings
        )

    def count(self, harm: Harm) -> int:
        """Count the findings of one kind."""
        return sum(found.harm is harm for found in self.findings)

    def check(self) -> None:
        """Do nothing when all is well.

        Raises:
            AssertionError: There are findings; it shows the first few in full.
        """
        __tracebackhide__ = True
        if self.findings:
            shown = "\n".join(
                f"  {found.harm.value}: {found.seen}" for found in self.findings[:12]
            )
            raise AssertionError(
                f"{self.fault}: {len(self.findings)} findings in {self.tries} tries\n{shown}"
            )


@dataclass(slots=True)
class Table:
    """The tallies of a test run."""

    tallies: list[Tally] = field(default_factory=list)

    def row(self, fault: str) -> Tally:
        """Begin the row of *fault*."""
        self.tallies.append(Tally(fault))
        return self.tallies[-1]

    def lines(self) -> list[str]:
        """Render the table: fault, tries, and one column a harm; rows of one name are added up."""
        heads = ["fault", "tries", *(harm.value for harm in Harm)]
        sums: dict[str, Tally] = {}
        for tally in self.tallies:
            added = sums.setdefault(tally.fault, Tally(tally.fault))
            added.tries += tally.tries
            added.findings += tally.findings
        rows = [
            [t.fault, str(t.tries), *(str(t.count(harm)) for harm in Harm)] for t in sums.values()
        ]
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

        def line(cells: list[str]) -> str:
            numbers = (
                cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)
            )
            return "  ".join([cells[0].ljust(widths[0]), *numbers])

        return [line(heads), "  ".join("-" * width for width in widths), *map(line, rows)]
