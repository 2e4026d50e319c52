"""What children do to one store at the same time: write, sweep, read, open."""

from __future__ import annotations

import json
import threading
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event

from astraguard_store import RunRepository, RunSummary

from .audit import file_tags, statistics_rows, tags
from .cases import Case
from .ledger import Ledger
from .savers import SATELLITES, recording, save
from .shim import Shim

SHARED = "shared"


def save_often(case: Case, own: str, saves: int, start: Barrier, sync_delay_ms: float) -> None:
    """Save new runs, one of its own, and one shared by all, in turn."""
    Shim(case.disk).delay_syncs(sync_delay_ms)
    ledger = Ledger(case.ledger)
    with RunRepository.in_memory() as elsewhere:
        # Imports what saves need, so that no save waits for that.
        elsewhere.save(own, recording(0, 1))
    with RunRepository.open(case.results) as repository:
        start.wait(60)
        for number in range(saves):
            save(repository, ledger, (f"{own}-{number}", own, SHARED)[number % 3])


def save_in_threads(case: Case, threads: int, saves: int) -> None:
    """Save from many threads through one repository."""
    with RunRepository.open(case.results) as repository:

        def work(own: str) -> None:
            ledger = Ledger(case.ledger)
            for number in range(saves):
                save(repository, ledger, own if number % 2 else SHARED)
            ledger.close()

        workers = [threading.Thread(target=work, args=(f"own{n}",)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def sweep_until(case: Case, over: Event, sweeps: Synchronized[int]) -> None:
    """Recover without end, now and then through a store opened anew."""
    while not over.is_set():
        with RunRepository.open(case.results) as repository:
            for _ in range(20):
                repository.recover()
        with sweeps.get_lock():
            sweeps.value += 20


def save_shared_until(case: Case, over: Event) -> None:
    """Save the shared run, shorter and longer in turn."""
    ledger = Ledger(case.ledger)
    steps = 1
    with RunRepository.open(case.results) as repository:
        while not over.is_set():
            save(repository, ledger, SHARED, steps)
            steps = steps % 5 + 1


def read_rows(case: Case, seconds: float) -> None:
    """Read the shared run through the store, and answer the reads that weren't of one save."""
    reads = 0
    seen: list[str] = []
    end = time.monotonic() + seconds
    with RunRepository.open(case.results, read_only=True) as repository:
        while time.monotonic() < end:
            reads += 1
            summary = repository.get(SHARED)
            if not is_whole(summary):
                seen.append(repr(summary))
            changes = repository.compare(SHARED, SHARED, by_satellite=True).changes
            if len({(c.max_ms.baseline, c.max_ms.candidate) for c in changes}) != 1:
                seen.append(repr(changes))
    case.answer.write_text(json.dumps([reads, seen[:10]]))


def is_whole(summary: RunSummary) -> bool:
    """Tell whether all rows of a run are of one save."""
    counts = {metric.count for metric in summary.metrics.values()}
    each = {m.count for m in statistics_rows(summary)} - counts
    total = summary.total_measurements
    return (
        len(tags(summary)) == 1
        and len(counts) == 1
        and {count * len(SATELLITES) for count in each} == counts
        and total == sum(m.count for m in summary.metrics.values())
    )


def read_files(case: Case, seconds: float) -> None:
    """Read the shared run's files as old readers do, and answer what wasn't whole."""
    reads = 0
    seen: list[str] = []
    end = time.monotonic() + seconds
    files = [case.results / SHARED / name for name in ("latency_summary.json", "latency_raw.csv")]
    while time.monotonic() < end:
        for file in files:
            reads += 1
            try:
                if len(file_tags(file)) != 1:
                    seen.append(f"{file.name} is of several saves")
            except (OSError, ValueError, KeyError, IndexError) as error:
                seen.append(f"{file.name}: {error!r}")
    case.answer.write_text(json.dumps([reads, seen[:10]]))


def open_together(case: Case, number: int, start: Barrier) -> None:
    """Open a store that others open in the same moment, and save a run."""
    ledger = Ledger(case.ledger)
    start.wait(60)
    with RunRepository.open(case.results) as repository:
        save(repository, ledger, f"run{number}")


def open_use_close(case: Case, number: int, times: int) -> None:
    """Open, save or read, and close, again and again."""
    ledger = Ledger(case.ledger)
    for turn in range(times):
        with RunRepository.open(case.results) as repository:
            if turn % 3 == 0:
                save(repository, ledger, f"run{number}")
            else:
                assert repository.get(f"run{number}").revision == turn // 3 + 1


def publish_revisions(case: Case, published: Synchronized[int], over: Event) -> None:
    """Save the shared run, and publish each revision once it is saved."""
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        while not over.is_set():
            published.value = save(repository, ledger, SHARED).revision


def read_published(case: Case, published: Synchronized[int], seconds: float) -> None:
    """Answer how many reads gave less than what had been published before they began."""
    reads = stale = 0
    end = time.monotonic() + seconds
    with RunRepository.open(case.results) as repository:
        while time.monotonic() < end:
            known = published.value
            stale += repository.get(SHARED).revision < known
            stale += repository.recent(1)[0].revision < known
            reads += 2
        hits = repository.cache_info().hits
    case.answer.write_text(json.dumps([reads, stale, hits]))
