"""The files of runs, as their rows tell: read for a check, and amended by what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    artifacts,
    bindparam,
    buckets,
    first,
    select,
    statistics,
    update,
    whole,
)
from astraguard_store.database.documents import DocumentState, renew_document
from astraguard_store.database.rows import insert_buckets
from astraguard_store.database.runs import load_run
from astraguard_store.database.sql import Connection, kept
from astraguard_store.model import Artifact, Attachment, MetricSummary

if TYPE_CHECKING:
    from astraguard_store.statistics import RunStatistics


@dataclass(frozen=True, slots=True)
class FilesOfRun:
    """What the rows of one run say of its files.

    Attributes:
        run_id: The run.
        staging_token: The save that wrote them; None if the run was adopted.
        artifacts: The files.
        lacks_buckets: Whether it has statistics, but no buckets.
        document: Whether the copy that is read instead of its rows is right.
        may_have_none: Whether it may have no files: it is being recorded, or ended before
            anything was.
        attachments: The files that were attached to it.
    """

    run_id: str
    staging_token: str | None
    artifacts: tuple[Artifact, ...]
    lacks_buckets: bool
    document: DocumentState = field(default="right", compare=False)
    may_have_none: bool = False
    attachments: tuple[Attachment, ...] = ()


@kept(named=True)
def _note_csv_sql() -> Any:
    # Parameters must not have the names of the columns that are set.
    return (
        update(artifacts)
        .values(sha256=bindparam("digest"), rows=bindparam("counted"))
        .where(
            artifacts.c.run_id == bindparam("this_run"),
            artifacts.c.kind == bindparam("file_kind"),
            artifacts.c.bytes == bindparam("size"),
            artifacts.c.sha256.is_(None),
        )
    )


@kept(named=True)
def _complete_satellite_sql() -> Any:
    table = statistics
    return (
        update(table)
        .values(p99_ms=bindparam("p99"), min_ms=bindparam("least"))
        .where(
            table.c.run_id == bindparam("this_run"),
            table.c.satellite_id == bindparam("satellite"),
            table.c.metric_type == bindparam("metric"),
            table.c.p99_ms.is_(None),
        )
    )


def note_csv(
    connection: Connection,
    run_id: str,
    csv: Artifact,
    satellites: Mapping[str, Mapping[str, MetricSummary]],
) -> bool:
    """Note hash and rows of a run's CSV, and the satellites' numbers that only it has.

    Of a parquet file likewise, without satellites. Does nothing if the run isn't
    there any more, or the file is known already.

    Returns:
        Whether it was noted.
    """
    noted = {"this_run": run_id, "digest": csv.sha256, "counted": csv.rows, "size": csv.bytes}
    noted["file_kind"] = csv.kind
    if connection.execute(_note_csv_sql(), noted).rowcount == 0:
        return False
    connection.executemany(
        _complete_satellite_sql(),
        [
            {
                "this_run": run_id,
                "satellite": satellite_id,
                "metric": metric_type,
                "p99": summary.p99_ms,
                "least": summary.min_ms,
            }
            for satellite_id, metrics in satellites.items()
            for metric_type, summary in metrics.items()
        ],
    )
    renew_document(connection, run_id)
    return True


@kept(named=True)
def _note_file_sql() -> Any:
    return (
        update(artifacts)
        .values(sha256=bindparam("digest"), bytes=bindparam("size"))
        .where(artifacts.c.run_id == bindparam("this_run"), artifacts.c.path == bindparam("where"))
    )


def note_file(connection: Connection, run_id: str, file: Artifact) -> None:
    """Note that a file of a run has another size and hash than it had."""
    noted = {"this_run": run_id, "digest": file.sha256, "size": file.bytes, "where": file.path}
    connection.execute(_note_file_sql(), noted)
    renew_document(connection, run_id)


@kept()
def _has_buckets_sql() -> Any:
    row = buckets.c
    theirs = (row.run_id == bindparam("run_id")) & (row.satellite_id == OF_ALL_SATELLITES)
    return first(select(row.run_id).where(theirs), whole(1))


def add_buckets(connection: Connection, run_id: str, found: RunStatistics) -> bool:
    """Write the buckets of a run that has none.

    Returns:
        Whether they were written: not if the run isn't there any more, or was
        saved meanwhile.
    """
    if connection.execute(_has_buckets_sql(), (run_id,)).fetchone():
        return False
    run = load_run(connection, run_id)
    if run is None or run.summary.total_measurements != found.total_measurements:
        return False
    insert_buckets(connection, run_id, found)
    return True
