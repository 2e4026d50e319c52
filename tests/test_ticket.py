"""The write ticket where threads can't be had, and where its file goes away."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from observing import in_child
from other_process import OtherProcess
from stepping import right_before

from astraguard_store import DatabaseBusyError, DatabaseError, RunRepository
from astraguard_store.system.ticket import WriteTicket

# More than a process may address.
STACK_THAT_NOBODY_HAS = 1 << 46

SAVE_AT_EXIT = """
    import atexit, sys
    from astraguard_store import RunRepository
    from recordings import recorded

    repository = RunRepository.open(sys.argv[1])
    before = recorded(5)

    def save():
        print(repository.save("at_exit", before).revision)

    atexit.register(save)
"""


@pytest.fixture
def other() -> Iterator[OtherProcess]:
    """Give another process."""
    with OtherProcess() as process:
        yield process


@pytest.fixture
def no_new_threads() -> Iterator[None]:
    """Let no thread be started, as at the exit of an interpreter from 3.12 on."""
    before = threading.stack_size(STACK_THAT_NOBODY_HAS)
    yield
    threading.stack_size(before)


@pytest.fixture
def ticket(tmp_path: Path) -> WriteTicket:
    """Give the ticket of a database that isn't there."""
    return WriteTicket(tmp_path / "db.lock", tmp_path / "db")


class TestWithoutNewThreads:
    """At interpreter exit, or for want of memory, nobody can wait in a thread."""

    def test_a_save_at_exit_waits_its_turn(self, results: Path, other: OtherProcess) -> None:
        RunRepository.open(results).close()
        other.hold_ticket(results, 2.0)

        assert in_child(SAVE_AT_EXIT, results).split() == ["1"]

    @pytest.mark.usefixtures("no_new_threads")
    def test_one_who_waits_gets_it(self, ticket: WriteTicket, tmp_path: Path) -> None:
        with (tmp_path / "db.lock").open("w") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX)
            child = os.fork()
            if not child:
                time.sleep(0.2)
                fcntl.flock(theirs, fcntl.LOCK_UN)
                os._exit(0)

            with ticket.held("waiting", 10.0):
                assert os.waitpid(child, 0) == (child, 0)

    @pytest.mark.usefixtures("no_new_threads")
    def test_one_who_waits_in_vain_is_told_and_leaves_no_file_open(
        self, ticket: WriteTicket, tmp_path: Path
    ) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with (tmp_path / "db.lock").open("w") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX)

            with pytest.raises(DatabaseBusyError), ticket.held("waiting", 0.1):
                pass

        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_system_without_locks_is_named_and_leaves_no_file_open(
    ticket: WriteTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(DatabaseError, match="No locks available"), ticket.held("saving", 1.0):
        pass

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_lock_file_that_is_removed_meanwhile_is_made_again(
    ticket: WriteTicket, tmp_path: Path
) -> None:
    path = tmp_path / "db.lock"
    path.touch()

    with (
        right_before("flock", path.unlink),
        ticket.held("saving", 1.0),
        path.open() as again,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


class StruckError(Exception):
    """Raised in the middle of anything, as by a second Ctrl-C or another thread."""


def is_free(lock_file: Path) -> bool:
    with lock_file.open() as again:
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("line", range(40))
def test_wherever_an_exception_strikes_the_lock_is_free_after_and_can_be_had(
    ticket: WriteTicket, tmp_path: Path, line: int
) -> None:
    (tmp_path / "db.lock").touch()

    with struck_at_line(line), suppress(StruckError), ticket.held("saving", 1.0):
        pass

    assert is_free(tmp_path / "db.lock")
    with ticket.held("saving", 1.0):
        assert not is_free(tmp_path / "db.lock")
    assert is_free(tmp_path / "db.lock")


@contextmanager
def struck_at_line(wanted: int) -> Iterator[None]:
    """Raise StruckError before one of the lines of the ticket's module that run inside."""
    seen = 0

    def strike(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.endswith("/ticket.py"):
            return None
        if event == "line":
            seen += 1
            if seen == wanted + 1:
                sys.settrace(None)
                raise StruckError
        return strike

    before = sys.gettrace()
    sys.settrace(strike)
    try:
        yield
    finally:
        sys.settrace(before)


def test_one_who_waited_in_vain_does_not_get_the_lock_later(
    ticket: WriteTicket, tmp_path: Path
) -> None:
    path = tmp_path / "db.lock"
    with path.open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(DatabaseBusyError) as kept, ticket.held("waiting", 0.1):
            pass

    # Whoever waited in the kernel's queue goes away with the file.
    deadline = time.monotonic() + 10
    while not is_free(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_free(path)
    assert kept.value.waited_s >= 0.1


def test_a_thread_that_runs_after_its_waiter_gave_up_locks_no_other_file(
    ticket: WriteTicket, tmp_path: Path
) -> None:
    goes_on = threading.Event()
    before = os.listdir("/proc/self/fd")

    def halt(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code.co_filename.endswith("/ticket.py"):
            goes_on.wait(10)

    with (tmp_path / "db.lock").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        threading.settrace(halt)
        try:
            with pytest.raises(DatabaseBusyError), ticket.held("waiting", 0.1):
                pass
        finally:
            threading.settrace(None)
    # Whichever descriptors are free now, these have them.
    others = [(tmp_path / f"other{number}").open("w") for number in range(4)]
    goes_on.set()
    end_of_waiting_threads()

    assert [is_free(Path(other.name)) for other in others] == [True] * 4
    assert is_free(tmp_path / "db.lock")
    for other in others:
        other.close()
    # One that an earlier test left may have been closed meanwhile.
    assert set(os.listdir("/proc/self/fd")) <= set(before)


def end_of_waiting_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "astraguard-store-ticket":
            thread.join(10)
