"""A report as Markdown, with a sketch of each distribution: for tickets and merge requests."""

from __future__ import annotations

from collections.abc import Iterator

from astraguard_store.presentation import text
from astraguard_store.presentation.markdown import escaped, table_lines
from astraguard_store.presentation.sketch import histograms
from astraguard_store.report.content import Report
from astraguard_store.report.tables import (
    Table,
    changes_table,
    provenance_table,
    runs_table,
    statistics_table,
)

_WIDTH = 32


def render(report: Report) -> str:
    """Return the Markdown text."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Latency report: {escaped(report.title)}"
    yield ""
    yield f"Made {text.time_text(report.made_at)} UTC."
    # The verdict of a gate, and its reasons, belong here.
    for comparison in report.comparisons:
        for warning in comparison.warnings:
            yield from ("", f"**Warning:** {escaped(warning)}.")
    for comparison in report.comparisons:
        yield from ("", f"## What changed in {escaped(comparison.candidate)}", "")
        yield from _table(changes_table(comparison))
        if comparison.provenance_changes:
            yield ""
            yield from _table(provenance_table(comparison))
    for distribution in report.distributions:
        yield from ("", f"## {escaped(distribution.metric_type)}", "")
        yield from _table(statistics_table(report.all_runs, distribution.metric_type))
        sketches = histograms(distribution.runs, _WIDTH)
        if sketches:
            yield ""
            drawn = [[r.run_id, s] for r, s in zip(distribution.runs, sketches, strict=True)]
            yield from table_lines(text.words("run", "histogram, log axis"), drawn)
    yield from ("", "## The runs", "")
    yield from _table(runs_table(report.all_runs))
    yield from ("", "## How to see it again", "")
    yield from (f"    {text.printable(command)}" for command in report.commands())


def _table(made: Table) -> Iterator[str]:
    return table_lines(made.columns, made.rows)
