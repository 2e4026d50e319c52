"""What a fault did: findings, and the table that adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Tally:
    """What the tries of one fault came to.

    Attributes:
        fault: Its name.
        tries: How many there were.
        findings: In all of them.
        done: There is no try to come.
        states: Of power cuts, how many states there are.
        drawn: How many of these were drawn; those that leave the same folder are one try.
        told: Called when there is something new.
    """

    fault: str
    tries: int = 0
    findings: list[Finding] = field(default_factory=list)
    done: bool = False
    states: int = 0
    drawn: int = 0
    told: Callable[[], None] = _nothing

    def add(self, findings: Iterable[Finding], when: str = "") -> None:
        """Count one try, and what was found after it, under the circumstances *when*."""
        self.tries += 1
        self.findings.extend(
            Finding(found.harm, f"{when}: {found.seen}" if when else found.seen)
            for found in findings
        )
        self.told()

    def count(self, harm: Harm) -> int:
        """Count the findings of one kind."""
        return sum(found.harm is harm for found in self.findings)

    def check(self) -> None:
        """Say that all tries are done, and do nothing more when all is well.

        Raises:
            AssertionError: There are findings; it shows the first few in full.
        """
        __tracebackhide__ = True
        self.done = True
        if self.findings:
            shown = "\n".join(
                f"  {found.harm.value}: {found.seen}" for found in self.findings[:12]
            )
            raise AssertionError(
                f"{self.fault}: {len(self.findings)} findings in {self.tries} tries\n{shown}"
            )


@dataclass(slots=True)
class Table:
    """The tallies of one test, or of all."""

    tallies: list[Tally] = field(default_factory=list)
    told: Callable[[], None] = _nothing

    def row(self, fault: str) -> Tally:
        """Begin the row of *fault*."""
        self.tallies.append(Tally(fault, told=self.told))
        self.told()
        return self.tallies[-1]

    def sums(self) -> list[Tally]:
        """Add up the rows of one name, in the order in which they came first."""
        sums: dict[str, Tally] = {}
        for tally in self.tallies:
            added = sums.setdefault(tally.fault, Tally(tally.fault, done=True))
            added.tries += tally.tries
            added.findings += tally.findings
            added.states += tally.states
            added.drawn += tally.drawn
            added.done &= tally.done
        return list(sums.values())

    def lines(self) -> list[str]:
        """Render the table: fault, tries, and one column a harm; then what has to be known of it.

        A row that isn't complete says so, and of states that were drawn, how many.
        """
        heads = ["fault", "tries", *(harm.value for harm in Harm)]
        sums = self.sums()
        rows = [[_name(t), str(t.tries), *(str(t.count(harm)) for harm in Harm)] for t in sums]
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

        def line(cells: list[str]) -> str:
            numbers = (
                cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)
            )
            return "  ".join([cells[0].ljust(widths[0]), *numbers])

        notes = [f"{t.fault}: {_drawn(t)}" for t in sums if t.states]
        return [line(heads), "  ".join("-" * width for width in widths), *map(line, rows), *notes]


def _name(tally: Tally) -> str:
    return tally.fault if tally.done else f"{tally.fault} (INCOMPLETE)"


def _drawn(tally: Tally) -> str:
    if tally.drawn == tally.states:
        drawn = f"all {tally.states:,} states"
    else:
        drawn = f"{tally.drawn:,} of {tally.states:,} states, of each kind in turn,"
    return f"{drawn} leave {tally.tries:,} different folders, which were opened"
