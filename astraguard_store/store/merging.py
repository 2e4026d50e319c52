"""The runs of another store → this one, each whole or not at all.

A merged run goes the way of a save: its files staged and synced, its rows in one
transaction, the files published under the same ticket. So a merge that dies is
settled by `recovery` like a save that died, and the next one goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from astraguard_store.artifacts.copying import checked_chunks, modified_ns, name_of
from astraguard_store.artifacts.staged_run import StagedRun, sync_staging
from astraguard_store.artifacts.staging import ensure_staging, staged_of
from astraguard_store.artifacts.verification import has_files
from astraguard_store.artifacts.writer import check_target
from astraguard_store.checks import check_run_id
from astraguard_store.database.lists import run_ids
from astraguard_store.database.runs import StoredRun, load_run
from astraguard_store.database.transaction import Transaction, WriteOptions
from astraguard_store.database.whole_runs import load_rows, with_files
from astraguard_store.exceptions import (
    ArtifactReadError,
    ArtifactWriteError,
    InvalidRunError,
)
from astraguard_store.formats.layout import SUMMARY_NAME
from astraguard_store.model import Artifact, epoch_us
from astraguard_store.reports import MergeReport
from astraguard_store.store.adoption import Progress
from astraguard_store.store.identity import rendered_summary, why_another
from astraguard_store.store.other_store import OtherStore, opened
from astraguard_store.store.recovery import settle
from astraguard_store.store.saving import close_all, later_if_it_fails
from astraguard_store.store.store import SharedStore
from astraguard_store.system.interrupts import interrupts_held_back

__all__ = ["merge_store"]

# Of one transaction: a few syncs for all of them, and others get their turn.
_BATCH_RUNS = 100
_BATCH_BYTES = 64 * 2**20


def merge_store(
    store: SharedStore, options: WriteOptions, other: Path, progress: Progress | None
) -> MergeReport:
    """Take over the runs of another store; raises as `RunRepository.merge`."""
    with opened(store, options, other) as source:
        merge = _Merge(store, options, source)
        names = source.database.read(run_ids)
        done = 0
        while done < len(names):
            with interrupts_held_back():
                done += merge.take(names[done : done + _BATCH_RUNS])
            if progress:
                progress(done, len(names))
    return merge.report()


@dataclass(slots=True)
class _Taken:
    """A run on its way; in memory without files.

    Attributes:
        run: As it is in the other store.
        token: Of the publication of its files here.
        staged: Its files.
        without_files: Whether the other store has none, so that these were made.
        is_written: Whether its rows are here now.
    """

    run: StoredRun
    token: str | None
    staged: StagedRun | None = None
    without_files: bool = False
    is_written: bool = False

    @property
    def run_id(self) -> str:
        return self.run.summary.run_id

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.staged.artifacts) if self.staged else 0

    @property
    def files(self) -> list[Artifact]:
        """What is to be noted of its files."""
        if self.staged is None:
            return []
        if self.without_files:
            return list(self.staged.artifacts)
        # What was never hashed stays so: `check --fix` holds it against the rows then.
        return list(self.run.summary.artifacts)


class _InTheWayError(Exception):
    """Something here keeps one run from being taken over; the others come."""


@dataclass(slots=True)
class _Merge:
    """What a merge has seen and done so far."""

    store: SharedStore
    options: WriteOptions
    source: OtherStore
    merged: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    without_files: list[str] = field(default_factory=list)

    def report(self) -> MergeReport:
        """Return all of it."""
        return MergeReport(
            tuple(self.merged),
            tuple(self.skipped),
            tuple(self.conflicts),
            tuple(self.refused),
            tuple(self.without_files),
        )

    def take(self, names: list[str]) -> int:
        """Take over the first of these runs; return how many were looked at."""
        taken: list[_Taken] = []
        looked_at = 0
        try:
            for run_id in names:
                one = self._staged(run_id)
                taken += [one] if one else []
                looked_at += 1
                if sum(run.bytes for run in taken) >= _BATCH_BYTES:
                    break
            self._sync(taken)
        except BaseException:
            _discard(taken)
            raise
        if taken:
            self._write(taken)
        return looked_at

    def _staged(self, run_id: str) -> _Taken | None:
        """Stage a run of the other store, unless it is here or can't be taken."""
        there = self.source.database.read(partial(load_run, run_id=run_id))
        if there is None or self._is_here(run_id, there):
            return None
        try:
            check_run_id(run_id)
            if self.store.root is None:
                return _Taken(there, there.staging_token, without_files=True)
            return self._with_files(self.store.root, there)
        except (ArtifactReadError, InvalidRunError, _InTheWayError) as error:
            self.refused.append((run_id, str(error)))
            return None

    def _is_here(self, run_id: str, there: StoredRun) -> bool:
        """Report a run that is here already, in whichever form."""
        here = self.store.database.read(partial(load_run, run_id=run_id))
        if here is not None:
            reason = why_another(here, there)
            if reason:
                self.conflicts.append((run_id, reason))
            else:
                self.skipped.append(run_id)
        elif self.store.root is not None and has_files(self.store.root, run_id):
            reason = "its folder is here, but no row of it; `astraguard-store import` adopts it"
            self.conflicts.append((run_id, reason))
        else:
            return False
        return True

    def _with_files(self, root: Path, there: StoredRun) -> _Taken:
        run_id, token = there.summary.run_id, there.staging_token
        if token and staged_of(self.source.root, run_id, token):
            raise ArtifactReadError(
                f"a save of run {run_id!r} was not finished in {self.source.root}; "
                "opening that store for writing finishes it"
            )
        try:
            check_target(root, run_id)
        except ArtifactWriteError as error:
            raise _InTheWayError(error) from error
        time_us = epoch_us(there.summary.recorded_at)
        staged = StagedRun(root, run_id, time_us, sync=self.options.durability == "full")
        if token:
            self._settle_left_overs(root, run_id, token)
            staged.token = token
        try:
            without_files = not self._copy_files(staged, there)
            if without_files:
                total = there.summary.total_measurements
                staged.copy(SUMMARY_NAME, [rendered_summary(there)], total, time_us * 1000)
        except BaseException as error:
            staged.discard()
            if isinstance(error.__cause__, FileExistsError):
                raise _InTheWayError("another merge brings it; merge again") from error
            raise
        return _Taken(there, staged.token, staged, without_files)

    def _settle_left_overs(self, root: Path, run_id: str, token: str) -> None:
        """Remove what a merge left that died: its staged files have the same names."""
        ensure_staging(root)
        left = staged_of(root, run_id, token)
        if left:
            settle(self.store, self.options, left)

    def _copy_files(self, staged: StagedRun, there: StoredRun) -> bool:
        """Copy a run's files; return False if none of them is there."""
        names = {file: name_of(staged.run_id, file) for file in there.summary.artifacts}
        if not any(_is_there(self.source.root / file.path) for file in names):
            return False
        was_saved = there.utc_offset_s is not None
        for file, name in names.items():
            # An adopted file's own time may be what tells when the run was.
            found_ns = modified_ns(self.source.root, file)
            time_ns = staged.recorded_at_us * 1000 if was_saved else found_ns
            staged.copy(name, checked_chunks(self.source.root, file), file.rows, time_ns)
        return True

    def _sync(self, taken: list[_Taken]) -> None:
        for one in taken:
            if one.staged:
                one.staged.sync_all()
        if self.store.root and taken and self.options.durability == "full":
            sync_staging(self.store.root)

    def _write(self, taken: list[_Taken]) -> None:
        """Commit and publish what was taken, but for what was saved again meanwhile."""
        transaction: Transaction | None = None
        purpose = f"merging {len(taken)} runs"
        try:
            with self.store.ticket.held(purpose, self.options.busy_timeout_s):
                with self.store.database.transaction(self.options) as transaction:
                    for one in taken:
                        one.is_written = self._insert(transaction, one)
                for one in taken:
                    if one.is_written and one.staged:
                        what = f"publishing the files of run {one.run_id!r}"
                        later_if_it_fails(self.store, one.staged.publish, what)
        except BaseException:
            if transaction is None or not transaction.attempted:
                _discard(taken)
            else:
                # The database knows, and recovery asks it.
                self.store.unsettled = True
                _leave(taken)
            raise
        self._note(taken)

    def _insert(self, transaction: Transaction, one: _Taken) -> bool:
        summary = one.run.summary
        rows = self.source.database.read(partial(load_rows, run_id=summary.run_id))
        save = (summary.revision, epoch_us(summary.recorded_at), one.run.staging_token)
        if rows is None or rows.save != save:
            return False
        return bool(transaction.insert_new([with_files(rows, one.token, one.files)]))

    def _note(self, taken: list[_Taken]) -> None:
        written = [one for one in taken if one.is_written]
        if self.store.root:
            close_all(self.store, self.store.root, [one.staged for one in written if one.staged])
        self.merged += [one.run_id for one in written]
        self.without_files += [one.run_id for one in written if one.without_files]
        others = [one for one in taken if not one.is_written]
        _discard(others)
        for one in others:
            if not self._is_here(one.run_id, one.run):
                self.refused.append((one.run_id, "it was saved again meanwhile; merge again"))


def _is_there(path: Path) -> bool:
    """Return whether there is something; a folder that can't be looked into isn't empty."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be looked at: {error.strerror}") from error
    return True


def _discard(taken: list[_Taken]) -> None:
    for one in taken:
        if one.staged:
            one.staged.discard()


def _leave(taken: list[_Taken]) -> None:
    for one in taken:
        if one.staged:
            one.staged.leave()
