"""Copies of a database that others may be writing."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from astraguard_store.database.sqlite.engine import connect
from astraguard_store.database.sqlite.errors import database_error, is_damage
from astraguard_store.database.sqlite.integrity import structural_problems
from astraguard_store.exceptions import DatabaseDamagedError, DatabaseError, StoreError
from astraguard_store.system.files import claim, create_locked, sync_file, sync_folder, unlock

logger = logging.getLogger("astraguard_store")

# What SQLite puts beside a database, and removes.
BESIDE = ("-journal", "-wal", "-shm")

Reading = Callable[[Callable[[sqlite3.Connection], None]], None]


def back_up(read: Reading, where: Path | str, target: Path) -> None:
    """Copy what *read* reads to the new file *target* and check the copy.

    It goes through SQLite's backup interface, so writers go on meanwhile, and
    what is copied is the state of one moment. Nothing is written beside the
    original. A copy has another name until it is whole, so that nobody restores
    half of one that was killed; the next one under the name removes that.

    Args:
        read: Runs a query on the database.
        where: The database, for messages.
        target: The copy, one file without a log; it must not be there yet.

    Raises:
        DatabaseError: The target is there already, or has a name that SQLite gives to a
            log; or one of both failed.
        DatabaseDamagedError: The copy isn't sound, so the original isn't either.
    """
    if target.name.endswith(BESIDE):
        raise DatabaseError(
            f"{target} has a name that SQLite gives to another database's log, and would be "
            f"removed or played back as one; name a file that doesn't end in {', '.join(BESIDE)}"
        )
    unfinished = unfinished_name(target)
    descriptor = _claim(unfinished, target)
    try:
        with _blamed(where, target), closing(_connect(unfinished)) as copy:
            read(lambda source: _copy(source, copy, target))
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        _check(where, unfinished, target)
        _publish(unfinished, target)
    except BaseException:
        _remove(unfinished)
        raise
    finally:
        unlock(descriptor)


def unfinished_name(target: Path) -> Path:
    """Return the name that a copy has until it is whole."""
    return target.with_name(f"{target.name}-unfinished")


def _claim(unfinished: Path, target: Path) -> int:
    """Make the file to copy into, and remove what a process left there that was killed."""
    with _errors_name(target, "made"):
        _check_free(target)
        if os.path.lexists(unfinished):
            stale = claim(unfinished)
            if stale is None:
                raise _others_make_it()
            # Not emptied: it may be whole, and have another name already.
            _remove(unfinished)
            unlock(stale)
        try:
            return create_locked(unfinished)
        except FileExistsError:
            raise _others_make_it() from None


def _others_make_it() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _publish(unfinished: Path, target: Path) -> None:
    """Give the copy its name, which is that of a whole one or of none."""
    with _errors_name(target, "synced to disk"):
        sync_file(unfinished)
        try:
            # Unlike a rename, it never replaces what came there meanwhile.
            target.hardlink_to(unfinished)
        except FileExistsError:
            raise
        except OSError:
            # A file system without second names.
            _check_free(target)
            unfinished.rename(target)
        else:
            _remove_second_name(unfinished, target)
        try:
            sync_folder(target.parent.resolve())
        except OSError:
            _remove(target)
            raise


def _remove_second_name(unfinished: Path, target: Path) -> None:
    """Remove the name of a copy that is whole; if that can't be done, the copy is there anyway."""
    try:
        unfinished.unlink()
    except OSError as error:
        logger.warning(
            "%s is whole, and still has the name %s too, which can't be removed: %s",
            target,
            unfinished.name,
            error.strerror,
        )


@contextmanager
def _errors_name(target: Path, what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        # Among them is a TimeoutError, which is an OSError.
        raise
    except BlockingIOError as error:
        raise DatabaseError(f"{target} is being made by another process; name another") from error
    except OSError as error:
        raise DatabaseError(
            f"{target} can't be {what}: {error.strerror}; name a new file in a folder that is "
            "there, or on another disk"
        ) from error


def _connect(target: Path) -> sqlite3.Connection:
    return sqlite3.connect(target, isolation_level=None)


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, target: Path) -> None:
    try:
        # In one step: between steps every commit would make it begin again.
        source.backup(copy)
    except sqlite3.Error as error:
        if is_damage(error):
            raise
        raise database_error(error, target) from error


@contextmanager
def _blamed(where: Path | str, target: Path) -> Iterator[None]:
    """Name the original if a copy isn't sound, which is then one of what isn't; else the copy."""
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(error, where if is_damage(error) else target) from error


def _check(where: Path | str, unfinished: Path, target: Path) -> None:
    with _blamed(where, target), closing(connect(unfinished, "immutable")) as copy:
        problems = structural_problems(copy)
        broken = copy.execute("PRAGMA foreign_key_check").fetchall()
    if problems or broken:
        raise DatabaseDamagedError(where, "; ".join(map(str, problems or broken)))


def _remove(unfinished: Path) -> None:
    """Remove a copy that failed; the failure that led here is the one to raise."""
    with suppress(OSError):
        unfinished.unlink()
    with suppress(OSError):
        remove_beside(unfinished)


def remove_beside(database: Path) -> None:
    """Remove what SQLite may have left beside a database that isn't open."""
    for suffix in BESIDE:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
