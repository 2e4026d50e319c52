"""A report as Markdown, with a sketch of each distribution: for tickets and merge requests."""

from __future__ import annotations

from collections.abc import Iterator

from astraguard_store.comparison import Comparison
from astraguard_store.presentation import text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.brief import brief_table
from astraguard_store.presentation.markdown import escaped, table_lines
from astraguard_store.presentation.sketch import histograms
from astraguard_store.presentation.tables import (
    attachments_table,
    machine_table,
    provenance_table,
    runs_table,
    statistics_table,
    verdict_table,
)
from astraguard_store.report.content import Report
from astraguard_store.shown import printable

_WIDTH = 32


def render(report: Report) -> str:
    """Return the Markdown text."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Latency report: {escaped(report.title)}"
    yield ""
    yield f"Made {text.time_text(report.made_at)} UTC."
    yield from _verdict(report)
    for comparison in report.comparisons:
        yield from _comparison(comparison)
    for distribution in report.distributions:
        yield from ("", f"## {escaped(distribution.metric_type)}", "")
        yield from table_lines(*statistics_table(report.all_runs, distribution.metric_type))
        sketches = histograms(distribution.runs, _WIDTH)
        if sketches:
            yield ""
            drawn = [[r.run_id, s] for r, s in zip(distribution.runs, sketches, strict=True)]
            yield from table_lines(text.words("run", "histogram, log axis"), drawn)
    yield from ("", "## The runs", "")
    yield from table_lines(*runs_table(report.all_runs))
    for made in (machine_table(report.all_runs), attachments_table(report.all_runs)):
        if made:
            yield ""
            yield from table_lines(*made)
    yield from ("", "## How to see it again", "")
    yield from (f"    {printable(command)}" for command in report.commands())


def _comparison(comparison: Comparison) -> Iterator[str]:
    against = f"{escaped(comparison.candidate)} against {escaped(comparison.baseline)}"
    yield from ("", f"## What changed in {against}")
    for warning in comparison.warnings:
        yield from ("", f"**Warning:** {escaped(warning)}.")
    yield ""
    yield from table_lines(*brief_table(comparison))
    if comparison.provenance_changes:
        yield ""
        yield from table_lines(
            *provenance_table(comparison, comparison.baseline, comparison.candidate)
        )


def _verdict(report: Report) -> Iterator[str]:
    if report.why_not:
        yield from ("", f"**{escaped(report.why_not.capitalize())}.**")
    verdict = report.verdict
    if verdict is None:
        return
    yield from ("", f"**{escaped(words.headline(verdict))}**", "")
    yield from table_lines(*verdict_table(words.worst(verdict)))
    yield ""
    yield from (f"- {escaped(note)}" for note in words.notes(verdict))
    yield from (f"- {escaped(name)}: {escaped(value)}" for name, value in words.facts(verdict))
