"""Saving and deleting: the order of steps that loses and tears nothing.

A save: the files staged and synced; one transaction, whose COMMIT is the commit
point; the files published under the same ticket, so that no older save can
publish over a newer one. Whatever fails before the commit is undone at once;
whatever fails after it is finished later, here or by `recovery`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from astraguard_store.artifacts.background import run_all
from astraguard_store.artifacts.files import sync_folder
from astraguard_store.artifacts.layout import Compression
from astraguard_store.artifacts.publishing import StagedDeletion
from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staged_runs import StagedRuns
from astraguard_store.artifacts.writer import StagingOptions, stage_runs
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import Transaction, WriteOptions
from astraguard_store.exceptions import DatabaseError, RunNotFoundError
from astraguard_store.model import RunSummary, utc_from_epoch_us
from astraguard_store.repository.new_runs import NewRun
from astraguard_store.repository.save_notes import SaveNotes, render_notes
from astraguard_store.repository.shared_store import SharedStore
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import utc_offset_s

__all__ = [
    "KeptMeasurements",
    "SaveOptions",
    "close_all",
    "delete_run",
    "later_if_it_fails",
    "purge_measurements",
    "save_runs",
    "set_tags",
]

logger = logging.getLogger("astraguard_store")


KeptMeasurements = Literal["csv", "database", "parquet"]
"""Where measurements are kept: in the CSV alone, in the table too, or in parquet too."""


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """What a save keeps, and how.

    Attributes:
        safe_csv: Put an apostrophe before names that look like formulas.
        satellite_buckets: Keep the buckets of each satellite too.
        compression: Of the CSV and the summary.
        keep_measurements: Where else than in the CSV they are kept.
    """

    safe_csv: bool = False
    satellite_buckets: bool = False
    compression: Compression | None = None
    keep_measurements: KeptMeasurements = "csv"

    def staging(self, *, sync: bool) -> StagingOptions:
        """Return what of it is for the files."""
        return StagingOptions(
            sync,
            self.safe_csv,
            self.satellite_buckets,
            self.compression,
            self.keep_measurements == "parquet",
        )

    def notes(self, run: NewRun) -> SaveNotes:
        """Return what the files of *run* don't tell."""
        return SaveNotes(
            run.provenance, run.tags, self.satellite_buckets, self.keep_measurements == "database"
        )


class _Moment(NamedTuple):
    """When a save is, and how far local time is ahead of UTC then, seconds."""

    now_us: int
    utc_offset_s: int

    @classmethod
    def now(cls) -> _Moment:
        now_us = time.time_ns() // 1000
        return cls(now_us, utc_offset_s(now_us))


def save_runs(
    store: SharedStore,
    options: WriteOptions,
    runs: Mapping[str, NewRun],
    save_options: SaveOptions,
) -> list[RunSummary]:
    """Save {run id: run} in one transaction; raises as `RunRepository.save`."""
    if not runs:
        return []
    moment = _Moment.now()
    if store.root is None:
        return _save_rows_only(store, options, runs, save_options, moment)
    staged = stage_runs(
        store.root,
        {run_id: run.columns for run_id, run in runs.items()},
        *moment,
        save_options.staging(sync=options.durability == "full"),
    )
    transaction: Transaction | None = None
    try:
        with store.ticket.held(_purpose("saving", runs), options.busy_timeout_s):
            with store.database.transaction(options) as transaction:
                saved = [
                    _write(transaction, runs[s.run_id], s.statistics, moment, save_options, s)
                    for s in staged.runs
                ]
                staged.wait()
            for save in staged.runs:
                later_if_it_fails(
                    store, save.publish, f"publishing the files of run {save.run_id!r}"
                )
    except BaseException as error:
        notes = {run_id: save_options.notes(run) for run_id, run in runs.items()}
        _settle_failed(store, staged, notes, transaction, error)
        raise
    close_all(store, store.root, staged.runs)
    return saved


