"""Values → rows of the tables below `runs`: statistics, files and buckets of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.buckets import BucketColumns
from astraguard_store.database.documents import write_document
from astraguard_store.database.schema import (
    artifacts,
    attachments,
    machine_noise,
    metadata,
    metric_buckets,
    metric_statistics,
    satellite_buckets,
    satellite_statistics,
    units,
)
from astraguard_store.database.sql import Connection, insert_many, insert_rows
from astraguard_store.model import MetricSummary, RunSummary
from astraguard_store.noise import NOISE_FIELDS

if TYPE_CHECKING:
    from astraguard_store.statistics import RunStatistics

__all__ = [
    "child_rows",
    "file_row",
    "insert_buckets",
    "insert_files",
    "insert_satellite_buckets",
    "insert_statistics",
    "insert_surroundings",
    "surrounding_rows",
]

_BUCKET_WIDTH: Final = len(metric_buckets.c)


def insert_statistics(connection: Connection, summary: RunSummary) -> None:
    """Write the statistics of a run that has none."""
    rows = child_rows(summary)
    for table in (metric_statistics, satellite_statistics):
        insert_rows(connection, table, rows[table.name])


def insert_surroundings(connection: Connection, summary: RunSummary) -> None:
    """Write a run's attachments, units and noise; mostly there are none."""
    for table, rows in surrounding_rows(summary).items():
        insert_rows(connection, metadata.tables[table], rows)


def surrounding_rows(summary: RunSummary) -> dict[str, Sequence[tuple[Any, ...]]]:
    """Return {table: rows} of a run's attachments, units and noise, without empty tables."""
    run_id, noise = summary.run_id, summary.noise
    rows: dict[str, Sequence[tuple[Any, ...]]] = {}
    if summary.attachments:
        rows[attachments.name] = [(run_id, *attached) for attached in summary.attachments]
    if summary.provenance.units:
        rows[units.name] = [
            (run_id, satellite_id, *unit.values())
            for satellite_id, unit in summary.provenance.units.items()
        ]
    if noise:
        rows[machine_noise.name] = [(run_id, *(getattr(noise, name) for name in NOISE_FIELDS))]
    return rows


def insert_files(connection: Connection, summary: RunSummary) -> None:
    """Write the rows of a run's files and, as all other rows are there, its document."""
    rows = child_rows(summary)
    insert_rows(connection, artifacts, rows[artifacts.name])
    write_document(connection, summary.run_id, rows)


def child_rows(summary: RunSummary) -> dict[str, Sequence[tuple[Any, ...]]]:
    """Return {table: rows} of a run's statistics and files, in the order of the columns."""
    # A summary's numbers come as the tables have them.
    run_id = summary.run_id
    return {
        "metric_statistics": [
            (run_id, metric_type, position, *_stored(statistics))
            for position, (metric_type, statistics) in enumerate(summary.metrics.items())
        ],
        "satellite_statistics": [
            (run_id, satellite_id, metric_type, position, *_stored(statistics))
            for position, (satellite_id, metric_type, statistics) in enumerate(_by_label(summary))
        ],
        "artifacts": [file_row(run_id, artifact) for artifact in summary.artifacts],
    }


def file_row(run_id: str, artifact: Sequence[Any]) -> tuple[Any, ...]:
    """Return the row of a file that lies in the folder beside the database."""
    return (run_id, *artifact, None)


def insert_buckets(connection: Connection, summary: RunSummary, statistics: RunStatistics) -> None:
    """Write the buckets of a run whose statistics are stored, and that has none yet."""
    of_metrics = (statistics.metric_buckets.get(name) for name in summary.metrics)
    insert_many(connection, metric_buckets, _bucket_values(summary.run_id, of_metrics))
    if statistics.satellite_buckets:
        insert_satellite_buckets(connection, summary, statistics)


def insert_satellite_buckets(
    connection: Connection, summary: RunSummary, statistics: RunStatistics
) -> None:
    """Write the buckets of the satellites of a run that has none of them yet."""
    of_satellites = (
        statistics.satellite_buckets.get(satellite_id, {}).get(metric_type)
        for satellite_id, metric_type, _ in _by_label(summary)
    )
    insert_many(connection, satellite_buckets, _bucket_values(summary.run_id, of_satellites))


def _stored(summary: MetricSummary) -> tuple[float | None, ...]:
    """Return the values of the columns of statistics: a percentile's number, or its bound."""
    if not summary.missed:
        return summary[:8]
    count, mean, p50, p95, p99, least, largest, missed, *above = summary
    pairs = zip((p50, p95, p99), above, strict=True)
    percentiles = (number if bound is None else bound for number, bound in pairs)
    return (count, mean, *percentiles, least, largest, missed)


def _by_label(summary: RunSummary) -> Iterator[tuple[str, str, MetricSummary]]:
    """Yield (satellite, metric type, statistics) in the order of their positions."""
    for satellite_id, metrics in summary.satellites.items():
        for metric_type, statistics in metrics.items():
            yield satellite_id, metric_type, statistics


def _bucket_values(run_id: str, by_position: Iterable[BucketColumns | None]) -> list[Any]:
    """Return the values of all rows, row after row, of the columns at each position."""
    values: list[Any] = []
    for position, columns in enumerate(by_position):
        if columns is not None:
            some: list[Any] = [run_id, position, 0, 0, 0] * len(columns.buckets)
            for place, column in enumerate(columns, 2):
                some[place::_BUCKET_WIDTH] = column
            values += some
    return values
