"""The files of one save between the first byte and the folder of their run."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from astraguard_store.artifacts.publishing import publish_files
from astraguard_store.artifacts.staging import errors_name, new_token, staged_path, sync_staging
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.formats.compression import compressed
from astraguard_store.formats.layout import (
    FILES,
    KEPT_RUN_SUFFIX,
    STAGING_NAME,
    SUMMARY,
    file_name,
)
from astraguard_store.model import Artifact, ArtifactKind
from astraguard_store.options import Compression
from astraguard_store.system.files import (
    begin_writeback,
    create_locked,
    most_open_files,
    sync,
    sync_file,
    sync_folder,
    unlock,
    write_all,
)
from astraguard_store.system.threads import begin_all, in_background, wait_for_all

logger = logging.getLogger("astraguard_store")

_WORTH_BEGINNING_BYTES = 500_000
# So much is written while its rows are: others who want to write wait for it. A small
# save's files take 1 ms, and its rows as long.
_WRITTEN_BESIDE_ROWS = 40_000
# Three of its own, and as many for the rest of the process.
_OPEN_FILES_OF_A_RUN = 6


class StagedRun:
    """The files of one save of a run, written and synced but not yet where readers look.

    Each file may be written by a thread of its own; the rest is for one thread, when
    these are over. Ends with `publish` and `close`, or `discard`, or `keep`, or `leave`.

    Attributes:
        run_id: The run.
        token: The name of this save.
        recorded_at_us: Microseconds since 1970, UTC; also the files' time.
        compression: How its CSV and summary are compressed.
        of_many: Whether only its summary, which is published last, is held open: its lock
            tells that the saver lives, and of many runs a process can't hold all files.
    """

    def __init__(
        self,
        root: Path,
        run_id: str,
        recorded_at_us: int,
        *,
        durable: bool,
        compression: Compression | None = None,
        of_many: bool = False,
    ) -> None:
        self.run_id = run_id
        self.token = new_token()
        self.recorded_at_us = recorded_at_us
        self.compression = compression
        self._root = root
        self._durable = durable
        self._artifacts: dict[ArtifactKind, Artifact] = {}
        self.of_many = of_many
        self._descriptors: dict[str, int] = {}
        self._made: list[str] = []
        self._new_folder = True

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files as they will be, in the order of their kinds."""
        return tuple(self._artifacts[kind] for kind in sorted(self._artifacts))

    @property
    def is_written(self) -> bool:
        """Whether all files that were made have their content."""
        return len(self._artifacts) == len(self._made)

    def create(self, kinds: Iterable[ArtifactKind]) -> None:
        """Make the files, empty, so that their names can be synced while they are written.

        Raises:
            ArtifactWriteError: One can't be made; the message names it.
        """
        # The summary, and so its lock, is there as long as any of them.
        for kind in sorted(kinds, reverse=True):
            self._create(file_name(kind, self.compression))

    def write(
        self, kind: ArtifactKind, chunks: Iterable[bytes], rows: int, *, and_sync: bool = True
    ) -> None:
        """Write one file, compressed as all of the run are, and sync it; any thread.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        name = file_name(kind, self.compression)
        packed = compressed(chunks, FILES[name].compression)
        self.copy(name, packed, rows, self.recorded_at_us * 1000)
        if and_sync:
            self.sync(kind)

    def sync(self, kind: ArtifactKind) -> None:
        """Make one file's content survive a power cut, if it must; any thread.

        Raises:
            ArtifactWriteError: It can't be synced; the message names it.
        """
        self._sync(file_name(kind, self.compression))

    def copy(self, name: str, chunks: Iterable[bytes], rows: int | None, time_ns: int) -> None:
        """Write one file, as the *chunks* are; `sync_all` makes it durable.

        Args:
            name: Its name in the run's folder.
            chunks: Its content.
            rows: Measurements in it, if that is known.
            time_ns: Its time, nanoseconds since 1970.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        if name not in self._made:
            self._create(name)
        descriptor = self._descriptors[name]
        digest = hashlib.sha256()
        size = 0
        with self._errors_name(name):
            for chunk in chunks:
                digest.update(chunk)
                write_all(descriptor, chunk)
                if self._durable and len(chunk) >= _WORTH_BEGINNING_BYTES:
                    begin_writeback(descriptor, size, len(chunk))
                size += len(chunk)
            os.utime(descriptor, ns=(time_ns, time_ns))
        kind = FILES[name].kind
        if self.of_many and kind != SUMMARY:
            unlock(self._descriptors.pop(name))
        path = f"{self.run_id}/{name}"
        self._artifacts[kind] = Artifact(kind, path, size, digest.hexdigest(), rows)

    def path_of(self, name: str) -> Path:
        """Return where the file *name* of the run lies now."""
        return Path(self._staged_path(FILES[name].staged))

    def sync_all(self) -> None:
        """Make the content of all files survive a power cut.

        Raises:
            ArtifactWriteError: One can't be synced; the message names it.
        """
        for name in self._made:
            self._sync(name)

    def publish(self, replaced: Collection[str] = FILES) -> None:
        """Move the files where readers look; the row is committed and the ticket held.

        Args:
            replaced: As in `publish_files`.

        Raises:
            OSError: A file couldn't be moved; recovery finishes it later.
        """
        self._new_folder = publish_files(
            self._root,
            self.run_id,
            self.token,
            self.artifacts,
            durable=self._durable,
            replaced=replaced,
            may_be_kept=False,
        )

    @property
    def needs_folder_sync(self) -> bool:
        """Whether the results folder is to be synced too: it has a new folder since `publish`."""
        return self._durable and self._new_folder

    def close(self) -> None:
        """Make the published names durable and let go of the files.

        Raises:
            OSError: The folder can't be synced.
        """
        try:
            if self._durable:
                sync_folder(f"{self._root}/{self.run_id}")
        finally:
            self.leave()

    def discard(self) -> None:
        """Remove what was staged; the row was not committed."""
        # Only what was made: where nothing can be, nothing can be removed either.
        for name in self._made:
            # What can't be removed now is removed by recovery; the failure that
            # led here is the one to raise.
            with suppress(OSError):
                os.unlink(self._staged_path(FILES[name].staged))
        self.leave()

    def keep(self, known: bytes) -> tuple[Path, ...]:
        """Leave the files for the next opening to adopt: the database was not to be had.

        Args:
            known: What the save knew beside its measurements; the files are kept
                also where there is no room for it, which the log explains.

        Returns:
            Where they lie. Empty if one couldn't be kept, which the log explains; if
            another was by then, the next opening adopts the run all the same.
        """
        kept = []
        names = sorted(self._made)
        self._keep_known(known)
        try:
            for name in names:
                path = Path(self._staged_path(FILES[name].staged))
                kept.append(path.rename(self._staged_path(FILES[name].kept)))
        except OSError as error:
            logger.warning("the files of run %r could not be kept: %s", self.run_id, error)
            return ()
        finally:
            self.leave()
        try:
            if self._durable:
                sync_folder(self._root / STAGING_NAME)
        except OSError as error:
            # They are there, and only a power cut could take their new names back.
            logger.warning("the kept files of run %r could not be synced: %s", self.run_id, error)
        return tuple(kept)

    def leave(self) -> None:
        """Let go of the files; what is staged is for recovery to settle."""
        self._made = []
        descriptors, self._descriptors = self._descriptors, {}
        for descriptor in descriptors.values():
            unlock(descriptor)

    def _keep_known(self, known: bytes) -> None:
        path = self._staged_path(KEPT_RUN_SUFFIX)
        try:
            # Locked until all are kept: whoever recovers needs the locks of all.
            descriptor = self._descriptors[KEPT_RUN_SUFFIX] = create_locked(path)
            write_all(descriptor, known)
            os.utime(descriptor, ns=(self.recorded_at_us * 1000,) * 2)
            if self._durable:
                sync(descriptor)
        except OSError as error:
            with suppress(OSError):
                os.unlink(path)
            logger.warning(
                "run %r is kept without its provenance and tags: %s", self.run_id, error
            )

    def _create(self, name: str) -> None:
        with self._errors_name(name):
            self._descriptors[name] = create_locked(self._staged_path(FILES[name].staged))
            self._made.append(name)

    def _sync(self, name: str) -> None:
        if self._durable:
            with self._errors_name(name):
                if name in self._descriptors:
                    sync(self._descriptors[name])
                else:
                    sync_file(Path(self._staged_path(FILES[name].staged)))

    def _staged_path(self, suffix: str) -> str:
        return staged_path(self._root, self.run_id, self.token, suffix)

    def _errors_name(self, name: str) -> AbstractContextManager[None]:
        path = f"{self._root}/{self.run_id}/{name}"
        return errors_name(path, f"; run {self.run_id!r} was not saved")


