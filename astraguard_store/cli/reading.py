"""The commands that ask: `recent`, `show`, `compare`. They open the store read-only."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.text import Text

from astraguard_store.cli import shapes
from astraguard_store.cli.options import examples, json_option, results_option, run_argument
from astraguard_store.cli.render import (
    Column,
    change_text,
    milliseconds,
    percentage,
    print_line,
    print_table,
)
from astraguard_store.model import (
    Artifact,
    Comparison,
    MetricChange,
    MetricSummary,
    RunHeader,
    ValueChange,
)
from astraguard_store.repository import RunRepository

_STATISTIC_COLUMNS = (
    Column("count"),
    *(Column(f"{name} ms") for name in ("mean", "p50", "p95", "p99", "min", "max")),
)


@contextmanager
def open_for_reading(results: Path) -> Iterator[RunRepository]:
    """Open the store read-only; where the run folders have to answer, the log says so."""
    with RunRepository.open(results, read_only=True) as repository:
        yield repository


@click.command(
    epilog=examples(
        "astraguard-store recent --limit 5",
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
@results_option
@json_option
def recent(limit: int, results: Path, as_json: bool) -> None:
    """List the newest runs, newest first.

    Exit code 0, also where there is no run yet; 2 for an error.
    """
    with open_for_reading(results) as repository:
        headers = repository.recent(limit=limit)
        if as_json:
            shape = {**_origin(repository), "runs": shapes.headers_shape(headers)}
            shapes.print_json(shape)
        elif headers:
            print_headers(headers)
        else:
            print_line(f"No runs in {results} yet.")


@click.command(
    epilog=examples(
        "astraguard-store show run_001 --satellites",
        "astraguard-store show run_001 --json | jq '.metrics.fault_detection.p95_ms'",
    )
)
@run_argument("run")
@click.option("--satellites", is_flag=True, help="Also list each satellite by metric type.")
@results_option
@json_option
def show(run: str, satellites: bool, results: Path, as_json: bool) -> None:
    """Show the statistics and the files of one run.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    with open_for_reading(results) as repository:
        summary = repository.get(run)
        if as_json:
            shapes.print_json({**_origin(repository), **shapes.run_shape(summary)})
            return
        print_line(f"run          {summary.run_id}")
        print_line(f"recorded at  {summary.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC")
        print_line(f"revision     {_revision(summary.header)}")
        print_line(f"measurements {summary.total_measurements}")
        print_line()
        _print_metrics(summary.metrics)
        if satellites:
            print_line()
            _print_satellites(summary.satellites)
        if summary.artifacts:
            print_line()
            _print_artifacts(results, summary.artifacts)


@click.command(
    epilog=examples(
        "astraguard-store compare run_001 run_002",
        "astraguard-store compare run_001 run_002 --by-satellite --json",
    )
)
@run_argument("baseline")
@run_argument("candidate")
@click.option("--by-satellite", is_flag=True, help="Compare each satellite by itself.")
@results_option
@json_option
def compare(
    baseline: str, candidate: str, by_satellite: bool, results: Path, as_json: bool
) -> None:
    """Compare run CANDIDATE against run BASELINE.

    Differences are candidate - baseline, so more than zero is slower. What only one
    of the runs measured is listed with `only in` and the name of that run.

    Exit code 0, whatever the difference; 1 where a run doesn't exist; 2 for an error.
    """
    with open_for_reading(results) as repository:
        comparison = repository.compare(baseline, candidate, by_satellite=by_satellite)
        if as_json:
            shape = shapes.comparison_shape(comparison, by_satellite=by_satellite)
            shapes.print_json({**_origin(repository), **shape})
        else:
            print_comparison(comparison, by_satellite=by_satellite)


def print_headers(headers: list[RunHeader]) -> None:
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
    )


def print_comparison(comparison: Comparison, *, by_satellite: bool) -> None:
    """Print a row for each statistic of each metric type."""
    print_line(f"baseline  {comparison.baseline}")
    print_line(f"candidate {comparison.candidate}")
    print_line()
    columns = [Column("metric type", numeric=False), Column("statistic", numeric=False)]
    if by_satellite:
        columns.insert(0, Column("satellite", numeric=False))
    columns += [Column("baseline"), Column("candidate"), Column("difference"), Column("change")]
    rows = [
        [*names, name, *_value_cells(change, name, comparison)]
        for change in comparison.changes
        for names in [_names(change, by_satellite=by_satellite)]
        for name in shapes.STATISTICS
    ]
    print_table(columns, rows)


def _names(change: MetricChange, *, by_satellite: bool) -> list[str]:
    satellite = [change.satellite_id or ""] if by_satellite else []
    return [*satellite, change.metric_type]


def _value_cells(change: MetricChange, name: str, comparison: Comparison) -> list[str | Text]:
    value: ValueChange = getattr(change, name)
    is_count = name == "count"

    def number(side: float | None) -> str:
        return f"{side:.0f}" if is_count and side is not None else milliseconds(side)

    side = shapes.present_in(change)
    if side == "both":
        remark = percentage(value.relative_change)
    else:
        remark = f"only in {comparison.baseline if side == 'baseline' else comparison.candidate}"
    return [
        number(value.baseline),
        number(value.candidate),
        number(value.difference),
        change_text(remark, difference=value.difference, lower_is_better=not is_count),
    ]


def _print_metrics(metrics: Mapping[str, MetricSummary]) -> None:
    columns = [Column("metric type", numeric=False), *_STATISTIC_COLUMNS]
    print_table(columns, [[name, *_statistic_cells(metrics[name])] for name in sorted(metrics)])


def _print_satellites(satellites: Mapping[str, Mapping[str, MetricSummary]]) -> None:
    names = [Column("satellite", numeric=False), Column("metric type", numeric=False)]
    rows = [
        [satellite, metric_type, *_statistic_cells(metrics[metric_type])]
        for satellite, metrics in sorted(satellites.items())
        for metric_type in sorted(metrics)
    ]
    print_table([*names, *_STATISTIC_COLUMNS], rows)


def _print_artifacts(results: Path, artifacts: tuple[Artifact, ...]) -> None:
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
    print_table(columns, rows)


def _statistic_cells(summary: MetricSummary) -> list[str]:
    durations = [getattr(summary, name) for name in shapes.STATISTICS[1:]]
    return [str(summary.count), *(milliseconds(duration) for duration in durations)]


def _revision(header: RunHeader) -> str:
    return str(header.revision) if header.revision else "-"


def _origin(repository: RunRepository) -> shapes.Shape:
    return {
        "results_dir": str(repository.results_dir),
        "answers_from": repository.answers_from,
    }
