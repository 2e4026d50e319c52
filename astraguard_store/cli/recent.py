"""`astraguard-store recent`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

import click
from rich.cells import cell_len

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.model import RunHeader, RunState, RunSummary
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.shown import printable


class ListedRun(NamedTuple):
    """A run with what a list may show of it."""

    header: RunHeader
    summary: RunSummary


def _last_wrote(listed: ListedRun) -> str:
    written_at = listed.header.last_written_at
    return "-" if written_at is None else text.ago_text(written_at, datetime.now(UTC))


_FIELDS: dict[str, Callable[[ListedRun], str]] = {
    "run": lambda listed: listed.header.run_id,
    "recorded": lambda listed: text.time_text(listed.header.recorded_at),
    "scenario": lambda listed: listed.summary.provenance.scenario or "-",
    "state": lambda listed: listed.header.state,
    "last_wrote": _last_wrote,
    "tags": lambda listed: text.tags_text(listed.summary.tags) or "-",
    "measurements": lambda listed: numbers.count_text(listed.header.total_measurements),
    "missed": lambda listed: numbers.count_text(
        sum(metric.missed for metric in listed.summary.metrics.values())
    ),
    "revision": lambda listed: str(listed.header.revision or "-"),
    **{
        name: lambda listed, name=name: text.provenance_text(  # type: ignore[misc]
            getattr(listed.summary.provenance, name)
        )
        for name in ("rig", "firmware", "host", "software_version", "git_commit", "git_branch")
    },
}
_TITLES = {"recorded": "recorded (UTC)"}
_NUMERIC = frozenset({"measurements", "missed", "revision"})
# The last of `--fields`: it stands for the chosen statistic of the chosen metric type.
_STATISTIC = "p95"
# What is shortened where a terminal has no room, in this order, and how short it may become: a
# test's id is a scenario too. A run's id stays, as it is copied.
_CLIPPED = (("scenario", 20), ("tags", 4), ("scenario", 8))


def _default_fields(runs: Iterable[RunSummary]) -> tuple[str, ...]:
    """Return what a list shows; when a run wrote last, only where one isn't finished."""
    is_finished = all(run.state == "finished" for run in runs)
    last_wrote = () if is_finished else ("last_wrote",)
    return ("run", "recorded", "scenario", "state", *last_wrote, "tags", _STATISTIC)


def _chosen_fields(
    _ctx: click.Context, _option: click.Parameter, listed: str | None
) -> tuple[str, ...] | None:
    if listed is None:
        return None
    names = tuple(name.strip() for name in listed.split(","))
    for name in names:
        if name not in _FIELDS and name != _STATISTIC:
            raise click.BadParameter(f"{name!r} is none of {', '.join([*_FIELDS, _STATISTIC])}.")
    return names


fields_option = click.option(
    "--fields",
    metavar="NAME[,NAME]...",
    callback=_chosen_fields,
    shell_complete=options.complete_list(lambda: [*_FIELDS, _STATISTIC]),
    help=f"What to show, in this order: {', '.join([*_FIELDS, _STATISTIC])}.",
)


