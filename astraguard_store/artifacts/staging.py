"""The staging folder: files that are on their way into a run's folder, or out of it.

A staged file is named ``<run id>~<token>.<suffix>``, where the token is that of
one save and the suffix tells the name that it will have. Its saver holds an
exclusive `flock` on it until it is done. So whoever gets the lock knows that
the saver is gone. The lock goes with the file when it is renamed, and no lock
file is left behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from astraguard_store.checks import check_run_id
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.formats.layout import FILE_KINDS, STAGING_NAME
from astraguard_store.system.files import sync_folder

__all__ = [
    "DELETION_SUFFIX",
    "KEPT_RUN_SUFFIX",
    "KEPT_SUFFIXES",
    "SUFFIXES",
    "StagedName",
    "claim",
    "create_locked",
    "ensure_staging",
    "new_token",
    "staged_files",
    "staged_names",
    "staged_of",
    "staged_path",
    "unlock",
]

# By the name in the run's folder: ".csv.gz" for latency_raw.csv.gz.
SUFFIXES: Final[dict[str, str]] = {name: name[name.index(".") :] for name in FILE_KINDS}
# Files of a save whose database was not to be had: finished by the next opening.
KEPT_SUFFIXES: Final[dict[str, str]] = {
    name: f".kept{suffix}" for name, suffix in SUFFIXES.items()
}
# What such a save knew beside its measurements.
KEPT_RUN_SUFFIX: Final = ".kept.run"
DELETION_SUFFIX: Final = ".delete"
_NAMES: Final = {suffix: name for name, suffix in SUFFIXES.items()}
_KEPT_NAMES: Final = {suffix: name for name, suffix in KEPT_SUFFIXES.items()}
_ALL_SUFFIXES: Final = {*_NAMES, *_KEPT_NAMES, KEPT_RUN_SUFFIX, DELETION_SUFFIX}
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
        return _NAMES.get(self.suffix) or _KEPT_NAMES.get(self.suffix)

    @property
    def is_kept(self) -> bool:
        """Whether the save could not be committed, and left this to be adopted."""
        return self.suffix in _KEPT_NAMES or self.suffix == KEPT_RUN_SUFFIX

    def path(self, root: Path) -> Path:
        """Return where it lies below the results folder *root*."""
        return root / STAGING_NAME / str(self)

    @classmethod
    def parse(cls, name: str) -> StagedName | None:
        """Return the parts of *name*, or None if the store gave no such name."""
        run_id, _, rest = name.rpartition("~")
        token, dot, suffix = rest.partition(".")
        if len(token) != _TOKEN_LENGTH or dot + suffix not in _ALL_SUFFIXES:
            return None
        try:
            return cls(check_run_id(run_id), token, dot + suffix)
        except InvalidRunError:
            return None


def new_token() -> str:
    """Return a name for one save that no other save has: 16 hex digits."""
    return secrets.token_hex(_TOKEN_LENGTH // 2)


def ensure_staging(root: Path) -> None:
    """Make the staging folder of *root* where it is missing.

    Raises:
        OSError: It can't be made.
    """
    with suppress(FileExistsError):
        os.mkdir(f"{root}/{STAGING_NAME}")
        sync_folder(root)


def staged_path(root: Path, run_id: str, token: str, suffix: str) -> str:
    """Return where a staged file lies: 0.5 µs, of 4 for a `Path`, and a save asks 10 times."""
    return f"{root}/{STAGING_NAME}/{run_id}~{token}{suffix}"


def create_locked(path: Path | str) -> int:
    """Create the file *path* and return a descriptor that holds its lock.

    Raises:
        OSError: It can't be created.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            # Somebody who recovers may have it already, and is about to remove it.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _still_names(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Removed: it must not be done here, since by now the name may be another file's.
        os.close(descriptor)


def claim(path: Path) -> int | None:
    """Return a descriptor that holds the lock of *path*; None if its saver is alive or it's gone.

    Raises:
        OSError: It can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    # Between open and lock it may have been published or removed by another.
    if _lock(descriptor) and _still_names(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def unlock(descriptor: int) -> None:
    """Give the lock back and close; a forked child that has a copy doesn't keep it."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def staged_names(root: Path) -> Iterator[StagedName]:
    """Yield what lies in the staging folder of *root*; nothing when all is well."""
    try:
        names = sorted(os.listdir(root / STAGING_NAME))  # names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        staged = StagedName.parse(name)
        if staged:
            yield staged


def staged_files(root: Path, run_id: str, token: str, summary_name: str) -> tuple[StagedName, ...]:
    """Return what is staged of one save: usually nothing; two questions to the file system.

    Args:
        root: The results folder.
        run_id: The run.
        token: The save.
        summary_name: Its summary's name in the run's folder, which is published
            last: without it nothing is left to be done.
    """
    if summary_name not in SUFFIXES:
        # Another program changed the row: no save has such a file.
        return ()
    stem = f"{root}/{STAGING_NAME}/{run_id}~{token}"
    suffixes = (SUFFIXES[summary_name], KEPT_SUFFIXES[summary_name])
    if not any(os.access(stem + suffix, os.F_OK) for suffix in suffixes):
        return ()
    return staged_of(root, run_id, token)


def staged_of(root: Path, run_id: str, token: str) -> tuple[StagedName, ...]:
    """Return what is staged of one save, kept or on its way, in the order of names."""
    names = (StagedName(run_id, token, suffix) for suffix in sorted(_ALL_SUFFIXES))
    return tuple(name for name in names if os.path.lexists(name.path(root)))


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_names(path: Path | str, descriptor: int) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
