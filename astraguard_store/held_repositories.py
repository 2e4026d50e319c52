"""The open repositories that all `MetricsStorage` of a process share, a few folders' worth."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from astraguard_store.exceptions import DatabaseError, StoreNotFoundError
from astraguard_store.store import DATABASE_NAME, RunRepository
from astraguard_store.system.forks import in_forked_child

__all__ = ["ask", "writable"]

T = TypeVar("T")

_LIMIT = 8

FilesState = tuple[tuple[int, int, int, int] | None, ...]
"""(inode, size, time of last change in ns) of each file; None where there is none."""


class _Held(NamedTuple):
    repository: RunRepository
    writes: bool


# By absolute path, the one opened last at the end. They aren't closed when they
# leave: another thread may be using one.
_held: dict[str, _Held] = {}
# Of the kind that a signal's way into a save can take again.
_lock = threading.RLock()
# {path: state of the files of a database that couldn't be used}
_unusable: dict[str, FilesState] = {}


def ask(results_dir: str, question: Callable[[RunRepository], T]) -> T:
    """Return the answer of the database in the absolute path *results_dir*; creates nothing.

    Raises:
        StoreNotFoundError: There is no database.
        SchemaVersionError: It has another schema.
        DatabaseError: It can't be used.
    """
    held = _held.get(results_dir)
    if held is not None:
        try:
            return question(held.repository)
        except DatabaseError:
            # Somebody may have replaced the whole folder since.
            if held.repository.is_in_place():
                raise
    return question(_open(results_dir, writes=False))


def writable(results_dir: str) -> RunRepository:
    """Return the repository to save with; makes folder and database where they are missing.

    Raises:
        StoreError: As `RunRepository.open`.
    """
    held = _held.get(results_dir)
    if held is not None and held.writes and held.repository.is_in_place():
        return held.repository
    return _open(results_dir, writes=True)


def _open(results_dir: str, *, writes: bool) -> RunRepository:
    with _lock:
        if not writes and not os.path.lexists(f"{results_dir}/{DATABASE_NAME}"):
            raise StoreNotFoundError("there is no database")
        state = _database_state(results_dir)
        if not writes and _unusable.get(results_dir) == state:
            raise StoreNotFoundError("the database can't be used")
        repository = RunRepository.open(results_dir, read_only=not writes)
        if repository.answers_from == "folders":
            # The opening has logged why; until the files change, it needn't again.
            _unusable[results_dir] = state
            raise StoreNotFoundError("the database can't be used")
        _held.pop(results_dir, None)
        _held[results_dir] = _Held(repository, writes)
        if len(_held) > _LIMIT:
            del _held[next(iter(_held))]
        return repository


def _database_state(results_dir: str) -> FilesState:
    def state(path: str) -> tuple[int, int, int, int] | None:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    path = f"{results_dir}/{DATABASE_NAME}"
    return state(path), state(f"{path}-wal")


@atexit.register
def _close_all() -> None:
    while _held:
        _held.popitem()[1].repository.close()


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


in_forked_child(_new_lock)
