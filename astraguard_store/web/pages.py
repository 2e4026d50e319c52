"""What each page holds: the HTML, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from astraguard_store.comparison import compare
from astraguard_store.exceptions import InvalidRunError, QueryError, RunNotFoundError
from astraguard_store.history import GROUPS
from astraguard_store.model import RunSummary
from astraguard_store.presentation import numbers, text
from astraguard_store.presentation.html import Html, table, tag
from astraguard_store.presentation.shapes import (
    comparison_shape,
    headers_shape,
    history_shape,
    report_shape,
    run_shape,
)
from astraguard_store.presentation.svg import distribution_svg, history_svg, times_svg
from astraguard_store.report.tables import (
    Table,
    changes_table,
    provenance_table,
    satellites_table,
    statistics_table,
)
from astraguard_store.run_names import resolve_run
from astraguard_store.store.seeing import over_time, summaries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astraguard_store.repository import RunRepository

_PAGE_RUNS = 25
_MOST_COMPARED = 4
_HISTORY_RUNS = 100
_SLICES = 60
_QUERY_ROWS = 500
_QUERY_SECONDS = 5.0


class Page(NamedTuple):
    """A page: its title, its HTML and its data."""

    title: str
    body: list[Html]
    data: dict[str, Any]


def document(page: Page, json_url: str) -> str:
    """Return the HTML document of a page; its style is a file, as the policy asks for."""
    navigation = tag(
        "nav",
        [
            tag("a", said, href=url)
            for said, url in (("Runs", "/"), ("History", "/history"), ("SQL", "/sql"))
        ],
        tag("a", "JSON", href=json_url),
        aria_label="pages",
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{page.title} - astraguard_store"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/style.css"),
    )
    body = tag("body", navigation, tag("main", tag("h1", page.title), page.body))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def runs_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return the list of runs, with filters, and the way to the next page."""
    scenario, tagged = asked.get("scenario") or None, asked.get("tag") or None
    name, equals, value = (tagged or "").partition("=")
    tag_filter = None if tagged is None else (name, value) if equals else name
    before = asked.get("before") or None
    headers = repository.recent(
        _PAGE_RUNS + 1,
        scenario=scenario,
        tag=tag_filter,
        before=None if before is None else repository.get(before).header,
    )
    is_more = len(headers) > _PAGE_RUNS
    del headers[_PAGE_RUNS:]
    runs = list(summaries(repository, headers))
    metric = asked.get("metric") or _usual_metric(runs)
    values = [run.metrics[metric].p95 if metric in run.metrics else None for run in runs]
    unit = numbers.unit_of(values)
    rows = [
        [
            tag(
                "input",
                type="checkbox",
                name="run",
                value=r.run_id,
                aria_label=f"compare {r.run_id}",
            ),
            _run_link(r.run_id),
            text.time_text(r.recorded_at),
            r.provenance.scenario or "-",
            text.tags_text(r.tags) or "-",
            numbers.count_text(r.total_measurements),
            numbers.in_unit(value, unit),
        ]
        for r, value in zip(runs, values, strict=True)
    ]
    columns = text.words("", "run", "recorded (UTC)", "scenario", "tags")
    columns += text.numbers("measurements", f"{metric} p95 {unit.name}" if metric else "p95")
    filters = tag(
        "form",
        _field("scenario", "Scenario", asked),
        _field("tag", "Tag or tag=value", asked),
        _field("metric", "Metric type", asked),
        tag("button", "Filter", type="submit"),
        method="get",
        action="/",
    )
    listed = tag(
        "form",
        table(columns, rows, caption=text.counted(len(rows), "run")),
        tag("button", "Compare the ticked runs (2 to 4)", type="submit"),
        method="get",
        action="/compare",
    )
    body = [filters, listed if rows else tag("p", "There are no such runs.")]
    if is_more:
        kept = {k: v for k, v in asked.items() if k in ("scenario", "tag", "metric") and v}
        url = f"/?{urlencode({**kept, 'before': headers[-1].run_id})}"
        body.append(tag("p", tag("a", "Older runs", href=url, rel="next")))
    following = headers[-1].run_id if is_more else None
    return Page("Runs", body, {"runs": headers_shape(headers), "next": following})


def run_page(repository: RunRepository, run_id: str) -> Page:
    """Return a run: what it was, its statistics, charts, satellites and files."""
    run = repository.get(resolve_run(repository, run_id))
    known = [[n.replace("_", " "), text.provenance_text(v)] for n, v in run.provenance.known()]
    known.append(["tags", text.tags_text(run.tags) or "-"])
    # The state of a run that is under way, and its attachments, belong here.
    body = [
        tag("p", f"Recorded {text.time_text(run.recorded_at)} UTC, revision {run.revision}."),
        table(text.words("", ""), known, caption="What the run was"),
    ]
    trends = over_time(repository, run.run_id, _SLICES)
    for metric_type in sorted(run.metrics):
        body.append(tag("h2", metric_type))
        body.append(_made(statistics_table([run], metric_type), "Statistics"))
        distribution = repository.distribution(metric_type, [run.run_id])
        body.append(tag("figure", distribution_svg(distribution)))
        if metric_type in trends:
            title = f"{metric_type}: p95 over the run's time"
            body.append(tag("figure", times_svg(title, [(run.run_id, trends[metric_type])])))
        url = f"/history?{urlencode({'metric': metric_type})}"
        body.append(tag("p", tag("a", f"History of {metric_type}", href=url)))
        body.append(_made(satellites_table(run, metric_type), "The slowest satellite first"))
    files = [[a.path, numbers.size_text(a.bytes), (a.sha256 or "-")[:12]] for a in run.artifacts]
    columns = [*text.words("file"), *text.numbers("size"), *text.words("sha256")]
    body += [tag("h2", "Files"), table(columns, files, caption="Files of the run")]
    return Page(f"Run {run.run_id}", body, run_shape(run))


