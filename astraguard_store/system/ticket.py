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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astraguard_store.exceptions import DatabaseBusyError, DatabaseError
from astraguard_store.system.files import (
    lock,
    open_lock_file,
    still_names,
    try_lock,
    unlock,
)
from astraguard_store.system.forks import around_forks

__all__ = ["WriteTicket"]

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
        self._depth = 0

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
        self._depth += 1
        try:
            if self._depth > 1 or self._path is None:
                yield
            else:
                with self._file_locked(self._path, purpose, started, timeout_s):
                    yield
        finally:
            self._depth -= 1
            self._threads.release()

    @contextmanager
    def _file_locked(
        self, path: Path, purpose: str, started: float, timeout_s: float
    ) -> Iterator[None]:
        descriptor = self._lock_file(path, started + timeout_s, started)
        try:
            waited_s = time.monotonic() - started
            if waited_s > _LONG_WAIT_S:
                logger.warning("%s: waited %.1f s for the write lock", self._database, waited_s)
            _note_holder(descriptor, purpose)
            yield
        finally:
            unlock(descriptor)

    def _lock_file(self, path: Path, deadline: float, started: float) -> int:
        while True:
            try:
                descriptor = open_lock_file(path)
                is_locked = _locked_within(descriptor, deadline - time.monotonic())
            except OSError as error:
                raise _lock_error(path, error) from error
            if not is_locked:
                raise DatabaseBusyError(self._database, time.monotonic() - started, self._holder())
            try:
                if still_names(path, descriptor):
                    return descriptor
            except OSError as error:
                unlock(descriptor)
                raise _lock_error(path, error) from error
            unlock(descriptor)

    def stop_writing(self) -> None:
        """Nothing: a save of another thread may take long, and goes on in the parent."""

    def before_fork(self) -> None:
        """Nothing, as above."""

    def after_fork(self, *, in_child: bool) -> None:
        """Forget in a child what threads of the parent hold."""
        if in_child:
            self._threads = threading.RLock()
            self._depth = 0

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


def _lock_error(path: Path, error: OSError) -> DatabaseError:
    return DatabaseError(f"{path}: the write lock can't be had: {error.strerror}")


def _note_holder(descriptor: int, purpose: str) -> None:
    note = f"{os.getpid()}\t{purpose}\t{time.time():.0f}\n".encode()
    try:
        os.pwrite(descriptor, note, 0)
        os.ftruncate(descriptor, len(note))
    except OSError:
        # A full disk must not keep the ticket from being held; only the note is missing.
        logger.debug("the holder of the write lock could not be noted", exc_info=True)


def _locked_within(descriptor: int, timeout_s: float) -> bool:
    """Lock *descriptor* within *timeout_s*; closes it if that fails."""
    try:
        is_locked = try_lock(descriptor)
    except OSError:
        # A file system without locks, or out of them.
        os.close(descriptor)
        raise
    if is_locked:
        return True
    if sys.is_finalizing():
        # Python 3.11 waits for ever for a thread that begins now.
        return _lock_by_asking(descriptor, timeout_s)
    return _lock_in_turn(descriptor, timeout_s)


def _lock_in_turn(descriptor: int, timeout_s: float) -> bool:
    """Wait in the kernel's queue; a thread does, since that wait knows no timeout."""
    gate = threading.Lock()
    state = {"locked": False, "given_up": False}
    refused: list[OSError] = []

    def wait() -> None:
        try:
            lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            refused.append(error)
            return
        with gate:
            state["locked"] = True
            if state["given_up"]:
                unlock(descriptor)

    thread = threading.Thread(target=wait, name="astraguard-store-ticket", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # No new threads while the interpreter exits, or for want of memory.
        return _lock_by_asking(descriptor, timeout_s)
    try:
        thread.join(max(0.0, timeout_s))
    except BaseException:
        # Ctrl-C: the lock may have come just now.
        with gate:
            state["given_up"] = True
            if state["locked"]:
                unlock(descriptor)
        raise
    if refused:
        raise refused[0]
    with gate:
        state["given_up"] = not state["locked"]
        return state["locked"]


def _lock_by_asking(descriptor: int, timeout_s: float) -> bool:
    """Ask for the lock again and again, out of turn; closes *descriptor* if that fails."""
    deadline = time.monotonic() + timeout_s
    is_locked = False
    try:
        while not (is_locked := try_lock(descriptor)) and time.monotonic() < deadline:
            time.sleep(_ASK_EVERY_S)
    finally:
        if not is_locked:
            os.close(descriptor)
    return is_locked
