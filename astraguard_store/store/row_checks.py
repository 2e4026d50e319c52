"""The rows of a run held against its own files, whose hashes are noted.

The summary file is a function of the rows, so it is made anew from them and compared;
the CSV tells the rest, and is read only where somebody asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from astraguard_store.artifacts.reader import read_columns, read_noted
from astraguard_store.buckets import buckets_of
from astraguard_store.columns import Columns
from astraguard_store.database.documents import RunParts, state_of
from astraguard_store.database.measurements import kept_measurements
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.run_files import FilesOfRun
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.sql import ALL_SATELLITES, Connection
from astraguard_store.database.whole_runs import (
    RunRows,
    load_all_rows,
    load_documents,
    parts_of_rows,
    run_of,
)
from astraguard_store.exceptions import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
)
from astraguard_store.formats.csv import plain_labels
from astraguard_store.formats.layout import FILE_KINDS
from astraguard_store.formats.parquet import frame_of, parse_parquet
from astraguard_store.formats.summary import (
    parse_document,
    parse_summary,
    render_document,
    summary_document,
)
from astraguard_store.model import Artifact, Attachment
from astraguard_store.statistics import summarize
from astraguard_store.store.identity import disagreement
from astraguard_store.store.row_rules import why_not_written

# Other queries of the process wait for 10 ms then, and a run of 20 satellites takes 50 kB.
_RUNS_AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class RowsOfRun:
    """All rows of a run, of one moment.

    Attributes:
        files: What they say of its files.
        rows: All of them but for kept measurements; None if one can't be read.
        run: The run that they make, whatever its document says; None if they make none.
        fault: Why no save writes such rows; None if one does.
    """

    files: FilesOfRun
    rows: RunRows | None
    run: StoredRun | None
    fault: str | None


def rows_of_run(database: RunDatabase, run_id: str) -> RowsOfRun | None:
    """Return the rows of a run, None if there is none.

    Raises:
        DatabaseError: The database can't be read, and not because of these rows.
    """
    try:
        return database.read(partial(_rows_of_runs, first=run_id, last=run_id)).get(run_id)
    except (DatabaseBusyError, DatabaseDamagedError):
        raise
    except DatabaseError as error:
        # A text that is none, in one row of the run.
        nothing = FilesOfRun(run_id, None, (), lacks_buckets=False)
        return RowsOfRun(nothing, None, None, str(error))


def rows_of_runs(database: RunDatabase, run_ids: Sequence[str]) -> Iterator[RowsOfRun]:
    """Yield the rows of those runs that are there, of which *run_ids* are ids in their order.

    Raises:
        DatabaseError: The database can't be read, and not because of one run's rows.
    """
    for start in range(0, len(run_ids), _RUNS_AT_A_TIME):
        some = run_ids[start : start + _RUNS_AT_A_TIME]
        try:
            found = database.read(partial(_rows_of_runs, first=some[0], last=some[-1]))
        except (DatabaseBusyError, DatabaseDamagedError):
            raise
        except DatabaseError:
            # Which of them it is, is told by reading each by itself.
            each = ((run_id, rows_of_run(database, run_id)) for run_id in some)
            found = {run_id: rows for run_id, rows in each if rows}
        yield from (found[run_id] for run_id in some if run_id in found)


def _rows_of_runs(connection: Connection, first: str, last: str) -> dict[str, RowsOfRun]:
    documents = load_documents(connection, first, last)
    found = {}
    for rows in load_all_rows(connection, first, last):
        parts = parts_of_rows(rows)
        files = _files_of(rows, parts, documents.get(rows.run_id))
        fault = why_not_written(rows)
        run = None if fault else run_of(rows, parts)
        # Without the measurements, which may be millions: what they contradict is known.
        found[rows.run_id] = RowsOfRun(files, rows._replace(measurements=()), run, fault)
    return found


def _files_of(rows: RunRows, parts: RunParts, document: bytes | None) -> FilesOfRun:
    """Return what the rows of a run, of which *parts* are, and its document say of its files."""
    of_run = rows.children
    _, last_written_at_us = rows.life
    is_empty = last_written_at_us is not None and rows.total_measurements == 0
    return FilesOfRun(
        rows.run_id,
        rows.save[-1],
        tuple(Artifact._make(row[1:6]) for row in of_run["artifacts"]),
        bool(parts.metrics) and not any(row[1] == ALL_SATELLITES for row in of_run["buckets"]),
        state_of(rows.run_id, document, parts),
        rows.live_token is not None or is_empty,
        tuple(sorted(Attachment._make(row[1:4]) for row in of_run["attachments"])),
    )


def why_rows_differ(root: Path, found: RowsOfRun, summary: bytes | None) -> str | None:
    """Return how the rows of a run contradict its files or each other; None if they don't.

    Args:
        root: The results folder.
        found: The rows.
        summary: The content of its summary file, unpacked, if that is as it was noted.

    Raises:
        ArtifactReadError: That is no summary.
    """
    if found.run is None:
        return found.fault
    if found.run.utc_offset_s is not None:
        # Saved here; in an adopted run the CSV may really have others.
        total = found.run.summary.total_measurements
        for noted in found.files.artifacts:
            if noted.rows not in {None, total}:
                return f"{noted.path} is noted with {noted.rows} rows, and the run has {total}"
    unnoted = _unnoted_file(root, found.files)
    if unnoted:
        return f"{unnoted} lies in its folder, and no row names it"
    return None if summary is None else why_summary_differs(summary, found.run)


def _unnoted_file(root: Path, run: FilesOfRun) -> str | None:
    noted = {file.kind for file in run.artifacts}
    try:
        present = os.listdir(root / run.run_id)
    except OSError:
        return None
    return next(
        (name for name in sorted(present) if FILE_KINDS.get(name, "") not in {"", *noted}), None
    )


def why_summary_differs(content: bytes, run: StoredRun) -> str | None:
    """Return how the content of a run's summary file contradicts its rows; None if it doesn't.

    Raises:
        ArtifactReadError: It is no summary.
    """
    summary = run.summary
    if run.utc_offset_s is not None:
        made = summary_document(summary, run.utc_offset_s)
        if render_document(made) == content:
            return None
        # An older version wrote the same numbers in other bytes.
        saved = parse_document(content)
        if render_document(saved) == render_document(made):
            return None
        keys = [key for key in made if saved.get(key) != made[key]]
        return f"they differ from its summary file in {', '.join(keys) or 'their order'}"
    return disagreement(parse_summary(parse_document(content)), summary, "the summary file")


def why_csv_differs(
    root: Path, csv: Artifact, database: RunDatabase, found: RowsOfRun
) -> str | None:
    """Return how rows contradict the CSV, computing all of them anew; None if they don't.

    Raises:
        ArtifactReadError: The CSV can't be read.
        FileNotFoundError: It has gone since it was looked at.
    """
    if found.run is None or found.rows is None:
        return found.fault
    summary = found.run.summary
    columns = read_columns(root / csv.path, csv)
    columns = plain_labels(columns, summary.metrics, summary.satellites)
    kept = {tuple(row[1:3]): row[3] for row in found.rows.children["buckets"]}
    of_satellites = any(satellite_id != ALL_SATELLITES for satellite_id, _ in kept)
    told = summarize(columns, satellite_buckets=of_satellites)
    reason = disagreement(told, summary, "the CSV")
    if reason:
        return reason
    by_satellite = {ALL_SATELLITES: told.metric_buckets, **told.satellite_buckets}
    for (satellite_id, metric_type), text in kept.items():
        if buckets_of(text) != by_satellite.get(satellite_id, {}).get(metric_type):
            return f"the buckets of {metric_type!r} aren't those of the CSV"
    return _why_copies_differ(root, columns, database, found)


def _why_copies_differ(
    root: Path, columns: Columns, database: RunDatabase, found: RowsOfRun
) -> str | None:
    """Compare the other copies of the measurements: the table's rows, and a parquet file."""
    frame = frame_of(columns)
    kept = database.read(partial(kept_measurements, run_id=found.files.run_id))
    if kept is not None and not frame_of(kept).equals(frame):
        return "the measurements that the database keeps aren't those of the CSV"
    for noted in found.files.artifacts:
        if noted.kind != "raw_parquet" or not noted.sha256:
            continue
        if not parse_parquet(read_noted(root / noted.path, noted), frame.height).equals(frame):
            return f"{noted.path} has other measurements than the CSV"
    return None
