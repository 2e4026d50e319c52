"""A comparison as CI services read it: JUnit XML, and annotations of GitHub's log."""

from __future__ import annotations

from collections.abc import Iterator

from astraguard_store.comparison import Comparison
from astraguard_store.presentation.brief import PERCENTILES, BriefLine, brief_lines
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.text import printable


def junit(comparison: Comparison) -> str:
    """Return JUnit XML: a test case for each metric type, the worst first.

    A comparison knows no limits, so that none of its cases fails. What a gate's verdict says
    goes into `failure`.
    """
    lines = brief_lines(comparison.changes)
    cases = [
        tag(
            "testcase",
            tag("system-out", _sentence(line)),
            classname=f"{comparison.baseline}.{comparison.candidate}",
            name=_named(line),
        )
        for line in lines
    ]
    warnings = "\n".join(comparison.warnings)
    suite = tag(
        "testsuite",
        cases,
        tag("system-err", warnings) if warnings else None,
        name=f"latency of {comparison.candidate} against {comparison.baseline}",
        tests=str(len(cases)),
        failures="0",
        errors="0",
        skipped="0",
    )
    declaration = Html('<?xml version="1.0" encoding="utf-8"?>')
    return f"{declaration}\n{tag('testsuites', suite)}\n"


def github(comparison: Comparison) -> Iterator[str]:
    """Yield workflow commands: warnings of what can't be compared or never came, else notices."""
    title = f"{comparison.candidate} against {comparison.baseline}"
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
