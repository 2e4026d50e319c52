"""Folders of old runs → rows."""

from __future__ import annotations

import time
from collections.abc import Callable

from astraguard_store.artifacts.folder_runs import read_run
from astraguard_store.artifacts.scanner import folder_names
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import ImportReport
from astraguard_store.repository.interrupts import interrupts_held_back
from astraguard_store.repository.shared_store import SharedStore
from astraguard_store.run_ids import check_run_id

__all__ = ["Progress", "adopt_folders"]

Progress = Callable[[int, int], None]
"""Called with the number of folders done and their total."""

# A transaction each: so that others get their turn, and memory stays flat.
_BATCH = 500


def adopt_folders(
    store: SharedStore, options: WriteOptions, progress: Progress | None = None
) -> ImportReport:
    """Write a row for every run folder that has none, from its summary file.

    The files stay as they are. What can't be read is reported, and left alone.
    Run again, it adopts only what is new; interrupted, it goes on where it was.

    Raises:
        OSError: The results folder can't be listed.
        StoreError: The database can't be written.
    """
    if store.root is None:
        return ImportReport(0, 0, ())
    names = sorted(folder_names(store.root))
    adopted = skipped = 0
    refused: list[tuple[str, str]] = []
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        missing = store.database.without_row(batch)
        runs, unreadable = _read_all(store, missing)
        refused += unreadable
        skipped += len(batch) - len(missing)
        if runs:
            added = _insert(store, options, runs)
            adopted, skipped = adopted + added, skipped + len(runs) - added
        if progress:
            progress(start + len(batch), len(names))
    if not store.database.adopted():
        with (
            interrupts_held_back(),
            store.ticket.held("adopting old runs", options.busy_timeout_s),
            store.database.transaction(options) as transaction,
        ):
            transaction.mark_adopted(time.time_ns() // 1000)
    return ImportReport(adopted, skipped, tuple(refused))


def _read_all(
    store: SharedStore, names: list[str]
) -> tuple[list[StoredRun], list[tuple[str, str]]]:
    assert store.root is not None  # noqa: S101 - there are no folders in memory
    runs: list[StoredRun] = []
    refused: list[tuple[str, str]] = []
    for name in names:
        try:
            summary = read_run(store.root, check_run_id(name))
        except FileNotFoundError:
            # A folder without a summary is no run.
            continue
        except (ArtifactReadError, InvalidRunError) as error:
            refused.append((name, str(error)))
        else:
            runs.append(StoredRun(summary, None, None))
    return runs, refused


def _insert(store: SharedStore, options: WriteOptions, runs: list[StoredRun]) -> int:
    with (
        interrupts_held_back(),
        store.ticket.held("adopting old runs", options.busy_timeout_s),
        store.database.transaction(options) as transaction,
    ):
        return sum(transaction.insert_new(run) for run in runs)
