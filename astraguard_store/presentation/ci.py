"""A comparison as CI services read it: JUnit XML, and annotations of GitHub's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from astraguard_store.comparison import Comparison
from astraguard_store.presentation.brief import PERCENTILES, BriefLine, brief_lines
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.html import text as escaped
from astraguard_store.presentation.verdict_texts import (
    change_text,
    headline,
    interval_text,
    name_of,
    notes,
    settled,
    where,
)
from astraguard_store.shown import printable
from astraguard_store.verdict.values import CellVerdict, GateReport

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
_OUTCOMES = {"regressed": "failure", "inconclusive": "skipped"}


def junit(comparison: Comparison, verdict: GateReport | None = None) -> str:
    """Return JUnit XML: a test case for each metric type, the worst first.

    A comparison knows no limits, so that by itself none of its cases fails. With a verdict
    those fail that regressed, and those are skipped of which it isn't settled.
    """
    cases = [
        _Case(
            f"{comparison.baseline}.{comparison.candidate}",
            _named(line),
            () if verdict is None else _cells_of(line, verdict),
            _sentence(line),
        )
        for line in brief_lines(comparison.changes)
    ]
    said = [] if verdict is None else [headline(verdict), *notes(verdict)]
    # Each is escaped by itself, as an end of a line within a name is none.
    warnings = "\n".join(map(escaped, [*said, *comparison.warnings]))
    name = f"latency of {comparison.candidate} against {comparison.baseline}"
    suite = _suite(name, cases, tag("system-err", Html(warnings)) if warnings else None)
    return f"{_DECLARATION}{tag('testsuites', suite)}\n"


def gate_junit(report: GateReport) -> str:
    """Return JUnit XML: a test case for each cell; what regressed failed."""
    cases = [_Case(where(cell), cell.statistic, [("", cell)]) for cell in report.cells]
    suite = _suite("astraguard-store gate", cases, tag("system-out", headline(report)))
    return f"{_DECLARATION}{suite}\n"


class _Case(NamedTuple):
    """A test case: its names, what decides it as (words before it, cell), and what it printed."""

    classname: str
    name: str
    cells: Sequence[tuple[str, CellVerdict]]
    printed: str | None = None

    def outcome(self) -> Html | None:
        """Return what failed, or isn't settled; None of a case that passes."""
        for verdict, element in _OUTCOMES.items():
            said = [
                f"{before}{change_text(cell)} ({interval_text(cell)})"
                for before, cell in self.cells
                if settled(cell) == verdict
            ]
            if said:
                return tag(element, message=f"{verdict}: {'; '.join(said)}")
        return None


def _suite(name: str, cases: Sequence[_Case], printed: Html | None) -> Html:
    outcomes = [case.outcome() for case in cases]
    elements = [
        tag(
            "testcase",
            outcome,
            None if case.printed is None else tag("system-out", case.printed),
            classname=case.classname,
            name=case.name,
        )
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    number = Counter(outcome.split()[0] for outcome in outcomes if outcome is not None)
    return tag(
        "testsuite",
        # A line each, for who looks at the file.
        [Html(f"\n{element}") for element in elements],
        printed,
        name=name,
        tests=str(len(cases)),
        failures=str(number["<failure"]),
        errors="0",
        skipped=str(number["<skipped"]),
    )


def _cells_of(line: BriefLine, report: GateReport) -> list[tuple[str, CellVerdict]]:
    return [
        (f"{name_of(cell)}: ", cell)
        for cell in report.cells
        if (cell.metric_type, cell.satellite_id) == (line.metric_type, line.satellite_id)
    ]


def github(comparison: Comparison, verdict: GateReport | None = None) -> Iterator[str]:
    """Yield workflow commands: errors, warnings and notices, the verdict first."""
    title = f"{comparison.candidate} against {comparison.baseline}"
    if verdict is not None:
        kind = {"regressed": "error", "inconclusive": "warning"}.get(verdict.verdict, "notice")
        yield _command(kind, title, headline(verdict))
        for note in notes(verdict):
            yield _command("warning", title, note)
    for warning in comparison.warnings:
        yield _command("warning", title, warning)
    for line in brief_lines(comparison.changes, only_changed=True):
        is_worse = line.is_bound or line.is_more_missed
        yield _command("warning" if is_worse else "notice", title, _sentence(line))


def _sentence(line: BriefLine) -> str:
    pairs = zip(PERCENTILES, line.percentiles, strict=True)
    shown = ", ".join(f"{name} {before} → {after}" for name, (before, after) in pairs)
    missed = f", missed {line.missed[0]} → {line.missed[1]}"
    return f"{_named(line)}: {line.change}; {shown} {line.unit}{missed}"


def _named(line: BriefLine) -> str:
    on = f" on {line.satellite_id}" if line.satellite_id else ""
    return f"{line.metric_type}{on}"


def _command(kind: str, title: str, said: str) -> str:
    """Return a workflow command, escaped so that no name can begin another one."""
    # What is no newline and can't be printed becomes an escape that is seen.
    named, said = ("\n".join(map(printable, part.splitlines())) for part in (title, said))
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        named = named.replace(character, code)
        said = said.replace(character, code)
    for character, code in ((":", "%3A"), (",", "%2C")):
        named = named.replace(character, code)
    return f"::{kind} title={named}::{said}"
