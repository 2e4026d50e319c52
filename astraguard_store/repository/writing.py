"""Saving and deleting: the order of steps that loses and tears nothing.

A save: the files staged and synced; one transaction, whose COMMIT is the commit
point; the files published under the same ticket, so that no older save can
publish over a newer one. Whatever fails before the commit is undone at once;
whatever fails after it is finished later, here or by `recovery`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from astraguard_store.artifacts.files import sync_folder
from astraguard_store.artifacts.publishing import StagedDeletion
from astraguard_store.artifacts.writer import StagedRun, stage_runs
from astraguard_store.columns import Columns
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import Transaction, WriteOptions
from astraguard_store.exceptions import (
    CommitOutcomeUnknownError,
    DatabaseError,
)
from astraguard_store.model import Artifact, RunSummary, utc_from_epoch_us
from astraguard_store.repository.shared_store import SharedStore
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import utc_offset_s

__all__ = ["delete_run", "save_runs"]

logger = logging.getLogger("astraguard_store")

T = TypeVar("T")


def save_runs(
    store: SharedStore,
    options: WriteOptions,
    snapshots: Mapping[str, Columns],
    *,
    safe_csv: bool = False,
) -> list[RunSummary]:
    """Save {run id: measurements} in one transaction; raises as `RunRepository.save`."""
    if not snapshots:
        return []
    now_us = time.time_ns() // 1000
    offset_s = utc_offset_s(now_us)
    if store.root is None:
        return _save_rows_only(store, options, snapshots, now_us, offset_s)
    sync = options.durability == "full"
    staged = stage_runs(store.root, snapshots, now_us, offset_s, sync=sync, safe_csv=safe_csv)
    transaction: Transaction | None = None
    try:
        with store.ticket.held(_purpose("saving", snapshots), options.busy_timeout_s):
            with store.database.transaction(options) as transaction:
                runs = [
                    _write(transaction, s.run_id, s.statistics, s, now_us, offset_s)
                    for s in staged
                ]
            for save in staged:
                _later_if_it_fails(
                    store, save.publish, f"publishing the files of run {save.run_id!r}"
                )
    except BaseException as error:
        _settle_failed(store, staged, transaction, error)
        raise
    _close_all(store, store.root, staged)
    return runs


def delete_run(store: SharedStore, options: WriteOptions, run_id: str) -> None:
    """Delete a run's rows and files; raises as `RunRepository.delete`."""
    store.database.get(run_id)
    if store.root is None:
        with (
            store.ticket.held(_purpose("deleting", [run_id]), options.busy_timeout_s),
            store.database.transaction(options) as rows_only,
        ):
            rows_only.delete(run_id)
        return
    deletion = StagedDeletion(store.root, run_id, sync=options.durability == "full")
    transaction: Transaction | None = None
    try:
        with store.ticket.held(_purpose("deleting", [run_id]), options.busy_timeout_s):
            with store.database.transaction(options) as transaction:
                transaction.delete(run_id)
            _later_if_it_fails(
                store, deletion.remove_files, f"removing the files of run {run_id!r}"
            )
    except BaseException as error:
        if transaction is None or not transaction.attempted:
            deletion.discard()
        store.unsettled |= isinstance(error, CommitOutcomeUnknownError)
        raise
    finally:
        deletion.close()


def _save_rows_only(
    store: SharedStore,
    options: WriteOptions,
    snapshots: Mapping[str, Columns],
    now_us: int,
    offset_s: int,
) -> list[RunSummary]:
    statistics = {run_id: summarize(columns) for run_id, columns in snapshots.items()}
    with (
        store.ticket.held(_purpose("saving", snapshots), options.busy_timeout_s),
        store.database.transaction(options) as transaction,
    ):
        return [
            _write(transaction, run_id, of_run, None, now_us, offset_s)
            for run_id, of_run in statistics.items()
        ]


def _write(
    transaction: Transaction,
    run_id: str,
    statistics: RunStatistics,
    staged: StagedRun | None,
    now_us: int,
    offset_s: int,
) -> RunSummary:
    artifacts: tuple[Artifact, ...] = staged.artifacts if staged else ()

    def summary(revision: int) -> RunSummary:
        return RunSummary(
            run_id,
            revision,
            utc_from_epoch_us(now_us),
            statistics.total_measurements,
            statistics.metrics,
            statistics.satellites,
            artifacts,
        )

    token = staged.token if staged else None
    return summary(transaction.save(StoredRun(summary(0), offset_s, token)))


def _settle_failed(
    store: SharedStore,
    staged: list[StagedRun],
    transaction: Transaction | None,
    error: BaseException,
) -> None:
    """Do with the staged files what the failure of their save asks for."""
    if transaction is not None and transaction.attempted:
        # The database knows, and recovery asks it.
        store.unsettled |= isinstance(error, CommitOutcomeUnknownError)
        for save in staged:
            save.leave()
    elif isinstance(error, DatabaseError):
        # Only the index failed: the measurements must not go with it.
        error.kept = tuple(path for save in staged for path in save.keep())
    else:
        for save in staged:
            save.discard()


def _close_all(store: SharedStore, root: Path, staged: list[StagedRun]) -> None:
    new_folders = [
        _later_if_it_fails(store, save.close, f"syncing run {save.run_id!r}") for save in staged
    ]
    if any(new_folders):
        _later_if_it_fails(store, partial(sync_folder, root), f"syncing {root}")


def _later_if_it_fails(store: SharedStore, step: Callable[[], T], what: str) -> T | None:
    """Run a step after the commit; the run is stored, so a failure doesn't undo it."""
    try:
        return step()
    except OSError as error:
        logger.warning("%s failed (%s); the next save or opening finishes it", what, error)
        store.unsettled = True
        return None


def _purpose(verb: str, run_ids: Mapping[str, Columns] | list[str]) -> str:
    first = next(iter(run_ids), "")
    more = f" and {len(run_ids) - 1} more" if len(run_ids) > 1 else ""
    return f"{verb} run {first!r}{more}"
