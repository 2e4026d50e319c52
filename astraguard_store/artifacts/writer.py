"""A run's files on their way to disk: staged in parallel threads, then published.

Nothing here knows the database: the caller commits the run's row between
`stage_runs` and `StagedRun.publish`.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from astraguard_store.artifacts.files import open_folder, sync_folder
from astraguard_store.artifacts.layout import FILE_NAMES, STAGING_NAME
from astraguard_store.artifacts.publishing import publish_files
from astraguard_store.artifacts.staging import (
    KEPT_SUFFIXES,
    SUFFIXES,
    StagedName,
    create_locked,
    ensure_staging,
    new_token,
    unlock,
)
from astraguard_store.columns import Columns
from astraguard_store.csv_format import render_csv, safe_labels
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.model import Artifact, ArtifactKind, utc_from_epoch_us
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import (
    local_timestamp,
    render_document,
    statistics_document,
)

__all__ = ["StagedRun", "stage_runs", "sync_staging"]

logger = logging.getLogger("astraguard_store")

# The thread of a smaller CSV only waits for the disk: two that both want the
# interpreter's lock are slower than one (10,000 rows: 7 against 6 ms).
_WRITTEN_BESIDE_FROM_ROWS = 30_000
_WORTH_BEGINNING_BYTES = 500_000


class StagedRun:
    """The files of one save, written and synced but not yet where readers look.

    It is used by one thread. Ends with `publish` and `close`, or `discard`, or `keep`.

    Attributes:
        run_id: The run.
        token: The name of this save.
        recorded_at_us: Microseconds since 1970, UTC; also the files' time.
        statistics: Of the staged measurements.
    """

    def __init__(self, root: Path, run_id: str, recorded_at_us: int, *, sync: bool) -> None:
        self.run_id = run_id
        self.token = new_token()
        self.recorded_at_us = recorded_at_us
        self.statistics: RunStatistics
        self._root = root
        self._sync = sync
        # Two threads put something in: into a dict that is one step, onto a tuple two.
        self._artifacts: dict[ArtifactKind, Artifact] = {}
        self._descriptors: dict[ArtifactKind, int] = {}
        self._new_folder = True

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files as they will be, in the order of their kinds."""
        return tuple(self._artifacts[kind] for kind in sorted(self._artifacts))

    def write(self, kind: ArtifactKind, chunks: Iterable[bytes], rows: int) -> None:
        """Write one file; any thread.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        digest = hashlib.sha256()
        size = 0
        with self._errors_name(kind):
            descriptor = self._descriptors[kind] = create_locked(self._staged_path(SUFFIXES[kind]))
            for chunk in chunks:
                digest.update(chunk)
                _write_all(descriptor, chunk)
                if self._sync and len(chunk) >= _WORTH_BEGINNING_BYTES:
                    # Begins the writing to disk: `sync` finds it half done, and takes
                    # 1 ms instead of 5 for 7 MB.
                    os.posix_fadvise(descriptor, size, len(chunk), os.POSIX_FADV_DONTNEED)
                size += len(chunk)
            time_ns = self.recorded_at_us * 1000
            os.utime(descriptor, ns=(time_ns, time_ns))
        path = f"{self.run_id}/{FILE_NAMES[kind]}"
        self._artifacts[kind] = Artifact(kind, path, size, digest.hexdigest(), rows)

    def sync(self, kind: ArtifactKind) -> None:
        """Make one file's content survive a power cut; any thread.

        Raises:
            ArtifactWriteError: It can't be synced; the message names it.
        """
        if self._sync:
            with self._errors_name(kind):
                os.fsync(self._descriptors[kind])

    def publish(self) -> None:
        """Move the files where readers look; the row is committed and the ticket held.

        Raises:
            OSError: A file couldn't be moved; recovery finishes it later.
        """
        self._new_folder = publish_files(self._root, self.run_id, self.token)

    def close(self) -> bool:
        """Make the published names durable and let go of the files.

        Returns:
            Whether the results folder is to be synced too, having a new folder.

        Raises:
            OSError: The folder can't be synced.
        """
        try:
            if self._sync:
                sync_folder(self._root / self.run_id)
        finally:
            self._unlock()
        return self._sync and self._new_folder

    def discard(self) -> None:
        """Remove what was staged; the row was not committed."""
        # Only what was made: where nothing can be, nothing can be removed either.
        for kind in self._descriptors:
            # What can't be removed now is removed by recovery; the failure that
            # led here is the one to raise.
            with suppress(OSError):
                self._staged_path(SUFFIXES[kind]).unlink()
        self._unlock()

    def keep(self) -> tuple[Path, ...]:
        """Leave the files for the next opening to adopt: the database was not to be had.

        Returns:
            Where they lie; empty if they couldn't be kept, which the log explains.
        """
        kept = []
        try:
            for kind, suffix in SUFFIXES.items():
                path = self._staged_path(suffix)
                kept.append(path.rename(self._staged_path(KEPT_SUFFIXES[kind])))
        except OSError as error:
            logger.warning("the files of run %r could not be kept: %s", self.run_id, error)
            return ()
        finally:
            self._unlock()
        return tuple(kept)

    def leave(self) -> None:
        """Leave the files as they are, for recovery to settle."""
        self._unlock()

    def _staged_path(self, suffix: str) -> Path:
        return StagedName(self.run_id, self.token, suffix).path(self._root)

    def _unlock(self) -> None:
        descriptors, self._descriptors = self._descriptors, {}
        for descriptor in descriptors.values():
            unlock(descriptor)

    @contextmanager
    def _errors_name(self, kind: ArtifactKind) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactWriteError(
                f"{self._root / self.run_id / FILE_NAMES[kind]} can't be written: "
                f"{error.strerror}; run {self.run_id!r} was not saved"
            ) from error


def stage_runs(
    root: Path,
    snapshots: Mapping[str, Columns],
    recorded_at_us: int,
    utc_offset_s: int,
    *,
    sync: bool,
    safe_csv: bool = False,
) -> list[StagedRun]:
    """Summarise runs and write their files to the staging folder: all of them, or none.

    Raises:
        ArtifactWriteError: A file can't be written; nothing is left of any.
    """
    staged: list[StagedRun] = []
    write = _write_in_parallel if len(snapshots) == 1 else _write_in_turn
    try:
        for run_id, columns in snapshots.items():
            _check_target(root, run_id)
            run = StagedRun(root, run_id, recorded_at_us, sync=sync)
            staged.append(run)
            write(run, columns, safe_labels(columns) if safe_csv else columns, utc_offset_s)
        if write is _write_in_turn:
            # All are on their way to the disk by now: a third of the time that
            # syncing each after writing it takes.
            for run in staged:
                for kind in FILE_NAMES:
                    run.sync(kind)
        if sync:
            sync_staging(root)
    except BaseException:
        for run in staged:
            run.discard()
        raise
    return staged


def _write_in_parallel(
    run: StagedRun, columns: Columns, csv_columns: Columns, utc_offset_s: int
) -> None:
    chunks = render_csv(csv_columns)

    def write_and_sync_csv() -> None:
        run.write("raw_csv", chunks, columns.rows)
        run.sync("raw_csv")

    if columns.rows < _WRITTEN_BESIDE_FROM_ROWS:
        run.write("raw_csv", chunks, columns.rows)
        wait_for_csv = _run_beside(lambda: run.sync("raw_csv"))
    else:
        wait_for_csv = _run_beside(write_and_sync_csv)
    try:
        _write_summary(run, columns, utc_offset_s)
        run.sync("summary_json")
    finally:
        wait_for_csv()


def _write_in_turn(
    run: StagedRun, columns: Columns, csv_columns: Columns, utc_offset_s: int
) -> None:
    run.write("raw_csv", render_csv(csv_columns), columns.rows)
    _write_summary(run, columns, utc_offset_s)


def _write_summary(run: StagedRun, columns: Columns, utc_offset_s: int) -> None:
    run.statistics = summarize(columns)
    document = _document(run.run_id, run.recorded_at_us, utc_offset_s, run.statistics)
    run.write("summary_json", [render_document(document)], columns.rows)


def sync_staging(root: Path) -> None:
    """Make the staged names durable; from here on the rows may be committed.

    Raises:
        ArtifactWriteError: They can't be.
    """
    try:
        sync_folder(root / STAGING_NAME)
    except OSError as error:
        raise ArtifactWriteError(
            f"{root / STAGING_NAME} can't be synced: {error.strerror}; nothing was saved"
        ) from error


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


def _check_target(root: Path, run_id: str) -> None:
    """Refuse before anything is written what could not be published later."""
    folder = root / run_id
    try:
        ensure_staging(root)
        with open_folder(folder) as descriptor:
            for name in FILE_NAMES.values():
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


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
