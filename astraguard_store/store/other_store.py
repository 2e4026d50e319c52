"""Another store, opened to be read: its rows, and the folder of its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import InvalidRunError, StoreError, StoreNotFoundError
from astraguard_store.store.store import DATABASE_NAME, SharedStore, acquire

__all__ = ["OtherStore", "opened"]


@dataclass(frozen=True, slots=True)
class OtherStore:
    """A store of which nothing is written.

    Attributes:
        root: The folder that its runs' folders are in, if they are there at all.
        database: Its rows.
    """

    root: Path
    database: RunDatabase


@contextmanager
def opened(store: SharedStore, options: WriteOptions, other: Path) -> Iterator[OtherStore]:
    """Open the store *other*, a results folder or a database, beside *store*.

    Raises:
        StoreNotFoundError: There is no such database.
        InvalidRunError: It is that of *store*.
        SchemaVersionError: It is older or newer than this code.
        DatabaseError: It can't be read.
    """
    path = Path(os.path.realpath(other))
    if path.is_dir():
        path /= DATABASE_NAME
    own = store.root and store.root / DATABASE_NAME
    try:
        if own and os.path.samefile(own, path):
            raise InvalidRunError(f"{other} is this store itself; name another one")
        database, release = _open(path, options)
    except StoreError:
        # Some are an OSError too.
        raise
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"there is no database {path}; name a results folder or its database. Where there "
            "are only run folders, `astraguard-store import` makes one"
        ) from None
    except OSError as error:
        raise StoreNotFoundError(f"{path} can't be looked at: {error.strerror}") from error
    try:
        yield OtherStore(path.parent, database)
    finally:
        release()


def _open(path: Path, options: WriteOptions) -> tuple[RunDatabase, Callable[[], None]]:
    if path.name != DATABASE_NAME:
        database = RunDatabase.open(path, busy_timeout_s=options.busy_timeout_s)
        return database, database.close
    # By the registry: this process may have it open, and two ways of reading one
    # file drop each other's locks.
    shared = acquire(path.parent, options, create=False)
    return shared.database, shared.release
