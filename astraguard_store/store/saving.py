"""Saving: the order of steps that loses and tears nothing.

A save: the files staged and synced; one transaction, whose COMMIT is the commit
point; the files published under the same ticket, so that no older save can
publish over a newer one. Whatever fails before the commit is undone at once;
whatever fails after it is finished later, here or by `recovery`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staged_runs import StagedRuns
from astraguard_store.artifacts.writer import StagingOptions, stage_runs
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.transaction import Transaction
from astraguard_store.exceptions import DatabaseError
from astraguard_store.formats.notes import SaveNotes, render_notes
from astraguard_store.formats.summary import utc_offset_s
from astraguard_store.model import RunSummary, utc_from_epoch_us
from astraguard_store.options import StoreOptions
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.store.changes import later_if_it_fails
from astraguard_store.store.new_runs import NewRun
from astraguard_store.store.store import FolderStore, Store
from astraguard_store.system.files import sync_folder
from astraguard_store.system.threads import run_all

__all__ = ["close_all", "save_rows", "save_runs"]


class _Moment(NamedTuple):
    """When a save is, and how far local time is ahead of UTC then, seconds."""

    now_us: int
    utc_offset_s: int

    @classmethod
    def now(cls) -> _Moment:
        now_us = time.time_ns() // 1000
        return cls(now_us, utc_offset_s(now_us))


def save_runs(
    store: FolderStore, runs: Mapping[str, NewRun], *, satellite_buckets: bool
) -> list[RunSummary]:
    """Save {run id: run} in one transaction; raises as `RunRepository.save`."""
    if not runs:
        return []
    moment = _Moment.now()
    staged = stage_runs(
        store.root,
        {run_id: run.columns for run_id, run in runs.items()},
        *moment,
        StagingOptions(
            store.options.sync,
            store.options.safe_csv,
            satellite_buckets,
            store.options.compression,
            store.options.keep_measurements == "parquet",
        ),
    )
    transaction: Transaction | None = None
    purpose = _purpose("saving", runs)
    try:
        with store.turn(purpose):
            with store.write(purpose) as transaction:
                saved = [
                    _write(transaction, runs[s.run_id], s.statistics, moment, store.options, s)
                    for s in staged.runs
                ]
                staged.wait()
            for save in staged.runs:
                later_if_it_fails(
                    store, save.publish, f"publishing the files of run {save.run_id!r}"
                )
    except BaseException as error:
        notes = {
            run_id: _notes(run, store.options, satellite_buckets) for run_id, run in runs.items()
        }
        _settle_failed(store, staged, notes, transaction, error)
        raise
    close_all(store, staged.runs)
    return saved


def save_rows(
    store: Store, runs: Mapping[str, NewRun], *, satellite_buckets: bool
) -> list[RunSummary]:
    """Save {run id: run} into a store without files; raises as `RunRepository.save`."""
    statistics = {
        run_id: summarize(run.columns, satellite_buckets=satellite_buckets)
        for run_id, run in runs.items()
    }
    if not statistics:
        return []
    moment = _Moment.now()
    with store.write(_purpose("saving", runs)) as transaction:
        return [
            _write(transaction, runs[run_id], of_run, moment, store.options)
            for run_id, of_run in statistics.items()
        ]


def _notes(run: NewRun, options: StoreOptions, satellite_buckets: bool) -> SaveNotes:
    """Return what the files of *run* don't tell."""
    return SaveNotes(
        run.provenance,
        run.tags,
        satellite_buckets,
        options.keep_measurements == "database",
    )


def _write(
    transaction: Transaction,
    new: NewRun,
    statistics: RunStatistics,
    moment: _Moment,
    options: StoreOptions,
    staged: StagedRun | None = None,
) -> RunSummary:
    summary = RunSummary(
        new.run_id,
        0,
        utc_from_epoch_us(moment.now_us),
        statistics.total_measurements,
        statistics.metrics,
        statistics.satellites,
        staged.artifacts if staged else (),
        new.provenance,
        new.tags,
    )
    run = StoredRun(summary, moment.utc_offset_s, staged.token if staged else None)
    measurements = new.columns if options.keep_measurements == "database" else None
    revision = transaction.save(run, statistics, measurements)
    tags = transaction.tags_of(new.run_id) if revision > 1 else dict(sorted(new.tags.items()))
    return replace(summary, revision=revision, tags=tags)


def _settle_failed(
    store: FolderStore,
    staged: StagedRuns,
    notes: Mapping[str, SaveNotes],
    transaction: Transaction | None,
    error: BaseException,
) -> None:
    """Do with the staged files what the failure of their save asks for."""
    if transaction is not None and transaction.attempted:
        # The database knows, and recovery asks it.
        store.shared.unsettled = True
        staged.leave()
    elif isinstance(error, DatabaseError):
        # Only the index failed: the measurements must not go with it.
        error.kept = staged.keep({run_id: render_notes(note) for run_id, note in notes.items()})
    else:
        staged.discard()


def close_all(store: FolderStore, staged: Sequence[StagedRun]) -> None:
    """Make published names durable and let go of the files; a failure is finished later."""
    steps: list[Callable[[], None]] = [
        partial(later_if_it_fails, store, save.close, f"syncing run {save.run_id!r}")
        for save in staged
    ]
    if any(save.needs_folder_sync for save in staged):
        sync_root = partial(sync_folder, store.root)
        steps.append(partial(later_if_it_fails, store, sync_root, f"syncing {store.root}"))
    run_all(steps)


def _purpose(verb: str, run_ids: Collection[str]) -> str:
    first = next(iter(run_ids), "")
    more = f" and {len(run_ids) - 1} more" if len(run_ids) > 1 else ""
    return f"{verb} run {first!r}{more}"
