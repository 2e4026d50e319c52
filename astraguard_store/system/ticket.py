"""The write ticket: whose turn it is, in order of asking.

SQLite's own lock has no queue: with a disk that takes 20 ms to sync, the worst
of 8 writers waited 14 s for its turn. In front of it stands this one, a thread
lock and a file lock, whose kernel queue is first come, first served. SQLite's
lock stays the real guard, since other tools know no ticket.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from astraguard_store.exceptions import DatabaseBusyError, DatabaseError
from astraguard_store.system.files import (
    give_back,
    lock,
    open_lock_file,
    still_names,
    try_lock,
)
from astraguard_store.system.forks import around_forks

logger = logging.getLogger("astraguard_store")

_LONG_WAIT_S = 1.0
_ASK_EVERY_S = 0.005


class WriteTicket:
    """One for each database and process; threads share it.

    Args:
        path: The lock file; None for a database in memory.
        database: The database, for messages.
    """

    def __init__(self, path: Path | None, database: Path | str) -> None:
        self._path = path
        self._database = database
        around_forks(self)
        self._threads = threading.RLock()
        # Alive while the ticket is held, and not counted: an exception may strike anywhere.
        self._held: weakref.ref[_LockFile] | None = None

    @contextmanager
    def held(self, purpose: str, timeout_s: float) -> Iterator[None]:
        """Hold the ticket inside; a thread that has it already goes on.

        Args:
            purpose: What for; others who wait in vain are told.
            timeout_s: How long to wait for a turn.

        Raises:
            DatabaseBusyError: Others held it too long; the message says who.
            DatabaseError: The lock file can't be made.
        """
        started = time.monotonic()
        if not self._threads.acquire(timeout=timeout_s):
            raise DatabaseBusyError(self._database, timeout_s, self._holder())
        try:
            if self._path is None or (self._held is not None and self._held() is not None):
                yield
                return
            file = self._locked_file(self._path, started + timeout_s, started)
            self._held = weakref.ref(file)
            try:
                waited_s = time.monotonic() - started
                if waited_s > _LONG_WAIT_S:
                    logger.warning(
                        "%s: waited %.1f s for the write lock", self._database, waited_s
                    )
                _note_holder(file.fileno(), purpose)
                yield
            finally:
                self._held = None
                file.unlock()
        finally:
            self._threads.release()

    def _locked_file(self, path: Path, deadline: float, started: float) -> _LockFile:
        is_locked = True
        while is_locked:
            with _lock_errors(path):
                file = _LockFile(open_lock_file(path), "r+b")
                try:
                    is_locked = _locked_within(file, deadline - time.monotonic())
                    if is_locked and still_names(path, file.fileno()):
                        return file
                except BaseException:
                    file.close()
                    raise
                file.close()
        raise DatabaseBusyError(self._database, time.monotonic() - started, self._holder())

    def stop_writing(self) -> None:
        """Nothing: a save of another thread may take long, and goes on in the parent."""

    def before_fork(self) -> None:
        """Nothing, as above."""

    def after_fork(self, *, in_child: bool) -> None:
        """Forget in a child what threads of the parent hold."""
        if in_child:
            self._threads = threading.RLock()
            self._held = None

    def go_on_writing(self) -> None:
        """Nothing, as above."""

    def _holder(self) -> str:
        """Return who wrote last into the lock file, as far as it can be known."""
        try:
            pid, purpose, since = (
                (self._path or Path(os.devnull)).read_text().strip().rsplit("\t", 2)
            )
            held_s = max(0.0, time.time() - float(since))
        except (OSError, ValueError):
            return ""
        return f"process {pid} ({purpose}, for {held_s:.0f} s)"


@contextmanager
def _lock_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseError(f"{path}: the write lock can't be had: {error.strerror}") from error


def _note_holder(descriptor: int, purpose: str) -> None:
    note = f"{os.getpid()}\t{purpose}\t{time.time():.0f}\n".encode()
    try:
        os.pwrite(descriptor, note, 0)
        os.ftruncate(descriptor, len(note))
    except OSError:
        # A full disk must not keep the ticket from being held; only the note is missing.
        logger.debug("the holder of the write lock could not be noted", exc_info=True)


class _LockFile(FileIO):
    """The open lock file: where an exception strikes between two steps, it closes as it goes.

    With it goes its lock. So a second Ctrl-C, or an exception out of another thread, can't
    leave the lock taken for as long as the process lives.
    """

    def unlock(self) -> None:
        """Give the lock back and close; a forked child that has a copy doesn't keep it."""
        try:
            give_back(self.fileno())
        except OSError:
            # What was done with the ticket is done; to close gives it back, too.
            logger.warning("%s: the write lock wasn't given back", self.name, exc_info=True)
        finally:
            self.close()

    # Not in Python, where an exception might strike again; and `FileIO` warns of files left open.
    __del__ = FileIO.close


def _locked_within(file: _LockFile, timeout_s: float) -> bool:
    """Lock *file* within *timeout_s*; return whether it is.

    Raises:
        OSError: A file system without locks, or out of them.
    """
    if try_lock(file.fileno()):
        return True
    if sys.is_finalizing():
        # Python 3.11 waits for ever for a thread that begins now.
        return _lock_by_asking(file, timeout_s)
    return _lock_in_turn(file, timeout_s)


def _lock_in_turn(file: _LockFile, timeout_s: float) -> bool:
    """Wait in the kernel's queue; a thread does, since that wait knows no timeout."""
    is_over, is_given_up = threading.Event(), threading.Event()
    refused: list[OSError] = []

    def wait(own: _LockFile) -> None:
        try:
            lock(own.fileno())
            if is_given_up.is_set():
                give_back(own.fileno())
        except OSError as error:
            refused.append(error)
        finally:
            own.close()
            is_over.set()

    # The lock is of both descriptors. The thread has its own, for whoever gives up closes
    # theirs, and its number may be that of another file before the thread runs.
    own = _LockFile(os.dup(file.fileno()), "r+b")
    thread = threading.Thread(
        target=wait, args=(own,), name="astraguard-store-ticket", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:
        # No new threads while the interpreter exits, or for want of memory.
        own.close()
        return _lock_by_asking(file, timeout_s)
    is_locked = False
    try:
        is_locked = is_over.wait(max(0.0, timeout_s))
    finally:
        if not is_locked:
            # In this order: a lock that comes before is given back here, one after there.
            is_given_up.set()
            give_back(file.fileno())
    if refused:
        raise refused[0]
    return is_locked


def _lock_by_asking(file: _LockFile, timeout_s: float) -> bool:
    """Ask for the lock again and again, out of turn."""
    deadline = time.monotonic() + timeout_s
    while not (is_locked := try_lock(file.fileno())) and time.monotonic() < deadline:
        time.sleep(_ASK_EVERY_S)
    return is_locked
