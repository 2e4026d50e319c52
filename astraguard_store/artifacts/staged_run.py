"""The files of one save between the first byte and the folder of their run."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astraguard_store.artifacts.publishing import publish_files
from astraguard_store.artifacts.staging import (
    KEPT_RUN_SUFFIX,
    KEPT_SUFFIXES,
    SUFFIXES,
    create_locked,
    new_token,
    staged_path,
    unlock,
)
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.formats.compression import compressed
from astraguard_store.formats.layout import FILE_KINDS, STAGING_NAME, file_name
from astraguard_store.model import Artifact, ArtifactKind
from astraguard_store.options import Compression
from astraguard_store.statistics import RunStatistics
from astraguard_store.system.files import sync_folder

__all__ = ["StagedRun", "sync_staging"]

logger = logging.getLogger("astraguard_store")

_WORTH_BEGINNING_BYTES = 500_000


class StagedRun:
    """The files of one save, written and synced but not yet where readers look.

    It is used by one thread at a time, but for `sync` and `sync_all`: other threads call
    these while the next file is written. Ends with `publish` and `close`, or `discard`,
    or `keep`.

    Attributes:
        run_id: The run.
        token: The name of this save.
        recorded_at_us: Microseconds since 1970, UTC; also the files' time.
        compression: How its CSV and summary are compressed.
        statistics: Of the staged measurements.
    """

    def __init__(
        self,
        root: Path,
        run_id: str,
        recorded_at_us: int,
        *,
        sync: bool,
        compression: Compression | None = None,
    ) -> None:
        self.run_id = run_id
        self.token = new_token()
        self.recorded_at_us = recorded_at_us
        self.compression = compression
        self.statistics: RunStatistics
        self._root = root
        self._sync = sync
        self._artifacts: dict[ArtifactKind, Artifact] = {}
        self._descriptors: dict[str, int] = {}
        self._new_folder = True

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files as they will be, in the order of their kinds."""
        return tuple(self._artifacts[kind] for kind in sorted(self._artifacts))

    def write(self, kind: ArtifactKind, chunks: Iterable[bytes], rows: int) -> None:
        """Write one file, compressed as all of the run are.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        # A parquet file has its compression inside.
        compression = None if kind == "raw_parquet" else self.compression
        name = file_name(kind, self.compression)
        self.copy(name, compressed(chunks, compression), rows, self.recorded_at_us * 1000)

    def copy(self, name: str, chunks: Iterable[bytes], rows: int | None, time_ns: int) -> None:
        """Write one file, as the *chunks* are.

        Args:
            name: Its name in the run's folder.
            chunks: Its content.
            rows: Measurements in it, if that is known.
            time_ns: Its time, nanoseconds since 1970.

        Raises:
            ArtifactWriteError: It can't be written; the message names it.
        """
        digest = hashlib.sha256()
        size = 0
        with self._errors_name(name):
            descriptor = self._descriptors[name] = create_locked(self._staged_path(SUFFIXES[name]))
            for chunk in chunks:
                digest.update(chunk)
                _write_all(descriptor, chunk)
                if self._sync and len(chunk) >= _WORTH_BEGINNING_BYTES:
                    # Begins the writing to disk: `sync` finds it half done, and takes
                    # 1 ms instead of 5 for 7 MB.
                    os.posix_fadvise(descriptor, size, len(chunk), os.POSIX_FADV_DONTNEED)
                size += len(chunk)
            os.utime(descriptor, ns=(time_ns, time_ns))
        kind = FILE_KINDS[name]
        path = f"{self.run_id}/{name}"
        self._artifacts[kind] = Artifact(kind, path, size, digest.hexdigest(), rows)

    def sync(self, kind: ArtifactKind) -> None:
        """Make one file's content survive a power cut; any thread.

        Raises:
            ArtifactWriteError: It can't be synced; the message names it.
        """
        if self._sync:
            name = file_name(kind, self.compression)
            with self._errors_name(name):
                os.fsync(self._descriptors[name])

    def sync_all(self) -> None:
        """Make the content of all files survive a power cut; raises as `sync`."""
        for name, descriptor in self._descriptors.items():
            with self._errors_name(name):
                if self._sync:
                    os.fsync(descriptor)

    def publish(self, replaced: Collection[str] = FILE_KINDS) -> None:
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
            sync=self._sync,
            replaced=replaced,
            staged_as=(SUFFIXES,),
        )

    @property
    def needs_folder_sync(self) -> bool:
        """Whether the results folder is to be synced too: it has a new folder since `publish`."""
        return self._sync and self._new_folder

    def close(self) -> None:
        """Make the published names durable and let go of the files.

        Raises:
            OSError: The folder can't be synced.
        """
        try:
            if self._sync:
                sync_folder(f"{self._root}/{self.run_id}")
        finally:
            self._unlock()

    def discard(self) -> None:
        """Remove what was staged; the row was not committed."""
        # Only what was made: where nothing can be, nothing can be removed either.
        for name in self._descriptors:
            # What can't be removed now is removed by recovery; the failure that
            # led here is the one to raise.
            with suppress(OSError):
                os.unlink(self._staged_path(SUFFIXES[name]))
        self._unlock()

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
        self._keep_known(known)
        try:
            for name in sorted(self._descriptors.keys() & SUFFIXES.keys()):
                path = Path(self._staged_path(SUFFIXES[name]))
                kept.append(path.rename(self._staged_path(KEPT_SUFFIXES[name])))
        except OSError as error:
            logger.warning("the files of run %r could not be kept: %s", self.run_id, error)
            return ()
        finally:
            self._unlock()
        try:
            if self._sync:
                sync_folder(self._root / STAGING_NAME)
        except OSError as error:
            # They are there, and only a power cut could take their new names back.
            logger.warning("the kept files of run %r could not be synced: %s", self.run_id, error)
        return tuple(kept)

    def _keep_known(self, known: bytes) -> None:
        path = self._staged_path(KEPT_RUN_SUFFIX)
        try:
            # Locked until all are kept: whoever recovers needs the locks of all.
            descriptor = self._descriptors[KEPT_RUN_SUFFIX] = create_locked(path)
            _write_all(descriptor, known)
            os.utime(descriptor, ns=(self.recorded_at_us * 1000,) * 2)
            if self._sync:
                os.fsync(descriptor)
        except OSError as error:
            with suppress(OSError):
                os.unlink(path)
            logger.warning(
                "run %r is kept without its provenance and tags: %s", self.run_id, error
            )

    def leave(self) -> None:
        """Leave the files as they are, for recovery to settle."""
        self._unlock()

    def _staged_path(self, suffix: str) -> str:
        return staged_path(self._root, self.run_id, self.token, suffix)

    def _unlock(self) -> None:
        descriptors, self._descriptors = self._descriptors, {}
        for descriptor in descriptors.values():
            unlock(descriptor)

    @contextmanager
    def _errors_name(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactWriteError(
                f"{self._root / self.run_id / name} can't be written: "
                f"{error.strerror}; run {self.run_id!r} was not saved"
            ) from error


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


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
