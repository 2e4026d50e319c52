"""The commands about single runs: `recent`, `show`. They open the store read-only."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from astraguard_store.cli import shapes
from astraguard_store.cli.filters import metric_limit, scenario_filters
from astraguard_store.cli.options import (
    check_one_form,
    complete_run,
    examples,
    json_option,
    markdown_option,
    results_option,
    run_argument,
)
from astraguard_store.cli.outcome import complain
from astraguard_store.cli.render import (
    Column,
    duration_text,
    print_fields,
    print_line,
    print_table,
)
from astraguard_store.model import Artifact, MetricSummary, RunHeader, RunSummary
from astraguard_store.provenance import ProvenanceValue
from astraguard_store.repository import RunRepository

_WITHOUT_MISSED = shapes.STATISTICS[:-1]


@contextmanager
def open_for_reading(results: Path) -> Iterator[RunRepository]:
    """Open the store read-only; where the run folders have to answer, the log says so."""
    with RunRepository.open(results, read_only=True) as repository:
        yield repository


@click.command(
    epilog=examples(
        "astraguard-store recent --limit 5",
        "astraguard-store recent --scenario swarm --since 7d",
        "astraguard-store recent --tag nightly=green --above fault_detection.p95_ms=100",
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
@scenario_filters
@click.option(
    "--above",
    type=metric_limit,
    metavar="METRIC.STATISTIC=MS",
    help="Only runs whose mean_ms, p50_ms, p95_ms, p99_ms or max_ms of a metric type is above.",
)
@click.option(
    "--before",
    metavar="RUN",
    shell_complete=complete_run,
    help="Only runs older than this one: the last run of a page gives the next page.",
)
@markdown_option
@results_option
@json_option
def recent(
    limit: int,
    scenario: str | None,
    tag: str | tuple[str, str] | None,
    since: datetime | None,
    above: tuple[str, str, float] | None,
    before: str | None,
    as_markdown: bool,
    results: Path,
    as_json: bool,
) -> None:
    """List the newest runs, newest first.

    Of those that pass all filters. A percentile that falls among missed events counts
    by what it is above of. Where there are older runs, a line on standard error says how
    to list them.

    Exit code 0, also where there is no run; 1 where the run of --before doesn't exist;
    2 for an error.
    """
    check_one_form(as_json=as_json, as_markdown=as_markdown)
    with open_for_reading(results) as repository:
        headers = repository.recent(
            limit + 1,
            scenario=scenario,
            tag=tag,
            since=since,
            above=above,
            before=None if before is None else repository.get(before).header,
        )
        # One more than wanted, to know whether there is a next page.
        cursor = headers[limit - 1].run_id if len(headers) > limit else None
        del headers[limit:]
        if as_json:
            runs = shapes.headers_shape(headers)
            shapes.print_json({**origin(repository), "runs": runs, "next": cursor})
            return
    if headers:
        print_headers(headers, markdown=as_markdown)
    elif any((scenario, tag, since, above, before)):
        print_line(f"No such runs in {results}.")
    else:
        print_line(f"No runs in {results} yet.")
    if cursor is not None:
        complain(f"there are older runs; the same with --before {shlex.quote(cursor)} lists them")


@click.command(
    epilog=examples(
        "astraguard-store show run_001 --satellites",
        "astraguard-store show run_001 --markdown",
        "astraguard-store show run_001 --json | jq '.metrics.fault_detection.p95_ms'",
    )
)
@run_argument("run")
@click.option("--satellites", is_flag=True, help="Also list each satellite by metric type.")
@markdown_option
@results_option
@json_option
def show(run: str, satellites: bool, as_markdown: bool, results: Path, as_json: bool) -> None:
    """Show the statistics of one run, what it was, its tags and its files.

    A percentile that falls among missed events has no number: `above 12.5` says that it
    is above 12.5 ms.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    check_one_form(as_json=as_json, as_markdown=as_markdown)
    with open_for_reading(results) as repository:
        summary = repository.get(run)
        if as_json:
            shapes.print_json({**origin(repository), **shapes.run_shape(summary)})
            return
    print_fields(_header_fields(summary), markdown=as_markdown)
    known = _provenance_fields(summary)
    if known:
        print_line()
        print_fields(known, markdown=as_markdown)
    print_line()
    _print_metrics(summary.metrics, markdown=as_markdown)
    if satellites:
        print_line()
        _print_satellites(summary.satellites, markdown=as_markdown)
    if summary.artifacts:
        print_line()
        _print_artifacts(results, summary.artifacts, markdown=as_markdown)


