"""One open store a folder and process, however many repositories use it."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.sqlite.migrate import create_database
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import ArtifactWriteError, DatabaseError, StoreNotFoundError
from astraguard_store.system.files import make_folder
from astraguard_store.system.forks import in_forked_child
from astraguard_store.system.mounts import network_file_system
from astraguard_store.system.ticket import WriteTicket

__all__ = ["DATABASE_NAME", "SharedStore", "acquire", "existing_root"]

logger = logging.getLogger("astraguard_store")

DATABASE_NAME = "astraguard.db"
LOCK_NAME = f"{DATABASE_NAME}.lock"


@dataclass(eq=False)
class SharedStore:
    """A results folder and its database, as one process has them open.

    Attributes:
        root: The folder; None in memory.
        database: Its runs.
        ticket: Whose turn it is to write.
        unsettled: Whether a commit's outcome is unknown, or what follows a commit
            isn't done, so that the next save settles it first.
    """

    root: Path | None
    database: RunDatabase
    ticket: WriteTicket
    unsettled: bool = False
    _users: int = field(default=1, repr=False)

    @classmethod
    def in_memory(cls) -> SharedStore:
        """Return a new store without a folder."""
        return cls(None, RunDatabase.in_memory(), WriteTicket(None, "the database in memory"))

    def release(self) -> None:
        """Close the connections when the last repository lets go."""
        with _registry_lock:
            self._users -= 1
            if self._users:
                return
            if self.root is not None and _registry.get(self.root) is self:
                del _registry[self.root]
        self.database.close()

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still the one in the folder."""
        try:
            self.database.check_in_place()
        except DatabaseError:
            return False
        return True


_registry: dict[Path, SharedStore] = {}
_registry_lock = threading.RLock()


def acquire(root: Path, options: WriteOptions, *, create: bool) -> SharedStore:
    """Return the open store of the folder *root*; the caller releases it.

    Args:
        root: The real path of the folder.
        options: How long to wait for others.
        create: Whether to make the database where it is missing.

    Raises:
        FileNotFoundError: There is no database, and none is to be made.
        StoreError: It can't be opened or made.
    """
    with _registry_lock:
        store = _registry.get(root)
        if store is not None and store.is_in_place():
            store._users += 1
            return store
        path = root / DATABASE_NAME
        ticket = WriteTicket(root / LOCK_NAME, path)
        if create:
            _create_once(path, ticket, options)
        database = RunDatabase.open(path, busy_timeout_s=options.busy_timeout_s)
        kind = network_file_system(root)
        if kind:
            logger.warning(
                "%s lies on a network file system (%s): its locks may not hold, and saves may "
                "be lost; keep the store on a local disk",
                path,
                kind,
            )
        store = _registry[root] = SharedStore(root, database, ticket)
        return store


def existing_root(results_dir: str | os.PathLike[str], *, create: bool) -> Path:
    """Return the real path of the folder, made if *create*.

    Raises:
        StoreNotFoundError: It isn't there, or is no folder.
        ArtifactWriteError: It can't be made.
    """
    root = Path(os.path.realpath(results_dir))
    if create:
        try:
            make_folder(root)
        except OSError as error:
            raise ArtifactWriteError(
                f"the results folder {root} can't be made: {error.strerror}"
            ) from error
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise StoreNotFoundError(
            f"the results folder {root} {what}; name another, or save a run there first"
        )
    return root


def _create_once(path: Path, ticket: WriteTicket, options: WriteOptions) -> None:
    # lexists: a link to nowhere is somebody's intent, not a missing database.
    if os.path.lexists(path):
        return
    with ticket.held("creating the database", options.busy_timeout_s):
        if not os.path.lexists(path):
            create_database(path)


def _new_lock() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()


in_forked_child(_new_lock)
