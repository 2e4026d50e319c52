"""What happens to children in the middle of a save: forks, signals, exits, a failed commit."""

from __future__ import annotations

import errno
import faulthandler
import gc
import json
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from astraguard_store import (
    CommitOutcomeUnknownError,
    DatabaseBusyError,
    LatencyMeasurement,
    RunRepository,
    RunSummary,
)

from .cases import Case
from .ledger import Ledger
from .savers import KEPT, NEW, operate, save
from .shim import Action, Fault, Shim

# Enough that statistics and CSV are worked out in parallel threads.
MANY_STEPS = 2_000
HANGS_AFTER_S = 20.0
COMMIT_SYNC_FAILS = Fault(1, Action.FAIL, errno.EIO, kinds="s", path_part="-wal")
COMMIT_SYNC_STOPS = Fault(1, Action.STOP, kinds="s", path_part="-wal")


def fork_in_mid_save(case: Case, forks: int) -> None:
    """Fork while a thread saves; each child reads and saves through what it inherited."""
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        expected = save(repository, ledger, KEPT, MANY_STEPS)
        over = threading.Event()

        def save_on() -> None:
            while not over.is_set():
                save(repository, ledger, "parent", MANY_STEPS)

        saver = threading.Thread(target=save_on)
        saver.start()
        try:
            for number in range(forks):
                time.sleep(random.uniform(0.0, 0.02))
                child = os.fork()
                if not child:
                    _use_inherited(repository, ledger, expected, number)
                _wait(child)
        finally:
            over.set()
            saver.join()
        assert repository.get(KEPT) == expected
        save(repository, ledger, "parent")


def _use_inherited(
    repository: RunRepository, ledger: Ledger, expected: RunSummary, number: int
) -> None:
    code = 1
    faulthandler.dump_traceback_later(HANGS_AFTER_S - 5.0)
    try:
        assert repository.get(KEPT) == expected
        save(repository, ledger, f"child{number}")
        save(repository, ledger, f"child{number}", MANY_STEPS)
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _wait(child: int) -> None:
    deadline = time.monotonic() + HANGS_AFTER_S
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert status == 0, f"the forked child ended with {status}"
            return
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the forked child hangs")
        time.sleep(0.002)


def save_and_interrupt(case: Case, stop: type[BaseException], times: int) -> None:
    """Interrupt saves at random moments by an exception from a signal handler; save after each.

    Answers how many saves were interrupted, and what was left in the staging folder.
    """

    def raise_it(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise stop

    signal.signal(signal.SIGALRM, raise_it)
    ledger = Ledger(case.ledger)
    interrupted = 0
    left: list[str] = []
    # Another's turn never takes long here: a lock that isn't had is one that was left.
    with RunRepository.open(case.results, busy_timeout_s=3.0) as repository:
        usual_s = _timed_save(repository, ledger)
        for number in range(times):
            run_id = ("shared", f"new{number}")[number % 2]
            interrupted += _is_interrupted(repository, ledger, run_id, stop, usual_s)
            # The machine is slow now and fast then: an alarm that is set by how long saves took at
            # the start came too late for 38 of 40.
            usual_s = _timed_save(repository, ledger)
            repository.recover()
            left += os.listdir(case.results / ".staging")
    case.answer.write_text(json.dumps([interrupted, left[:10]]))


def _timed_save(repository: RunRepository, ledger: Ledger) -> float:
    """Save a run; return how many seconds that took."""
    begin = time.monotonic()
    save(repository, ledger, "shared")
    return time.monotonic() - begin


def _is_interrupted(
    repository: RunRepository,
    ledger: Ledger,
    run_id: str,
    stop: type[BaseException],
    usual_s: float,
) -> bool:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, usual_s))
        try:
            save(repository, ledger, run_id)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except stop:
        return True
    return False


@dataclass
class BrokenCollector:
    """A collector that fails in the middle of being read."""

    error: BaseException

    @property
    def measurements(self) -> Iterator[LatencyMeasurement]:
        """Yield two measurements, and fail."""
        for duration_ms in (1.0, 2.0):
            yield LatencyMeasurement(0.0, "fault_detection", "SAT001", duration_ms, 0.0)
        raise self.error


def exit_in_mid_save(case: Case) -> None:
    """Leave the interpreter while a thread saves."""
    ledger = Ledger(case.ledger)
    repository = RunRepository.open(case.results)

    def save_on() -> None:
        while True:
            save(repository, ledger, "shared")

    threading.Thread(target=save_on, daemon=True).start()
    time.sleep(random.uniform(0.01, 0.1))


def forget_without_closing(case: Case) -> None:
    """Drop repositories without closing them, and save through another."""
    ledger = Ledger(case.ledger)
    for _ in range(20):
        save(RunRepository.open(case.results), ledger, "shared")
        gc.collect()
    with RunRepository.open(case.results, busy_timeout_s=2.0) as repository:
        save(repository, ledger, "shared")
    open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]
    case.answer.write_text(json.dumps([f for f in open_files if str(case.results) in f]))


def _descriptors() -> list[str]:
    listed = os.listdir("/proc/self/fd")
    return [fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")]


def fail_commit(case: Case, operation: str, go_on: bool) -> None:
    """Let the fsync of a commit fail; go on through the same store, or die at once."""
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        shim.arm(COMMIT_SYNC_FAILS)
        try:
            operate(repository, ledger, operation)
        except CommitOutcomeUnknownError:
            case.answer.write_text("unknown")
        shim.disarm()
        if not go_on:
            os.kill(os.getpid(), signal.SIGKILL)
        save(repository, ledger, "after")
        operate(repository, ledger, "save again")


def stop_in_commit(case: Case) -> None:
    """Stop, by SIGSTOP, in the commit of a save, while the write ticket is held."""
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        save(repository, ledger, "before")
        shim.arm(COMMIT_SYNC_STOPS)
        save(repository, ledger, NEW)


def wait_for_ticket(case: Case, timeout_s: float) -> None:
    """Save beside somebody who hangs, and answer how long it took to fail, and the message."""
    begin = time.monotonic()
    ledger = Ledger(case.ledger)
    message = ""
    try:
        with RunRepository.open(case.results, busy_timeout_s=timeout_s) as repository:
            opened = time.monotonic() - begin
            assert repository.get("before").revision == 1
            try:
                save(repository, ledger, "other")
            except DatabaseBusyError as error:
                message = str(error)
    except DatabaseBusyError as error:
        opened, message = -1.0, str(error)
    case.answer.write_text(json.dumps([opened, time.monotonic() - begin, message]))


def save_with_clock_set_back(case: Case, shift_s: int) -> None:
    """Save, set the clock back, save another run and the first again; answer the order."""
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        orders = []
        for run_id, shift in (("first", 0), ("second", shift_s), ("third", 0), ("first", shift_s)):
            shim.shift_clock(shift)
            save(repository, ledger, run_id)
            headers = repository.recent(10)
            orders.append([(header.run_id, header.recorded_at.timestamp()) for header in headers])
    case.answer.write_text(json.dumps(orders))
