"""Opening, reading and syncing files of a results folder; symbolic links are never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astraguard_store.exceptions import ArtifactReadError

__all__ = [
    "make_folder",
    "open_folder",
    "open_for_reading",
    "read_file",
    "size_if_there",
    "sync_folder",
]

# A summary of 10,000 satellites has 6 MB.
MAX_SUMMARY_BYTES = 64 * 2**20


@contextmanager
def open_folder(path: Path | str) -> Iterator[int]:
    """Give a descriptor of the folder *path*, which must not be a symbolic link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(path: Path | str) -> None:
    """Make the names in the folder *path* survive a power cut."""
    with open_folder(path) as descriptor:
        os.fsync(descriptor)


def make_folder(path: Path) -> None:
    """Make the folder *path* and those above it, so that they survive a power cut.

    Raises:
        OSError: One of them can't be made.
    """
    try:
        path.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def size_if_there(path: Path | str) -> int:
    """Return the size of a file, 0 if it isn't there or can't be looked at."""
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0


@contextmanager
def open_for_reading(folder: Path, name: str) -> Iterator[int]:
    """Give a descriptor of the regular file *name* in *folder*; neither may be a link.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ArtifactReadError: It is there but can't be read; the message says why.
    """
    path = f"{folder}/{name}"
    try:
        with open_folder(folder) as parent:
            # Without O_NONBLOCK a named pipe would hold the reader for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactReadError(f"{path} is not a file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(folder: Path, name: str, limit: int = MAX_SUMMARY_BYTES) -> tuple[bytes, int]:
    """Return the content of the file *name* in *folder*, and its time in ns since 1970.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ArtifactReadError: It can't be read, or has more than *limit* bytes.
    """
    with open_for_reading(folder, name) as descriptor:
        found = os.fstat(descriptor)
        size = found.st_size
        if size > limit:
            raise ArtifactReadError(f"{folder / name} has {size} bytes, {limit} are read at most")
        try:
            with open(descriptor, "rb", closefd=False) as file:  # a descriptor
                return file.read(limit), found.st_mtime_ns
        except OSError as error:
            raise ArtifactReadError(f"{folder / name} can't be read: {error.strerror}") from error
