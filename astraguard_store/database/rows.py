"""What is written to the tables; values become rows here.

The statements run on the driver's connection, as those of `queries` do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from astraguard_store.buckets import BucketColumns
from astraguard_store.columns import Columns
from astraguard_store.database.bulk_insert import insert_many
from astraguard_store.database.documents import write_document
from astraguard_store.database.measurements import insert_measurements
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.schema import metric_buckets
from astraguard_store.database.statements import MOMENTS, statements
from astraguard_store.model import MetricSummary, RunSummary, epoch_us
from astraguard_store.provenance import Provenance
from astraguard_store.statistics import RunStatistics

__all__ = [
    "child_rows",
    "delete_dangling",
    "delete_run",
    "fence",
    "insert_buckets",
    "insert_files",
    "mark_adopted",
    "purge_measurements",
    "run_row",
    "save_run",
    "save_without_files",
    "set_tags",
]

_BUCKET_WIDTH = len(metric_buckets.c)


def save_run(
    connection: sqlite3.Connection,
    run: StoredRun,
    statistics: RunStatistics | None = None,
    measurements: Columns | None = None,
) -> int:
    """Write a run in place of what is stored under its id; its tags are set, others stay.

    Args:
        connection: In a write transaction.
        run: The run.
        statistics: Whose buckets are written; None where they aren't known.
        measurements: Written too if given.

    Returns:
        Its revision.
    """
    revision = save_without_files(connection, run, statistics, measurements)
    insert_files(connection, run.summary)
    return revision


def save_without_files(
    connection: sqlite3.Connection,
    run: StoredRun,
    statistics: RunStatistics | None,
    measurements: Columns | None,
) -> int:
    """Write a run as `save_run` does, but for the rows of its files and its document."""
    sql = statements()
    row = connection.execute(sql.save_run, run_row(run)).fetchall()
    revision: int = row[0][0]
    if revision > 1:
        for delete_rows in sql.delete_children:
            connection.execute(delete_rows, {"run_id": run.summary.run_id})
    rows = child_rows(run.summary)
    connection.executemany(sql.insert_metric, rows["metric_statistics"])
    connection.executemany(sql.insert_satellite, rows["satellite_statistics"])
    set_tags(connection, run.summary.run_id, run.summary.tags)
    if statistics:
        insert_buckets(connection, run.summary, statistics)
    if measurements:
        insert_measurements(connection, run.summary.run_id, run.summary.satellites, measurements)
    return revision


def delete_run(connection: sqlite3.Connection, run_id: str) -> bool:
    """Delete a run with all its rows; return whether there was one."""
    return connection.execute(statements().delete_run, {"run_id": run_id}).rowcount > 0


def delete_dangling(connection: sqlite3.Connection) -> dict[str, int]:
    """Delete the rows whose run is missing; return {table: how many there were}."""
    deleted = {
        table: connection.execute(sql).rowcount
        for table, sql in statements().delete_dangling.items()
    }
    return {table: number for table, number in deleted.items() if number}


def set_tags(connection: sqlite3.Connection, run_id: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a stored run; None removes one."""
    sql = statements()
    for tag, value in tags.items():
        if value is None:
            connection.execute(sql.remove_tag, {"run_id": run_id, "tag": tag})
        else:
            connection.execute(sql.set_tag, {"run_id": run_id, "tag": tag, "value": value})


def purge_measurements(connection: sqlite3.Connection, run_id: str) -> int:
    """Delete the kept measurements of a run; its statistics and files stay.

    Returns:
        How many there were.
    """
    return connection.execute(statements().purge_measurements, {"run_id": run_id}).rowcount


def mark_adopted(connection: sqlite3.Connection, now_us: int) -> None:
    """Note that they have."""
    connection.execute(statements().mark_adopted, {"now_us": now_us})


def fence(connection: sqlite3.Connection) -> None:
    """Write something, so that the commit overwrites what a failed one left in the log."""
    connection.execute(statements().fence)


def run_row(run: StoredRun, revision: int = 1) -> tuple[Any, ...]:
    """Return the row of a run in `runs`, its values in the order of the columns."""
    summary = run.summary
    return (
        summary.run_id,
        revision,
        epoch_us(summary.recorded_at),
        summary.total_measurements,
        run.utc_offset_s,
        run.staging_token,
        *_provenance_row(summary.provenance),
    )


def _provenance_row(provenance: Provenance) -> list[Any]:
    values: list[Any] = list(provenance.values())
    for moment in MOMENTS:
        if values[moment] is not None:
            values[moment] = epoch_us(values[moment])
    return values


def _stored(summary: MetricSummary) -> tuple[float | None, ...]:
    """Return the values of the columns `STATISTICS`: a percentile's number, or its bound."""
    if not summary.missed:
        return summary[:8]
    count, mean, p50, p95, p99, least, largest, missed, *above = summary
    pairs = zip((p50, p95, p99), above, strict=True)
    percentiles = (number if bound is None else bound for number, bound in pairs)
    return (count, mean, *percentiles, least, largest, missed)


def insert_files(connection: sqlite3.Connection, summary: RunSummary) -> None:
    """Write the rows of a run's files and, for all other rows are there, its document."""
    rows = child_rows(summary)
    connection.executemany(statements().insert_artifact, rows["artifacts"])
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
        "artifacts": [(run_id, *artifact) for artifact in summary.artifacts],
    }


def _by_label(summary: RunSummary) -> Iterator[tuple[str, str, MetricSummary]]:
    """Yield (satellite, metric type, statistics) in the order of their positions."""
    for satellite_id, metrics in summary.satellites.items():
        for metric_type, statistics in metrics.items():
            yield satellite_id, metric_type, statistics


def insert_buckets(
    connection: sqlite3.Connection, summary: RunSummary, statistics: RunStatistics
) -> None:
    """Write the buckets of a run whose statistics are stored, and that has none yet."""
    sql = statements()
    of_metrics = (statistics.metric_buckets.get(name) for name in summary.metrics)
    values = _bucket_values(summary.run_id, of_metrics)
    insert_many(connection, sql.insert_metric_bucket, _BUCKET_WIDTH, values)
    if statistics.satellite_buckets:
        of_satellites = (
            statistics.satellite_buckets.get(satellite_id, {}).get(metric_type)
            for satellite_id, metric_type, _ in _by_label(summary)
        )
        values = _bucket_values(summary.run_id, of_satellites)
        insert_many(connection, sql.insert_satellite_bucket, _BUCKET_WIDTH, values)


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
