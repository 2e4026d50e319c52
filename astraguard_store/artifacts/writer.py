"""A run's files on their way to disk: staged in parallel threads, then published.

Nothing here knows the database: the caller commits the run's row between
`stage_run` and `StagedRun.publish`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable
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
from astraguard_store.csv_format import render_csv
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.model import Artifact, ArtifactKind, utc_from_epoch_us
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import (
    local_timestamp,
    render_document,
    statistics_document,
)

__all__ = ["StagedRun", "stage_run"]


class StagedRun:
    """The files of one save, written and synced but not yet where readers look.

    It is used by one thread. Ends with `publish` and `close`, or `discard`, or `keep`.

    Attributes:
        run_id: The run.
        token: The name of this save.
        recorded_at_us: Microseconds since 1970, UTC; also the files' time.
        statistics: Of the staged measurements.
        artifacts: The files as they will be.
    """

    def __init__(self, root: Path, run_id: str, recorded_at_us: int, *, sync: bool) -> None:
        self.run_id = run_id
        self.token = new_token()
        self.recorded_at_us = recorded_at_us
        self.statistics: RunStatistics
        self.artifacts: tuple[Artifact, ...] = ()
        self._root = root
        self._sync = sync
        self._descriptors: list[int] = []
        self._new_folder = True

    def write(self, kind: ArtifactKind, chunks: Iterable[bytes], rows: int) -> None:
        """Write and sync one file; any thread.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        name = f"{self.run_id}/{FILE_NAMES[kind]}"
        digest = hashlib.sha256()
        size = 0
        try:
            descriptor = create_locked(self._staged_path(SUFFIXES[kind]))
            self._descriptors.append(descriptor)
            for chunk in chunks:
                digest.update(chunk)
                _write_all(descriptor, chunk)
                size += len(chunk)
            time_ns = self.recorded_at_us * 1000
            os.utime(descriptor, ns=(time_ns, time_ns))
            if self._sync:
                os.fsync(descriptor)
        except OSError as error:
            raise ArtifactWriteError(
                f"{self._root / name} can't be written: {error.strerror}; "
                f"run {self.run_id!r} was not saved"
            ) from error
        self.artifacts += (Artifact(kind, name, size, digest.hexdigest(), rows),)

    def finish(self) -> None:
        """Make the staged names durable; from here on the row may be committed."""
        self.artifacts = tuple(sorted(self.artifacts, key=lambda artifact: artifact.kind))
        if self._sync:
            try:
                sync_folder(self._root / STAGING_NAME)
            except OSError as error:
                raise ArtifactWriteError(
                    f"{self._root} can't be synced: {error.strerror}; "
                    f"run {self.run_id!r} was not saved"
                ) from error

    def publish(self) -> None:
        """Move the files where readers look; the row is committed and the ticket held.

        Raises:
            OSError: A file couldn't be moved; recovery finishes it later.
        """
        self._new_folder = publish_files(self._root, self.run_id, self.token)

    def close(self) -> None:
        """Make the published names durable and let go of the files.

        Raises:
            OSError: The folder can't be synced.
        """
        try:
            if self._sync:
                sync_folder(self._root / self.run_id)
                if self._new_folder:
                    sync_folder(self._root)
        finally:
            self._unlock()

    def discard(self) -> None:
        """Remove what was staged; the row was not committed."""
        for suffix in SUFFIXES.values():
            self._staged_path(suffix).unlink(missing_ok=True)
        self._unlock()

    def keep(self) -> tuple[Path, ...]:
        """Leave the files for the next opening to adopt: the database was not to be had.

        Returns:
            Where they lie.
        """
        kept = []
        for kind, suffix in SUFFIXES.items():
            path = self._staged_path(suffix)
            kept.append(path.rename(self._staged_path(KEPT_SUFFIXES[kind])))
        self._unlock()
        return tuple(kept)

    def leave(self) -> None:
        """Leave the files as they are, for recovery to settle."""
        self._unlock()

    def _staged_path(self, suffix: str) -> Path:
        return StagedName(self.run_id, self.token, suffix).path(self._root)

    def _unlock(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            unlock(descriptor)


def stage_run(
    root: Path,
    run_id: str,
    columns: Columns,
    recorded_at_us: int,
    utc_offset_s: int,
    *,
    sync: bool,
) -> StagedRun:
    """Write both files of a run to the staging folder and summarise it meanwhile.

    Raises:
        ArtifactWriteError: A file can't be written; nothing is left of it.
    """
    _check_target(root, run_id)
    staged = StagedRun(root, run_id, recorded_at_us, sync=sync)
    try:
        wait_for_csv = _run_beside(
            lambda: staged.write("raw_csv", render_csv(columns), columns.rows)
        )
        try:
            statistics = staged.statistics = summarize(columns)
            document = _document(run_id, recorded_at_us, utc_offset_s, statistics)
            staged.write("summary_json", [render_document(document)], columns.rows)
        finally:
            wait_for_csv()
        staged.finish()
    except BaseException:
        staged.discard()
        raise
    return staged


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
        except BaseException:
            # Ctrl-C: what is staged is removed next, so nobody may still write.
            thread.join()
            raise
        _raise_first(errors)

    return wait


def _raise_first(errors: list[BaseException]) -> None:
    if errors:
        raise errors[0]


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
