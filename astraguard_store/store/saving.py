"""Saving: the order of steps that loses and tears nothing.

A save: one transaction, whose COMMIT is the commit point; before it the files are
staged and synced; after it they are published under the same ticket, so that no
older save can publish over a newer one. Whatever fails before the commit is undone
at once; whatever fails after it is finished later, here or by `recovery`.

Threads write the files (see `artifacts.writer`). Meanwhile the caller summarises,
and writes the rows; what is noted of the files, sizes and hashes, comes last. Before
the files of a large run are written the ticket isn't taken: others would wait.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from astraguard_store.artifacts.attachments import keep_attachments
from astraguard_store.artifacts.reader import read_summary_file
from astraguard_store.artifacts.staged_run import StagedRun, StagedRuns
from astraguard_store.artifacts.staging import staged_names
from astraguard_store.artifacts.writer import begin_measurements, begin_summary
from astraguard_store.database.measurements import packed_measurements
from astraguard_store.database.rows import bucket_rows
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.transaction import Transaction
from astraguard_store.database.whole_runs import RunRows, rows_of
from astraguard_store.exceptions import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseDamagedError,
    DatabaseError,
    InvalidRunError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
)
from astraguard_store.formats.layout import SUMMARY
from astraguard_store.formats.notes import SaveNotes, render_notes
from astraguard_store.formats.summary import utc_offset_s
from astraguard_store.model import NO_TAGS, Artifact, RunSummary, utc_from_epoch_us
from astraguard_store.options import StoreOptions
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.store.identity import document_of
from astraguard_store.store.new_runs import Life, NewRun
from astraguard_store.store.store import FolderStore, Store
from astraguard_store.system.file_limit import is_file_limit
from astraguard_store.system.files import sync_folder
from astraguard_store.system.threads import run_all

logger = logging.getLogger("astraguard_store")


class _Moment(NamedTuple):
    """When a save is, and how far local time is ahead of UTC then, seconds."""

    now_us: int
    utc_offset_s: int

    @classmethod
    def of(cls, runs: Mapping[str, NewRun]) -> _Moment:
        """Return now, or the time that a recorder gives to its run."""
        lives = [run.life for run in runs.values() if run.life]
        now_us = lives[0].recorded_at_us if lives else time.time_ns() // 1000
        return cls(now_us, utc_offset_s(now_us))


def save_runs(
    store: FolderStore, runs: Mapping[str, NewRun], options: StoreOptions
) -> list[RunSummary]:
    """Save {run id: run} in one transaction; raises as `RunRepository.save`."""
    if not runs:
        return []
    moment = _Moment.of(runs)
    staged, statistics = _stage(store.root, runs, options, moment)
    transaction: Transaction | None = None
    purpose = _purpose(runs)
    try:
        with store.turn(purpose):
            with store.write(purpose) as transaction:
                saved = [
                    _write(transaction, run, statistics[run_id], moment, options, save.token)
                    for (run_id, run), save in zip(runs.items(), staged.runs, strict=True)
                ]
                staged.wait()
                saved = [
                    _note_files(transaction, run, save.artifacts)
                    for run, save in zip(saved, staged.runs, strict=True)
                ]
            for save in staged.runs:
                store.finish_later_if_it_fails(
                    save.publish, f"publishing the files of run {save.run_id!r}"
                )
            _tidy_attachments(store, saved)
    except BaseException as error:
        _settle_failed(store, staged, runs, options, moment, transaction, error)
        raise
    close_all(store, staged.runs)
    return saved


def _tidy_attachments(store: FolderStore, saved: Sequence[RunSummary]) -> None:
    """Remove the attachments of what was replaced; if that fails, the next save does it."""
    for run in saved:
        # A recorder that died may have copied a file that it didn't come to note.
        if run.revision > 1 or run.last_written_at is not None:
            kept = {attached.name for attached in run.attachments}
            with suppress(OSError):
                keep_attachments(store.root, run.run_id, kept)


def save_rows(store: Store, runs: Mapping[str, NewRun], options: StoreOptions) -> list[RunSummary]:
    """Save {run id: run} into a store without files; raises as `RunRepository.save`."""
    if not runs:
        return []
    moment = _Moment.of(runs)
    statistics = {
        run_id: summarize(run.columns, satellite_buckets=options.satellite_buckets)
        for run_id, run in runs.items()
    }
    with store.write(_purpose(runs)) as transaction:
        saved = [
            _write(transaction, run, statistics[run_id], moment, options, None)
            for run_id, run in runs.items()
        ]
        return [_note_files(transaction, run, ()) for run in saved]


def rows_to_save(
    runs: Mapping[str, NewRun], options: StoreOptions, token: str
) -> list[tuple[RunSummary, RunRows]]:
    """Return {run id: run} with all the rows that they will have, but for their revisions."""
    moment = _Moment.of(runs)
    return [_rows_to_save(run, options, moment, token) for run in runs.values()]


def _rows_to_save(
    new: NewRun, options: StoreOptions, moment: _Moment, token: str
) -> tuple[RunSummary, RunRows]:
    found = summarize(new.columns, satellite_buckets=options.satellite_buckets)
    summary = _summary(new, found, moment, new.tags)
    rows = rows_of(StoredRun(summary, moment.utc_offset_s, token, save_sha256=new.save_sha256))
    rows.children["buckets"] = bucket_rows(new.run_id, found)
    if options.keep_measurements != "database":
        return summary, rows
    packed = packed_measurements(found.satellites, new.columns)
    return summary, rows._replace(measurements=packed)


def _stage(
    root: Path, runs: Mapping[str, NewRun], options: StoreOptions, moment: _Moment
) -> tuple[StagedRuns, dict[str, RunStatistics]]:
    """Summarise runs while threads write their files: of all of them, or of none.

    Files of small runs may still be on their way: see `StagedRuns.wait`.

    Raises:
        ArtifactWriteError: A file can't be written; nothing is left of any.
    """
    staged = StagedRuns(
        root,
        moment.now_us,
        durable=options.sync,
        compression=options.compression,
        runs=len(runs),
    )
    statistics: dict[str, RunStatistics] = {}
    try:
        for run_id, run in runs.items():
            begin_measurements(staged, root, run_id, run.columns, options)
        for save in staged.runs:
            columns = runs[save.run_id].columns
            of_run = summarize(columns, satellite_buckets=options.satellite_buckets)
            statistics[save.run_id] = of_run
            document = document_of(save.run_id, of_run, *moment)
            begin_summary(staged, save, document, columns.rows)
        staged.begin_syncs()
        staged.wait_if_long()
    except BaseException as error:
        staged.discard()
        if is_file_limit(error):
            raise ArtifactWriteError(
                f"{error}; save fewer runs at a time, or allow this process more open files "
                "(`ulimit -n`)"
            ) from error.__cause__
        raise
    return staged, statistics


def _summary(
    new: NewRun, statistics: RunStatistics, moment: _Moment, tags: Mapping[str, str]
) -> RunSummary:
    return RunSummary(
        new.run_id,
        0,
        utc_from_epoch_us(moment.now_us),
        statistics.total_measurements,
        statistics.metrics,
        statistics.satellites,
        (),
        new.provenance,
        tags,
        **told_of_life(new.life),
        save_id=new.save_id,
    )


def _write(
    transaction: Transaction,
    new: NewRun,
    statistics: RunStatistics,
    moment: _Moment,
    options: StoreOptions,
    token: str | None,
) -> RunSummary:
    """Write the rows of a run, but not what is noted of its files."""
    if new.save_id is not None and is_same_save(new, transaction.named_saves(new.save_id)):
        raise SavedAlreadyError(new.run_id)
    is_new = transaction.end_live(new.run_id, new.life.token) if new.life else None
    # Those of a recorder were set when it began, and may have been changed meanwhile.
    set_tags = new.tags if is_new is None else NO_TAGS
    summary = _summary(new, statistics, moment, set_tags)
    run = StoredRun(summary, moment.utc_offset_s, token, save_sha256=new.save_sha256)
    measurements = new.columns if options.keep_measurements == "database" else None
    revision = transaction.save_without_files(run, statistics, measurements)
    tags = transaction.tags_of(new.run_id) if revision > 1 else dict(sorted(new.tags.items()))
    if is_new:
        transaction.set_revision(new.run_id, 1)
        revision = 1
    return replace(summary, revision=revision, tags=tags)


class SavedAlreadyError(Exception):
    """A save of this name and content was made; nothing is written."""


def is_same_save(new: NewRun, named: Sequence[tuple[str, str]]) -> bool:
    """Return whether a named save was made already.

    Args:
        new: What is to be saved.
        named: (run id, content's hash) of each save that was ever given its name.

    Raises:
        InvalidRunError: It is a save of something else.
    """
    hashes = dict(named)
    if not hashes or hashes.get(new.run_id) == new.save_sha256:
        return bool(hashes)
    if new.run_id in hashes:
        raise InvalidRunError(
            f"Invalid save_id {new.save_id!r}: run {new.run_id!r} was saved under it with other "
            "measurements; use another for another save"
        )
    raise InvalidRunError(
        f"Invalid save_id {new.save_id!r}: it names a save of run {min(hashes)!r}, and not of "
        f"{new.run_id!r}; use another for each save"
    )


def told_of_life(life: Life | None) -> dict[str, Any]:
    """Return the attributes of `RunSummary` that a recorder tells of."""
    if life is None:
        return {}
    return {
        "state": life.state,
        "last_written_at": utc_from_epoch_us(life.last_written_at_us),
        "error": life.error,
        "attachments": life.attachments,
        "noise": life.noise,
    }


def _note_files(
    transaction: Transaction, run: RunSummary, artifacts: tuple[Artifact, ...]
) -> RunSummary:
    """Write the rows of a run's files, the last of its rows; return the run with them."""
    with_files = replace(run, artifacts=artifacts)
    transaction.note_files(with_files)
    return with_files


def keep_run(root: Path, run: NewRun, options: StoreOptions, error: StoreError) -> None:
    """Keep the files of a run whose database can't be opened, and name them in *error*.

    What keeps them from being written is logged: *error* is the one to raise.
    """
    moment = _Moment.of({run.run_id: run})
    try:
        staged, _ = _stage(root, {run.run_id: run}, options, moment)
    except StoreError as failure:
        logger.warning("the files of run %r could not be kept: %s", run.run_id, failure)
        return
    error.kept = staged.keep({run.run_id: _notes(root, None, run, options, moment)})


def identity_of(run: StoredRun) -> set[str]:
    """Return what tells a save of a run from all others: its token, its summary's SHA-256."""
    hashes = (a.sha256 for a in run.summary.artifacts if a.kind == SUMMARY)
    return {identity for identity in (run.staging_token, *hashes) if identity}


def _notes(
    root: Path, database: RunDatabase | None, run: NewRun, options: StoreOptions, moment: _Moment
) -> bytes:
    """Return what the files of *run* don't tell, and what the save would have replaced."""
    before = (name for name in staged_names(root) if name.run_id == run.run_id and name.is_kept)
    replaces = {name.token for name in before}
    stored: set[str] = set()
    revision = None
    if database is not None:
        with suppress(StoreError):
            stored, revision = _replaced(database, run.run_id)
    if revision is None:
        # Without a database its folder tells: a rebuilt row has the same hash.
        with suppress(OSError, ArtifactReadError):
            replaces |= {hashlib.sha256(read_summary_file(root, run.run_id).content).hexdigest()}
    return render_notes(
        SaveNotes(
            run.provenance,
            run.tags,
            options.satellite_buckets,
            options.keep_measurements == "database",
            frozenset(replaces | stored),
            is_sure=revision is not None,
            recorded_at_us=moment.now_us,
            save_id=run.save_id,
            save_sha256=run.save_sha256,
            revision=revision,
        )
    )


def _replaced(database: RunDatabase, run_id: str) -> tuple[set[str], int]:
    try:
        stored = database.get(run_id)
    except RunNotFoundError:
        return set(), 0
    return identity_of(stored), stored.summary.revision


def _settle_failed(
    store: FolderStore,
    staged: StagedRuns,
    runs: Mapping[str, NewRun],
    options: StoreOptions,
    moment: _Moment,
    transaction: Transaction | None,
    error: BaseException,
) -> None:
    """Do with the staged files what the failure of their save asks for."""
    is_damaged = isinstance(error, DatabaseDamagedError)
    if transaction is not None and transaction.attempted and not is_damaged:
        # The database knows, and recovery asks it.
        store.shared.unsettled = True
        staged.leave()
    elif any(run.life for run in runs.values()):
        # The recorder's journal holds all of it.
        staged.discard()
    elif isinstance(error, DatabaseError | SchemaVersionError):
        # Only the index failed: the measurements must not go with it.
        notes = {
            run_id: _notes(store.root, store.database, run, options, moment)
            for run_id, run in runs.items()
        }
        error.kept = staged.keep(notes)
    else:
        staged.discard()


def close_all(store: FolderStore, staged: Sequence[StagedRun]) -> None:
    """Make published names durable and let go of the files; a failure is finished later."""
    steps: list[Callable[[], None]] = [
        partial(store.finish_later_if_it_fails, save.close, f"syncing run {save.run_id!r}")
        for save in staged
    ]
    if any(save.needs_folder_sync for save in staged):
        sync_root = partial(sync_folder, store.root)
        steps.append(partial(store.finish_later_if_it_fails, sync_root, f"syncing {store.root}"))
    run_all(steps)


def _purpose(run_ids: Collection[str]) -> str:
    first = next(iter(run_ids), "")
    more = f" and {len(run_ids) - 1} more" if len(run_ids) > 1 else ""
    return f"saving run {first!r}{more}"