def compare_page(repository: RunRepository, names: Sequence[str]) -> Page:
    """Return a comparison of two to four runs: the first is the baseline.

    Raises:
        InvalidRunError: There are fewer or more.
    """
    run_ids = list(dict.fromkeys(resolve_run(repository, name) for name in names))
    if not 2 <= len(run_ids) <= _MOST_COMPARED:
        raise InvalidRunError(
            f"{len(run_ids)} runs can't be compared: 2 to {_MOST_COMPARED} are needed, the "
            "baseline first"
        )
    baseline, *others = [repository.get(run_id) for run_id in run_ids]
    comparisons = [compare(baseline, run) for run in others]
    body: list[Html] = []
    for comparison in comparisons:
        body.append(tag("h2", f"{comparison.candidate} against {comparison.baseline}"))
        body += [tag("p", f"Warning: {w}.", class_="note") for w in comparison.warnings]
        body.append(_made(changes_table(comparison), "The worst first; baseline → candidate"))
        if comparison.provenance_changes:
            body.append(_made(provenance_table(comparison), "What was different"))
    body.append(tag("h2", "Distributions"))
    for metric_type in sorted({m for run in (baseline, *others) for m in run.metrics}):
        distribution = repository.distribution(metric_type, run_ids)
        body.append(tag("figure", distribution_svg(distribution)))
    shapes = [comparison_shape(comparison, by_satellite=False) for comparison in comparisons]
    return Page("Comparison", body, {"comparisons": shapes})


def history_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return the trend of a metric type over runs, with where it changed."""
    newest = list(summaries(repository, repository.recent(_PAGE_RUNS)))
    types = sorted({metric_type for run in newest for metric_type in run.metrics})
    metric = asked.get("metric") or _usual_metric(newest)
    by = asked.get("by") or None
    form = tag(
        "form",
        _choice("metric", "Metric type", types, metric),
        _choice("by", "Taken apart by", ["", *GROUPS], by or ""),
        tag("button", "Show", type="submit"),
        method="get",
        action="/history",
    )
    if not metric:
        return Page("History", [form, tag("p", "There are no runs yet.")], {"points": []})
    history = repository.history(metric, by=by, limit=_HISTORY_RUNS)
    unit = numbers.unit_of(point.summary.p95 for point in history.points)
    changes = frozenset(history.changes())
    rows = [
        [
            _run_link(point.run_id),
            text.time_text(point.recorded_at),
            point.group or "-",
            numbers.in_unit(point.summary.p95, unit),
            "changed" if point in changes else "",
            numbers.count_text(point.summary.missed),
            (point.git_commit or "-")[:12],
        ]
        for point in reversed(history.points)
    ]
    columns = [
        *text.words("run", "recorded (UTC)", by or "group"),
        *text.numbers(f"p95 {unit.name}"),
    ]
    columns += [*text.words("change"), *text.numbers("missed"), *text.words("commit")]
    body = [
        form,
        tag("figure", history_svg(history)),
        table(columns, rows, caption=f"{metric}, newest first"),
    ]
    return Page(f"History of {metric}", body, history_shape(history, "p95"))


def sql_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return the answer to a statement that only reads, or why there is none."""
    sql = asked.get("sql", "")
    form = tag(
        "form",
        tag(
            "label",
            "One statement that only reads",
            tag("textarea", sql, name="sql"),
            class_="full",
        ),
        tag("button", "Run", type="submit"),
        method="get",
        action="/sql",
    )
    if not sql.strip():
        hint = "The views are v_runs, v_latency, v_changes, v_buckets and v_artifacts."
        return Page("SQL", [form, tag("p", hint, class_="soft")], {})
    try:
        answer = repository.query(sql, time_limit_s=_QUERY_SECONDS, row_limit=_QUERY_ROWS)
    except QueryError as error:
        return Page("SQL", [form, tag("p", str(error), class_="note")], {"error": str(error)})
    rows = [
        ["NULL" if v is None else v.hex() if isinstance(v, bytes) else str(v) for v in row]
        for row in answer.rows
    ]
    more = f", and there are more than {_QUERY_ROWS}" if answer.truncated else ""
    caption = f"{text.counted(len(rows), 'row')}{more}"
    return Page(
        "SQL",
        [form, table(text.words(*answer.columns), rows, caption=caption)],
        report_shape(answer),
    )


def error_page(error: Exception) -> Page:
    """Return what is wrong, in a sentence."""
    said = str(error)
    return Page("Not possible", [tag("p", said, class_="note")], {"error": said})


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error of the store."""
    if isinstance(error, RunNotFoundError):
        return 404
    return 400 if isinstance(error, InvalidRunError) else 503


def _usual_metric(runs: Iterable[RunSummary]) -> str:
    found = {metric_type for run in runs for metric_type in run.metrics}
    return "fault_detection" if "fault_detection" in found else min(found, default="")


def _run_link(run_id: str) -> Html:
    return tag("a", run_id, href=f"/run/{quote(run_id, safe='')}")


def _field(name: str, label: str, asked: Mapping[str, str]) -> Html:
    return tag("label", label, tag("input", name=name, value=asked.get(name, "")))


def _choice(name: str, label: str, names: Iterable[str], chosen: str) -> Html:
    made = [tag("option", n or "nothing", value=n, selected=n == chosen) for n in names]
    return tag("label", label, tag("select", made, name=name))


def _made(made: Table, caption: str) -> Html:
    return table(made.columns, made.rows, caption=caption)
