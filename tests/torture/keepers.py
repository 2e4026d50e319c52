"""What children do to keep a store in order: merge, prune, tag, mend, import, export.

What brings or removes runs is noted in the ledger like a save or a deletion, and
whoever finds it undone does it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import reference

from astraguard_store import RunRepository
from astraguard_store.store.schema_versions import upgrade_schema

from .cases import Case
from .ledger import Entry, Ledger, acknowledged_saves, read_ledger
from .savers import AGAIN, DOOMED, KEPT, OPTIONS, SATELLITES, prepare, save
from .shim import Fault, Shim
from .toys import sync_folder

BOTH = "both"
PACKED = "packed"
PINNED = "pinned"
# Of a prune, oldest first; the last two go in one transaction.
PRUNED = (AGAIN, DOOMED, BOTH, "fourth")
TAGS_BEFORE = {"week": "46", "note": "the fan's off"}
TAGS_SET = {"week": "47", "note": None, PINNED: ""}
TAGS_AFTER = {"week": "47", PINNED: ""}
OLD_RUNS = {"old-1": 101, "old-2": 102, "old-3": 103}
ADOPTED = {"adopted": 104}
CHANGED = b"changed by hand"


def source_of(case: Case) -> Path:
    """Name the store that is merged."""
    return case.disk / "source"


def source_ledger(case: Case) -> Path:
    """Name the ledger of the store that is merged."""
    return case.root / "source-ledger"


def write_old_runs(results: Path, tags: Mapping[str, int]) -> None:
    """Lay runs into *results* as the old class left them, of the same shape as a saver's."""
    for run_id, tag in tags.items():
        rows = [
            (1_700_000_000.0 + step, kind, satellite, tag / (step + 1), float(step))
            for step in range(2)
            for satellite in SATELLITES
            for kind in ("fault_detection", "agent_decision")
        ]
        reference.write_old_run(results, run_id, rows)


def prepare_merge(case: Case) -> None:
    """Make a store, and another that has a run in common with it and another save of a run."""
    prepare(case)
    with closing(Ledger(source_ledger(case))) as there:
        with RunRepository.open(source_of(case)) as source:
            save(source, there, BOTH)
        keep(case, "merge")
        with RunRepository.open(source_of(case)) as source:
            for run_id in ("there", "there too", KEPT):
                save(source, there, run_id)
        with RunRepository.open(source_of(case), **OPTIONS["change over"]) as source:
            save(source, there, "packed")


def newest_of_source(case: Case) -> dict[str, Entry]:
    """Say which saves the other store has of the runs that a merge may take."""
    saves = acknowledged_saves(read_ledger(source_ledger(case)))
    return {entry.run_id: entry for entry in saves if entry.run_id != KEPT}


def _merge(case: Case, repository: RunRepository, ledger: Ledger) -> None:
    brought = newest_of_source(case)
    with ledger.operation("save", {name: e.tag for name, e in brought.items()}) as revisions:
        report = repository.merge(source_of(case))
        assert {*report.merged, *report.skipped} == {*brought}, report
        assert [run_id for run_id, _ in report.conflicts] in ([], [KEPT]), report
        assert not report.refused, report
        assert not report.without_files, report
        revisions.update((name, entry.revision) for name, entry in brought.items())


def prepare_prune(case: Case) -> None:
    """Make a store with old runs that fill a good part of the database, and a pinned one."""
    with (
        closing(Ledger(case.ledger)) as ledger,
        RunRepository.open(case.results, keep_measurements="database") as repository,
    ):
        save(repository, ledger, PINNED)
        repository.set_tags(PINNED, {PINNED: ""})
        for run_id in PRUNED:
            save(repository, ledger, run_id, steps=100)
        save(repository, ledger, KEPT)


def _prune(_: Case, repository: RunRepository, ledger: Ledger) -> None:
    with ledger.operation("delete", dict.fromkeys(PRUNED, 0)):
        report = repository.prune(keep=1)
        assert report.pinned == (PINNED,), report
        assert report.not_compacted is None, report


def _purge(_: Case, repository: RunRepository, __: Ledger) -> None:
    report = repository.prune(keep=1, measurements_only=True)
    assert report.not_compacted is None, report


def prepare_tags(case: Case) -> None:
    """Make a store with a run that has tags."""
    prepare(case)
    with RunRepository.open(case.results) as repository:
        repository.set_tags(AGAIN, TAGS_BEFORE)