def delete_run(
    store: SharedStore,
    options: WriteOptions,
    run_id: str,
    *,
    may_go: Callable[[], bool] = lambda: True,
) -> bool:
    """Delete a run's rows and files; raises as `RunRepository.delete`.

    Args:
        store: The open store.
        options: How its transactions are wanted.
        run_id: The run.
        may_go: Asked when the ticket is held, so that nobody can change the answer.

    Returns:
        Whether it may.
    """
    store.database.get(run_id)
    if store.root is None:
        with store.ticket.held(_purpose("deleting", [run_id]), options.busy_timeout_s):
            if not may_go():
                return False
            with store.database.transaction(options) as rows_only:
                rows_only.delete(run_id)
        return True
    # Its lock first, then the ticket: everybody's order.
    deletion = StagedDeletion(store.root, run_id, sync=options.durability == "full")
    transaction: Transaction | None = None
    try:
        with store.ticket.held(_purpose("deleting", [run_id]), options.busy_timeout_s):
            if not may_go():
                deletion.discard()
                return False
            with store.database.transaction(options) as transaction:
                transaction.delete(run_id)
            later_if_it_fails(
                store, deletion.remove_files, f"removing the files of run {run_id!r}"
            )
    except BaseException:
        if transaction is not None and transaction.attempted:
            # The database knows, and recovery asks it.
            store.unsettled = True
        else:
            deletion.discard()
        raise
    finally:
        deletion.close()
    return True


def set_tags(
    store: SharedStore, options: WriteOptions, run_id: str, tags: Mapping[str, str | None]
) -> None:
    """Set and, where None, remove tags; raises as `RunRepository.set_tags`."""
    with _changing(store, options, "tagging", run_id) as transaction:
        transaction.set_tags(run_id, tags)


def purge_measurements(store: SharedStore, options: WriteOptions, run_id: str) -> int:
    """Delete a run's kept measurements; raises as `RunRepository.purge_measurements`."""
    with _changing(store, options, "purging", run_id) as transaction:
        return transaction.purge_measurements(run_id)


@contextmanager
def _changing(
    store: SharedStore, options: WriteOptions, verb: str, run_id: str
) -> Iterator[Transaction]:
    """Change rows of a stored run inside."""
    store.database.get(run_id)
    with (
        store.ticket.held(_purpose(verb, [run_id]), options.busy_timeout_s),
        store.database.transaction(options) as transaction,
    ):
        if transaction.load(run_id) is None:
            raise RunNotFoundError(run_id, str(store.root or "the database in memory"))
        yield transaction


def _save_rows_only(
    store: SharedStore,
    options: WriteOptions,
    runs: Mapping[str, NewRun],
    save_options: SaveOptions,
    moment: _Moment,
) -> list[RunSummary]:
    statistics = {
        run_id: summarize(run.columns, satellite_buckets=save_options.satellite_buckets)
        for run_id, run in runs.items()
    }
    with (
        store.ticket.held(_purpose("saving", runs), options.busy_timeout_s),
        store.database.transaction(options) as transaction,
    ):
        return [
            _write(transaction, runs[run_id], of_run, moment, save_options)
            for run_id, of_run in statistics.items()
        ]


def _write(
    transaction: Transaction,
    new: NewRun,
    statistics: RunStatistics,
    moment: _Moment,
    save_options: SaveOptions,
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
    measurements = new.columns if save_options.keep_measurements == "database" else None
    revision = transaction.save(run, statistics, measurements)
    tags = transaction.tags_of(new.run_id) if revision > 1 else dict(sorted(new.tags.items()))
    return replace(summary, revision=revision, tags=tags)


def _settle_failed(
    store: SharedStore,
    staged: StagedRuns,
    notes: Mapping[str, SaveNotes],
    transaction: Transaction | None,
    error: BaseException,
) -> None:
    """Do with the staged files what the failure of their save asks for."""
    if transaction is not None and transaction.attempted:
        # The database knows, and recovery asks it.
        store.unsettled = True
        staged.leave()
    elif isinstance(error, DatabaseError):
        # Only the index failed: the measurements must not go with it.
        error.kept = staged.keep({run_id: render_notes(note) for run_id, note in notes.items()})
    else:
        staged.discard()


def close_all(store: SharedStore, root: Path, staged: Sequence[StagedRun]) -> None:
    """Make published names durable and let go of the files; a failure is finished later."""
    steps: list[Callable[[], None]] = [
        partial(later_if_it_fails, store, save.close, f"syncing run {save.run_id!r}")
        for save in staged
    ]
    if any(save.needs_folder_sync for save in staged):
        sync_root = partial(sync_folder, root)
        steps.append(partial(later_if_it_fails, store, sync_root, f"syncing {root}"))
    run_all(steps)


def later_if_it_fails(store: SharedStore, step: Callable[[], object], what: str) -> None:
    """Run a step after the commit; the run is stored, so a failure doesn't undo it."""
    try:
        step()
    except OSError as error:
        logger.warning("%s failed (%s); the next save or opening finishes it", what, error)
        store.unsettled = True


def _purpose(verb: str, run_ids: Collection[str]) -> str:
    first = next(iter(run_ids), "")
    more = f" and {len(run_ids) - 1} more" if len(run_ids) > 1 else ""
    return f"{verb} run {first!r}{more}"
