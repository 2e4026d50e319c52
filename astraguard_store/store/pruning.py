"""Old runs go, and their bytes with them."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import accumulate
from operator import index
from typing import NamedTuple, SupportsIndex

from astraguard_store.database.backend import Answering
from astraguard_store.database.lists import Prunable, prunable_now, prunable_runs
from astraguard_store.database.sqlite.compaction import is_worth_it, used_bytes
from astraguard_store.exceptions import (
    DatabaseDamagedError,
    DatabaseError,
    InvalidRunError,
)
from astraguard_store.reports import Progress, PruneReport
from astraguard_store.store.deleting import Deleted, delete_runs
from astraguard_store.store.store import Store
from astraguard_store.system.files import size_if_there
from astraguard_store.system.interrupts import interrupts_held_back

# Of one transaction: a few syncs for all of them, and others get their turn.
_BATCH_RUNS = 100
# Of kept measurements: 8 MB of the log, and 0.1 s.
_BATCH_ROWS = 100_000
# Of a kept measurement in the database: 38 where a run's id has 8 characters.
_ROW_BYTES = 40


@dataclass(frozen=True, slots=True)
class Pruning:
    """What to prune.

    Attributes:
        keep: The newest so many runs stay, pinned ones among them; None: none do
            for being new.
        older_than: Runs that were recorded later than so long ago stay.
        measurements_only: Only the measurements that the database keeps go.
        unfinished: Failed and interrupted runs go too; a running one never does.

    Raises:
        InvalidRunError: One of them can't be, or neither says which runs stay.
    """

    keep: int | None
    older_than: timedelta | None
    measurements_only: bool = False
    unfinished: bool = False

    def __post_init__(self) -> None:
        if self.keep is None and self.older_than is None:
            raise InvalidRunError("prune needs keep, older_than or both: else every run would go")
        if self.keep is not None:
            _check_keep(self.keep)
        if self.older_than is not None:
            _check_age(self.older_than)

    def stays(self, run: Prunable) -> bool:
        """Return whether a run that would go stays for not being finished."""
        return run.state == "running" or (run.state != "finished" and not self.unfinished)

    def may_go(self, run: Prunable, now: Prunable) -> bool:
        """Return whether a run that was chosen may still go, as it is *now*."""
        return (
            not now.is_pinned and not self.stays(now) and now.recorded_at_us == run.recorded_at_us
        )

    def chosen(self, database: Answering) -> _Chosen:
        """Return which runs it is about."""
        runs = database.read(prunable_runs)
        age_us = (self.older_than or timedelta(0)) // timedelta(microseconds=1)
        # Without a limit of age no clock counts: a run may have been recorded by a fast one.
        end_us = None if self.older_than is None else time.time_ns() // 1000 - age_us
        chosen = [
            run
            for run in runs[self.keep or 0 :]
            if (end_us is None or run.recorded_at_us < end_us)
            and (run.kept_rows or not self.measurements_only)
        ]
        chosen.reverse()
        unfinished = [run.run_id for run in chosen if self.stays(run)]
        return _Chosen([run for run in chosen if not self.stays(run)], unfinished, runs)


class _Chosen(NamedTuple):
    """The runs that a pruning is about.

    Attributes:
        runs: Those that go but for the pinned ones, oldest first.
        unfinished: The ids of those that stay for not being finished, oldest first.
        all_runs: These and all others, newest first.
    """

    runs: list[Prunable]
    unfinished: list[str]
    all_runs: list[Prunable]

    @property
    def going(self) -> list[Prunable]:
        return [run for run in self.runs if not run.is_pinned]

    @property
    def pinned(self) -> list[str]:
        return [run.run_id for run in self.runs if run.is_pinned]


def estimate(store: Store, pruning: Pruning) -> PruneReport:
    """Return what `prune` would do now; reads only."""
    chosen = pruning.chosen(store.database)
    going = chosen.going
    runs = chosen.all_runs
    has_files = going and not pruning.measurements_only
    leaving = {run.run_id for run in going}
    staying = [run.run_id for run in runs if run.run_id not in leaving]
    return report_of(
        pruning,
        [run.run_id for run in going],
        chosen.pinned,
        chosen.unfinished,
        file_bytes=store.noted_file_bytes(staying) if has_files else 0,
        database_bytes=_estimated_bytes(store, pruning, going, runs) if runs else 0,
        dry_run=True,
    )


def prune(store: Store, pruning: Pruning, progress: Progress | None) -> PruneReport:
    """Delete runs, or measurements, and give their bytes back to the disk.

    Oldest first, in batches of one transaction each: whenever it ends, no run is half
    deleted, and none went before an older one. In between others may save.
    """
    chosen, unfinished, _ = pruning.chosen(store.database)
    gone: list[str] = []
    pinned: list[str] = []
    done, file_bytes, before = 0, 0, _database_size(store)
    while done < len(chosen):
        if progress:
            progress(done, len(chosen))
        batch = _batch_of(chosen, done)
        with interrupts_held_back():
            deleted = _prune_batch(store, batch, pruning, pinned)
        gone += deleted.run_ids
        file_bytes += deleted.file_bytes
        done += len(batch)
    if progress:
        progress(len(chosen), len(chosen))
    with interrupts_held_back():
        failure = _compact(store)
    freed = max(0, before - _database_size(store))
    return report_of(
        pruning,
        gone,
        pinned,
        unfinished,
        file_bytes=file_bytes,
        database_bytes=freed,
        failure=failure,
    )


def _batch_of(chosen: list[Prunable], done: int) -> list[Prunable]:
    """Return the next runs: one at first, so that an error or Ctrl-C stops early, then more."""
    batch = chosen[done : done + min(max(done, 1), _BATCH_RUNS)]
    kept_rows = list(accumulate(run.kept_rows for run in batch))
    return batch[: max(1, bisect_right(kept_rows, _BATCH_ROWS))]


def report_of(
    pruning: Pruning,
    gone: list[str],
    pinned: list[str],
    unfinished: list[str],
    *,
    file_bytes: int = 0,
    database_bytes: int = 0,
    failure: str | None = None,
    dry_run: bool = False,
) -> PruneReport:
    """Return what a pruning did, or would do; the runs by their ids."""
    run_ids = tuple(gone)
    return PruneReport(
        deleted=() if pruning.measurements_only else run_ids,
        purged=run_ids if pruning.measurements_only else (),
        pinned=tuple(pinned),
        file_bytes=file_bytes,
        database_bytes=database_bytes,
        not_compacted=failure,
        dry_run=dry_run,
        unfinished=tuple(unfinished),
    )


def _prune_batch(
    store: Store, batch: list[Prunable], pruning: Pruning, pinned: list[str]
) -> Deleted:
    """Delete those runs of a batch that may still go; add to *pinned* those that stay for that."""
    run_ids = [run.run_id for run in batch]

    def may_go() -> list[str]:
        """Look at the runs again: one may have been pinned, or saved, since it was chosen."""
        now = store.database.read(partial(prunable_now, run_ids=run_ids))
        there = [(run, now[run.run_id]) for run in batch if run.run_id in now]
        pinned.extend(run.run_id for run, found in there if found.is_pinned)
        return [run.run_id for run, found in there if pruning.may_go(run, found)]

    purpose = f"pruning {len(batch)} runs from {run_ids[0]!r} on"
    if not pruning.measurements_only:
        return delete_runs(store, run_ids, may_go, purpose)
    with store.turn(purpose):
        going = may_go()
        with store.write(purpose) as transaction:
            for run_id in going:
                transaction.purge_measurements(run_id)
    return Deleted(tuple(going), 0)


def _database_size(store: Store) -> int:
    path = store.database.path
    return 0 if path is None else size_if_there(path) + size_if_there(f"{path}-wal")


def _compact(store: Store) -> str | None:
    """Return why it failed, None if it didn't: the runs are deleted in any case."""
    try:
        with store.turn("compacting the database"):
            store.database.compact(store.options)
    except DatabaseDamagedError:
        raise
    except DatabaseError as error:
        return str(error)
    return None


def _estimated_bytes(
    store: Store, pruning: Pruning, going: list[Prunable], runs: list[Prunable]
) -> int:
    """Return what the rows of *going* take: kept measurements by number, the rest alike."""
    used, free = store.database.read(used_bytes)
    kept = _ROW_BYTES * sum(run.kept_rows for run in going)
    if not pruning.measurements_only:
        rest = max(0, used - _ROW_BYTES * sum(run.kept_rows for run in runs))
        kept += rest * len(going) // len(runs)
    gone = min(used, kept)
    if not is_worth_it(free + gone, used + free):
        return 0
    # What stays is written into a file of its own size, and the log is emptied.
    return max(0, _database_size(store) - (used - gone))


def _check_keep(keep: object) -> None:
    # NumPy's integers are none of Python's.
    if isinstance(keep, bool) or not isinstance(keep, SupportsIndex) or index(keep) < 0:
        raise InvalidRunError(f"Invalid keep {keep!r}: a number of runs is needed")


def _check_age(older_than: object) -> None:
    if not isinstance(older_than, timedelta) or older_than < timedelta(0):
        raise InvalidRunError(
            f"Invalid older_than {older_than!r}: a timedelta is needed, and not below zero"
        )
