"""What a dead process left in the staging folder, finished or undone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from astraguard_store.artifacts.files import read_file, sync_folder
from astraguard_store.artifacts.layout import FILE_NAMES
from astraguard_store.artifacts.publishing import (
    found_artifact,
    publish_files,
    remove_files,
)
from astraguard_store.artifacts.reader import read_columns
from astraguard_store.artifacts.staging import (
    DELETION_SUFFIX,
    KEPT_SUFFIXES,
    SUFFIXES,
    StagedName,
    claim,
    staged_names,
    unlock,
)
from astraguard_store.columns import Columns
from astraguard_store.csv_format import plain_labels
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import Transaction, WriteOptions
from astraguard_store.exceptions import ArtifactReadError, StoreError
from astraguard_store.model import RunSummary, utc_from_epoch_us
from astraguard_store.repository.shared_store import SharedStore
from astraguard_store.statistics import summarize
from astraguard_store.summary_format import parse_document, parse_summary, utc_offset_s

__all__ = ["recover", "settle"]

logger = logging.getLogger("astraguard_store")


def recover(store: SharedStore, options: WriteOptions) -> None:
    """Settle all that lies in the staging folder and whose saver is gone.

    Any number of processes may do so at once. It is best effort: on a full disk
    it can't finish, and says so in the log; the next opening tries again.

    It waits until the folders that were there before the database are adopted:
    what was going on when a former database was lost can't be judged by the
    rows of an empty one.
    """
    if store.root is None or not store.database.adopted():
        return
    settled = True
    for (run_id, token), names in groupby(
        staged_names(store.root), key=lambda name: (name.run_id, name.token)
    ):
        try:
            settle(store, options, tuple(names))
        except (OSError, StoreError) as error:
            settled = False
            logger.warning(
                "%s: what was staged for run %r (%s) could not be settled: %s",
                store.root,
                run_id,
                token,
                error,
            )
    store.unsettled = not settled


def settle(store: SharedStore, options: WriteOptions, names: tuple[StagedName, ...]) -> None:
    """Finish or undo one save or deletion, unless its process is alive.

    Raises:
        StoreError: The database can't be asked.
        OSError: A file can't be moved or removed.
    """
    root = store.root
    assert root is not None  # noqa: S101 - nothing is staged in memory
    run_id, token = names[0].run_id, names[0].token
    # The staged files' locks first, then the ticket: everybody's order.
    with _claimed(root, names) as claimed:
        if not claimed:
            return
        with store.ticket.held(f"recovering run {run_id!r}", options.busy_timeout_s):
            # The transaction begins with a write, so its commit overwrites what a
            # failed commit may have left in the log, and only then is decided.
            with store.database.transaction(options) as transaction:
                transaction.fence()
                stored = transaction.load(run_id)
                if any(name.suffix in KEPT_SUFFIXES.values() for name in names):
                    stored = _adopt_kept(root, transaction, names, stored)
            if names[0].suffix == DELETION_SUFFIX:
                _finish_deletion(root, names[0], run_is_gone=stored is None)
            elif stored is not None and stored.staging_token == token:
                publish_files(root, run_id, token)
                sync_folder(root / run_id)
                sync_folder(root)
                # After a power cut a file may have both names, and moving it then
                # leaves the old one.
                _remove(root, names)
                logger.info("%s: finished the save of run %r", root, run_id)
            else:
                _remove(root, names)
                logger.info("%s: undid an unfinished save of run %r", root, run_id)


@contextmanager
def _claimed(root: Path, names: Iterable[StagedName]) -> Iterator[bool]:
    """Hold the locks of all *names* inside; False if one is alive or gone."""
    descriptors: list[int] = []
    try:
        for name in names:
            descriptor = claim(name.path(root))
            if descriptor is None:
                yield False
                return
            descriptors.append(descriptor)
        yield True
    finally:
        for descriptor in descriptors:
            unlock(descriptor)


def _finish_deletion(root: Path, marker: StagedName, *, run_is_gone: bool) -> None:
    if run_is_gone:
        remove_files(root, marker.run_id)
        logger.info("%s: finished the deletion of run %r", root, marker.run_id)
    marker.path(root).unlink()


def _remove(root: Path, names: Iterable[StagedName]) -> None:
    for name in names:
        name.path(root).unlink(missing_ok=True)


def _adopt_kept(
    root: Path, transaction: Transaction, names: tuple[StagedName, ...], stored: StoredRun | None
) -> StoredRun | None:
    """Save what a save could not, for the database; a newer save of the run wins."""
    by_suffix = {name.suffix: name.path(root) for name in names}
    csv_path = by_suffix.get(KEPT_SUFFIXES["raw_csv"]) or by_suffix.get(SUFFIXES["raw_csv"])
    if csv_path is None:
        return stored
    recorded_at_us = os.stat(csv_path).st_mtime_ns // 1000
    recorded_at = utc_from_epoch_us(recorded_at_us)
    if stored is not None and stored.summary.recorded_at >= recorded_at:
        return stored
    paths = {
        kind: by_suffix.get(KEPT_SUFFIXES[kind]) or by_suffix.get(SUFFIXES[kind])
        for kind in FILE_NAMES
    }
    statistics = summarize(_named_as_recorded(read_columns(csv_path), paths["summary_json"]))
    run_id = names[0].run_id
    summary = RunSummary(
        run_id,
        0,
        recorded_at,
        statistics.total_measurements,
        statistics.metrics,
        statistics.satellites,
        tuple(
            found_artifact(run_id, kind, path, statistics.total_measurements)
            for kind, path in sorted(paths.items())
            if path is not None
        ),
    )
    run = StoredRun(summary, utc_offset_s(recorded_at_us), names[0].token)
    transaction.save(run)
    return run


def _named_as_recorded(columns: Columns, summary_path: Path | None) -> Columns:
    """Take back the apostrophes of `safe_csv`, by the names in the kept summary."""
    if summary_path is None:
        return columns
    try:
        content, _ = read_file(summary_path.parent, summary_path.name)
        summary = parse_summary(parse_document(content))
    except (FileNotFoundError, ArtifactReadError):
        # The measurements count, under whichever names.
        return columns
    return plain_labels(columns, summary.metrics, summary.satellites)
