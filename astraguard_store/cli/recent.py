"""`astraguard-store recent`."""

import shlex
from datetime import UTC, datetime
from typing import get_args

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.model import RunHeader, RunState
from astraguard_store.presentation import shapes, text


@click.command(
    epilog=options.examples(
        "astraguard-store recent --limit 5",
        "astraguard-store recent --scenario swarm --since 7d",
        "astraguard-store recent --tag nightly=green --above fault_detection.p95_ms=100",
        "astraguard-store recent --state interrupted",
        "astraguard-store recent --json | jq -r '.runs[0].run_id'",
    )
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Most runs to list.",
)
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
    scenario: str | None,
    tag: options.Tag | None,
    since: datetime | None,
    until: datetime | None,
    recorded_since: datetime | None,
    above: tuple[str, str, float] | None,
    before: str | None,
    state: RunState | None,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> int:
    """List the newest runs, newest first.

    Of those that pass all filters. A percentile that falls among missed events counts
    by its lower bound. Where there are older runs, a line on standard error says how
    to list them.

    Exit code 0, also where there is no run; 1 where the run of --before doesn't exist,
    or no run has the metric type of --above; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        headers = repository.recent(
            limit + 1,
            scenario=scenario,
            tag=tag,
            since=since,
            until=until,
            recorded_since=recorded_since,
            above=above,
            before=None if before is None else repository.get(before).header,
            state=state,
        )
        mistyped = options.why_no_metric(repository, above[0]) if above and not headers else None
        origin = options.answers_from(repository)
    # One more than wanted, to know whether there is a next page.
    cursor = headers[limit - 1].run_id if len(headers) > limit else None
    del headers[limit:]
    if as_json:
        output.print_json({**origin, "runs": shapes.headers_shape(headers), "next": cursor})
    elif headers:
        print_headers(headers, markdown=as_markdown)
    elif mistyped is None:
        is_filtered = any((scenario, tag, since, until, recorded_since, above, before, state))
        where = options.shown_place(results)
        what = f"No such runs in {where}." if is_filtered else f"No runs in {where} yet."
        output.print_line(what)
    if mistyped is not None:
        complain(mistyped)
        return ANSWER_IS_NO
    if cursor is not None and not as_json:
        complain(f"there are older runs; the same with --before {shlex.quote(cursor)} lists them")
    return OK


def print_headers(headers: list[RunHeader], *, markdown: bool = False) -> None:
    """Print a list of runs; how far they came only where one isn't finished."""
    shows_state = any(header.state != "finished" for header in headers)
    columns = [
        *text.words("run"),
        *text.numbers("revision"),
        *text.words("recorded at (UTC)"),
        *text.numbers("measurements"),
        *(text.words("state", "last wrote") if shows_state else []),
    ]
    now = datetime.now(UTC)
    rows = [
        [
            header.run_id,
            str(header.revision or "-"),
            text.time_text(header.recorded_at),
            str(header.total_measurements),
            *(_state_cells(header, now) if shows_state else []),
        ]
        for header in headers
    ]
    output.print_table(columns, rows, markdown=markdown)


def _state_cells(header: RunHeader, now: datetime) -> list[str]:
    written_at = header.last_written_at
    return [header.state, "-" if written_at is None else text.ago_text(written_at, now)]
