"""What each page holds: the HTML, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, get_args
from urllib.parse import quote, urlencode

from astraguard_store.comparison import compare
from astraguard_store.exceptions import (
    GateError,
    InvalidRunError,
    QueryError,
    RunNotFoundError,
)
from astraguard_store.history import GROUPS
from astraguard_store.judging import find_standard, judge
from astraguard_store.model import RunHeaders, RunState, RunSummary
from astraguard_store.over_time import over_time
from astraguard_store.presentation import html, numbers, text
from astraguard_store.presentation.html import Child, Html, figure, table, tag
from astraguard_store.presentation.shapes import (
    distributions_shape,
    listed_shape,
    plain,
    shape_of,
)
from astraguard_store.presentation.svg import (
    changes_svg,
    distribution_svg,
    history_svg,
    times_svg,
)
from astraguard_store.presentation.tables import (
    history_table,
    satellites_table,
    statistics_table,
    units_table,
)
from astraguard_store.quantile_changes import QuantileChanges, quantile_changes
from astraguard_store.report.page import belongings, comparison_section, verdict_section
from astraguard_store.run_names import resolve_run
from astraguard_store.store.schema_versions import described_schema
from astraguard_store.store.seeing import summaries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astraguard_store.repository import RunRepository

_PAGE_RUNS = 25
_MOST_COMPARED = 4
_HISTORY_RUNS = 100
_SLICES = 60
_QUERY_ROWS = 500
_QUERY_SECONDS = 5.0
# A recorder says that it lives every 10 s; what ends is seen sooner.
_REFRESH_S = 3
_MOST_RUNNING = 20
_FILTERS = ("scenario", "tag", "state", "metric")


class Page(NamedTuple):
    """A page.

    Attributes:
        title: Its title.
        body: Its HTML.
        data: The same as JSON.
        is_part: Whether it is shown in a frame of another page: without navigation.
        refresh_s: After how many seconds a browser asks again; 0 for never.
    """

    title: str
    body: list[Html]
    data: dict[str, Any]
    is_part: bool = False
    refresh_s: int = 0


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
    if page.is_part:
        heading = tag("h1", page.title, class_="hidden")
        body = tag("body", tag("main", heading, page.body), class_="part")
    else:
        body = tag("body", navigation, tag("main", tag("h1", page.title), page.body))
    return html.document(
        f"{page.title} - astraguard_store",
        body,
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/style.css"),
    )


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
        state=_state_filter(asked),
        before=None if before is None else repository.get(before).header,
    )
    is_more = len(headers) > _PAGE_RUNS
    del headers[_PAGE_RUNS:]
    runs = list(summaries(repository, headers))
    metric = asked.get("metric") or text.usual_metric(runs) or ""
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
            r.state,
            numbers.in_unit(value, unit),
            numbers.count_text(r.total_measurements),
            text.tags_text(r.tags) or "-",
        ]
        for r, value in zip(runs, values, strict=True)
    ]
    columns = text.words("compare", "run", "recorded (UTC)", "scenario", "state")
    columns += text.numbers(f"{metric} p95 {unit.name}" if metric else "p95", "measurements")
    columns += text.words("tags")
    filters = _form(
        "/",
        "Filter",
        _field("scenario", "Scenario", asked),
        _field("tag", "Tag or tag=value", asked),
        _choice("state", "State", ["", *get_args(RunState)], asked.get("state", ""), empty="any"),
        _field("metric", "Metric type", asked),
    )
    found = table(columns, rows, text.counted(len(rows), "run"))
    listed = _form("/compare", "Compare the ticked runs (2 to 4)", found)
    body = [_frame("/running", "runs that are being recorded")] if before is None else []
    body += [filters, listed if rows else tag("p", "There are no such runs.")]
    if is_more:
        kept = {k: v for k, v in asked.items() if k in _FILTERS and v}
        url = f"/?{urlencode({**kept, 'before': headers[-1].run_id})}"
        body.append(tag("p", tag("a", "Older runs", href=url, rel="next")))
    following = headers[-1].run_id if is_more else None
    data = {"runs": listed_shape(runs, metric), "next": following, "metric_type": metric or None}
    return Page("Runs", body, data)


def _state_filter(asked: Mapping[str, str]) -> RunState | None:
    given = asked.get("state") or None
    found = next((state for state in get_args(RunState) if state == given), None)
    if given is not None and found is None:
        raise InvalidRunError(
            f"Invalid state {given!r}: one of {', '.join(get_args(RunState))} is needed"
        )
    return found


def run_page(repository: RunRepository, run_id: str) -> Page:
    """Return a run: what it was, its statistics, charts, satellites and files."""
    run = repository.get(resolve_run(repository, run_id))
    known = [[n.replace("_", " "), text.provenance_text(v)] for n, v in run.provenance.known()]
    known.append(["tags", text.tags_text(run.tags) or "-"])
    began = "Began" if run.state == "running" else "Recorded"
    units = run.provenance.units
    body = [
        *_state(run),
        tag("p", f"{began} {text.time_text(run.recorded_at)} UTC, revision {run.revision}."),
        table(text.words("", ""), known, caption="What the run was", long=True),
        *([table(*units_table(units), "Which hardware each satellite was")] if units else []),
        *belongings([run], _attached_link),
    ]
    trends = over_time(repository, run.run_id, _SLICES)
    distributions = []
    for metric_type in sorted(run.metrics):
        body.append(tag("h2", metric_type))
        body.append(table(*statistics_table([run], metric_type), f"{metric_type}: statistics"))
        distributions.append(repository.distribution(metric_type, [run.run_id]))
        body.append(figure(distribution_svg(distributions[-1])))
        over = [(run.run_id, trends.get(metric_type, []))]
        body.append(figure(times_svg(metric_type, over)))
        url = f"/history?{urlencode({'metric': metric_type})}"
        body.append(tag("p", tag("a", f"History of {metric_type}", href=url)))
        body.append(
            table(
                *satellites_table(run, metric_type), f"{metric_type}: the slowest satellite first"
            )
        )
    files = [[a.path, numbers.size_text(a.bytes), (a.sha256 or "-")[:12]] for a in run.artifacts]
    columns = [*text.words("file"), *text.numbers("size"), *text.words("sha256")]
    body.append(tag("h2", "Files"))
    if files:
        body.append(table(columns, files, caption="Files of the run"))
    else:
        body.append(tag("p", "It has no files.", class_="soft"))
    shape = {
        **shape_of(run),
        "distributions": distributions_shape(distributions),
        "over_time": plain(trends),
    }
    return Page(f"Run {run.run_id}", body, shape)


def _attached_link(run_id: str, name: str) -> Html:
    return tag("a", name, href=f"{_run_url(run_id)}/attached/{quote(name, safe='')}", download="")


def _state(run: RunSummary) -> list[Html]:
    """Return how far the run came, where it isn't finished; a running one says so by itself."""
    if run.state == "finished":
        return []
    if run.state == "running":
        return [
            _frame(f"/running?{urlencode({'run': run.run_id})}", f"{run.run_id} while it runs")
        ]
    error = f": {run.error}" if run.error else ""
    return [tag("p", f"This run is {run.state}{error}. It has what was recorded.", class_="note")]


