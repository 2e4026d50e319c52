"""SQLite's errors → the store's."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from astraguard_store.exceptions import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    StoreError,
)
from astraguard_store.system.file_limit import is_at_file_limit, is_file_limit
from astraguard_store.system.files import why_unreadable

DRIVER_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a statement raises; the last, where the driver's words quote a damaged schema."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# (what is wrong, what to do, the number of the operating system's error)
_CAUSES = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room and try again", errno.ENOSPC),
    sqlite3.SQLITE_READONLY: (
        "it may not be written",
        "check the rights of it and its folder",
        errno.EACCES,
    ),
    # SQLite doesn't say which of many.
    sqlite3.SQLITE_CANTOPEN: ("it can't be opened", "check the path, and the rights to it", None),
    sqlite3.SQLITE_IOERR: (
        "reading or writing it failed",
        "check the disk and try again",
        errno.EIO,
    ),
}
_FAILED_READS = frozenset({errno.EIO, errno.ENXIO})
_CAUSES_IN_FULL = {
    sqlite3.SQLITE_IOERR_GETTEMPPATH: (
        "there is no folder for temporary files",
        "name one that may be written in TMPDIR",
    ),
    sqlite3.SQLITE_READONLY_ROLLBACK: (
        "a program that died has left half a transaction in it, and a reader takes nothing back",
        "open the store for writing once, as `astraguard-store import` does",
    ),
}
# SQLite's MAX_PATHNAME is 512, of which it needs some for the names beside a database.
_LONGEST_PATH = 500
_AT_FILE_LIMIT = "close some, or allow more (`ulimit -n`)"
# What is written is checked, so only what another program left can be in its way.
_IN_THE_WAY = "`astraguard-store check --fix` deletes rows of runs that are gone"


@contextmanager
def translated_os_errors(where: object) -> Iterator[None]:
    """Turn what the system raises inside, as for want of descriptors, into the store's errors."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        mend = f"; {_AT_FILE_LIMIT}" if is_file_limit(error) else ""
        failure = DatabaseError(f"{where} can't be looked at: {error.strerror}{mend}")
        failure.errno = error.errno
        raise failure from error


@contextmanager
def translated(where: object, waited_s: float = 0.0) -> Iterator[None]:
    """Turn what SQLite raises inside into the store's errors."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise database_error(error, where, waited_s) from error


def database_error(
    error: sqlite3.Error | UnicodeDecodeError, where: object, waited_s: float = 0.0
) -> DatabaseError:
    """Return the store's error for *error* at the database *where*."""
    if isinstance(error, UnicodeDecodeError):
        return DatabaseDamagedError(str(where), f"a name in its schema is no text ({error})")
    code = _primary_code(error)
    if (in_full := getattr(error, "sqlite_errorcode", None)) in _CAUSES_IN_FULL:
        wrong, mend = _CAUSES_IN_FULL[in_full]
        return DatabaseError(f"{where}: {wrong} ({error}); {mend}")
    if code in _BUSY:
        return DatabaseBusyError(str(where), waited_s)
    if code in _DAMAGED:
        return _unreadable(where) or DatabaseDamagedError(str(where), str(error))
    if code in _CAUSES:
        wrong, mend, number = _CAUSES[code]
        if code == sqlite3.SQLITE_CANTOPEN:
            mend, number = _why_it_cannot_be_opened(where) or (mend, number)
        failure = DatabaseError(f"{where}: {wrong} ({error}); {mend}")
        failure.errno = number
        return failure
    if code == sqlite3.SQLITE_CONSTRAINT:
        return DatabaseError(f"{where}: {error}; {_IN_THE_WAY}")
    return DatabaseError(f"{where}: {error}")


def _unreadable(where: object) -> DatabaseError | None:
    """Return the error of a disk that can't be read, which SQLite takes for damage (EIO)."""
    cause = why_unreadable(f"{where}") or why_unreadable(f"{where}-wal")
    if cause is None or cause.errno not in _FAILED_READS:
        return None
    wrong, mend, _ = _CAUSES[sqlite3.SQLITE_IOERR]
    failure = DatabaseError(f"{where}: {wrong} ({cause.strerror}); {mend}")
    failure.errno = cause.errno
    return failure


def _why_it_cannot_be_opened(where: object) -> tuple[str, int] | None:
    if len(os.fsencode(str(where))) > _LONGEST_PATH:
        return (
            f"the path is too long for SQLite: use one of at most {_LONGEST_PATH} bytes",
            errno.ENAMETOOLONG,
        )
    if is_at_file_limit():
        return f"this process may open no more files; {_AT_FILE_LIMIT}", errno.EMFILE
    return None


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file itself was the reason."""
    return _primary_code(error) in _DAMAGED


def is_outside_fault(error: sqlite3.Error) -> bool:
    """Return whether the file, its locks or its disk were the reason, and not the statement."""
    code = _primary_code(error)
    return code in _BUSY or code in _DAMAGED or code in _CAUSES


def _primary_code(error: BaseException) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        # The index of the log couldn't grow: there is no room for it.
        return sqlite3.SQLITE_FULL
    # Extended codes carry the primary one in their low byte.
    return None if code is None else code & 0xFF