class StagedRuns:
    """The files of one save, of one run or of several, while threads write them.

    It is used by one thread. Ends with `discard`, `keep` or `leave`, or, when `wait`
    has returned and the rows are committed, with each run's `publish` and `close`.

    Attributes:
        runs: The runs, in the order of `add`.
    """

    def __init__(
        self,
        root: Path,
        recorded_at_us: int,
        *,
        durable: bool,
        compression: Compression | None,
        runs: int,
    ) -> None:
        self._is_single = runs == 1
        self._of_many = runs > most_open_files() // _OPEN_FILES_OF_A_RUN
        self.runs: list[StagedRun] = []
        self._root = root
        self._recorded_at_us = recorded_at_us
        self._durable = durable
        self._compression = compression
        self._works: list[Future[None]] = []
        self._syncs: list[Callable[[], None]] = []
        self._rows = 0

    def add(self, run_id: str, rows: int, kinds: Iterable[ArtifactKind]) -> StagedRun:
        """Return a run whose files are made and still empty; raises as `StagedRun.create`."""
        run = StagedRun(
            self._root,
            run_id,
            self._recorded_at_us,
            durable=self._durable,
            compression=self._compression,
            of_many=self._of_many,
        )
        self.runs.append(run)
        run.create(kinds)
        self._rows += rows
        return run

    def begin(self, work: Callable[[], None]) -> None:
        """Let a thread do *work*: write a file, or several."""
        self._works.append(in_background(work))

    def sync_soon(self, work: Callable[[], None]) -> None:
        """Let a thread do *work*, a sync, now if it is of the only run, or as `sync_later`."""
        if self._is_single and self._durable:
            self.begin(work)
        else:
            self.sync_later(work)

    def sync_later(self, work: Callable[[], None]) -> None:
        """Let a thread do *work*, a sync, from `begin_syncs` on."""
        self._syncs.append(work)

    def begin_syncs(self) -> None:
        """Let threads make the files that the caller wrote durable, and all staged names."""
        if self._durable:
            works = [*self._syncs, lambda: sync_staging(self._root)]
            self._works += begin_all(works, at_once=1 if self._is_single else len(works))

    def wait_if_long(self) -> None:
        """Wait, as `wait` does, if others would wait too long for the write ticket.

        Little is written while the rows are.
        """
        if self._rows > _WRITTEN_BESIDE_ROWS:
            self.wait()

    def wait(self) -> None:
        """Wait until all is as durable as it has to be; from here on rows may be committed.

        Raises:
            ArtifactWriteError: A file or a name can't be written or synced.
        """
        wait_for_all(self._works)
        for work in self._works:
            work.result()

    def discard(self) -> None:
        """Remove what was staged; the rows were not committed."""
        wait_for_all(self._works)
        for run in self.runs:
            run.discard()

    def keep(self, notes: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Leave the files for the next opening to adopt: the database was not to be had.

        Args:
            notes: {run id: what the save knew beside its measurements}.

        Returns:
            Where they lie, as far as they could be kept: a file that couldn't be written
            either is removed, with the others of its run.
        """
        try:
            self.wait()
        except ArtifactWriteError as error:
            # What is written is there, and only a power cut could take it.
            logger.warning("files that are kept could not be written or synced: %s", error)
        kept: list[Path] = []
        for run in self.runs:
            if run.is_written:
                kept += run.keep(notes[run.run_id])
            else:
                run.discard()
        return tuple(kept)

    def leave(self) -> None:
        """Leave the files as they are, for recovery to settle."""
        wait_for_all(self._works)
        for run in self.runs:
            run.leave()
