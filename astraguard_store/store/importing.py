"""Folders of runs, and zips that `export` made → a store, each run whole or not at all.

A run goes the way of a save: its files staged as they are, its rows computed from its CSV
in one transaction, the files published under the same ticket.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from astraguard_store.artifacts.attachments import copy_attachments, keep_attachments
from astraguard_store.artifacts.reader import (
    SummaryFile,
    found_run,
    last_measured_us,
    names_another_run,
    read_columns,
    read_summary_file,
)
from astraguard_store.artifacts.scanner import warn_of_linked_runs
from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staging import sync_staging
from astraguard_store.artifacts.verification import has_files
from astraguard_store.artifacts.writer import check_target
from astraguard_store.checks import check_attachment_name, check_run_id
from astraguard_store.columns import Columns
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.transaction import Transaction
from astraguard_store.exceptions import (
    ArtifactReadError,
    ClosedStoreError,
    CommitOutcomeUnknownError,
    DatabaseDamagedError,
    InvalidRunError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)
from astraguard_store.formats.csv import plain_labels
from astraguard_store.formats.layout import (
    ATTACHMENTS_NAME,
    FILES,
    SUMMARY,
    compression_of,
)
from astraguard_store.formats.run_notes import NOTES_NAME, RunNotes, parse_run_notes
from astraguard_store.formats.summary import parse_summary, render_document, utc_offset_s
from astraguard_store.model import RunSummary, epoch_us, utc_from_epoch_us
from astraguard_store.reports import ImportReport, Progress
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.store.identity import document_of
from astraguard_store.store.one_save import FolderAtRest
from astraguard_store.store.rebuilding import csv_of
from astraguard_store.store.saving import close_all, identity_of
from astraguard_store.store.store import FolderStore
from astraguard_store.system.files import chunks_of, modified_ns, open_for_reading, read_file
from astraguard_store.system.interrupts import interrupts_held_back

_CHUNK_BYTES = 2**20
# Measurements shrink by 3 to 20 times. A zip whose files share their bytes (42.zip) has no limit.
_MOST_PACKED = 200
_ANY_ZIP_BYTES = 256 * 2**20
# RuntimeError: it is encrypted, or packed in a way that is unknown here; bz2 raises an OSError.
_ZIP_ERRORS = (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error, OSError)
# What keeps one run out would keep out all others, too.
_OF_ALL_RUNS = (
    ClosedStoreError,
    CommitOutcomeUnknownError,
    DatabaseDamagedError,
    SchemaVersionError,
    StoreMismatchError,
)


def import_paths(
    store: FolderStore, paths: Iterable[Path], progress: Progress | None
) -> ImportReport:
    """Bring in the runs that lie at *paths*; raises as `RunRepository.import_runs`."""
    done = _Done([], 0, [], [], 0)
    with ExitStack() as stack:
        found = [run for path in paths for run in _runs_at(path, stack)]
        for number, (root, name) in enumerate(found, start=1):
            with interrupts_held_back():
                _bring_in(store, root, name, done)
            if progress:
                progress(number, len(found))
    return ImportReport(
        len(done.adopted), done.skipped, tuple(done.refused), done.ignored, tuple(done.rebuilt)
    )


@dataclass(slots=True)
class _Done:
    adopted: list[str]
    skipped: int
    refused: list[tuple[str, str]]
    rebuilt: list[str]
    ignored: int


def _runs_at(path: Path, stack: ExitStack) -> list[tuple[Path, str]]:
    """Return (folder, name of a run's folder in it) of all that lie at *path*."""
    if path.is_file() and zipfile.is_zipfile(path):
        path = stack.enter_context(_unzipped(path))
    # Path.resolve() raises a RuntimeError for a link to itself.
    path = Path(os.path.realpath(path))
    if not path.is_dir():
        raise StoreNotFoundError(
            f"{path} is neither a folder of runs nor a zip of them; name one that `export` made"
        )
    if _is_run(path.parent, path.name):
        return [(path.parent, path.name)]
    with os.scandir(path) as entries:
        names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    names += warn_of_linked_runs(path)
    return [(path, name) for name in names if not name.startswith(".")]


def _is_run(root: Path, name: str) -> bool:
    return has_files(root, name) or os.path.lexists(root / name / NOTES_NAME)


@contextmanager
def _unzipped(path: Path) -> Iterator[Path]:
    """Give a folder with the files of runs that a zip holds, and no others."""
    with (
        tempfile.TemporaryDirectory(prefix="astraguard-") as folder,
        zipfile.ZipFile(path) as zip_,
    ):
        members = [
            (member, parts)
            for member in zip_.infolist()
            if not member.is_dir() and _is_of_run(parts := PurePosixPath(member.filename).parts)
        ]
        _check_size(path, Path(folder), sum(member.file_size for member, _ in members))
        for member, parts in members:
            target = Path(folder, *parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with zip_.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, _CHUNK_BYTES)
            except _ZIP_ERRORS as error:
                raise ArtifactReadError(f"{path}: {member.filename}: {error}") from error
        yield Path(folder)


def _check_size(path: Path, folder: Path, unpacked_bytes: int) -> None:
    """Make sure that a zip may be unpacked; none of its files gets longer than it says.

    Raises:
        ArtifactReadError: It would fill the disk, or is packed as no measurements can be.
    """
    most = max(_ANY_ZIP_BYTES, _MOST_PACKED * path.stat().st_size)
    if unpacked_bytes > most:
        raise ArtifactReadError(
            f"{path} would unpack to {unpacked_bytes} bytes, more than {_MOST_PACKED} times its "
            "own size; if it is right, unpack it and import the folder"
        )
    free_bytes = shutil.disk_usage(folder).free
    if unpacked_bytes > free_bytes:
        raise ArtifactReadError(
            f"{path} would unpack to {unpacked_bytes} bytes, and {folder.parent} has {free_bytes} "
            "left; name a folder with more room in TMPDIR"
        )


def _is_of_run(parts: Sequence[str]) -> bool:
    """Return whether a file in a zip is one of a run, and leads nowhere else."""
    with suppress(InvalidRunError):
        match parts:
            case [run_id, name] if name in FILES or name == NOTES_NAME:
                return bool(check_run_id(run_id))
            case [run_id, folder, name] if folder == ATTACHMENTS_NAME:
                return bool(check_run_id(run_id) and check_attachment_name(name))
    return False


def _bring_in(store: FolderStore, root: Path, name: str, done: _Done) -> None:
    if not _is_run(root, name) or os.path.islink(root / name):
        done.ignored += 1
        return
    try:
        source = _brought_in(store, root, check_run_id(name))
    except _OF_ALL_RUNS:
        raise
    except (StoreError, OSError) as error:
        done.refused.append((name, str(error)))
        return
    if source is None:
        done.skipped += 1
        return
    done.adopted.append(name)
    if source.summary is None and not source.is_empty:
        done.rebuilt.append(name)


def _brought_in(store: FolderStore, root: Path, run_id: str) -> _Source | None:
    """Return what was saved of a run's folder; None if it is here."""
    folder = FolderAtRest(root, run_id)
    while True:
        try:
            source = _Source.read(root, run_id)
            if _is_here(store, source):
                return None
            source.save_into(store, folder)
        except (ArtifactReadError, InvalidRunError):
            if not folder.is_worth_a_look():
                raise
            folder.look()
        else:
            return source


def _is_here(store: FolderStore, source: _Source) -> bool:
    """Return whether the same run is here.

    Raises:
        InvalidRunError: Another run of that id is.
    """
    try:
        stored = store.database.get(source.run_id)
    except RunNotFoundError:
        if has_files(store.root, source.run_id):
            raise InvalidRunError(
                "its folder is here, but no row of it; `astraguard-store import` adopts it"
            ) from None
        return False
    if source.is_empty:
        summary = stored.summary
        told = (summary.total_measurements, epoch_us(summary.recorded_at))
        if told == (0, source.recorded_at_us()):
            return True
    elif source.summary_sha256 in identity_of(stored):
        return True
    raise InvalidRunError("another run of that id is here; rename the folder, or delete that run")


@dataclass(frozen=True, slots=True)
class _Source:
    """A run's folder, read.

    Attributes:
        root: Where the folder is.
        run_id: Its name.
        summary: Its summary file; None if that is missing or damaged.
        notes: What `export` noted of it; None without.
        columns: Its measurements; None without a CSV.
        statistics: Of these.
    """

    root: Path
    run_id: str
    summary: SummaryFile | None
    notes: RunNotes | None
    columns: Columns | None
    statistics: RunStatistics | None

    @classmethod
    def read(cls, root: Path, run_id: str) -> _Source:
        """Read it; raises ArtifactReadError if its measurements aren't whole."""
        summary = _summary(root, run_id)
        csv = csv_of(root, run_id)
        notes = _notes(root, run_id, summary)
        # A recorder wrote it, and it never had a summary.
        was_empty = notes and notes.last_written_at_us and notes.summary_sha256 is None
        if summary is None and csv is None and not was_empty:
            raise ArtifactReadError("neither a summary nor a CSV of it can be read")
        if csv is None:
            return cls(root, run_id, summary, notes, None, None)
        columns = read_columns(root / run_id / csv)
        if not columns.rows:
            raise ArtifactReadError(f"{csv} holds no measurements")
        if summary:
            told = parse_summary(summary.document)
            columns = plain_labels(columns, told.metrics, told.satellites)
        statistics = summarize(columns, satellite_buckets=bool(notes and notes.satellite_buckets))
        if summary and told.total_measurements != statistics.total_measurements:
            raise ArtifactReadError(
                f"its summary tells of {told.total_measurements} measurements, its CSV has "
                f"{statistics.total_measurements}"
            )
        return cls(root, run_id, summary, notes, columns, statistics)

    @property
    def is_empty(self) -> bool:
        """Whether it ended before its first measurement."""
        return self.summary is None and self.columns is None

    @property
    def summary_sha256(self) -> str | None:
        return hashlib.sha256(self.summary.content).hexdigest() if self.summary else None

    def recorded_at_us(self) -> int:
        """Return when it was, as far as that is known."""
        if self.notes:
            return self.notes.recorded_at_us
        if self.summary:
            return self.summary.run_time_us(self.root, self.run_id)
        measured = last_measured_us(self.root, self.run_id)
        return measured or modified_ns((self.root / self.run_id).stat()) // 1000

    def save_into(self, store: FolderStore, folder: FolderAtRest) -> None:
        """Save it with its files as they are; raises as `RunRepository.save`.

        Raises:
            ArtifactReadError: Others saved it meanwhile, as *folder* tells; nothing is saved.
        """
        recorded_at_us = self.recorded_at_us()
        check_target(store.root, self.run_id)
        staged = StagedRun(store.root, self.run_id, recorded_at_us, durable=store.options.sync)
        purpose = f"importing run {self.run_id!r}"
        transaction: Transaction | None = None
        is_absent = False
        try:
            self._stage(staged, recorded_at_us)
            folder.check()
            staged.sync_all()
            if store.options.sync:
                sync_staging(store.root)
            run = self._run(staged, recorded_at_us)
            with store.turn(purpose):
                self._check_absent(store)
                is_absent = True
                copy_attachments(
                    store.root,
                    self.root,
                    self.run_id,
                    self.notes.attachments if self.notes else (),
                    durable=store.options.sync,
                )
                with store.write(purpose) as transaction:
                    self._write(transaction, run)
                what = f"publishing the files of run {self.run_id!r}"
                store.finish_later_if_it_fails(staged.publish, what)
        except BaseException:
            if transaction is not None and transaction.attempted:
                # The database knows, and recovery asks it.
                store.shared.unsettled = True
                staged.leave()
            else:
                staged.discard()
                if is_absent:
                    # What lies there is what was copied for it.
                    keep_attachments(store.root, self.run_id)
            raise
        close_all(store, [staged])

    def _write(self, transaction: Transaction, run: StoredRun) -> None:
        transaction.save(run, self.statistics)
        transaction.set_revision(self.run_id, run.summary.revision)
        if self.notes:
            transaction.note_save_ids(self.run_id, self.notes.named_saves)
            transaction.insert_judgements(self.run_id, self.notes.judgements)

    def _stage(self, staged: StagedRun, recorded_at_us: int) -> None:
        rows = self.columns.rows if self.columns else None
        for name, file in FILES.items():
            if file.kind == SUMMARY and (self.summary is None or name != self.summary.name):
                continue
            with (
                suppress(FileNotFoundError),
                open_for_reading(self.root / self.run_id, name) as descriptor,
            ):
                time_ns = modified_ns(os.fstat(descriptor))
                # Its time says when the run was, where a save set it.
                was_saved = self.notes is not None and self.notes.utc_offset_s is not None
                if was_saved:
                    time_ns = recorded_at_us * 1000
                staged.copy(name, chunks_of(descriptor), rows, time_ns)
        if self.summary is None and self.statistics:
            staged.compression = compression_of(csv_of(self.root, self.run_id) or "")
            offset_s = utc_offset_s(recorded_at_us)
            document = document_of(self.run_id, self.statistics, recorded_at_us, offset_s)
            staged.write(SUMMARY, [render_document(document)], self.statistics.total_measurements)

    def _run(self, staged: StagedRun, recorded_at_us: int) -> StoredRun:
        if self.summary and not self.statistics:
            found = found_run(self.root, self.run_id, self.summary, recorded_at_us)
            summary = replace(found, revision=1, artifacts=staged.artifacts)
        else:
            measured = self.statistics or summarize(Columns([], []))
            summary = RunSummary(
                self.run_id,
                1,
                utc_from_epoch_us(recorded_at_us),
                measured.total_measurements,
                measured.metrics,
                measured.satellites,
                staged.artifacts,
            )
        notes = self.notes
        if notes is None:
            return StoredRun(summary, None, staged.token)
        written_at_us = notes.last_written_at_us
        summary = replace(
            summary,
            revision=notes.revision,
            provenance=notes.provenance,
            tags=notes.tags,
            # Nobody here records it on.
            state="interrupted" if notes.state == "running" else notes.state,
            error=notes.error,
            last_written_at=None if written_at_us is None else utc_from_epoch_us(written_at_us),
            attachments=notes.attachments,
            noise=notes.noise,
            save_id=notes.save_id,
        )
        return StoredRun(summary, notes.utc_offset_s, staged.token, save_sha256=notes.save_sha256)

    def _check_absent(self, store: FolderStore) -> None:
        with suppress(RunNotFoundError):
            store.database.get(self.run_id)
            raise InvalidRunError("it was saved here meanwhile; import again")


def _summary(root: Path, run_id: str) -> SummaryFile | None:
    try:
        summary = read_summary_file(root, run_id)
        parse_summary(summary.document)
    except (FileNotFoundError, ArtifactReadError):
        if names_another_run(root, run_id):
            raise
        return None
    return summary


def _notes(root: Path, run_id: str, summary: SummaryFile | None) -> RunNotes | None:
    """Return what `export` noted; None where it is of another save of the run."""
    try:
        notes = parse_run_notes(read_file(root / run_id, NOTES_NAME)[0])
    except FileNotFoundError:
        return None
    found = hashlib.sha256(summary.content).hexdigest() if summary else None
    is_of_it = None in {found, notes.summary_sha256} or found == notes.summary_sha256
    if not is_of_it:
        raise ArtifactReadError(
            f"its {NOTES_NAME} is of another save of it; remove that file to import it without"
        )
    return notes
