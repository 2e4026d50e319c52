"""The runs of another store → this one, each whole or not at all.

A merged run goes the way of a save: its files staged and synced, its rows in one
transaction, the files published under the same ticket. So a merge that dies is
settled by `recovery` like a save that died, and the next one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import is_zipfile

from astraguard_store.artifacts.attachments import attachment_path, copy_attachments
from astraguard_store.artifacts.reader import read_summary_bytes
from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staging import ensure_staging, staged_of, sync_staging
from astraguard_store.artifacts.verification import OpenFile, has_files, name_of
from astraguard_store.artifacts.writer import check_target
from astraguard_store.checks import check_run_id
from astraguard_store.database.lists import run_ids
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.runs import StoredRun, load_run, load_run_of_rows
from astraguard_store.database.sqlite.errors import translated_os_errors
from astraguard_store.database.sqlite.integrity import replaced_tables
from astraguard_store.database.transaction import Transaction
from astraguard_store.database.whole_runs import RunRows, load_rows, with_files
from astraguard_store.exceptions import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    InvalidRunError,
    RunNotFoundError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.formats.layout import SUMMARY, SUMMARY_NAME
from astraguard_store.model import Artifact, RunSummary, epoch_us
from astraguard_store.options import DATABASE_NAME, StoreOptions
from astraguard_store.reports import MergeReport, Progress
from astraguard_store.store.identity import rendered_summary, why_another
from astraguard_store.store.one_save import files_of_one_save
from astraguard_store.store.recovery import settle
from astraguard_store.store.row_checks import why_summary_differs
from astraguard_store.store.row_rules import why_not_written
from astraguard_store.store.saving import close_all
from astraguard_store.store.store import FolderStore, Store, folder_store
from astraguard_store.system.file_limit import is_file_limit
from astraguard_store.system.interrupts import interrupts_held_back
from astraguard_store.system.threads import run_all

# Of one transaction: a few syncs for all of them, and others get their turn.
_BATCH_RUNS = 100
_BATCH_BYTES = 64 * 2**20


def merge_rows(store: Store, other: Path, progress: Progress | None) -> MergeReport:
    """Take over the rows of another store's runs; raises as `RunRepository.merge`."""
    with _other_store(store, other) as source:
        return _Merge(store, *source).run(progress)


def merge_runs(store: FolderStore, other: Path, progress: Progress | None) -> MergeReport:
    """Take over the runs of another store, files too; raises as `RunRepository.merge`."""
    with _other_store(store, other) as source:
        return _FolderMerge(store, *source).run(progress)


@dataclass(slots=True)
class _Taken:
    """A run on its way; in memory without files.

    Attributes:
        run: As it is in the other store.
        rows: All its rows there.
        token: Of the publication of its files here.
        staged: Its files.
        without_files: Whether the other store has none, so that these were made.
        is_written: Whether its rows are here now.
        refusal: Why the database refused them.
    """

    run: StoredRun
    rows: RunRows
    token: str | None
    staged: StagedRun | None = None
    without_files: bool = False
    is_written: bool = False
    refusal: str | None = None

    @property
    def run_id(self) -> str:
        return self.run.summary.run_id

    @property
    def bytes(self) -> int:
        """How much it adds to a batch: its files, and what is held in memory of it."""
        kept = sum(8 * len(column) for column in self.rows.measurements)
        return kept + (sum(file.bytes for file in self.staged.artifacts) if self.staged else 0)

    @property
    def files(self) -> list[Artifact]:
        """What is to be noted of its files."""
        if self.staged is None:
            return []
        if self.without_files:
            return list(self.staged.artifacts)
        # What was never hashed stays so: `check --fix` holds it against the rows then.
        return list(self.run.summary.artifacts)


class _InTheWayError(ArtifactReadError):
    """Something here keeps one run from being taken over; the others come."""


class _TooManyFilesError(ArtifactWriteError):
    """The process may not open as many files as one batch of runs has."""