@click.command(
    epilog=options.examples(
        "astraguard-store recent -n 5",
        "astraguard-store recent --scenario swarm --since 7d",
        "astraguard-store recent --metric recovery_action --fields run,rig,p95",
        "astraguard-store recent --tag nightly=green --above fault_detection.p95_ms=100",
        "astraguard-store recent --state interrupted",
        "astraguard-store recent --json | jq -r '.runs[0].run_id'",
    )
)
@options.limit(1_000_000)
@click.option(
    "--metric",
    metavar="METRIC",
    shell_complete=options.complete_metric,
    help=f"Whose p95 is shown; else that of --above, {text.USUAL_METRIC}, or the first by name.",
)
@fields_option
@options.scenario_filters
@click.option(
    "--above",
    type=options.metric_limit,
    metavar="METRIC.STATISTIC=MS",
    help="Only runs whose mean_ms, p50_ms, p95_ms, p99_ms or max_ms of a metric type is above.",
)
@click.option(
    "--before",
    metavar="RUN",
    shell_complete=options.complete_run,
    help="Only runs older than this one: the last run of a page gives the next page.",
)
@click.option(
    "--state",
    type=click.Choice(get_args(RunState)),
    help="Only runs that came so far.",
)
@options.as_markdown
@options.results
@options.as_json
def recent(
    limit: int,
    metric: str | None,
    fields: tuple[str, ...],
    above: tuple[str, str, float] | None,
    before: str | None,
    state: RunState | None,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
    **filters: Any,
) -> int:
    """List the newest runs, newest first.

    Of those that pass all filters, with the 95th percentile of a metric type; with --above
    the value that was asked for stands beside its limit. A percentile that falls among missed
    events counts by its lower bound. Where there are older runs, a line on standard error
    says how to list them.

    Exit code 0, also where there is no run; 1 where the run of --before doesn't exist,
    or no run has the metric type of --metric or --above; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        older_than = None if before is None else options.resolved(repository, before)
        headers = repository.recent(
            limit + 1,
            **filters,
            above=above,
            before=None if older_than is None else repository.get(older_than).header,
            state=state,
        )
        asked = metric or (above[0] if above and not headers else None)
        mistyped = options.why_no_metric(repository, asked) if asked else None
        origin = options.answers_from(repository)
        # One more than wanted, to know whether there is a next page.
        cursor = headers[limit - 1].run_id if len(headers) > limit else None
        del headers[limit:]
        if as_json:
            output.print_json({**origin, "runs": shapes.plain(headers), "next": cursor})
        elif headers and mistyped is None:
            runs = options.summaries_of(repository, headers)
            print_runs(runs, fields, metric=metric, above=above, markdown=as_markdown)
    if not headers and not as_json and mistyped is None:
        is_filtered = any((*filters.values(), above, before, state))
        where = options.shown_place(results)
        what = f"No such runs in {where}." if is_filtered else f"No runs in {where} yet."
        output.print_line(what)
    if mistyped is not None:
        complain(mistyped)
        return ANSWER_IS_NO
    if cursor is not None and not as_json:
        complain(f"there are older runs; the same with --before {shlex.quote(cursor)} lists them")
    return OK


def print_runs(
    runs: Sequence[RunSummary],
    fields: Sequence[str] | None = None,
    *,
    metric: str | None = None,
    above: tuple[str, str, float] | None = None,
    markdown: bool = False,
) -> None:
    """Print a list of runs.

    Args:
        runs: In the order of the list.
        fields: What to show of them; ``p95`` is a statistic of *metric*. None for the usual.
        metric: Which metric type; None chooses one.
        above: The limit that was asked for; its statistic is shown instead of p95.
        markdown: For a file instead of the terminal.
    """
    metric_type = metric or (above[0] if above else text.usual_metric(runs))
    is_limit = above is not None and above[0] == metric_type
    statistic = above[1].removesuffix("_ms") if above and is_limit else _STATISTIC
    values = [_value(run, metric_type, statistic) for run in runs]
    unit = numbers.unit_of(values)
    title = f"{statistic} {unit.name}"
    if above and is_limit:
        title += f" (limit {numbers.in_unit(above[2], unit)})"
    # On a terminal the metric type stands below, so that a list has room for tags.
    is_narrow = output.is_terminal() and not markdown
    shown = title if is_narrow else f"{metric_type} {title}"
    listed = [ListedRun(run.header, run) for run in runs]
    columns: list[text.Column] = []
    cells: list[list[str]] = []
    for name in fields or _default_fields(runs):
        if name == _STATISTIC:
            if metric_type is None:
                continue
            columns += text.numbers(shown)
            cells.append([numbers.in_unit(value, unit) for value in values])
        else:
            title = _TITLES.get(name, name.replace("_", " "))
            columns.append(text.Column(title, numeric=name in _NUMERIC))
            cells.append([printable(_FIELDS[name](run)) for run in listed])
    if is_narrow and fields is None:
        for title, least in _CLIPPED:
            _clip(cells, columns, title, least)
    output.print_table(columns, list(zip(*cells, strict=True)), markdown=markdown)
    if is_narrow and metric_type and shown in [column.title for column in columns]:
        output.print_line(f"{statistic} of {metric_type}")


def _clip(
    cells: Sequence[list[str]], columns: Sequence[text.Column], title: str, least: int
) -> None:
    """Shorten the texts of one column, so that the terminal has room for the table."""
    titles = [column.title for column in columns]
    place = titles.index(title)
    wide = [max(map(cell_len, (t, *column))) for t, column in zip(titles, cells, strict=True)]
    room = output.width() - sum(wide) + wide[place] - 2 * (len(columns) - 1)
    dots = output.sign("…", "~")
    cells[place][:] = [
        text.shortened(cell, max(room, least), cell_len).replace("…", dots)
        for cell in cells[place]
    ]


def _value(run: RunSummary, metric_type: str | None, statistic: str) -> float | None:
    summary = run.metrics.get(metric_type) if metric_type else None
    attribute = statistic if statistic.startswith("p") else f"{statistic}_ms"
    value: float | None = getattr(summary, attribute, None)
    return value