def print_headers(headers: list[RunHeader], *, markdown: bool = False) -> None:
    """Print a list of runs."""
    print_table(
        [
            Column("run", numeric=False),
            Column("revision"),
            Column("recorded at (UTC)", numeric=False),
            Column("measurements"),
        ],
        [
            [
                header.run_id,
                _revision(header),
                f"{header.recorded_at:%Y-%m-%d %H:%M:%S}",
                str(header.total_measurements),
            ]
            for header in headers
        ],
        markdown=markdown,
    )


def statistic_text(summary: MetricSummary | None, name: str) -> str:
    """Return one of the statistics, or its lower bound; ``-`` where there is none."""
    if summary is None:
        return "-"
    if name in {"count", "missed"}:
        return str(getattr(summary, name))
    # `p95` has the number of `p95_ms`, or its bound.
    attribute = name.removesuffix("_ms") if name in shapes.ABOVE else name
    return duration_text(getattr(summary, attribute))


def tags_text(tags: Mapping[str, str]) -> str:
    """Return tags as they are given on the command line."""
    return ", ".join(f"{name}={value}" if value else name for name, value in tags.items())


def value_text(value: ProvenanceValue) -> str:
    """Return what is known of a run, for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)


def origin(repository: RunRepository) -> shapes.Shape:
    """Return where an answer comes from."""
    return {
        "results_dir": str(repository.results_dir),
        "answers_from": repository.answers_from,
    }


def _header_fields(run: RunSummary) -> list[tuple[str, str]]:
    fields = [
        ("run", run.run_id),
        ("recorded at", f"{run.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC"),
        ("revision", _revision(run.header)),
        ("measurements", str(run.total_measurements)),
    ]
    return [*fields, ("tags", tags_text(run.tags))] if run.tags else fields


def _provenance_fields(run: RunSummary) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), value_text(value)) for name, value in run.provenance.known()]


def _print_metrics(metrics: Mapping[str, MetricSummary], *, markdown: bool) -> None:
    columns = [Column("metric type", numeric=False)]
    _print_statistics(columns, [((name,), metrics[name]) for name in sorted(metrics)], markdown)


def _print_satellites(
    satellites: Mapping[str, Mapping[str, MetricSummary]], *, markdown: bool
) -> None:
    columns = [Column("satellite", numeric=False), Column("metric type", numeric=False)]
    rows = [
        ((satellite, metric_type), metrics[metric_type])
        for satellite, metrics in sorted(satellites.items())
        for metric_type in sorted(metrics)
    ]
    _print_statistics(columns, rows, markdown)


def _print_statistics(
    columns: Sequence[Column],
    rows: Sequence[tuple[Sequence[str], MetricSummary]],
    markdown: bool,
) -> None:
    # Where nothing was missed, nobody has to read past a column of zeros.
    shown = shapes.STATISTICS if any(summary.missed for _, summary in rows) else _WITHOUT_MISSED
    print_table(
        [*columns, *(Column(name.replace("_", " ")) for name in shown)],
        [[*names, *(statistic_text(summary, name) for name in shown)] for names, summary in rows],
        markdown=markdown,
    )


def _print_artifacts(results: Path, artifacts: tuple[Artifact, ...], *, markdown: bool) -> None:
    columns = [
        Column("file", numeric=False),
        Column("bytes"),
        Column("rows"),
        Column("sha256", numeric=False),
    ]
    rows = [
        [
            str(results / artifact.path),
            str(artifact.bytes),
            "-" if artifact.rows is None else str(artifact.rows),
            artifact.sha256[:12] if artifact.sha256 else "not hashed",
        ]
        for artifact in artifacts
    ]
    print_table(columns, rows, markdown=markdown)


def _revision(header: RunHeader) -> str:
    return str(header.revision) if header.revision else "-"