class _Merge:
    """What a merge has seen and done so far; of rows alone, as into a store in memory.

    Args:
        store: Where to.
        source: The rows of the other store.
        root: The folder that its runs' folders are in, if they are there at all.
    """

    def __init__(self, store: Store, source: RunDatabase, root: Path) -> None:
        self._store = store
        self.source = source
        self.root = root
        self.merged: list[str] = []
        self.skipped: list[str] = []
        self.conflicts: list[tuple[str, str]] = []
        self.refused: list[tuple[str, str]] = []
        self.without_files: list[str] = []

    def run(self, progress: Progress | None) -> MergeReport:
        """Look at all runs of the other store, and take what can be taken."""
        names = self.source.read(run_ids)
        done = 0
        while done < len(names):
            with interrupts_held_back():
                done += self.take(names[done : done + _BATCH_RUNS])
            if progress:
                progress(done, len(names))
        return MergeReport(
            tuple(self.merged),
            tuple(self.skipped),
            tuple(self.conflicts),
            tuple(self.refused),
            tuple(self.without_files),
        )

    def take(self, names: list[str]) -> int:
        """Take over the first of these runs; return how many were looked at."""
        taken: list[_Taken] = []
        looked_at, size = 0, 0
        try:
            for run_id in names:
                try:
                    one = self._staged(run_id)
                except _TooManyFilesError:
                    if not taken:
                        raise
                    break  # those that are staged are written, and their files closed
                looked_at += 1
                if one:
                    taken.append(one)
                    size += one.bytes
                if size >= _BATCH_BYTES:
                    break
            self._sync(taken)
        except BaseException:
            _discard(taken)
            raise
        if taken:
            self._write(taken)
        return looked_at

    def _staged(self, run_id: str) -> _Taken | None:
        """Stage a run of the other store, unless it is here or can't be taken."""
        try:
            there = self._load(run_id)
            if self._is_here(run_id, there):
                return None
            if there.live_token is not None:
                raise InvalidRunError(
                    f"it is being recorded in {self.root}, or its recorder died; if so, "
                    "opening that store for writing saves it"
                )
            check_run_id(run_id)
            return self._with_files(run_id)
        except RunNotFoundError:
            return None  # deleted there meanwhile
        except (DatabaseBusyError, DatabaseDamagedError):
            raise
        # What rows of another store hold that no save writes may be too large, or no text.
        except (StoreError, ArithmeticError, TypeError, ValueError, OSError) as error:
            if is_file_limit(error):
                raise _TooManyFilesError(
                    f"run {run_id!r} could not be merged: too many files are open; allow more "
                    "(`ulimit -n`) and merge again"
                ) from error
            if isinstance(error, ArtifactWriteError):
                raise
            self.refused.append((run_id, str(error)))
            return None

    def _load(self, run_id: str) -> StoredRun:
        # Their document may say something else, and isn't taken over.
        run = self.source.read(partial(load_run_of_rows, run_id=run_id))
        if run is None:
            raise RunNotFoundError(run_id, str(self.root))
        return run

    def _rows_of(self, run: StoredRun) -> RunRows:
        """Return all rows of a run of the other store, if they can be those of that save.

        Raises:
            InvalidRunError: They are such as no save writes.
            ArtifactReadError: It was saved again meanwhile, or deleted.
        """
        summary = run.summary
        rows = self.source.read(partial(load_rows, run_id=summary.run_id))
        save = (summary.revision, epoch_us(summary.recorded_at), run.staging_token)
        if rows is None or rows.save != save:
            raise ArtifactReadError("it was saved again meanwhile; merge again")
        reason = why_not_written(rows)
        if reason:
            raise InvalidRunError(f"its rows are not what a save writes: {reason}")
        return rows

    def _is_here(self, run_id: str, there: StoredRun) -> bool:
        """Report a run that is here already, in whichever form."""
        here = self._store.database.read(partial(load_run, run_id=run_id))
        if here is None:
            return False
        reason = why_another(here, there)
        if reason:
            self.conflicts.append((run_id, reason))
        else:
            self.skipped.append(run_id)
        return True

    def _with_files(self, run_id: str) -> _Taken:
        run = self._load(run_id)
        return _Taken(run, self._rows_of(run), run.staging_token, without_files=True)

    def _sync(self, taken: list[_Taken]) -> None:
        """Make what was staged as durable as it has to be."""

    def _write(self, taken: list[_Taken]) -> None:
        """Commit and publish what was taken, but for what was saved again meanwhile."""
        transaction: Transaction | None = None
        purpose = f"merging {len(taken)} runs"
        try:
            with self._store.turn(purpose):
                with self._store.write(purpose) as transaction:
                    for one in taken:
                        rows = with_files(one.rows, one.token, one.files)
                        one.is_written, one.refusal = transaction.insert_if_allowed(rows)
                for one in taken:
                    if one.is_written and one.staged:
                        what = f"publishing the files of run {one.run_id!r}"
                        self._store.finish_later_if_it_fails(one.staged.publish, what)
        except BaseException:
            if transaction is None or not transaction.attempted:
                _discard(taken)
            else:
                # The database knows, and recovery asks it.
                self._store.shared.unsettled = True
                _leave(taken)
            raise
        self._note(taken)

    def _note(self, taken: list[_Taken]) -> None:
        written = [one for one in taken if one.is_written]
        self.merged += [one.run_id for one in written]
        self.without_files += [one.run_id for one in written if one.without_files]
        others = [one for one in taken if not one.is_written]
        _discard(others)
        for one in others:
            if one.refusal:
                self.refused.append((one.run_id, one.refusal))
            elif not self._is_here(one.run_id, one.run):
                self.refused.append((one.run_id, "it was saved again meanwhile; merge again"))


