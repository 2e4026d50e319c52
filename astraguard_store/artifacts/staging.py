"""The staging folder: files that are on their way into a run's folder, or out of it.

A staged file is named ``<run id>~<token><suffix>``, where the token is that of
one save and the suffix tells the name that it will have. Its saver holds an
exclusive lock on it until it is done. So whoever gets the lock knows that
the saver is gone. The lock goes with the file when it is renamed, and no lock
file is left behind.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from astraguard_store.checks import check_run_id
from astraguard_store.exceptions import ArtifactWriteError, InvalidRunError
from astraguard_store.formats.layout import (
    DELETION_SUFFIX,
    FILES,
    JOURNAL_SUFFIX,
    KEPT_RUN_SUFFIX,
    STAGING_NAME,
)
from astraguard_store.system.files import open_folder, sync_folder

logger = logging.getLogger("astraguard_store")

_STAGED: Final = {file.staged: file for file in FILES.values()}
_KEPT: Final = {file.kept: file for file in FILES.values()}
_SUFFIXES: Final = {*_STAGED, *_KEPT, KEPT_RUN_SUFFIX, DELETION_SUFFIX, JOURNAL_SUFFIX}
_TOKEN_LENGTH = 16


@dataclass(frozen=True, slots=True)
class StagedName:
    """A name in the staging folder, taken apart."""

    run_id: str
    token: str
    suffix: str

    def __str__(self) -> str:
        return f"{self.run_id}~{self.token}{self.suffix}"

    @property
    def file_name(self) -> str | None:
        """The name that it will have in the run's folder; None if it isn't for there."""
        file = _STAGED.get(self.suffix) or _KEPT.get(self.suffix)
        return file.name if file else None

    @property
    def is_kept(self) -> bool:
        """Whether the save could not be committed, and left this to be adopted."""
        return self.suffix in _KEPT or self.suffix == KEPT_RUN_SUFFIX

    @property
    def is_journal(self) -> bool:
        """Whether it is what a recorder writes while it records."""
        return self.suffix == JOURNAL_SUFFIX

    @property
    def is_deletion(self) -> bool:
        """Whether it is the intent to delete the run."""
        return self.suffix == DELETION_SUFFIX

    def path(self, root: Path) -> Path:
        """Return where it lies below the results folder *root*."""
        return root / STAGING_NAME / str(self)

    @classmethod
    def parse(cls, name: str) -> StagedName | None:
        """Return the parts of *name*, or None if the store gave no such name."""
        run_id, _, rest = name.rpartition("~")
        token, dot, suffix = rest.partition(".")
        if len(token) != _TOKEN_LENGTH or dot + suffix not in _SUFFIXES:
            return None
        try:
            return cls(check_run_id(run_id), token, dot + suffix)
        except InvalidRunError:
            return None


def new_token() -> str:
    """Return a name for one save that no other save has: 16 hex digits."""
    return os.urandom(_TOKEN_LENGTH // 2).hex()


def ensure_staging(root: Path) -> None:
    """Make the staging folder of *root* where it is missing.

    Raises:
        OSError: It can't be made, or something else is in its place, as a symbolic link.
    """
    path = f"{root}/{STAGING_NAME}"
    try:
        os.mkdir(path)
        sync_folder(root)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(path, follow_symlinks=False).st_mode):
            raise NotADirectoryError(
                errno.ENOTDIR, "it is a link or a file, and not the store's folder", path
            ) from None


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


def staged_path(root: Path, run_id: str, token: str, suffix: str) -> str:
    """Return where a staged file lies: 0.5 µs, of 4 for a `Path`, and a save asks 10 times."""
    return f"{root}/{STAGING_NAME}/{run_id}~{token}{suffix}"


def staged_names(root: Path) -> Iterator[StagedName]:
    """Yield what lies in the staging folder of *root*; nothing when all is well.

    Nothing, too, where it can't be listed or is a symbolic link, which the log says.
    """
    try:
        names = names_in_staging(root)
    except OSError as error:
        logger.warning("%s can't be listed: %s", root / STAGING_NAME, error.strerror)
        return
    for name in names:
        staged = StagedName.parse(name)
        if staged:
            yield staged


def names_in_staging(root: Path) -> list[str]:
    """Return all names in the staging folder, the store's or not, sorted.

    Raises:
        OSError: It can't be listed, or is a symbolic link.
    """
    try:
        with open_folder(root / STAGING_NAME) as descriptor:
            return sorted(os.listdir(descriptor))
    except FileNotFoundError:
        return []


def staged_files(root: Path, run_id: str, token: str, summary_name: str) -> tuple[StagedName, ...]:
    """Return what is staged of one save: usually nothing; two questions to the file system.

    Args:
        root: The results folder.
        run_id: The run.
        token: The save.
        summary_name: Its summary's name in the run's folder, which is published
            last: without it nothing is left to be done.
    """
    summary = FILES.get(summary_name)
    if summary is None:
        # Another program changed the row: no save has such a file.
        return ()
    stem = staged_path(root, run_id, token, "")
    if not any(os.access(stem + suffix, os.F_OK) for suffix in (summary.staged, summary.kept)):
        return ()
    return staged_of(root, run_id, token)


def staged_of(root: Path, run_id: str, token: str) -> tuple[StagedName, ...]:
    """Return what is staged of one save, kept or on its way, in the order of names."""
    stem = staged_path(root, run_id, token, "")
    there = (suffix for suffix in sorted(_SUFFIXES) if os.path.lexists(stem + suffix))
    return tuple(StagedName(run_id, token, suffix) for suffix in there)