def _set_tags(_: Case, repository: RunRepository, __: Ledger) -> None:
    assert repository.set_tags(AGAIN, TAGS_SET).tags == TAGS_AFTER


def prepare_fix(case: Case) -> None:
    """Make a store that lacks what a check mends: summaries, rows, hashes and buckets."""
    write_old_runs(case.results, ADOPTED)
    with closing(Ledger(case.ledger)) as ledger, _are_saved(ledger, ADOPTED):
        prepare(case)
    (case.results / KEPT / reference.SUMMARY).unlink()
    (case.results / AGAIN / reference.SUMMARY).write_bytes(CHANGED)
    write_old_runs(case.results, OLD_RUNS)


def _fix(_: Case, repository: RunRepository, ledger: Ledger) -> None:
    with _are_saved(ledger, OLD_RUNS):
        report = repository.check(fix=True)
        faults = [found for found in report.findings if found.severity == "fault"]
        assert not faults, faults


def prepare_import(case: Case) -> None:
    """Lay old runs beside those of a store that is there."""
    prepare(case)
    write_old_runs(case.results, OLD_RUNS)


def prepare_first_import(case: Case) -> None:
    """Lay old runs into a folder that is no store yet."""
    write_old_runs(case.results, OLD_RUNS)


def _import(_: Case, repository: RunRepository, ledger: Ledger) -> None:
    with _are_saved(ledger, OLD_RUNS):
        report = repository.import_legacy()
        assert not report.refused, report
        assert report.adopted + report.skipped >= len(OLD_RUNS), report


@contextmanager
def _are_saved(ledger: Ledger, tags: Mapping[str, int]) -> Iterator[None]:
    """Note that old runs are adopted inside of the block."""
    with ledger.operation("save", tags) as revisions:
        yield
        revisions.update(dict.fromkeys(tags, 1))


@dataclass(frozen=True, slots=True)
class Keeping:
    """Something that keeps a store in order.

    Attributes:
        prepare: Makes a store on which there is something to do.
        work: Does it, and raises an AssertionError if it isn't done then.
        opening_fails: Whether the disk fails from the opening on.
    """

    prepare: Callable[[Case], None]
    work: Callable[[Case, RunRepository, Ledger], None]
    opening_fails: bool = False


KEEPING = {
    "merge": Keeping(prepare_merge, _merge),
    "prune": Keeping(prepare_prune, _prune),
    "prune of measurements": Keeping(prepare_prune, _purge),
    "set_tags": Keeping(prepare_tags, _set_tags),
    "check --fix": Keeping(prepare_fix, _fix),
    "import": Keeping(prepare_import, _import),
    "import into a new store": Keeping(prepare_first_import, _import, opening_fails=True),
}


def keep(case: Case, what: str) -> None:
    """Open the store, and do one of `KEEPING` to it."""
    with (
        closing(Ledger(case.ledger)) as ledger,
        RunRepository.open(case.results, adopt=False) as repository,
    ):
        KEEPING[what].work(case, repository, ledger)


def keep_once(case: Case, what: str, fault: Fault) -> None:
    """Open the store, do one of `KEEPING` on a faulty disk, and answer how many steps it had."""
    keeping = KEEPING[what]
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    if keeping.opening_fails:
        shim.arm(fault)
    with RunRepository.open(case.results, adopt=False) as repository:
        if not keeping.opening_fails:
            shim.arm(fault)
        keeping.work(case, repository, ledger)
        case.answer.write_text(str(shim.disarm()))


def export_once(case: Case, name: str, fault: Fault) -> None:
    """Export two runs to *name* beside the store, on a faulty disk; answer as `keep_once`."""
    shim = Shim(case.disk)
    with RunRepository.open(case.results) as repository:
        shim.arm(fault)
        export(repository, case.disk / name)
        case.answer.write_text(str(shim.disarm()))


def export(repository: RunRepository, target: Path) -> None:
    """Export the same two runs as every export here."""
    repository.export([KEPT, AGAIN], target)


def trace_copy(case: Case, trace: Path, database: Path, name: str) -> None:
    """Copy a database into a new store, durably, keeping a trace."""
    Shim(case.disk).trace(trace)
    case.results.mkdir()
    with (case.results / name).open("xb", buffering=0) as copy:
        copy.write(database.read_bytes())
        os.fsync(copy.fileno())
    for folder in (case.results, case.disk):
        sync_folder(folder)


def trace_upgrade(case: Case, trace: Path) -> None:
    """Upgrade a store; the trace goes on."""
    Shim(case.disk).trace(trace)
    upgrade_schema(case.results)