class _FolderMerge(_Merge):
    """A merge into a results folder: the runs' files come along."""

    _store: FolderStore

    def _is_here(self, run_id: str, there: StoredRun) -> bool:
        if super()._is_here(run_id, there):
            return True
        if not has_files(self._store.root, run_id):
            return False
        reason = "its folder is here, but no row of it; `astraguard-store import` adopts it"
        self.conflicts.append((run_id, reason))
        return True

    def _with_files(self, run_id: str) -> _Taken:
        with ExitStack() as stack:
            there, files = self._opened(run_id, stack)
            return self._staged_copy(there, self._rows_of(there), files)

    def _opened(self, run_id: str, stack: ExitStack) -> tuple[StoredRun, list[OpenFile]]:
        """Return a run of the other store and its files, open; none if none of them is there."""
        try:
            return files_of_one_save(self.root, partial(self._load, run_id), stack)
        except ArtifactReadError:
            there = self._load(run_id)
            token = there.staging_token
            if token and staged_of(self.root, run_id, token):
                raise ArtifactReadError(
                    f"a save of run {run_id!r} was not finished in {self.root}; "
                    "opening that store for writing finishes it"
                ) from None
            if any(_is_there(self.root / file.path) for file in there.summary.artifacts):
                raise
            return there, []

    def _staged_copy(self, there: StoredRun, rows: RunRows, files: list[OpenFile]) -> _Taken:
        root, run_id, token = self._store.root, there.summary.run_id, there.staging_token
        names = [name_of(run_id, file.noted) for file in files]
        try:
            check_target(root, run_id)
        except ArtifactWriteError as error:
            raise _InTheWayError(error) from error
        time_us = epoch_us(there.summary.recorded_at)
        staged = StagedRun(root, run_id, time_us, durable=self._store.options.sync)
        if token:
            self._settle_left_overs(run_id, token)
            staged.token = token
        try:
            for file, name in zip(files, names, strict=True):
                # An adopted file's own time may be what tells when the run was.
                was_saved = there.utc_offset_s is not None
                time_ns = time_us * 1000 if was_saved else file.modified_ns
                staged.copy(name, file.checked_chunks(), file.noted.rows, time_ns)
            is_whole = bool(files) or self._never_had_files(there.summary)
            if files:
                _check_summary(there, staged)
            if is_whole:
                copy_attachments(
                    root,
                    self.root,
                    run_id,
                    there.summary.attachments,
                    durable=self._store.options.sync,
                )
            else:
                total = there.summary.total_measurements
                staged.copy(SUMMARY_NAME, [rendered_summary(there)], total, time_us * 1000)
                # They lie nowhere that is known.
                rows = rows._replace(children={**rows.children, "attachments": ()})
        except BaseException as error:
            staged.discard()
            if isinstance(error.__cause__, FileExistsError):
                raise _InTheWayError("another merge brings it; merge again") from error
            raise
        return _Taken(there, rows, staged.token, staged, without_files=not is_whole)

    def _never_had_files(self, run: RunSummary) -> bool:
        """Return whether it ended before its first measurement, and all attachments are there."""
        paths = (attachment_path(run.run_id, attached.name) for attached in run.attachments)
        return not run.artifacts and all(_is_there(self.root / path) for path in paths)

    def _settle_left_overs(self, run_id: str, token: str) -> None:
        """Remove what a merge left that died: its staged files have the same names."""
        ensure_staging(self._store.root)
        left = staged_of(self._store.root, run_id, token)
        if left:
            settle(self._store, left)

    def _sync(self, taken: list[_Taken]) -> None:
        if taken and self._store.options.sync:
            # Together: the file system commits syncs at once that come at the same time.
            of_files = [one.staged.sync_all for one in taken if one.staged]
            run_all([partial(sync_staging, self._store.root), *of_files])

    def _note(self, taken: list[_Taken]) -> None:
        close_all(self._store, [one.staged for one in taken if one.staged and one.is_written])
        super()._note(taken)