def running_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return what is being recorded, for a frame that asks again by itself.

    Only the frame is drawn anew: what a reader has ticked or typed around it stays.
    """
    run_id = asked.get("run") or None
    if run_id is None:
        headers = repository.recent(_MOST_RUNNING, state="running")
    else:
        headers = RunHeaders([repository.get(run_id).header])
    runs = list(summaries(repository, headers))
    if run_id is not None and headers[0].state != "running":
        said = tag("p", f"The run is {headers[0].state}. ", _top(run_id, "Show what it measured"))
        return Page("Running", [said], {"runs": listed_shape(runs)}, is_part=True)
    if not headers:
        said = tag("p", "No run is being recorded.", class_="soft")
        return Page("Running", [said], {"runs": []}, is_part=True, refresh_s=_REFRESH_S)
    now = datetime.now(UTC)
    rows = [
        [
            _top(run.run_id, run.run_id),
            run.state,
            text.time_text(run.recorded_at),
            "-" if run.last_written_at is None else text.ago_text(run.last_written_at, now),
            run.provenance.scenario or "-",
            text.tags_text(run.tags) or "-",
        ]
        for run in runs
    ]
    columns = text.words("run", "state", "began (UTC)", "last wrote", "scenario", "tags")
    listed = table(columns, rows, caption="Being recorded")
    shape = {"runs": listed_shape(runs)}
    return Page("Running", [listed], shape, is_part=True, refresh_s=_REFRESH_S)


def _frame(url: str, title: str) -> Html:
    return tag("iframe", src=url, title=title, class_="live")


def _top(run_id: str, said: str) -> Html:
    return tag("a", said, href=_run_url(run_id), target="_top")


def compare_page(
    repository: RunRepository, names: Sequence[str], baseline_name: str | None = None
) -> Page:
    """Return a comparison of two to four runs: the first is the baseline.

    Args:
        repository: Where the runs are.
        names: Of the runs.
        baseline_name: A baseline, or a run, that goes before all of them.

    Raises:
        InvalidRunError: There are fewer or more.
    """
    run_ids = list(dict.fromkeys(resolve_run(repository, name) for name in names))
    standard = None
    if baseline_name:
        standard = find_standard(repository, baseline_name, without=run_ids)
        run_ids = [standard.newest, *(r for r in run_ids if r != standard.newest)]
    if not 2 <= len(run_ids) <= _MOST_COMPARED:
        raise InvalidRunError(
            f"{len(run_ids)} run{'s' * (len(run_ids) != 1)} can't be compared: 2 to "
            f"{_MOST_COMPARED} are needed, the baseline first"
        )
    baseline, *others = [repository.get(run_id) for run_id in run_ids]
    comparisons = [compare(baseline, run) for run in others]
    standard = standard or find_standard(repository, baseline.run_id)
    judged = judge(repository, run_ids[1:], standard)
    body = [*_baselines_form(repository, run_ids[1:]), *verdict_section(*judged)]
    for comparison in comparisons:
        body += comparison_section(comparison)
    body.append(tag("h2", "Distributions"))
    distributions = []
    differences: dict[str, list[QuantileChanges]] = {}
    for metric_type in sorted({m for run in (baseline, *others) for m in run.metrics}):
        distribution = repository.distribution(metric_type, run_ids)
        distributions.append(distribution)
        body.append(figure(distribution_svg(distribution)))
        differences[metric_type] = quantile_changes(distribution, baseline, others)
        changes = changes_svg(metric_type, baseline.run_id, differences[metric_type])
        body.append(figure(changes))
    shape = {
        "comparisons": [shape_of(one) for one in comparisons],
        "verdict": shape_of(judged.report) if judged.report else None,
        "distributions": distributions_shape(distributions),
        "differences": plain(differences),
    }
    return Page("Comparison", body, shape)


def _baselines_form(repository: RunRepository, run_ids: Sequence[str]) -> list[Html]:
    """Return the choice of a baseline to judge the runs by; nothing where there is none."""
    names = _baseline_names(repository)
    if not names:
        return []
    runs = [tag("input", type="hidden", name="run", value=run_id) for run_id in run_ids]
    by = _choice("baseline", "Judge by the baseline", names, names[0])
    return [_form("/compare", "Judge", runs, by)]


def _baseline_names(repository: RunRepository) -> list[str]:
    if repository.answers_from != "database":
        return []
    return [one.name for one in repository.baselines()]


def history_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return the trend of a metric type over runs, with where it changed."""
    newest = list(summaries(repository, repository.recent(_PAGE_RUNS)))
    types = sorted({metric_type for run in newest for metric_type in run.metrics})
    metric = asked.get("metric") or text.usual_metric(newest) or ""
    by = asked.get("by") or None
    names, baseline = _baseline_names(repository), asked.get("baseline") or None
    form = _form(
        "/history",
        "Show",
        _choice("metric", "Metric type", types, metric),
        _choice("by", "Taken apart by", ["", *GROUPS], by or ""),
        _choice("baseline", "Held against the baseline", ["", *names], baseline or "")
        if names
        else [],
    )
    if not metric:
        return Page("History", [form, tag("p", "There are no runs yet.")], {"points": []})
    history = repository.history(metric, by=by, limit=_HISTORY_RUNS, baseline=baseline)
    columns, rows = history_table(history)
    newest_first = [[_run_link(run_id), *cells] for run_id, *cells in reversed(rows)]
    body = [
        form,
        figure(history_svg(history)),
        table(columns, newest_first, f"{metric}, newest first"),
    ]
    return Page(f"History of {metric}", body, shape_of(history))


