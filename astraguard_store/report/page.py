"""A report as one HTML file: no script, no request, and a style for print."""

from __future__ import annotations

from collections.abc import Iterator

from astraguard_store.presentation import text
from astraguard_store.presentation.html import Html, table, tag
from astraguard_store.presentation.style import CSS
from astraguard_store.presentation.svg import distribution_svg
from astraguard_store.report.content import Report
from astraguard_store.report.tables import (
    Table,
    changes_table,
    provenance_table,
    runs_table,
    satellites_table,
    statistics_table,
)

# Whoever opens the file is told by it, too, that nothing in it may run or be loaded.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(report: Report) -> str:
    """Return the HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"Latency report: {report.title}"),
        tag("style", Html(CSS)),
    )
    body = tag("body", tag("main", _sections(report)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _sections(report: Report) -> Iterator[Html]:
    yield tag("h1", f"Latency report: {report.title}")
    made = (
        f"Made {text.time_text(report.made_at)} UTC from {text.counted(len(report.runs), 'run')}."
    )
    yield tag("p", made, class_="soft")
    # The verdict of a gate, and its reasons, belong here.
    for comparison in report.comparisons:
        for warning in comparison.warnings:
            yield tag("p", f"Warning: {warning}.", class_="note")
    for comparison in report.comparisons:
        yield tag("h2", f"What changed in {comparison.candidate}")
        yield _table(changes_table(comparison), "The worst first; baseline → candidate")
        if comparison.provenance_changes:
            yield tag("h3", f"What was different about {comparison.candidate}")
            yield _table(provenance_table(comparison), "Software, machine and scenario")
    yield tag("h2", "Distributions")
    yield tag(
        "p",
        "Each curve says which share of all events took no longer than a time. Dots are the "
        "median, p95 and p99, within 1 %. A dashed line is what never came.",
        class_="soft",
    )
    for distribution in report.distributions:
        yield tag("figure", distribution_svg(distribution))
        yield _table(
            statistics_table(report.all_runs, distribution.metric_type),
            f"{distribution.metric_type}: exact statistics of each run",
        )
    last = report.runs[-1] if report.runs else report.all_runs[-1]
    yield tag("h2", f"Satellites of {last.run_id}")
    for metric_type in sorted(last.metrics):
        yield _table(
            satellites_table(last, metric_type), f"{metric_type}: the slowest satellite first"
        )
    yield tag("h2", "The runs")
    yield _table(runs_table(report.all_runs), "What the runs were")
    yield tag("h2", "How to see it again")
    yield tag("pre", tag("code", "\n".join(report.commands())))


def _table(made: Table, caption: str) -> Html:
    return table(made.columns, made.rows, caption=caption)
