"""A run's files on their way to disk: staged in parallel threads, then published.

Nothing here knows the database: the caller commits the run's row between
`stage_runs` and `StagedRun.publish`.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astraguard_store.artifacts.file_systems import case_twin
from astraguard_store.artifacts.files import open_folder
from astraguard_store.artifacts.layout import FILE_KINDS, Compression
from astraguard_store.artifacts.parquet import check_parquet, render_parquet
from astraguard_store.artifacts.staged_run import StagedRun, sync_staging
from astraguard_store.artifacts.staging import ensure_staging
from astraguard_store.columns import Columns
from astraguard_store.csv_format import render_csv, safe_labels
from astraguard_store.exceptions import ArtifactWriteError, InvalidRunError
from astraguard_store.model import ArtifactKind, utc_from_epoch_us
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import (
    local_timestamp,
    render_document,
    statistics_document,
)

__all__ = ["StagingOptions", "check_target", "stage_runs"]

# The thread of a smaller CSV only waits for the disk: two that both want the
# interpreter's lock are slower than one (10,000 rows: 7 against 6 ms).
_WRITTEN_BESIDE_FROM_ROWS = 30_000


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
) -> list[StagedRun]:
    """Summarise runs and write their files to the staging folder: all of them, or none.

    Raises:
        ArtifactWriteError: A file can't be written; nothing is left of any.
    """
    if options.parquet:
        check_parquet()
    staged: list[StagedRun] = []
    write = _write_in_parallel if len(snapshots) == 1 else _write_in_turn
    try:
        for run_id, columns in snapshots.items():
            check_target(root, run_id)
            run = StagedRun(
                root,
                run_id,
                recorded_at_us,
                sync=options.sync,
                compression=options.compression,
            )
            staged.append(run)
            write(run, columns, utc_offset_s, options)
        if write is _write_in_turn:
            _sync_all(staged, options)
        if options.sync:
            sync_staging(root)
    except BaseException:
        for run in staged:
            run.discard()
        raise
    return staged


def _sync_all(staged: list[StagedRun], options: StagingOptions) -> None:
    # All are on their way to the disk by now: a third of the time that syncing
    # each after writing it takes.
    for run in staged:
        for kind in options.kinds:
            run.sync(kind)


def _write_in_parallel(
    run: StagedRun, columns: Columns, utc_offset_s: int, options: StagingOptions
) -> None:
    chunks = render_csv(safe_labels(columns) if options.safe_csv else columns)

    def write_and_sync_csv() -> None:
        run.write("raw_csv", chunks, columns.rows)
        run.sync("raw_csv")

    if columns.rows < _WRITTEN_BESIDE_FROM_ROWS:
        run.write("raw_csv", chunks, columns.rows)
        wait_for_csv = _run_beside(lambda: run.sync("raw_csv"))
    else:
        wait_for_csv = _run_beside(write_and_sync_csv)
    try:
        _write_rest(run, columns, utc_offset_s, options)
        for kind in options.kinds[1:]:
            run.sync(kind)
    finally:
        wait_for_csv()


def _write_in_turn(
    run: StagedRun, columns: Columns, utc_offset_s: int, options: StagingOptions
) -> None:
    csv_columns = safe_labels(columns) if options.safe_csv else columns
    run.write("raw_csv", render_csv(csv_columns), columns.rows)
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
    folder = root / run_id
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


def _check_replaceable(name: str, folder_descriptor: int, folder: Path) -> None:
    try:
        found = os.stat(name, dir_fd=folder_descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))


def _run_beside(work: Callable[[], None]) -> Callable[[], None]:
    """Start *work* in a thread; the returned call waits for it and raises what it raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            errors.append(error)

    thread = threading.Thread(target=run, name="astraguard-store-csv")
    try:
        thread.start()
    except RuntimeError:
        # No new threads while the interpreter exits: write in this one.
        run()
        return lambda: _raise_first(errors)

    def wait() -> None:
        try:
            thread.join()
        finally:
            # An interrupt: what is staged is removed next, so nobody may still write.
            while thread.is_alive():
                thread.join()
        _raise_first(errors)

    return wait


def _raise_first(errors: list[BaseException]) -> None:
    if errors:
        raise errors[0]
