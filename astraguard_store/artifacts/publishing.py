"""Files into a run's folder, and out of it; the database has committed before."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from astraguard_store.artifacts.files import open_folder, sync_folder
from astraguard_store.artifacts.layout import FILE_NAMES
from astraguard_store.artifacts.staging import (
    DELETION_SUFFIX,
    KEPT_SUFFIXES,
    SUFFIXES,
    StagedName,
    create_locked,
    ensure_staging,
    new_token,
    unlock,
)
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.model import Artifact, ArtifactKind

__all__ = ["StagedDeletion", "found_artifact", "publish_files", "remove_files"]


def found_artifact(run_id: str, kind: ArtifactKind, path: Path, rows: int) -> Artifact:
    """Return the description of a staged file that somebody else wrote.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Artifact(kind, f"{run_id}/{FILE_NAMES[kind]}", file.tell(), digest, rows)


def publish_files(root: Path, run_id: str, token: str) -> bool:
    """Move the staged files of save *token* to the run's folder; those already moved are skipped.

    Returns:
        Whether the folder is new.

    Raises:
        OSError: The folder can't be made, is a symbolic link, or a file can't be moved.
    """
    folder = root / run_id
    try:
        folder.mkdir()
        new_folder = True
    except FileExistsError:
        new_folder = False
    with open_folder(folder) as descriptor:
        for kind, name in FILE_NAMES.items():
            for suffix in (SUFFIXES[kind], KEPT_SUFFIXES[kind]):
                try:
                    staged = StagedName(run_id, token, suffix).path(root)
                    os.replace(staged, name, dst_dir_fd=descriptor)
                except FileNotFoundError:
                    continue
    return new_folder


def remove_files(root: Path, run_id: str) -> None:
    """Remove a run's two files, and its folder if nothing else is in it.

    Raises:
        OSError: A file can't be removed.
    """
    folder = root / run_id
    try:
        with open_folder(folder) as descriptor:
            for name in reversed(FILE_NAMES.values()):
                try:
                    os.unlink(name, dir_fd=descriptor)
                except FileNotFoundError:
                    continue
            os.fsync(descriptor)
    except FileNotFoundError:
        return
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


class StagedDeletion:
    """The intent to remove a run's files, kept on disk until they are removed."""

    def __init__(self, root: Path, run_id: str, *, sync: bool) -> None:
        self._root = root
        self._run_id = run_id
        self._sync = sync
        self._path = StagedName(run_id, new_token(), DELETION_SUFFIX).path(root)
        try:
            ensure_staging(root)
            self._descriptor = create_locked(self._path)
            try:
                if sync:
                    os.fsync(self._descriptor)
                    sync_folder(self._path.parent)
            except BaseException:
                self.discard()
                self.close()
                raise
        except OSError as error:
            raise ArtifactWriteError(
                f"{self._path} can't be written: {error.strerror}; {run_id!r} was not deleted"
            ) from error

    def remove_files(self) -> None:
        """Remove the files; the row's deletion is committed and the ticket held.

        Raises:
            OSError: A file couldn't be removed; recovery does it later.
        """
        remove_files(self._root, self._run_id)
        if self._sync:
            sync_folder(self._root)
        self._path.unlink()

    def discard(self) -> None:
        """Forget the intent; the deletion was not committed."""
        # If the marker can't be removed, recovery finds the run's row and removes it;
        # the failure that led here is the one to raise.
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Let go; what is left is for recovery."""
        unlock(self._descriptor)
