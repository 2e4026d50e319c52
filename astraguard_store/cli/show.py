"""`astraguard-store show`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astraguard_store.cli import options, output
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.presentation.sketch import BLOCKS, histograms, sparkline
from astraguard_store.presentation.tables import (
    NOISE,
    Table,
    metrics_table,
    noise_text,
    units_table,
)

if TYPE_CHECKING:
    from astraguard_store.model import Artifact, MetricSummary, RunSummary
    from astraguard_store.noise import MachineNoise
    from astraguard_store.over_time import TimeSlice
    from astraguard_store.repository import RunRepository
    from astraguard_store.verdict.values import PercentileInterval

_WIDTH = 24


@click.command(
    epilog=options.examples(
        "astraguard-store show run_001 --satellites",
        "astraguard-store show run_001 --markdown",
        "astraguard-store show run_001 --json | jq '.metrics.fault_detection.p95_ms'",
    )
)
@options.run("run")
@click.option("--satellites", is_flag=True, help="Also list each satellite by metric type.")
@options.as_markdown
@options.results
@options.as_json
def show(
    run: str, satellites: bool, as_markdown: bool, results: options.Results, as_json: bool
) -> None:
    """Show the statistics of one run, what it was, its tags and its files.

    A percentile that falls among missed events has no number: `above 12.5` says that it
    is above 12.5 ms. Where a run has too few events for a percentile, `few` says so in
    place of its interval. The histogram of a metric type goes from its shortest to its
    longest duration on a log axis; beside it stands the p95 over the run's time.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        summary = repository.get(options.resolved(repository, run))
        # Folders have no buckets.
        has_rows = repository.answers_from == "database"
        intervals = repository.percentile_intervals(summary.run_id) if has_rows else {}
        if as_json:
            shape = {**shapes.shape_of(summary), "intervals": shapes.plain(intervals)}
            output.print_json({**options.answers_from(repository), **shape})
            return
        drawn = _sketches(repository, summary) if as_markdown or output.has(BLOCKS) else []
    output.print_fields(_header_fields(summary), markdown=as_markdown)
    known = [(n.replace("_", " "), text.provenance_text(v)) for n, v in summary.provenance.known()]
    if known:
        output.print_line()
        output.print_fields(known, markdown=as_markdown)
    tables = [
        units_table(summary.provenance.units),
        _noise_table(summary.noise),
    ]
    _print_tables(tables, markdown=as_markdown)
    if summary.noise and summary.noise.processors is not None:
        output.print_line(f"on {text.counted(summary.noise.processors, 'processor')}")
    tables = [
        metrics_table(["metric type", ""], _by_name(summary.metrics)),
        _intervals_table(intervals, summary.metrics),
        Table(text.words("metric type", "histogram", "p95 over the run's time"), drawn),
        metrics_table(
            ["satellite", "metric type", ""],
            (
                ((satellite, *names), statistics)
                for satellite, metrics in sorted(summary.satellites.items() if satellites else ())
                for names, statistics in _by_name(metrics)
            ),
        ),
        _artifacts_table(results, summary.artifacts),
        _attachments_table(results, summary),
    ]
    _print_tables(tables, markdown=as_markdown)


def _print_tables(tables: Iterable[Table], *, markdown: bool) -> None:
    for made in tables:
        if made.rows:
            output.print_line()
            output.print_table(*made, markdown=markdown)


def _sketches(repository: RunRepository, run: RunSummary) -> list[list[str]]:
    """Return a row for each metric type of which buckets or measurements are kept."""
    from astraguard_store.over_time import over_time

    trends = over_time(repository, run.run_id, _WIDTH)
    rows = []
    for metric_type in sorted(run.metrics):
        known = repository.distribution(metric_type, [run.run_id]).runs
        histogram = histograms(known, _WIDTH)[0] if known else "-"
        trend = _sparkline(trends[metric_type]) if metric_type in trends else "-"
        rows.append([metric_type, histogram, trend])
    return rows if any(row[1:] != ["-", "-"] for row in rows) else []


def _sparkline(slices: Sequence[TimeSlice]) -> str:
    """Return the p95 of each part of the run's time; blank where nothing happened."""
    values: list[float | None] = [None] * _WIDTH
    for one in slices:
        values[one.number] = float(one.p95)
    return sparkline(values)


def _header_fields(run: RunSummary) -> list[tuple[str, str]]:
    fields = [
        ("run", run.run_id),
        ("recorded at", f"{run.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC"),
        ("revision", str(run.revision or "-")),
        ("measurements", numbers.count_text(run.total_measurements)),
    ]
    if run.state != "finished":
        fields.append(("state", run.state if run.error is None else f"{run.state}: {run.error}"))
        if run.last_written_at is not None:
            ago = text.ago_text(run.last_written_at, datetime.now(UTC))
            fields.append(("last wrote", ago))
    if run.save_id is not None:
        fields.append(("save id", run.save_id))
    return [*fields, ("tags", text.tags_text(run.tags))] if run.tags else fields


def _by_name(
    metrics: Mapping[str, MetricSummary],
) -> Iterable[tuple[tuple[str, ...], MetricSummary]]:
    return (((metric_type,), summary) for metric_type, summary in sorted(metrics.items()))


def _intervals_table(
    intervals: Mapping[str, Mapping[str, PercentileInterval]], metrics: Mapping[str, MetricSummary]
) -> Table:
    columns = text.words("95 % interval", "", "p50", "p95", "p99")
    rows = [
        [metric_type, unit.name, *(text.interval_text(one, unit) for one in of_one.values())]
        for metric_type, of_one in sorted(intervals.items())
        # As its statistics, which stand above.
        for unit in [text.summary_unit([metrics[metric_type]])]
    ]
    return Table(columns, rows)


def _noise_table(noise: MachineNoise | None) -> Table:
    """Return what else the machine did: at the start, at the end, and the worst."""
    whens = ("start", "end", "worst")
    rows = [
        [kind.title, *(noise_text(getattr(noise, f"{kind.name}_{when}"), kind) for when in whens)]
        for kind in (NOISE if noise else ())
    ]
    return Table(text.words("machine") + text.numbers(*whens), rows)


def _artifacts_table(results: options.Results, artifacts: Sequence[Artifact]) -> Table:
    rows = [
        [
            _shown_path(results, artifact.path),
            numbers.size_text(artifact.bytes),
            "-" if artifact.rows is None else numbers.count_text(artifact.rows),
            artifact.sha256[:12] if artifact.sha256 else "not hashed",
        ]
        for artifact in artifacts
    ]
    columns = text.words("file") + text.numbers("size", "rows") + text.words("sha256")
    return Table(columns, rows)


def _attachments_table(results: options.Results, run: RunSummary) -> Table:
    folder = _shown_path(results, f"{run.run_id}/attachments")
    rows = [
        [f"{folder}/{name}", numbers.size_text(size), sha256[:12]]
        for name, size, sha256 in run.attachments
    ]
    return Table(text.words("attached") + text.numbers("size") + text.words("sha256"), rows)


def _shown_path(results: options.Results, path: str) -> str:
    # Of a server's runs the files lie on the machine that the run came from.
    return str(results / path) if isinstance(results, Path) else path
