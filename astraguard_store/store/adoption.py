"""Folders of old runs → rows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from astraguard_store.artifacts.scanner import folder_names
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.database.whole_runs import RunRows
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.reports import ImportReport
from astraguard_store.store.reading_summaries import FoundRuns, summaries_read
from astraguard_store.store.recovery import keep_unjudged
from astraguard_store.store.store import SharedStore
from astraguard_store.system.interrupts import interrupts_held_back

__all__ = ["Progress", "adopt_folders"]

Progress = Callable[[int, int], None]
"""Called with the number of folders done and their total."""

# A transaction each: so that others get their turn, and memory stays flat.
_BATCH = 500

# From here on more than one process pays: to start one takes as long as to read 1,000 folders.
_MANY_FOLDERS = 5_000
# With so many that read, the one that writes is the slowest.
_MOST_JOBS = 4


def adopt_folders(
    store: SharedStore,
    options: WriteOptions,
    progress: Progress | None = None,
    jobs: int | None = 1,
) -> ImportReport:
    """Write a row for every run folder that has none, from its summary file.

    The files stay as they are. What can't be read is reported, and left alone.
    Run again, it adopts only what is new; interrupted, it goes on where it was.

    Args:
        store: Where to.
        options: How its transactions are wanted.
        progress: Called with (folders done, folders in all).
        jobs: How many processes read the summaries; with 1 this one does. None: as
            many as pay.

    Raises:
        InvalidRunError: *jobs* is below 1.
        ArtifactReadError: A process that read summaries died.
        OSError: The results folder can't be listed.
        StoreError: The database can't be written.
    """
    if jobs is not None and jobs < 1:
        raise InvalidRunError(f"Invalid jobs {jobs!r}: at least 1 is needed")
    if store.root is None:
        return ImportReport(0, 0, ())
    names = sorted(folder_names(store.root))
    if jobs is None:
        jobs = _jobs_that_pay(len(names))
    batches = [names[start : start + _BATCH] for start in range(0, len(names), _BATCH)]
    adopted = skipped = ignored = done = 0
    refused: list[tuple[str, str]] = []
    for batch, missing, found in _found(store, batches, jobs):
        added = _insert(store, options, found.runs) if found.runs else 0
        adopted += added
        skipped += len(batch) - missing + len(found.runs) - added
        refused += found.refused
        ignored += found.without_summary
        done += len(batch)
        if progress:
            progress(done, len(names))
    if not store.database.adopted():
        _finish_first_adoption(store, options)
    return ImportReport(adopted, skipped, tuple(refused), ignored)


def _jobs_that_pay(folders: int) -> int:
    return min(_MOST_JOBS, len(os.sched_getaffinity(0))) if folders >= _MANY_FOLDERS else 1


def _finish_first_adoption(store: SharedStore, options: WriteOptions) -> None:
    with interrupts_held_back():
        # What was staged when a former database was lost: before this one is an ordinary one.
        if not keep_unjudged(store, options):
            return
        with (
            store.ticket.held("adopting old runs", options.busy_timeout_s),
            store.database.transaction(options) as transaction,
        ):
            transaction.mark_adopted(time.time_ns() // 1000)


def _found(
    store: SharedStore, batches: list[list[str]], jobs: int
) -> Iterator[tuple[list[str], int, FoundRuns]]:
    """Yield each batch of folders, how many have no row, and what was read of these."""
    assert store.root is not None  # noqa: S101 - there are no folders in memory
    counts: list[int] = []

    def without_row() -> Iterator[list[str]]:
        for batch in batches:
            missing = store.database.without_row(batch)
            counts.append(len(missing))
            yield missing

    with summaries_read(store.root, without_row(), min(jobs, len(batches))) as all_found:
        for number, (batch, found) in enumerate(zip(batches, all_found, strict=True)):
            yield batch, counts[number], found


def _insert(store: SharedStore, options: WriteOptions, runs: list[RunRows]) -> int:
    with (
        interrupts_held_back(),
        store.ticket.held("adopting old runs", options.busy_timeout_s),
        store.database.transaction(options) as transaction,
    ):
        return len(transaction.insert_new(runs))
