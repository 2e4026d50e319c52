"""`astraguard-store show`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from astraguard_store.cli import options, output
from astraguard_store.model import Artifact, MetricSummary, RunSummary
from astraguard_store.presentation import shapes, text


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
    is above 12.5 ms.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        summary = repository.get(run)
        if as_json:
            output.print_json({**options.answers_from(repository), **shapes.run_shape(summary)})
            return
    output.print_fields(_header_fields(summary), markdown=as_markdown)
    known = [(n.replace("_", " "), text.provenance_text(v)) for n, v in summary.provenance.known()]
    if known:
        output.print_line()
        output.print_fields(known, markdown=as_markdown)
    output.print_line()
    _print_statistics(["metric type"], _by_name(summary.metrics), markdown=as_markdown)
    if satellites:
        output.print_line()
        rows = (
            ((satellite, *names), statistics)
            for satellite, metrics in sorted(summary.satellites.items())
            for names, statistics in _by_name(metrics)
        )
        _print_statistics(["satellite", "metric type"], rows, markdown=as_markdown)
    if summary.artifacts:
        output.print_line()
        _print_artifacts(results, summary.artifacts, markdown=as_markdown)


def _header_fields(run: RunSummary) -> list[tuple[str, str]]:
    fields = [
        ("run", run.run_id),
        ("recorded at", f"{run.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC"),
        ("revision", str(run.revision or "-")),
        ("measurements", str(run.total_measurements)),
    ]
    return [*fields, ("tags", text.tags_text(run.tags))] if run.tags else fields


def _by_name(
    metrics: Mapping[str, MetricSummary],
) -> Iterable[tuple[tuple[str, ...], MetricSummary]]:
    return (((metric_type,), summary) for metric_type, summary in sorted(metrics.items()))


def _print_statistics(
    names: Sequence[str],
    rows: Iterable[tuple[Sequence[str], MetricSummary]],
    *,
    markdown: bool,
) -> None:
    rows = list(rows)
    # Where nothing was missed, nobody has to read past a column of zeros.
    is_missed = any(summary.missed for _, summary in rows)
    shown = [name for name in text.STATISTICS if name != "missed" or is_missed]
    columns = text.words(*names) + text.numbers(*(name.replace("_", " ") for name in shown))
    cells = [
        [*named, *(text.statistic_text(summary, name) for name in shown)]
        for named, summary in rows
    ]
    output.print_table(columns, cells, markdown=markdown)


def _print_artifacts(
    results: options.Results, artifacts: Sequence[Artifact], *, markdown: bool
) -> None:
    columns = [*text.words("file"), *text.numbers("bytes", "rows"), *text.words("sha256")]
    rows = [
        [
            # On a server they lie on the machine that the run came from.
            str(results / artifact.path) if isinstance(results, Path) else artifact.path,
            str(artifact.bytes),
            "-" if artifact.rows is None else str(artifact.rows),
            artifact.sha256[:12] if artifact.sha256 else "not hashed",
        ]
        for artifact in artifacts
    ]
    output.print_table(columns, rows, markdown=markdown)
