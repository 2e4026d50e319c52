"""A run's files held against what was noted of them; reads only, 1 MB at a time."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from astraguard_store.artifacts.staging import (
    DELETION_SUFFIX,
    StagedName,
    claim,
    unlock,
)
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.layout import FILE_KINDS, STAGING_NAME
from astraguard_store.model import Artifact
from astraguard_store.system.files import open_for_reading

__all__ = [
    "FileState",
    "LeftOver",
    "file_state",
    "has_files",
    "is_left_over",
    "left_overs",
    "size_of",
    "why_changed",
]

_CHUNK_BYTES = 2**20
# Between making a file and locking it a live saver needs some 10 µs.
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file holds.

    Attributes:
        bytes: Size.
        sha256: Of the content, hex.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What lies in the staging folder and belongs to no live process.

    Attributes:
        name: Its name there.
        what: What it is the rest of.
        is_ours: Whether the store gave it its name, so that recovery knows what to do.
    """

    name: str
    what: str
    is_ours: bool


def file_state(root: Path, path: str) -> FileState:
    """Return what the file *path* below the results folder holds.

    Raises:
        FileNotFoundError: It isn't there.
        ArtifactReadError: It is a link, no file, or can't be read.
    """
    file = root / path
    digest = hashlib.sha256()
    size = 0
    with open_for_reading(file.parent, file.name) as descriptor:
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        except OSError as error:
            raise ArtifactReadError(f"{file} can't be read: {error.strerror}") from error
    return FileState(size, digest.hexdigest())


def size_of(root: Path, path: str) -> int:
    """Return the size of the file *path*, unread; raises as `file_state`."""
    file = root / path
    with open_for_reading(file.parent, file.name) as descriptor:
        return os.fstat(descriptor).st_size


def why_changed(size: int, sha256: str | None, noted: Artifact) -> str | None:
    """Return how what was found differs from what was *noted*; None if it doesn't."""
    if size != noted.bytes:
        return f"it has {size} bytes, {noted.bytes} were saved"
    if sha256 != noted.sha256:
        return "its content is not the one that was saved (the SHA-256 differs)"
    return None


def has_files(root: Path, run_id: str) -> bool:
    """Return whether the folder holds a file of a run."""
    return any(os.path.lexists(root / run_id / name) for name in FILE_KINDS)


def left_overs(root: Path) -> list[LeftOver]:
    """Return what is in the staging folder and whose saver is gone, by name.

    Takes a second look after 0.2 s at what seems to be: it may be about to be locked.
    """
    found = _left_overs(root)
    if found:
        time.sleep(_PAUSE_S)
        still = _left_overs(root)
        found = [left_over for left_over in found if left_over in still]
    return found


def _left_overs(root: Path) -> list[LeftOver]:
    try:
        names = sorted(os.listdir(root / STAGING_NAME))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: list[LeftOver] = []
    for name in names:
        staged = StagedName.parse(name)
        if staged is None:
            found.append(LeftOver(name, "a file that the store did not make", is_ours=False))
        elif is_left_over(root, staged):
            found.append(LeftOver(name, _rest_of(staged), is_ours=True))
    return found


def _rest_of(name: StagedName) -> str:
    if name.suffix == DELETION_SUFFIX:
        return f"an unfinished deletion of run {name.run_id!r}"
    if name.is_kept:
        return f"a save of run {name.run_id!r} that the database could not take"
    return f"an unfinished save of run {name.run_id!r}"


def is_left_over(root: Path, name: StagedName) -> bool:
    """Return whether the staged file is there and its saver is gone."""
    try:
        descriptor = claim(name.path(root))
    except PermissionError:
        # Another user's, and alive for all that can be known.
        return False
    except OSError:
        # A link or a folder: no saver made it.
        return True
    if descriptor is None:
        return False
    unlock(descriptor)
    return True
