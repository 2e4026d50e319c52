"""What children do to a store: save, save again, delete, open, recover.

A saver writes into its ledger before and after each operation, outside of the
watched folder.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

from astraguard_store import LatencyCollector, RunRepository, RunSummary

from .cases import Case
from .ledger import Entry, Ledger
from .shim import Fault, Shim

OPERATIONS = ("save new", "save again", "save many", "delete", "change over")
# Files of other names replace those that are there.
OPTIONS: dict[str, dict[str, Any]] = {
    "change over": {"compression": "gzip", "keep_measurements": "parquet"}
}
KEPT = "kept"
AGAIN = "again"
DOOMED = "doomed"
NEW = "new"
SATELLITES = ("SAT001", "SAT002", "SAT003")


def new_tag() -> int:
    """Make up the number that tells one save from all others."""
    return random.randrange(1, 2**40)


def recording(tag: int, steps: int = 2) -> LatencyCollector:
    """Record 2 * 3 * *steps* measurements; every group's largest duration is *tag*."""
    collector = LatencyCollector()
    for step in range(steps):
        for satellite in SATELLITES:
            time_s = float(step)
            collector.record_fault_detection(satellite, time_s, tag / (step + 1))
            collector.record_agent_decision(satellite, time_s, tag / (step + 1))
    return collector


def save(repository: RunRepository, ledger: Ledger, run_id: str, steps: int = 2) -> RunSummary:
    """Save *run_id* and note it."""
    tag = new_tag()
    with ledger.operation("save", {run_id: tag}) as revisions:
        summary = repository.save(run_id, recording(tag, steps))
        revisions[run_id] = summary.revision
    return summary


def save_many(repository: RunRepository, ledger: Ledger, run_ids: Sequence[str]) -> None:
    """Save several runs in one transaction and note each."""
    tags = {run_id: new_tag() for run_id in run_ids}
    with ledger.operation("save", tags) as revisions:
        runs = [(run_id, recording(tag)) for run_id, tag in tags.items()]
        revisions.update((run.run_id, run.revision) for run in repository.save_many(runs))


def delete(repository: RunRepository, ledger: Ledger, run_id: str) -> None:
    """Delete *run_id* and note it."""
    with ledger.operation("delete", {run_id: 0}):
        repository.delete(run_id)


def operate(repository: RunRepository, ledger: Ledger, operation: str) -> None:
    """Do one of `OPERATIONS` to the store that `prepare` made."""
    match operation:
        case "save new":
            save(repository, ledger, NEW)
        case "save again" | "change over":
            save(repository, ledger, AGAIN)
        case "save many":
            save_many(repository, ledger, [NEW, AGAIN, "newer"])
        case "delete":
            delete(repository, ledger, DOOMED)
        case _:
            raise ValueError(operation)


def prepare(case: Case) -> None:
    """Make a store with three runs, one of them saved twice."""
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        for run_id in (KEPT, AGAIN, DOOMED, KEPT):
            save(repository, ledger, run_id)
    ledger.close()


def operate_once(case: Case, operation: str, fault: Fault) -> None:
    """Open a store that is there, and do one operation on a faulty disk."""
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    options = OPTIONS.get(operation, {})
    with RunRepository.open(case.results, **options) as repository, shim.armed(fault):
        operate(repository, ledger, operation)


def open_once(case: Case, fault: Fault) -> None:
    """Open a store on a faulty disk, which creates or recovers it, and save one run."""
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    shim.arm(fault)
    with RunRepository.open(case.results) as repository:
        shim.disarm()
        save(repository, ledger, NEW)


def save_forever(case: Case, own: str, shared: str) -> None:
    """Save new runs, one of its own again and again, and one that all savers share."""
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        for number in count():
            save(repository, ledger, f"{own}-{number}")
            save(repository, ledger, own)
            save(repository, ledger, shared)
            if number % 4 == 0:
                delete(repository, ledger, f"{own}-{number}")


class TraceLedger(Ledger):
    """A ledger inside of a trace, between the steps that it speaks of."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim

    def append(self, entry: Entry) -> None:
        """Put *entry* into the trace."""
        self._shim.note(entry.line())


Scenario = Literal["saves", "changes"]
Durability = Literal["full", "normal"]


def trace_scenario(case: Case, trace: Path, scenario: Scenario, durability: Durability) -> None:
    """Create a store and go through a scenario, keeping a trace."""
    shim = Shim(case.disk)
    shim.trace(trace)
    ledger = TraceLedger(shim)
    with RunRepository.open(case.results, durability=durability) as repository:
        save(repository, ledger, NEW)
        if scenario == "saves":
            _save_and_delete(repository, ledger)
        else:
            packing = OPTIONS["change over"]
            with RunRepository.open(case.results, durability=durability, **packing) as packer:
                _change_files(repository, packer, ledger)


def _save_and_delete(repository: RunRepository, ledger: Ledger) -> None:
    """Do a little of everything to plain runs."""
    save(repository, ledger, AGAIN)
    save(repository, ledger, AGAIN)
    save_many(repository, ledger, [DOOMED, AGAIN])
    delete(repository, ledger, DOOMED)
    save(repository, ledger, DOOMED)


def _change_files(plain: RunRepository, packer: RunRepository, ledger: Ledger) -> None:
    """Replace files by files of other names, there and back, and delete runs of both kinds."""
    save(packer, ledger, NEW)
    save(plain, ledger, NEW)
    save(packer, ledger, DOOMED)
    delete(plain, ledger, NEW)
    delete(plain, ledger, DOOMED)
    save(plain, ledger, DOOMED)


def trace_until_killed(case: Case, trace: Path, operation: str, fault: Fault) -> None:
    """Create a store, and do one operation until the disk kills this process, keeping a trace."""
    shim = Shim(case.disk)
    shim.trace(trace)
    ledger = TraceLedger(shim)
    with RunRepository.open(case.results) as repository:
        for run_id in (KEPT, AGAIN, DOOMED):
            save(repository, ledger, run_id)
    options = OPTIONS.get(operation, {})
    with RunRepository.open(case.results, **options) as repository, shim.armed(fault):
        operate(repository, ledger, operation)


def trace_opening(case: Case, trace: Path) -> None:
    """Open a store, which recovers it, and save a run; the trace goes on."""
    shim = Shim(case.disk)
    shim.trace(trace)
    with RunRepository.open(case.results) as repository:
        save(repository, TraceLedger(shim), "after")


def stop_before_closing(case: Case, run_id: str) -> None:
    """Save a run and stop, with the write-ahead log as it is."""
    repository = RunRepository.open(case.results)
    save(repository, Ledger(case.ledger), run_id)
    os.kill(os.getpid(), signal.SIGSTOP)
    repository.close()
