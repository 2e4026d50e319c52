"""Rows and files of a store, held against each other.

Other processes may save and delete meanwhile: whatever looks wrong is looked at
again, until rows and files are seen of one moment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from astraguard_store.artifacts.reader import has_summary
from astraguard_store.artifacts.scanner import folder_names
from astraguard_store.artifacts.staging import DELETION_SUFFIX, staged_names, staged_of
from astraguard_store.artifacts.verification import (
    LeftOver,
    file_state,
    has_files,
    is_left_over,
    left_overs,
    size_of,
    why_changed,
)
from astraguard_store.checks import check_run_id
from astraguard_store.database.lists import count_runs
from astraguard_store.database.run_files import FilesOfRun, files_of_run, files_of_runs
from astraguard_store.database.runs import run_exists
from astraguard_store.database.sql import Query
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError, StoreError
from astraguard_store.formats.layout import STAGING_NAME, SUMMARY_NAME
from astraguard_store.model import Artifact
from astraguard_store.store.adoption import Progress
from astraguard_store.store.completing import Completion
from astraguard_store.store.mending import Mender
from astraguard_store.store.tally import Tally

__all__ = ["FIX", "FileCheck", "Source", "check_staging"]

T = TypeVar("T")

_PAGE = 500
# A save publishes within milliseconds; one that hangs is waited for 5 s.
_LOOKS = 100
_PAUSE_S = 0.05

FIX = "`astraguard-store check --fix`"
_ADVICE = {
    "raw_csv": "restore it from a backup; the run's statistics are in the database",
    "raw_parquet": "restore it from a backup; the CSV has the same measurements",
}


class Source(Protocol):
    """A database that can be asked."""

    def read(self, query: Query[T]) -> T:
        """Return the result of *query*, run on one snapshot."""


@dataclass(frozen=True, slots=True)
class _FileFault:
    kind: Literal["missing_file", "changed_file"]
    noted: Artifact
    what: str


class FileCheck:
    """One walk over the runs of one results folder.

    Args:
        root: The folder.
        source: Its database, sound and of this version's schema.
        tally: Takes what is found.
        mender: Mends it; None to write nothing.
        progress: Called with (runs done, runs in all).
    """

    def __init__(
        self,
        root: Path,
        source: Source,
        tally: Tally,
        mender: Mender | None,
        progress: Progress | None,
    ) -> None:
        self._root = root
        self._source = source
        self._tally = tally
        self._mender = mender
        self._progress = progress
        self._completion = Completion(tally, mender)

    def run(self) -> None:
        """Check everything, and mend what can be.

        Raises:
            DatabaseError: The database can't be read.
            OSError: The results folder can't be listed.
        """
        before = left_overs(self._root) if self._mender else []
        if before and self._mender:
            self._mender.recover()
        self._check_folders()
        self._check_runs()
        self._completion.report()
        check_staging(self._root, self._tally, before)

    def _check_folders(self) -> None:
        """Look for folders of runs that have no row."""
        names = [name for name in sorted(folder_names(self._root)) if self._lacks_row(name)]
        names = [name for name in names if self._lacks_row_for_good(name)]
        reasons = {name: _why_not_adopted(self._root, name) for name in names}
        if names and self._mender:
            try:
                reasons.update(self._mender.adopt())
            except (StoreError, OSError) as error:
                reasons.update((name, str(error)) for name in names if not reasons[name])
        for name in names:
            what = "a run folder that the database does not know"
            if self._mender and not self._lacks_row(name):
                self._tally.mended("missing_row", name, what, "adopted")
            else:
                advice = reasons[name] or f"`astraguard-store import` or {FIX} adopts it"
                self._tally.fault("missing_row", name, what, advice)

    def _lacks_row(self, name: str) -> bool:
        return not self._source.read(partial(run_exists, run_id=name))

    def _lacks_row_for_good(self, name: str) -> bool:
        """Look again: the row of a run that is being deleted goes before its folder."""
        deleted = {n.run_id for n in staged_names(self._root) if n.suffix == DELETION_SUFFIX}
        return name not in deleted and has_files(self._root, name) and self._lacks_row(name)

    def _check_runs(self) -> None:
        total = self._source.read(count_runs)
        after = ""
        while page := self._source.read(partial(files_of_runs, after=after, limit=_PAGE)):
            for run in page:
                self._check_run(run)
                self._tally.runs += 1
                if self._progress:
                    self._progress(self._tally.runs, max(total, self._tally.runs))
            after = page[-1].run_id

    def _check_run(self, run: FilesOfRun) -> None:
        if not run.artifacts:
            what = "its row names no file"
            self._tally.fault("missing_file", run.run_id, what, "save the run again")
        seen, faults = self._settled_faults(run)
        for fault in faults:
            self._report_file(seen, fault)
        faulty = {fault.noted for fault in faults}
        sound = [noted for noted in seen.artifacts if noted not in faulty]
        self._tally.files += len(sound)
        self._tally.bytes += sum(noted.bytes for noted in sound)
        self._completion.look_at(seen, sound)

    def _settled_faults(self, run: FilesOfRun) -> tuple[FilesOfRun, list[_FileFault]]:
        """Return what is wrong with a run's files, and the rows that they were held against."""
        for _ in range(_LOOKS):
            # In this order: what was staged before the look may be published after it.
            token = run.staging_token
            staged = staged_of(self._root, run.run_id, token) if token else ()
            if any(is_left_over(self._root, name) for name in staged):
                break  # reported as such
            faults = self._faults(run)
            if not faults:
                break
            now = self._source.read(partial(files_of_run, run_id=run.run_id))
            if now is None:
                break  # deleted meanwhile
            if now == run and not staged:
                return run, faults
            run = now
            time.sleep(_PAUSE_S)
        return run, []

    def _faults(self, run: FilesOfRun) -> list[_FileFault]:
        found = (self._fault(noted) for noted in run.artifacts)
        return [fault for fault in found if fault]

    def _fault(self, noted: Artifact) -> _FileFault | None:
        try:
            if noted.sha256 is None:
                size = size_of(self._root, noted.path)
                what = why_changed(size, None, noted)
            else:
                found = file_state(self._root, noted.path)
                what = why_changed(found.bytes, found.sha256, noted)
        except FileNotFoundError:
            return _FileFault("missing_file", noted, "it is in the database, but not there")
        except ArtifactReadError as error:
            what = str(error)
        return _FileFault("changed_file", noted, what) if what else None

    def _report_file(self, run: FilesOfRun, fault: _FileFault) -> None:
        path = fault.noted.path
        if fault.noted.kind != "summary_json":
            advice = _ADVICE[fault.noted.kind]
            self._tally.fault(fault.kind, path, fault.what, advice)
        elif self._mender is None:
            advice = f"{FIX} writes it anew from its row, and keeps a changed one beside it"
            self._tally.fault(fault.kind, path, fault.what, advice)
        else:
            try:
                done = self._mender.restore_summary(run, fault.noted)
            except (StoreError, OSError) as error:
                advice = f"it could not be written anew: {error}; restore it from a backup"
                self._tally.fault(fault.kind, path, fault.what, advice)
            else:
                self._tally.mended(fault.kind, path, fault.what, done)


def check_staging(root: Path, tally: Tally, before: list[LeftOver]) -> None:
    """Report what is left over in the staging folder, and what was there *before*."""
    after = left_overs(root)
    for left_over in before:
        if left_over not in after:
            where = f"{STAGING_NAME}/{left_over.name}"
            tally.mended("staging_left_over", where, left_over.what, "finished or undone")
    for left_over in after:
        where = f"{STAGING_NAME}/{left_over.name}"
        advice = f"the next opening for writing finishes or undoes it; so does {FIX}"
        if not left_over.is_ours:
            advice = "look at it and remove it"
        tally.fault("staging_left_over", where, left_over.what, advice)


def _why_not_adopted(root: Path, name: str) -> str:
    """Return what keeps a folder from being adopted, as far as its name and files tell."""
    try:
        check_run_id(name)
    except InvalidRunError as error:
        return f"{error}; rename the folder"
    if not has_summary(root, name):
        return f"there is no {SUMMARY_NAME} in it; save the run again, or remove the folder"
    return ""
