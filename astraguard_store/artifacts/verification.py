"""A run's files held against what was noted of them; reads only, 1 MB at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from astraguard_store.artifacts.staging import StagedName, names_in_staging, staged_of
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.compression import unpacked
from astraguard_store.formats.layout import FILE_KINDS, compression_of
from astraguard_store.model import Artifact
from astraguard_store.system.files import (
    MAX_SUMMARY_BYTES,
    Digest,
    chunks_of,
    claim,
    digest_of,
    open_for_reading,
    read_file,
    unlock,
)

# Between making a file and locking it a live saver needs some 10 µs.
_PAUSE_S = 0.2


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


def name_of(run_id: str, noted: Artifact) -> str:
    """Return the name of a run's file in its folder.

    Raises:
        ArtifactReadError: It is none that a run's file has: another program's row
            must not lead anywhere else.
    """
    folder, _, name = noted.path.rpartition("/")
    if folder != run_id or FILE_KINDS.get(name) != noted.kind:
        raise ArtifactReadError(
            f"run {run_id!r} notes {noted.path!r} as its {noted.kind}, which is no such file"
        )
    return name


def found_artifact(run_id: str, name: str, path: Path, rows: int) -> Artifact:
    """Return the description of the file *name* that somebody else wrote, and that lies at *path*.

    Raises:
        OSError: It can't be read.
        ArtifactReadError: It is no regular file, or a link.
    """
    with open_for_reading(path.parent, path.name) as descriptor:
        found = digest_of(descriptor)
    return Artifact(FILE_KINDS[name], f"{run_id}/{name}", found.bytes, found.sha256, rows)


def file_state(root: Path, path: str) -> Digest:
    """Return size and hash of the file *path* below the results folder.

    Raises:
        FileNotFoundError: It isn't there.
        ArtifactReadError: It is a link, no file, or can't be read.
    """
    folder, _, name = f"{root}/{path}".rpartition("/")
    with open_for_reading(folder, name) as descriptor:
        try:
            return digest_of(descriptor)
        except OSError as error:
            raise ArtifactReadError(f"{folder}/{name} can't be read: {error.strerror}") from error


def summary_state(root: Path, path: str) -> tuple[Digest, bytes]:
    """Return size and hash of the summary file *path*, and its bytes.

    Raises:
        FileNotFoundError: It isn't there.
        ArtifactReadError: It can't be read, or is too large.
    """
    from hashlib import sha256

    folder, _, name = f"{root}/{path}".rpartition("/")
    content, _ = read_file(folder, name)
    return Digest(len(content), sha256(content).hexdigest()), content


def unpacked_summary(path: str, content: bytes) -> bytes:
    """Return the *content* of the summary file *path* unpacked.

    Raises:
        ArtifactReadError: It can't be unpacked, or is too large.
    """
    return unpacked(content, compression_of(path), MAX_SUMMARY_BYTES)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of a run that is open: it stays the same file, whatever is published later.

    Attributes:
        noted: What the row says of it.
        path: Where it lay when it was opened.
        modified_ns: Its time, nanoseconds since 1970.
        descriptor: Of the open file.
    """

    noted: Artifact
    path: Path
    modified_ns: int
    descriptor: int

    def checked_chunks(self) -> Iterator[bytes]:
        """Yield the content, 1 MB at a time; only at the end is known if it is right.

        Raises:
            ArtifactReadError: It can't be read, or isn't what was noted; the message
                names the file.
        """
        from hashlib import sha256

        digest = sha256()
        size = 0
        try:
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            for chunk in chunks_of(self.descriptor):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except OSError as error:
            raise ArtifactReadError(f"{self.path} can't be read: {error.strerror}") from error
        # Files of adopted runs may never have been hashed.
        found = digest.hexdigest() if self.noted.sha256 else None
        changed = why_changed(size, found, self.noted)
        if changed:
            raise ArtifactReadError(
                f"{self.path} was changed: {changed}; "
                "`astraguard-store check` tells what can be mended"
            )


@contextmanager
def open_file(root: Path, noted: Artifact) -> Iterator[OpenFile]:
    """Give a file of a run, open.

    Raises:
        ArtifactReadError: It is missing, or can't be opened; the message names it.
    """
    path = root / noted.path
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(open_for_reading(path.parent, path.name))
        except FileNotFoundError as error:
            raise ArtifactReadError(f"{path} is missing") from error
        yield OpenFile(noted, path, os.fstat(descriptor).st_mtime_ns, descriptor)


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
        names = names_in_staging(root)
    except OSError as error:
        what = f"the staging folder can't be listed: {error.strerror}"
        return [LeftOver("", what, is_ours=False)]
    found: list[LeftOver] = []
    for name in names:
        staged = StagedName.parse(name)
        if staged is None:
            found.append(LeftOver(name, "a file that the store did not make", is_ours=False))
        elif is_left_over(root, staged):
            found.append(LeftOver(name, _rest_of(staged), is_ours=True))
    return found


def _rest_of(name: StagedName) -> str:
    if name.is_deletion:
        return f"an unfinished deletion of run {name.run_id!r}"
    if name.is_kept:
        return (
            f"a save of run {name.run_id!r} that the database could not take, and whose order to "
            "the stored one may be unknown: delete the run to have this one adopted"
        )
    return f"an unfinished save of run {name.run_id!r}"


def is_left_over(root: Path, name: StagedName) -> bool:
    """Return whether the staged file is there and its saver is gone.

    Of a save of many runs only each summary is locked.
    """
    of_save = (name, *staged_of(root, name.run_id, name.token))
    return all(_is_unlocked(root, staged) for staged in of_save) and os.path.lexists(
        name.path(root)
    )


def _is_unlocked(root: Path, name: StagedName) -> bool:
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
