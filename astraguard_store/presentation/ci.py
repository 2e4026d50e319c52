"""A comparison as CI services read it: JUnit XML, and annotations of GitHub's log."""

from __future__ import annotations

from collections.abc import Iterator

from astraguard_store.comparison import Comparison
from astraguard_store.presentation.brief import PERCENTILES, BriefLine, brief_lines
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.text import printable
from astraguard_store.presentation.verdict_texts import (
    by_type,
    change_text,
    headline,
    interval_text,
    name_of,
    notes,
)
from astraguard_store.verdict.values import GateReport

_OUTCOMES = {"regressed": "failure", "inconclusive": "skipped"}


def junit(comparison: Comparison, verdict: GateReport | None = None) -> str:
    """Return JUnit XML: a test case for each metric type, the worst first.

    A comparison knows no limits, so that by itself none of its cases fails. With a verdict
    those fail that regressed, and those are skipped of which it isn't settled.
    """
    lines = brief_lines(comparison.changes)
    verdicts = {} if verdict is None else by_type(verdict)
    found = [verdicts.get((line.metric_type, line.satellite_id)) for line in lines]
    cases = [
        tag(
            "testcase",
            _outcome(line, verdict, of_type),
            tag("system-out", _sentence(line)),
            classname=f"{comparison.baseline}.{comparison.candidate}",
            name=_named(line),
        )
        for line, of_type in zip(lines, found, strict=True)
    ]
    said = [] if verdict is None else [headline(verdict), *notes(verdict)]
    warnings = "\n".join([*said, *comparison.warnings])
    suite = tag(
        "testsuite",
        cases,
        tag("system-err", warnings) if warnings else None,
        name=f"latency of {comparison.candidate} against {comparison.baseline}",
        tests=str(len(cases)),
        failures=str(found.count("regressed")),
        errors="0",
        skipped=str(found.count("inconclusive")),
    )
    declaration = Html('<?xml version="1.0" encoding="utf-8"?>')
    return f"{declaration}\n{tag('testsuites', suite)}\n"


def _outcome(line: BriefLine, report: GateReport | None, verdict: str | None) -> Html | None:
    if report is None or verdict not in _OUTCOMES:
        return None
    cells = [
        f"{name_of(cell)}: {change_text(cell)} ({interval_text(cell)})"
        for cell in report.cells
        if (cell.metric_type, cell.satellite_id) == (line.metric_type, line.satellite_id)
        and cell.verdict == verdict
    ]
    return tag(_OUTCOMES[verdict], message=f"{verdict}: {'; '.join(cells)}")


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
        is_worse = line.is_bound or _count(line.missed[1]) > _count(line.missed[0])
        yield _command("warning" if is_worse else "notice", title, _sentence(line))


def _sentence(line: BriefLine) -> str:
    pairs = zip(PERCENTILES, line.percentiles, strict=True)
    shown = ", ".join(f"{name} {before} → {after}" for name, (before, after) in pairs)
    missed = f", missed {line.missed[0]} → {line.missed[1]}"
    return f"{_named(line)}: {line.change}; {shown} {line.unit}{missed}"


def _named(line: BriefLine) -> str:
    on = f" on {line.satellite_id}" if line.satellite_id else ""
    return f"{line.metric_type}{on}"


def _count(shown: str) -> int:
    return 0 if shown == "-" else int(shown.replace(",", ""))


def _command(kind: str, title: str, said: str) -> str:
    """Return a workflow command, escaped so that no name can begin another one."""
    # What is no newline and can't be printed becomes an escape that is seen.
    escaped, said = ("\n".join(map(printable, part.splitlines())) for part in (title, said))
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        escaped = escaped.replace(character, code)
        said = said.replace(character, code)
    for character, code in ((":", "%3A"), (",", "%2C")):
        escaped = escaped.replace(character, code)
    return f"::{kind} title={escaped}::{said}"
