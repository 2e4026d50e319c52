"""One open store a folder and process, however many repositories use it."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astraguard_store.database.lists import noted_file_bytes
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.sqlite.errors import translated_os_errors
from astraguard_store.database.sqlite.migrate import create_database, finish_restoring
from astraguard_store.database.sqlite.open_files import has_log_of_another
from astraguard_store.exceptions import ArtifactWriteError, DatabaseError, StoreNotFoundError
from astraguard_store.options import DATABASE_NAME, StoreOptions
from astraguard_store.system.files import make_folder
from astraguard_store.system.forks import in_forked_child
from astraguard_store.system.mounts import network_file_system
from astraguard_store.system.ticket import WriteTicket

if TYPE_CHECKING:
    from astraguard_store.artifacts.deletion import Deletion
    from astraguard_store.database.transaction import Transaction

logger = logging.getLogger("astraguard_store")

T = TypeVar("T")

LOCK_NAME = f"{DATABASE_NAME}.lock"


@dataclass(eq=False)
class SharedStore:
    """A database as one process has it open, with what all its repositories share.

    Attributes:
        database: Its runs.
        ticket: Whose turn it is to write.
        unsettled: Whether a commit's outcome is unknown, or what follows a commit
            isn't done, so that the next save settles it first.
    """

    database: RunDatabase
    ticket: WriteTicket
    unsettled: bool = False
    _root: Path | None = None
    _users: int = field(default=1, repr=False)

    def release(self, *, wait: bool = True) -> None:
        """Close the connections when the last repository lets go.

        Args:
            wait: For others that open or close a store; if not, one of them does it.
        """
        _released.append(self)
        _close_released(wait=wait)

    def lose_user(self) -> bool:
        """Return whether that was the last one; nobody finds the store any more then."""
        self._users -= 1
        if not self._users and self._root is not None and _registry.get(self._root) is self:
            del _registry[self._root]
        return not self._users

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still the one in the folder."""
        try:
            self.database.check_in_place()
        except DatabaseError:
            return False
        return True


class Store:
    """The rows of an open store, written and read as one repository wants it.

    Attributes:
        shared: The open store; whoever made this releases it.
        database: Its runs.
        options: Of the repository.
        where: The store, for messages.
    """

    def __init__(self, shared: SharedStore, options: StoreOptions, where: str) -> None:
        self.shared = shared
        self.database = shared.database
        self.options = options
        self.where = where

    def stage_deletion(self, run_ids: Iterable[str]) -> Deletion:  # noqa: ARG002
        """Return what removes runs' files once their rows are deleted; here there are none."""
        from astraguard_store.artifacts.deletion import Deletion

        return Deletion()

    def finish_later_if_it_fails(self, step: Callable[[], object], what: str) -> None:
        """Run a step after the commit; the run is stored, so a failure doesn't undo it."""
        try:
            step()
        except OSError as error:
            logger.warning("%s failed (%s); the next save or opening finishes it", what, error)
            self.shared.unsettled = True

    def noted_file_bytes(self, but_of: Iterable[str]) -> int:  # noqa: ARG002
        """Return what the files of all runs but these had when they were noted; here none."""
        return 0

    @contextmanager
    def turn(self, purpose: str) -> Iterator[None]:
        """Hold the write ticket inside; *purpose* is what others who wait are told.

        Raises:
            DatabaseBusyError: Others held it for longer than `busy_timeout_s`.
        """
        with self.shared.ticket.held(purpose, self.options.busy_timeout_s):
            yield

    @contextmanager
    def write(self, purpose: str) -> Iterator[Transaction]:
        """Hold the write ticket and a transaction: all that is written inside, or nothing.

        Raises:
            DatabaseBusyError: Others held the database for longer than `busy_timeout_s`.
            CommitOutcomeUnknownError: The commit itself failed.
            DatabaseError: Writing failed before the commit; nothing is written.
        """
        with self.turn(purpose), self.database.transaction(self.options) as transaction:
            yield transaction

    def change(self, purpose: str, step: Callable[[Transaction], T]) -> T:
        """Return the result of *step*, made in a transaction of `write`."""
        with self.write(purpose) as transaction:
            return step(transaction)


