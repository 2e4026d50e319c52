"""The journal of a recorder, as a file in the staging folder."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from astraguard_store.artifacts.staging import (
    StagedName,
    ensure_staging,
    new_token,
    staged_names,
)
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.formats.journal import Journal, read_journal
from astraguard_store.formats.layout import JOURNAL_SUFFIX
from astraguard_store.system.files import (
    create_locked,
    is_claimed,
    is_locked,
    modified_ns,
    open_for_reading,
    path_of,
    still_names,
    sync,
    sync_folder,
    unlock,
    write_all,
)

_PART_BYTES: Final = 2**20
_ASKED_AGAIN_AFTER_S: Final = 0.002


class JournalFile:
    """A journal that is written; its lock tells that its recorder lives. One thread uses it.

    Attributes:
        name: Its name in the staging folder.
        path: Where it lies.
    """

    def __init__(self, root: Path, run_id: str, head: bytes, *, durable: bool) -> None:
        """Make it, with its first frame.

        Raises:
            ArtifactWriteError: It can't be made.
        """
        self.name = StagedName(run_id, new_token(), JOURNAL_SUFFIX)
        self.path = self.name.path(root)
        self._durable = durable
        self._whole = 0
        self._descriptor: int | None = None
        try:
            ensure_staging(root)
            self._descriptor = create_locked(self.path)
            self.append([head])
            if durable:
                sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):  # what kept it from being made keeps it from being removed
                self.remove()
            self.leave()
            raise ArtifactWriteError(
                f"{self.path} can't be written: {error.strerror}; nothing is recorded"
            ) from error

    def append(self, frames: Iterable[bytes]) -> None:
        """Write frames, all of them or, as far as what comes later is concerned, none.

        Raises:
            OSError: They can't be written or synced.
        """
        if self._descriptor is None:
            return
        self._put_back()
        written = self._whole
        try:
            for part in _joined(frames):
                write_all(self._descriptor, part)
                written += len(part)
                if self._durable:
                    sync(self._descriptor)
        except OSError:
            # A part of a frame would hide all that come later.
            os.ftruncate(self._descriptor, self._whole)
            os.lseek(self._descriptor, self._whole, os.SEEK_SET)
            raise
        self._whole = written

    def _put_back(self) -> None:
        """Write it anew if somebody has removed it: this process has it still."""
        assert self._descriptor is not None  # noqa: S101 - the caller has looked
        if os.fstat(self._descriptor).st_nlink:
            return
        ensure_staging(self.path.parent.parent)
        descriptor = create_locked(self.path)
        try:
            for start in range(0, self._whole, _PART_BYTES):
                size = min(_PART_BYTES, self._whole - start)
                write_all(descriptor, os.pread(self._descriptor, size, start))
            if self._durable:
                sync(descriptor)
                sync_folder(self.path.parent)
        except OSError:
            self.path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        descriptor, self._descriptor = self._descriptor, descriptor
        os.close(descriptor)

    @property
    def is_in_place(self) -> bool:
        """Whether its path leads to it: nobody has moved or removed the folder."""
        return self._descriptor is not None and still_names(self.path, self._descriptor)

    @property
    def found_at(self) -> tuple[Path, ...]:
        """Where it lies now, by name; nowhere if it was removed."""
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            return ()
        return (path_of(self._descriptor),)

    def remove(self) -> None:
        """Remove it, and let go: what it told is saved."""
        self.path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Leave it to whoever looks next."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            unlock(descriptor)

    def forget(self) -> None:
        """Close it in a forked child: the lock stays the parent's, and ends with it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def load_journal(path: Path) -> Journal | None:
    """Return what a journal tells; None if its recorder died before there was anything in it.

    Raises:
        FileNotFoundError: It isn't there.
        ArtifactReadError: It can't be read, or is none.
    """
    with open_for_reading(path.parent, path.name) as descriptor:
        try:
            size = os.fstat(descriptor).st_size
            # Mapped: the rows of a long one needn't fit into memory twice.
            content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if size else b""
            return read_journal(content)
        except (ArtifactReadError, OSError) as error:
            raise ArtifactReadError(f"{path}: {error}") from error


def _joined(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Yield frames as few parts: of two that aren't synced, a power cut may keep the later one."""
    part = b""
    for frame in frames:
        part += frame
        if len(part) > _PART_BYTES:
            yield part
            part = b""
    if part:
        yield part


def journals(root: Path) -> dict[str, StagedName]:
    """Return {run id: its journal} of all that lie in the staging folder."""
    return {name.run_id: name for name in staged_names(root) if name.is_journal}


def journal_is_alive(root: Path, run_id: str, token: str) -> bool:
    """Return whether the recorder that writes this journal lives; False if it isn't there."""
    path = StagedName(run_id, token, JOURNAL_SUFFIX).path(root)
    if not is_locked(path):
        return False
    if is_claimed(path):
        # By who adopts it, or for microseconds by who only tries to.
        time.sleep(_ASKED_AGAIN_AFTER_S)
    # Who adopts it removes it before the lock is free.
    return is_locked(path) and not is_claimed(path) and path.exists()


def journal_written_at_us(root: Path, run_id: str, token: str) -> int | None:
    """Return when a journal was last written, microseconds since 1970; None if it's gone."""
    try:
        status = os.stat(StagedName(run_id, token, JOURNAL_SUFFIX).path(root))
    except OSError:
        return None
    return modified_ns(status) // 1000