def sql_page(repository: RunRepository, asked: Mapping[str, str]) -> Page:
    """Return the answer to a statement that only reads, or why there is none."""
    sql = asked.get("sql", "")
    statement = tag("textarea", sql, name="sql")
    labelled = tag("label", "One statement that only reads", statement, class_="full")
    form = _form("/sql", "Run", labelled)
    if not sql.strip():
        views = _views(repository)
        said = (
            f"The views are {', '.join(views)}." if views else "SQL needs a database in a folder."
        )
        return Page("SQL", [form, tag("p", said, class_="soft")], {"views": views})
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
        shape_of(answer),
    )


def _views(repository: RunRepository) -> list[str]:
    if repository.results_dir is None or repository.answers_from != "database":
        return []
    return [o.name for o in described_schema(repository.results_dir) if o.kind == "view"]


def error_page(error: Exception) -> Page:
    """Return what is wrong, in a sentence."""
    said = str(error)
    return Page("Not possible", [tag("p", said, class_="note")], {"error": said})


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error of the store."""
    if isinstance(error, RunNotFoundError):
        return 404
    return 400 if isinstance(error, (GateError, InvalidRunError)) else 503


def _run_url(run_id: str) -> str:
    return f"/run/{quote(run_id, safe='')}"


def _run_link(run_id: str) -> Html:
    return tag("a", run_id, href=_run_url(run_id))


def _form(action: str, said: str, *fields: Child) -> Html:
    button = tag("button", said, type="submit")
    return tag("form", *fields, button, method="get", action=action)


def _field(name: str, label: str, asked: Mapping[str, str]) -> Html:
    return tag("label", label, tag("input", name=name, value=asked.get(name, "")))


def _choice(
    name: str, label: str, names: Iterable[str], chosen: str, *, empty: str = "nothing"
) -> Html:
    made = [tag("option", n or empty, value=n, selected=n == chosen) for n in names]
    return tag("label", label, tag("select", made, name=name))
