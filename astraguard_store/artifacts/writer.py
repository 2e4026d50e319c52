"""A run's files on their way to disk: staged, then published.

The calling thread writes them. Others sync them meanwhile and, of a large run, render
the CSV.

Nothing here knows the database: the caller commits the run's row between
`stage_runs` and `StagedRun.publish`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staged_runs import StagedRuns
from astraguard_store.artifacts.staging import ensure_staging
from astraguard_store.columns import Columns, polars_pays
from astraguard_store.exceptions import ArtifactWriteError, InvalidRunError
from astraguard_store.formats.csv import csv_parts, render_csv, safe_labels
from astraguard_store.formats.layout import FILE_KINDS
from astraguard_store.formats.parquet import check_parquet, render_parquet
from astraguard_store.formats.summary import (
    local_timestamp,
    render_document,
    statistics_document,
)
from astraguard_store.model import ArtifactKind, utc_from_epoch_us
from astraguard_store.options import Compression
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.system.files import open_folder
from astraguard_store.system.mounts import case_twin
from astraguard_store.system.threads import RenderedAhead

__all__ = ["StagingOptions", "check_target", "stage_runs"]


@dataclass(frozen=True, slots=True)
class StagingOptions:
    """Which files a save writes, and how.

    Attributes:
        sync: Whether they must survive a power cut.
        safe_csv: Put an apostrophe before names that look like formulas.
        satellite_buckets: Fill the buckets of each satellite too.
        compression: Of the CSV and the summary.
        parquet: Write a parquet file beside the CSV.
    """

    sync: bool
    safe_csv: bool = False
    satellite_buckets: bool = False
    compression: Compression | None = None
    parquet: bool = False

    @property
    def kinds(self) -> tuple[ArtifactKind, ...]:
        """The files that are written."""
        parquet: tuple[ArtifactKind, ...] = ("raw_parquet",) if self.parquet else ()
        return ("raw_csv", *parquet, "summary_json")


def stage_runs(
    root: Path,
    snapshots: Mapping[str, Columns],
    recorded_at_us: int,
    utc_offset_s: int,
    options: StagingOptions,
) -> StagedRuns:
    """Summarise runs and write their files to the staging folder: all of them, or none.

    Small ones may still be on their way to the disk: see `StagedRuns.wait`.

    Raises:
        ArtifactWriteError: A file can't be written; nothing is left of any.
    """
    if options.parquet:
        check_parquet()
    staged = StagedRuns(root, sync=options.sync)
    write = _write_one if len(snapshots) == 1 else _write_one_of_many
    try:
        for run_id, columns in snapshots.items():
            check_target(root, run_id)
            run = staged.add(run_id, recorded_at_us, options.compression)
            write(staged, run, columns, utc_offset_s, options)
        if write is _write_one_of_many:
            # All at once, when all are written.
            staged.begin_sync(*(run.sync_all for run in staged.runs), staged.sync_names)
        staged.wait_if_long()
    except BaseException:
        staged.discard()
        raise
    return staged


def _write_one(
    staged: StagedRuns,
    run: StagedRun,
    columns: Columns,
    utc_offset_s: int,
    options: StagingOptions,
) -> None:
    """Sync the CSV while the rest is made; of a large run, render it meanwhile."""

    def write_csv(chunks: Iterable[bytes]) -> None:
        run.write("raw_csv", chunks, columns.rows)
        staged.begin_sync(lambda: run.sync("raw_csv"))

    def write_rest() -> None:
        _write_rest(run, columns, utc_offset_s, options)

    labelled = safe_labels(columns) if options.safe_csv else columns
    if polars_pays(columns.rows):
        chunks = RenderedAhead(csv_parts(labelled))
        chunks.begin()
        write_rest()
        write_csv(chunks)
    else:
        write_csv(render_csv(labelled))
        write_rest()

    def sync_rest() -> None:
        for kind in options.kinds[1:]:
            run.sync(kind)
        staged.sync_names()

    staged.begin_sync(sync_rest)


def _write_one_of_many(
    _staged: StagedRuns,
    run: StagedRun,
    columns: Columns,
    utc_offset_s: int,
    options: StagingOptions,
) -> None:
    labelled = safe_labels(columns) if options.safe_csv else columns
    run.write("raw_csv", render_csv(labelled), columns.rows)
    _write_rest(run, columns, utc_offset_s, options)


def _write_rest(
    run: StagedRun, columns: Columns, utc_offset_s: int, options: StagingOptions
) -> None:
    if options.parquet:
        run.write("raw_parquet", [render_parquet(columns)], columns.rows)
    run.statistics = summarize(columns, satellite_buckets=options.satellite_buckets)
    document = _document(run.run_id, run.recorded_at_us, utc_offset_s, run.statistics)
    run.write("summary_json", [render_document(document)], columns.rows)


def _document(
    run_id: str, recorded_at_us: int, utc_offset_s: int, statistics: RunStatistics
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "timestamp": local_timestamp(utc_from_epoch_us(recorded_at_us), utc_offset_s),
        **statistics_document(
            statistics.total_measurements, statistics.metrics, statistics.satellites
        ),
    }


def check_target(root: Path, run_id: str) -> None:
    """Refuse before anything is written what could not be published later.

    Raises:
        ArtifactWriteError: The run's folder can't take its files.
        InvalidRunError: The file system would give it the folder of another run.
    """
    folder = f"{root}/{run_id}"
    try:
        ensure_staging(root)
        if twin := case_twin(root, run_id):
            raise InvalidRunError(
                f"Invalid run_id {run_id!r}: the file system of {root} doesn't tell it from "
                f"{twin!r}, which is there; use that, or another name"
            )
        with open_folder(folder) as descriptor:
            for name in FILE_KINDS:
                _check_replaceable(name, descriptor, folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactWriteError(
            f"{error.filename or folder} can't take a run's files: {error.strerror}"
        ) from error


def _check_replaceable(name: str, folder_descriptor: int, folder: str) -> None:
    try:
        found = os.stat(name, dir_fd=folder_descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), f"{folder}/{name}")
