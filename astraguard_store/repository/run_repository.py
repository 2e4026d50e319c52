"""RunRepository: the class that callers use."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from astraguard_store.artifacts.folder_runs import FolderRuns
from astraguard_store.artifacts.reader import is_as_saved, read_document
from astraguard_store.artifacts.scanner import has_folders
from astraguard_store.artifacts.staging import staged_files
from astraguard_store.columns import Columns, MeasurementLike
from astraguard_store.database.engine import Durability
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import (
    ClosedStoreError,
    DatabaseError,
    InvalidRunError,
    ReadOnlyStoreError,
    RunNotFoundError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import (
    CacheInfo,
    CheckReport,
    Comparison,
    ImportReport,
    RunHeader,
    RunSummary,
    epoch_us,
)
from astraguard_store.repository.adoption import Progress, adopt_folders
from astraguard_store.repository.checking import check_folder, check_store
from astraguard_store.repository.interrupts import interrupts_held_back
from astraguard_store.repository.recovery import recover, settle
from astraguard_store.repository.shared_store import (
    DATABASE_NAME,
    SharedStore,
    acquire,
    existing_root,
)
from astraguard_store.repository.writing import delete_run, save_runs
from astraguard_store.run_ids import check_run_id
from astraguard_store.summary_format import summary_document

__all__ = ["DEFAULT_RESULTS_DIR", "Collector", "RunRepository"]

logger = logging.getLogger("astraguard_store")

DEFAULT_RESULTS_DIR = "astraguard/hil/results"


class Collector(Protocol):
    """What can be saved: a `LatencyCollector`, or anything that has its measurements."""

    @property
    def measurements(self) -> Iterable[MeasurementLike]:
        """The measurements in recording order."""


class RunRepository:
    """The runs of a results folder: saved, listed, compared.

    Open one with `open` or `in_memory`, and close it, or use it in a ``with``.
    Any number of threads and processes may work on one folder at a time, and
    all repositories of a folder in one process share its connections and its
    cache. A repository may be used from all threads; after a fork the child
    opens connections of its own.

    What it guarantees: a save that returned is in the database and in both
    files, after a crash and, with ``durability="full"``, after a power cut. A
    reader never sees half of a run, nor an old one after the new one was saved.

    Attributes:
        results_dir: The folder; None in memory.
        answers_from: ``"database"``, or ``"folders"`` where a folder was opened
            for reading that has no database, or none that can be read.
    """

    def __init__(
        self,
        store: SharedStore | None,
        folders: FolderRuns | None,
        results_dir: Path | None,
        options: WriteOptions,
        *,
        read_only: bool,
        safe_csv: bool = False,
    ) -> None:
        """Use `open` or `in_memory`."""
        self.results_dir = results_dir
        self.answers_from: Literal["database", "folders"] = "database" if store else "folders"
        self._opened = store
        self._folders = folders
        self._options = options
        self._read_only = read_only
        self._safe_csv = safe_csv
        self._closed = False
        self._finalizer = weakref.finalize(self, store.release) if store else None

    @classmethod
    def open(
        cls,
        results_dir: str | os.PathLike[str] = DEFAULT_RESULTS_DIR,
        *,
        read_only: bool = False,
        durability: Durability = "full",
        busy_timeout_s: float = 30.0,
        adopt: bool = True,
        safe_csv: bool = False,
    ) -> RunRepository:
        """Open the store in the folder *results_dir*.

        Where there is none, the folder and its database are made, and runs that
        lie in the folder already are adopted. What a dead process left behind
        is finished or undone.

        Args:
            results_dir: The results folder.
            read_only: Create, write and migrate nothing. A folder of runs
                without a usable database is then answered from the run folders,
                which the log says.
            durability: ``"full"``: a save that returned survives a power cut.
                ``"normal"``: nothing is synced; after a power cut the latest
                saves may be missing or their files incomplete. A crash of the
                process harms neither.
            busy_timeout_s: How long a save waits for other writers, seconds.
            adopt: False leaves runs that were there before the database to
                `import_legacy`, which reports and shows progress.
            safe_csv: In the CSVs of runs that are saved through this repository,
                put an apostrophe before names that a spreadsheet would take for
                a formula: those that begin with ``= + - @``, a tab or a carriage
                return. Rows and summaries keep the names as they are.

        Raises:
            StoreNotFoundError: With `read_only`, there is no such folder, or
                neither a database nor a run in it.
            SchemaVersionError: The database is older or newer than this code.
            DatabaseDamagedError: The database is damaged; it is left as it is.
            DatabaseBusyError: Others held the database for too long.
            ArtifactWriteError: The folder can't be made.
        """
        if durability not in {"full", "normal"}:
            raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
        options = WriteOptions(durability, busy_timeout_s)
        root = existing_root(results_dir, create=not read_only)
        if read_only:
            return cls._open_for_reading(root, options)
        store = acquire(root, options, create=True)
        repository = cls(store, None, root, options, read_only=False, safe_csv=safe_csv)
        try:
            if adopt and not store.database.adopted():
                repository._adopt_at_first_opening()
            repository.recover()
        except BaseException:
            repository.close()
            raise
        return repository

    @classmethod
    def in_memory(cls) -> RunRepository:
        """Return a new, empty repository that lives in memory and writes no files."""
        return cls(SharedStore.in_memory(), None, None, WriteOptions(), read_only=False)

    @classmethod
    def _open_for_reading(cls, root: Path, options: WriteOptions) -> RunRepository:
        try:
            store = acquire(root, options, create=False)
        except (FileNotFoundError, DatabaseError) as error:
            missing = isinstance(error, FileNotFoundError)
            if not has_folders(root):
                if not missing:
                    raise
                raise StoreNotFoundError(
                    f"{root} holds neither a database nor a run; check the folder's name"
                ) from None
            reason = "there is no database" if missing else str(error)
            logger.warning("%s: answering from the run folders: %s", root, reason)
            return cls(None, FolderRuns(root), root, options, read_only=True)
        return cls(store, None, root, options, read_only=True)

    def _adopt_at_first_opening(self) -> None:
        report = self.import_legacy()
        if report.adopted:
            logger.info("%s: adopted %d runs", self.results_dir, report.adopted)
        for name, reason in report.refused:
            logger.warning("%s: folder %r was not adopted: %s", self.results_dir, name, reason)

    def save(self, run_id: str, collector: Collector) -> RunSummary:
        """Save a run; it is on disk when this returns.

        A second save of a run replaces the first, as a whole, and its revision
        counts up.

        Args:
            run_id: Its name; see `check_run_id` for what is allowed.
            collector: What was measured; it may go on recording meanwhile.

        Returns:
            The run as `get` gives it.

        Raises:
            InvalidRunError: The id is not allowed, there are no measurements, or
                one can't be stored.
            ArtifactWriteError: A file couldn't be written; nothing was saved.
            DatabaseError: The database couldn't be written; the files are kept
                and the next opening adopts them.
            CommitOutcomeUnknownError: The commit failed; open again to learn.
        """
        return self.save_many([(run_id, collector)])[0]

    def save_many(self, runs: Iterable[tuple[str, Collector]]) -> list[RunSummary]:
        """Save several runs in one transaction: all of them, or none.

        Raises:
            InvalidRunError: As `save`, or an id is named twice.
        """
        store = self._writable_store()
        snapshots: dict[str, Columns] = {}
        for run_id, collector in runs:
            if check_run_id(run_id) in snapshots:
                raise InvalidRunError(f"Invalid run_id {run_id!r}: it is named twice")
            snapshots[run_id] = _snapshot(collector)
        with interrupts_held_back():
            if store.unsettled:
                recover(store, self._options)
            return save_runs(store, self._options, snapshots, safe_csv=self._safe_csv)

    def get(self, run_id: str) -> RunSummary:
        """Return a run: the same object for as long as nobody changes the run.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
        """
        check_run_id(run_id)
        if self._folders:
            self._check_open()
            return self._folders.get(run_id)
        return self._store().database.get(run_id, self._finish_publishing).summary

    def recent(self, limit: int = 10) -> list[RunHeader]:
        """Return the newest runs, newest first.

        Reads the index on the recording time: the cost follows *limit*, not the
        number of stored runs.

        Args:
            limit: Most runs to return; below 1 gives none.

        Returns:
            Run headers by recording time (UTC), ties by run id, newest first.
        """
        self._check_open()
        if limit < 1:
            return []
        if self._folders:
            return self._folders.recent(limit)
        return self._store().database.recent(min(limit, 2**62))

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool = False) -> Comparison:
        """Return what changed from one run to another, by one joined query.

        Args:
            baseline: The run to compare against.
            candidate: The run in question; differences are candidate − baseline.
            by_satellite: Compare each metric type on each satellite, instead of
                on all together.

        Raises:
            InvalidRunError: An id is not allowed.
            RunNotFoundError: There is no such run; the baseline is looked for first.
        """
        check_run_id(baseline)
        check_run_id(candidate)
        if self._folders:
            self._check_open()
            return self._folders.compare(baseline, candidate, by_satellite=by_satellite)
        return self._store().database.compare(baseline, candidate, by_satellite=by_satellite)

    def delete(self, run_id: str) -> None:
        """Delete a run: its rows and its files; the folder too if nothing else is in it.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactWriteError: The deletion couldn't be noted; nothing is deleted.
            DatabaseError: The database couldn't be written; nothing is deleted.
        """
        store = self._writable_store()
        with interrupts_held_back():
            delete_run(store, self._options, check_run_id(run_id))

    def read_document(self, run_id: str, *, afresh: bool = False) -> dict[str, Any]:
        """Return what the run's ``latency_summary.json`` holds, as a new dict.

        It comes from memory for as long as the file is the one that the last
        save wrote, told by its size and time. If somebody else has changed or
        removed the file, the file is what counts.

        Args:
            run_id: The run; it needs a summary file, but no row.
            afresh: Read the file in any case.

        Raises:
            RunNotFoundError: There is no such run.
            ArtifactReadError: The file can't be read; the message says why.
        """
        check_run_id(run_id)
        run = self._row(run_id)
        if run is not None and self._is_as_saved(run, afresh=afresh):
            return summary_document(run.summary, run.utc_offset_s or 0)
        if self.results_dir is None:
            raise RunNotFoundError(run_id, "the database in memory")
        try:
            return read_document(self.results_dir, run_id)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self.results_dir)) from None

    def import_legacy(self, progress: Progress | None = None) -> ImportReport:
        """Adopt the runs that lie in the folder but not in the database.

        Their summary files are read, not their CSVs; no file is changed. Run
        again, it adopts only what is new.

        Args:
            progress: Called with (folders done, folders in all).

        Raises:
            ReadOnlyStoreError: The repository was opened for reading.
            DatabaseError: The database couldn't be written.
        """
        report = adopt_folders(self._writable_store(), self._options, progress)
        self.recover()
        return report

    def recover(self) -> None:
        """Finish or undo what dead processes left behind; `open` does so too."""
        store = self._writable_store()
        with interrupts_held_back():
            recover(store, self._options)

    def check(self, *, fix: bool = False, progress: Progress | None = None) -> CheckReport:
        """Hold database, rows and files against each other; writes nothing without *fix*.

        Every file is read once, 1 MB at a time; other processes may go on saving.
        Queries of this process wait while the database itself is checked.

        Args:
            fix: Finish or undo what dead processes left, adopt folders without
                rows, write missing or changed summary files anew (a changed one
                is kept beside it), and hash the CSVs of adopted runs. A damaged
                database is left as it is; the report says what to do.
            progress: Called with (runs checked, runs in all).

        Raises:
            ReadOnlyStoreError: With *fix*, the repository was opened for reading.
            DatabaseError: The database can't be read, and not because of damage.
        """
        if fix:
            return check_store(self._writable_store(), self._options, fix=True, progress=progress)
        if self._folders and self.results_dir:
            return check_folder(self.results_dir, progress=progress, options=self._options)
        return check_store(self._store(), self._options, progress=progress)

    def back_up(self, target: str | os.PathLike[str]) -> None:
        """Copy the database to the new file *target*, and check the copy.

        Writers go on meanwhile; the copy is of one moment. The run folders are
        not copied. Other queries of this process wait.

        Raises:
            StoreNotFoundError: Run folders answer, so there is nothing to copy.
            DatabaseError: The target is there already, or can't be written.
            DatabaseDamagedError: The copy isn't sound, so the original isn't either.
        """
        if self._folders:
            raise StoreNotFoundError(
                f"there is no usable database in {self.results_dir}; "
                "`astraguard-store check` says what is wrong with it"
            )
        self._store().database.back_up(Path(target))

    def cache_info(self) -> CacheInfo:
        """Return the hits and misses of this process in this folder, size and limit."""
        if self._folders:
            self._check_open()
            return CacheInfo(0, 0, 0, 0)
        return self._store().database.cache_info()

    @property
    def database_path(self) -> Path | None:
        """Where the database is, or would be; None in memory."""
        return None if self.results_dir is None else self.results_dir / DATABASE_NAME

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still the one in the folder."""
        return self._opened is not None and self._opened.is_in_place()

    def close(self) -> None:
        """Let go of the store; its connections close with its last repository."""
        self._closed = True
        if self._finalizer:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.results_dir or "in memory"
        state = ", closed" if self._closed else ", read only" if self._read_only else ""
        return f"<RunRepository {where}, answers from {self.answers_from}{state}>"

    def _store(self) -> SharedStore:
        self._check_open()
        assert self._opened is not None  # noqa: S101 - the folders would have answered
        return self._opened

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedStoreError(f"the repository of {self.results_dir} is closed; open another")

    def _writable_store(self) -> SharedStore:
        if self._read_only:
            raise ReadOnlyStoreError(
                f"{self.results_dir} was opened with read_only=True; open it without to write"
            )
        return self._store()

    def _row(self, run_id: str) -> StoredRun | None:
        if self._folders:
            return None
        try:
            return self._store().database.get(run_id, self._finish_publishing)
        except RunNotFoundError:
            return None

    def _is_as_saved(self, run: StoredRun, *, afresh: bool) -> bool:
        if self.results_dir is None:
            return True
        if afresh or run.staging_token is None:
            return False
        summary = run.summary
        size = next(a.bytes for a in summary.artifacts if a.kind == "summary_json")
        return is_as_saved(self.results_dir, summary.run_id, size, epoch_us(summary.recorded_at))

    def _finish_publishing(self, run: StoredRun) -> None:
        """Publish a run's files if the process that saved it died in between."""
        store = self._store()
        if self._read_only or store.root is None or run.staging_token is None:
            return
        names = staged_files(store.root, run.summary.run_id, run.staging_token)
        if names:
            try:
                settle(store, self._options, names)
            except (OSError, StoreError) as error:
                logger.warning("files of run %r: %s", run.summary.run_id, error)


def _snapshot(collector: Collector) -> Columns:
    if isinstance(collector, LatencyCollector):
        columns = collector.snapshot()
    else:
        try:
            measurements = collector.measurements
        except AttributeError as error:
            raise InvalidRunError(f"Invalid collector {collector!r}: {error}") from error
        columns = Columns.of(measurements)
    if not columns.rows:
        raise InvalidRunError("No measurements to export")
    return columns