def _check_summary(there: StoredRun, staged: StagedRun) -> None:
    """Make sure that a run's rows say what its summary file does, if that was ever hashed."""
    for noted in there.summary.artifacts:
        if noted.kind == SUMMARY and noted.sha256:
            name = name_of(there.summary.run_id, noted)
            reason = why_summary_differs(read_summary_bytes(staged.path_of(name)), there)
            if reason:
                raise InvalidRunError(f"its rows are not those of its files: {reason}")


def _is_there(path: Path) -> bool:
    """Return whether there is something; a folder that can't be looked into isn't empty."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be looked at: {error.strerror}") from error
    return True


def _discard(taken: list[_Taken]) -> None:
    for one in taken:
        if one.staged:
            one.staged.discard()


def _leave(taken: list[_Taken]) -> None:
    for one in taken:
        if one.staged:
            one.staged.leave()


@contextmanager
def _other_store(store: Store, other: Path) -> Iterator[tuple[RunDatabase, Path]]:
    """Give the rows of *other*, a results folder or a database beside *store*, and its folder.

    Raises:
        StoreNotFoundError: There is no such database.
        InvalidRunError: It is that of *store*.
        SchemaVersionError: It is older or newer than this code.
        DatabaseError: It can't be read.
    """
    path = Path(os.path.realpath(other))
    with translated_os_errors(path):
        if path.is_dir():
            path /= DATABASE_NAME
    own = store.database.path
    check_is_no_zip(path)
    with ExitStack() as stack:
        yield _opened_other(other, path, own, store.options, stack), path.parent


def check_is_no_zip(other: Path) -> None:
    """Raise `InvalidRunError` for a zip, such as `export` makes."""
    with translated_os_errors(other):
        is_zip = other.is_file() and is_zipfile(other)
    if is_zip:
        raise InvalidRunError(
            f"{other} is a zip, not a store: unpack it into a new folder, `astraguard-store "
            "import --results` that folder, then merge it"
        )


def _opened_other(
    other: Path, path: Path, own: Path | None, options: StoreOptions, stack: ExitStack
) -> RunDatabase:
    try:
        if own and os.path.samefile(own, path):
            raise InvalidRunError(f"{other} is this store itself; name another one")
        database, release = _open(path, options)
        stack.callback(release)
        _check_tables(path, database)
    except DatabaseDamagedError as error:
        if path.name == DATABASE_NAME:
            raise
        advice = "Name a results folder or its database"
        raise DatabaseDamagedError(other, error.reason, advice) from error
    except StoreError:
        # Some are an OSError too.
        raise
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"there is no database {path}; name a results folder or its database. Where there "
            "are only run folders, `astraguard-store import` makes one"
        ) from None
    except OSError as error:
        raise StoreNotFoundError(f"{path} can't be looked at: {error.strerror}") from error
    return database


def _check_tables(path: Path, database: RunDatabase) -> None:
    """Refuse a database whose tables are none: a view in their place may never end."""
    replaced = database.read(replaced_tables)
    if replaced:
        raise DatabaseError(
            f"{path} can't be merged: {', '.join(replaced)} is no table that this store made"
        )


def _open(path: Path, options: StoreOptions) -> tuple[RunDatabase, Callable[[], None]]:
    if path.name != DATABASE_NAME:
        database = RunDatabase.open(path, busy_timeout_s=options.busy_timeout_s)
        return database, database.close
    # By the registry: this process may have it open, and two ways of reading one
    # file drop each other's locks.
    found = folder_store(path.parent, options, create=False)
    return found.database, found.shared.release