class FolderStore(Store):
    """The same with a results folder that holds the runs' files.

    Attributes:
        root: The folder's real path.
    """

    def __init__(self, shared: SharedStore, options: StoreOptions, root: Path) -> None:
        super().__init__(shared, options, str(root))
        self.root = root

    def stage_deletion(self, run_ids: Iterable[str]) -> Deletion:
        """Return what removes runs' files once their rows are deleted; noted on disk.

        Raises:
            ArtifactWriteError: It can't be noted.
        """
        from astraguard_store.artifacts.deletion import StagedDeletion

        return StagedDeletion(self.root, run_ids, durable=self.options.sync)

    def noted_file_bytes(self, but_of: Iterable[str]) -> int:
        """Return what the files of all runs but these had when they were noted."""
        return self.database.read(partial(noted_file_bytes, but_of=but_of))


_registry: dict[Path, SharedStore] = {}
_registry_lock = threading.RLock()
_released: deque[SharedStore] = deque()


def _close_released(*, wait: bool) -> None:
    """Let go of stores; whoever has the registry does it for those who don't wait for it."""
    while _released and _registry_lock.acquire(blocking=wait):
        try:
            shared = _released.popleft() if _released else None
            is_last = shared is not None and shared.lose_user()
        finally:
            _registry_lock.release()
        if shared is not None and is_last:
            shared.database.close()


def memory_store(options: StoreOptions) -> Store:
    """Return a new store in memory, without a folder."""
    where = "the database in memory"
    shared = SharedStore(RunDatabase.in_memory(), WriteTicket(None, where))
    return Store(shared, options, where)


def folder_store(root: Path, options: StoreOptions, *, create: bool) -> FolderStore:
    """Return the open store of the folder *root*; the caller releases what it shares.

    Args:
        root: The real path of the folder.
        options: Of the repository.
        create: Whether to make the database where it is missing.

    Raises:
        FileNotFoundError: There is no database, and none is to be made.
        StoreError: It can't be opened or made.
    """
    with _registry_lock:
        shared = _registry.get(root)
        if shared is not None and shared.is_in_place():
            shared.database.check_schema()
            shared._users += 1
        else:
            shared = _registry[root] = _opened(root, options, create=create)
    # Of those that were collected meanwhile.
    _close_released(wait=False)
    return FolderStore(shared, options, root)


def _opened(root: Path, options: StoreOptions, *, create: bool) -> SharedStore:
    path = root / DATABASE_NAME
    ticket = WriteTicket(root / LOCK_NAME, path)
    # lexists: a link to nowhere is somebody's intent, not a missing database.
    if create and not os.path.lexists(path):
        with ticket.held("creating the database", options.busy_timeout_s):
            if not os.path.lexists(path):
                create_database(path)
    elif create and has_log_of_another(path):
        with ticket.held("restoring", options.busy_timeout_s):
            finish_restoring(path)
    database = RunDatabase.open(path, busy_timeout_s=options.busy_timeout_s)
    kind = network_file_system(root)
    if kind:
        logger.warning(
            "%s lies on a network file system (%s): its locks may not hold, and saves may "
            "be lost; keep the store on a local disk",
            path,
            kind,
        )
    return SharedStore(database, ticket, _root=root)


def existing_root(results_dir: str | os.PathLike[str], *, create: bool) -> Path:
    """Return the real path of the folder, made if *create*.

    Raises:
        StoreNotFoundError: It isn't there, or is no folder.
        ArtifactWriteError: It can't be made.
        DatabaseError: It can't be looked at.
    """
    root = Path(os.path.realpath(results_dir))
    if create:
        try:
            make_folder(root)
        except OSError as error:
            raise ArtifactWriteError(
                f"the results folder {root} can't be made: {error.strerror}"
            ) from error
    with translated_os_errors(root):
        is_folder, is_there = root.is_dir(), root.exists()
    if not is_folder:
        what = "is not a folder" if is_there else "does not exist"
        raise StoreNotFoundError(
            f"the results folder {root} {what}; name another, or save a run there first"
        )
    return root


def holds_folders(root: Path) -> bool:
    """Return whether any folder below *root* may be a run.

    Raises:
        DatabaseError: It can't be listed.
    """
    from astraguard_store.artifacts.scanner import has_folders

    with translated_os_errors(root):
        return has_folders(root)


def _new_lock() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()


in_forked_child(_new_lock)
