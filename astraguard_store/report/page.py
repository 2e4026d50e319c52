"""A report as one HTML file: no script, no request, and a style for print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from astraguard_store.comparison import Comparison
from astraguard_store.distributions import Distribution
from astraguard_store.model import RunSummary
from astraguard_store.presentation import text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.brief import brief_table
from astraguard_store.presentation.html import Html, document, figure, table, tag
from astraguard_store.presentation.style import CSS
from astraguard_store.presentation.svg import changes_svg, distribution_svg, times_svg
from astraguard_store.presentation.tables import (
    attachments_table,
    machine_table,
    provenance_table,
    runs_table,
    satellites_table,
    statistics_table,
    verdict_table,
)
from astraguard_store.quantile_changes import quantile_changes
from astraguard_store.report.content import Report
from astraguard_store.verdict.values import GateReport

# Whoever opens the file is told by it, too, that nothing in it may run or be loaded.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_ABOUT = (
    "Each curve says which share of all events took no longer than a time, within 1 %. Dots are "
    "the median, p95 and p99. A dashed line is what never came."
)
_ABOUT_CHANGES = (
    " Folded below it is by how much each quantile differs from the baseline's, with its 95 % "
    "interval from the events of these runs alone: the verdict counts how much runs differ anyway."
)


def render(report: Report) -> str:
    """Return the HTML document."""
    policy = tag("meta", http_equiv="Content-Security-Policy", content=_POLICY)
    body = tag("body", tag("main", _sections(report)))
    return document(f"Latency report: {report.title}", body, policy, tag("style", Html(CSS)))


def _sections(report: Report) -> Iterator[Html]:
    yield tag("h1", f"Latency report: {report.title}")
    made = (
        f"Made {text.time_text(report.made_at)} UTC from {text.counted(len(report.runs), 'run')}."
    )
    yield tag("p", made, class_="soft")
    yield from verdict_section(report.verdict, report.why_not)
    for comparison in report.comparisons:
        yield from comparison_section(comparison)
    yield tag("h2", "Distributions")
    yield tag("p", f"{_ABOUT}{_ABOUT_CHANGES * bool(report.baseline)}", class_="soft")
    for distribution in report.distributions:
        yield from _figures(report, distribution)
        yield table(
            *statistics_table(report.all_runs, distribution.metric_type),
            f"{distribution.metric_type}: exact statistics of each run",
        )
    last = report.runs[-1] if report.runs else report.all_runs[-1]
    yield tag("h2", f"Satellites of {last.run_id}")
    for metric_type in sorted(last.metrics):
        yield table(
            *satellites_table(last, metric_type), f"{metric_type}: the slowest satellite first"
        )
    yield tag("h2", "The runs")
    yield table(*runs_table(report.all_runs), "What the runs were")
    yield from belongings(report.all_runs)
    yield tag("h2", "How to see it again")
    commands = tag("code", "\n".join(report.commands()))
    yield tag("pre", commands, tabindex="0", role="region", aria_label="commands")


def _figures(report: Report, distribution: Distribution) -> Iterator[Html]:
    """Yield the chart of one metric type, and below it, folded, what else can be drawn of it.

    One chart a metric type is what a reader can take in of twenty; the others unfold without a
    script, and are printed if they are open.
    """
    metric_type = distribution.metric_type
    yield figure(distribution_svg(distribution))
    more = []
    if report.baseline is not None:
        changes = quantile_changes(distribution, report.baseline, report.runs)
        more.append(figure(changes_svg(metric_type, report.baseline.run_id, changes)))
    measured = [run.run_id for run in report.all_runs if metric_type in run.metrics]
    times = [(run_id, report.times[run_id].get(metric_type, ())) for run_id in measured]
    more.append(figure(times_svg(metric_type, times)))
    by = "By quantile against the baseline, and over" if report.baseline else "Over"
    summary = tag("summary", f"{by} the scenario's time: {metric_type}")
    yield tag("details", summary, more)


def comparison_section(comparison: Comparison) -> Iterator[Html]:
    """Yield what changed and what was different; the page of a comparison has them too."""
    yield tag("h2", f"What changed in {comparison.candidate} against {comparison.baseline}")
    for warning in comparison.warnings:
        yield tag("p", f"Warning: {warning}.", class_="note")
    yield table(
        *brief_table(comparison),
        f"{comparison.candidate}: the worst first; baseline → candidate",
    )
    if comparison.provenance_changes:
        yield tag("h3", f"What was different about {comparison.candidate}")
        yield table(
            *provenance_table(comparison, comparison.baseline, comparison.candidate),
            f"{comparison.candidate}: software, machine and scenario",
        )


def verdict_section(verdict: GateReport | None, why_not: str | None) -> Iterator[Html]:
    """Yield the verdict and its reasons; the page of a comparison has them too."""
    if why_not:
        yield tag("p", f"{why_not[:1].upper()}{why_not[1:]}.", class_="note")
    if verdict is None:
        return
    facts = [[name, value] for name, value in words.facts(verdict)]
    rest = words.rest_text(verdict, len(words.worst(verdict)))
    yield tag(
        "section",
        tag("p", words.headline(verdict), class_="headline"),
        tag("ul", [tag("li", note) for note in words.notes(verdict)])
        if words.notes(verdict)
        else None,
        table(*verdict_table(words.worst(verdict)), "What decides"),
        tag("p", f"{rest[:1].upper()}{rest[1:]}.", class_="soft") if rest else None,
        table(text.words("", ""), facts, caption="Why", long=True),
        class_=f"verdict {verdict.verdict}",
        aria_label="verdict",
    )


def belongings(
    runs: Sequence[RunSummary], link: Callable[[str, str], Html] | None = None
) -> Iterator[Html]:
    """Yield what else the machines of runs did, and what was attached to the runs.

    Args:
        runs: The runs.
        link: Makes a link of a run's id and the name of what was attached; None shows the name.
    """
    machine, attached = machine_table(runs), attachments_table(runs, link)
    if machine:
        yield table(*machine, "What else the machine did while it recorded: the worst of a run")
    if attached:
        yield table(*attached, "Files that were attached")
