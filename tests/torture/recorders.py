"""What children do to a store: record a run, until they are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from astraguard_store import RunRepository

from .cases import Case
from .savers import NEW
from .shim import Fault, Shim

FLUSHES = 3
ROWS_OF_A_FLUSH = 40
LOG = "console.log"


def record(results: Path, log: Path, flushed: Callable[[int], None]) -> None:
    """Record a run in a store that is there, flush it three times, and attach a file.

    Args:
        results: The store.
        log: The file to attach.
        flushed: Told how many measurements were written, after each flush.
    """
    rows = 0
    with (
        RunRepository.open(results) as repository,
        # Only the explicit flushes: so each try has the same steps.
        repository.run(NEW, flush_every_s=3_600.0, tags={"rig": "7"}) as run,
    ):
        for number in range(FLUSHES):
            for _ in range(ROWS_OF_A_FLUSH):
                run.record("fault_detection", f"SAT{rows % 3}", float(rows), float(rows))
                rows += 1
            assert run._recorder is not None
            run._recorder.flush()
            flushed(rows)
            if number == 1:
                run.attach(log)


def record_once(case: Case, fault: Fault) -> None:
    """Record a run on a faulty disk; note beside it what was flushed."""
    shim = Shim(case.disk)
    log = case.root / LOG
    log.write_text("hello")
    with shim.armed(fault):
        record(case.results, log, lambda rows: note(case, rows))


def trace_recording(case: Case, trace: Path) -> None:
    """Create a store and record a run, keeping a trace with what was flushed in it."""
    log = case.root / LOG
    log.write_text("hello")
    shim = Shim(case.disk)
    shim.trace(trace)
    RunRepository.open(case.results).close()
    shim.note("0")
    record(case.results, log, lambda rows: shim.note(str(rows)))


def record_until_killed(case: Case, trace: Path | None = None) -> None:
    """Record a run in a store, and die when all of it is flushed; keep a trace if wanted."""
    log = case.root / LOG
    log.write_text("hello")
    if trace:
        Shim(case.disk).trace(trace)

    def die_at_the_end(rows: int) -> None:
        if rows == FLUSHES * ROWS_OF_A_FLUSH:
            os.kill(os.getpid(), signal.SIGKILL)

    record(case.results, log, die_at_the_end)


def adopt_once(case: Case, fault: Fault) -> None:
    """Open a store on a faulty disk, which adopts what a dead recorder left."""
    with Shim(case.disk).armed(fault):
        RunRepository.open(case.results).close()


def trace_adoption(case: Case, trace: Path) -> None:
    """Open a store, which adopts what a dead recorder left; the trace goes on."""
    Shim(case.disk).trace(trace)
    RunRepository.open(case.results).close()


def note(case: Case, rows: int) -> None:
    """Note how many measurements were flushed."""
    (case.root / "flushed").write_text(str(rows))


def noted(case: Case) -> int:
    """Return how many measurements were flushed at least."""
    path = case.root / "flushed"
    text = path.read_text() if path.exists() else ""
    return int(text or 0)
