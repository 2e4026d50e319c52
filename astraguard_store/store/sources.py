"""Who answers a repository's questions: rows with folders, rows in memory, folders alone.

What a source can't do, it refuses itself, so nobody has to ask which one it is.
What many processes never call is imported where it is called: with all of it, the first save
takes a quarter longer, and a command that only reads half as long again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol, TypeVar

from astraguard_store.artifacts.reader import is_as_saved, read_document
from astraguard_store.artifacts.staging import staged_files
from astraguard_store.database.lists import filtered_headers
from astraguard_store.database.runs import (
    StoredRun,
    keeps_satellite_buckets,
    load_run,
    named_saves,
    save_ids_of,
)
from astraguard_store.exceptions import (
    ArtifactWriteError,
    DatabaseError,
    RunIsRunningError,
    RunNotFoundError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.formats.layout import SUMMARY_NAME, name_in
from astraguard_store.formats.summary import copied, summary_document
from astraguard_store.model import RunHeader, RunSummary, epoch_us
from astraguard_store.options import StoreOptions, names_server
from astraguard_store.system.interrupts import interrupts_held_back

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.buckets import BucketColumns
    from astraguard_store.columns import Columns
    from astraguard_store.comparison import Comparison
    from astraguard_store.database.backend import Question
    from astraguard_store.database.percentiles import Group
    from astraguard_store.database.sql import Connection
    from astraguard_store.filters import RunFilters
    from astraguard_store.formats.journal import JournalHead
    from astraguard_store.reports import (
        CacheInfo,
        CheckReport,
        ExportReport,
        ImportReport,
        MergeReport,
        Percentiles,
        Progress,
        PruneReport,
        PushReport,
        QueryResult,
    )
    from astraguard_store.store.gating import Gating
    from astraguard_store.store.new_runs import NewRun
    from astraguard_store.store.percentiles import PercentilesQuestion
    from astraguard_store.store.pruning import Pruning
    from astraguard_store.store.recording import Recording
    from astraguard_store.store.store import FolderStore, Store

logger = logging.getLogger("astraguard_store")

T = TypeVar("T")

# Of the runs that a rig asks for again and again; one of 10,000 satellites takes 30 MB.
_DOCUMENTS = 16


class Source(Protocol):
    """Answers questions about runs; its methods raise as those of `RunRepository`."""

    @property
    def answers_from(self) -> Literal["database", "folders"]:
        """Whether rows or run folders answer."""

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""

    def get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there, by id."""

    def recent(self, limit: int, filters: RunFilters | None = None) -> list[RunHeader]:
        """Return the newest *limit* runs that pass the filters, newest first."""

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool) -> Comparison:
        """Return what changed from one run to another."""

    def percentiles(self, question: PercentilesQuestion) -> dict[Group, Percentiles]:
        """Return percentiles over many runs, by group."""

    def buckets(
        self, metric_type: str, run_ids: Collection[str], satellite_id: str | None
    ) -> dict[str, BucketColumns]:
        """Return {run id: buckets} of those runs that keep them; None is all satellites."""

    def gating(self) -> Gating:
        """Return what judges the runs."""

    def document(self, run_id: str, *, afresh: bool) -> dict[str, Any]:
        """Return what the run's summary file holds, as a new dict."""

    def few_measurements(self, run_id: str) -> Columns | None:
        """Return a run's measurements if they are few, read without polars; else None."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements, in the order of their recording."""

    def query(self, question: Question) -> QueryResult:
        """Return the answer to a statement of somebody else's SQL."""

    def export(
        self,
        run_ids: Iterable[str],
        target: Path,
        progress: Progress | None,
        *,
        dataset: bool = False,
    ) -> ExportReport:
        """Copy runs out of the store."""

    def check(self, progress: Progress | None, *, deep: bool = False) -> CheckReport:
        """Hold database, rows and files against each other."""

    def estimate_pruning(self, pruning: Pruning) -> PruneReport:
        """Return what a pruning would delete."""

    def push(
        self, url: str, progress: Progress | None, raw: str | os.PathLike[str] | None
    ) -> PushReport:
        """Copy to a server what it doesn't have."""

    def back_up(self, target: Path) -> None:
        """Copy the database to a new file."""

    def cache_info(self) -> CacheInfo:
        """Return the hits and misses of the identity map."""

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still there."""

    def close(self, *, wait: bool = True) -> None:
        """Let go of what is held open; *wait* for other threads that open a store."""


class WritableSource(Source, Protocol):
    """A source that keeps, changes and deletes runs too."""

    def save(self, runs: Mapping[str, NewRun], *, satellite_buckets: bool) -> list[RunSummary]:
        """Save runs, all or none."""

    def record(self, run_id: str, head: JournalHead) -> Recording:
        """Begin to record a run."""

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set and, where None, remove tags of a stored run."""

    def purge_measurements(self, run_id: str) -> int:
        """Delete a run's measurements from the table; return how many there were."""

    def delete(self, run_id: str) -> None:
        """Delete a run."""

    def prune(self, pruning: Pruning, progress: Progress | None) -> PruneReport:
        """Delete old runs."""

    def adopt(self, progress: Progress | None, jobs: int | None, *, rebuild: bool) -> ImportReport:
        """Adopt the run folders that have no rows."""

    def bring_in(self, paths: Iterable[Path], progress: Progress | None) -> ImportReport:
        """Bring in runs that lie elsewhere."""

    def merge(self, other: Path, progress: Progress | None) -> MergeReport:
        """Take over the runs of another store."""

    def recover(self) -> None:
        """Finish or undo what dead processes left behind."""

    def check_and_fix(
        self, progress: Progress | None, *, deep: bool = False, satellite_buckets: bool = False
    ) -> CheckReport:
        """Check, and mend what can be mended."""


def refusing(why: Callable[[Any], StoreError]) -> Callable[..., NoReturn]:
    """Return a method for what a source can't do: it raises what *why* says of the source."""

    def refuse(source: Any, *_: object, **__: object) -> NoReturn:
        raise why(source)

    return refuse


def one_by_one(get: Callable[[str], RunSummary], run_ids: Sequence[str]) -> dict[str, RunSummary]:
    """Return those of the runs that are there, by id, of a source that has them at hand.

    One that can't be read is logged.
    """
    found: dict[str, RunSummary] = {}
    for run_id in run_ids:
        try:
            found[run_id] = get(run_id)
        except RunNotFoundError:
            continue
        except DatabaseError as error:
            if not isinstance(error.__cause__, OverflowError):
                raise
            # A time of no calendar in its row, which another program wrote there.
            logger.warning("left out of a list: %s", error)
    return found


class MemorySource:
    """The rows of a store in memory; it has no files."""

    answers_from: Final = "database"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database
        # Another store in memory is another origin of what it pushes.
        self._memory_id = os.urandom(16).hex()

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""
        return self._database.get(run_id).summary

    def get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there, by id."""
        return one_by_one(self.get, run_ids)

    def recent(self, limit: int, filters: RunFilters | None = None) -> list[RunHeader]:
        """Return the newest *limit* runs that pass the filters, newest first."""
        if filters is None:
            return self._database.recent(limit)
        return self._database.read(lambda connection: filtered_headers(connection, limit, filters))

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool) -> Comparison:
        """Return what changed from one run to another, by one joined query."""
        return self._database.compare(baseline, candidate, by_satellite=by_satellite)

    def percentiles(self, question: PercentilesQuestion) -> dict[Group, Percentiles]:
        """Return percentiles over many runs, by group."""
        return question.answer(self._database)

    def buckets(
        self, metric_type: str, run_ids: Collection[str], satellite_id: str | None
    ) -> dict[str, BucketColumns]:
        """Return {run id: buckets} of those runs that keep them; None is all satellites."""
        from astraguard_store.database.judged_runs import buckets_by_run

        return self._database.read(
            lambda connection: buckets_by_run(connection, metric_type, run_ids, satellite_id)
        )

    def gating(self) -> Gating:
        """Return what judges the runs."""
        from astraguard_store.store.gating import Gating

        return Gating(self._store, self.measurements)

    def document(self, run_id: str, *, afresh: bool) -> dict[str, Any]:  # noqa: ARG002
        """Return what a summary file of the run would hold."""
        run = self._database.get(run_id)
        return summary_document(run.summary, run.utc_offset_s or 0)

    def few_measurements(self, run_id: str) -> Columns | None:  # noqa: ARG002
        """Return None: they are read as a frame."""
        return None

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return the measurements that the table keeps of a run."""
        from astraguard_store.store.measurements import frame_in_memory

        return frame_in_memory(self._store, run_id)

    def query(self, question: Question) -> QueryResult:
        """Return the answer to a statement of somebody else's SQL."""
        return self._database.ask(question)

    def export(
        self,
        run_ids: Iterable[str],  # noqa: ARG002
        target: Path,  # noqa: ARG002
        progress: Progress | None,  # noqa: ARG002
        *,
        dataset: bool = False,  # noqa: ARG002
    ) -> ExportReport:
        """Refuse: there are no files."""
        raise StoreNotFoundError("a store in memory has no files, so none can be exported")

    def check(self, progress: Progress | None, *, deep: bool = False) -> CheckReport:  # noqa: ARG002
        """Ask the database for damage."""
        from astraguard_store.store.checking import check_rows

        return check_rows(self._store)

    def check_and_fix(
        self,
        progress: Progress | None,
        *,
        deep: bool = False,
        satellite_buckets: bool = False,  # noqa: ARG002
    ) -> CheckReport:
        """Do the same: there is nothing to mend."""
        return self.check(progress, deep=deep)

    def estimate_pruning(self, pruning: Pruning) -> PruneReport:
        """Return what a pruning would delete."""
        from astraguard_store.store.pruning import estimate

        return estimate(self._store, pruning)

    def push(
        self, url: str, progress: Progress | None, raw: str | os.PathLike[str] | None
    ) -> PushReport:
        """Copy to a server what it doesn't have."""
        from astraguard_store.artifacts.exports import why_in_store
        from astraguard_store.artifacts.raw_places import raw_place
        from astraguard_store.store.pushing import Raw
        from astraguard_store.store.server_source import push_to

        _, root = self._origin()
        if raw is not None and root is not None and not names_server(raw):
            reason = why_in_store(root, Path(raw), is_folder=True)
            if reason:
                raise ArtifactWriteError(f"{os.fspath(raw)} {reason}")
        files = None if raw is None else Raw(raw_place(raw), self.measurements)
        return push_to(url, self._database, self._origin(), self._store.options, progress, files)

    def _origin(self) -> tuple[str, Path | None]:
        """Return the store's id, and its results folder."""
        return self._memory_id, None

    def back_up(self, target: Path) -> None:
        """Copy the database to a new file."""
        self._database.back_up(target)

    def cache_info(self) -> CacheInfo:
        """Return the hits and misses of this process, size and limit."""
        return self._database.cache_info()

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still there."""
        return self._store.shared.is_in_place()

    def close(self, *, wait: bool = True) -> None:
        """Let go of the store; its connections close with its last repository."""
        self._store.shared.release(wait=wait)

    def save(self, runs: Mapping[str, NewRun], *, satellite_buckets: bool) -> list[RunSummary]:
        """Save runs, all or none."""
        from astraguard_store.store.saving import save_rows

        options = self._options(satellite_buckets)
        return self._unless_stored(runs, lambda: save_rows(self._store, runs, options))

    def _unless_stored(
        self, runs: Mapping[str, NewRun], save: Callable[[], list[RunSummary]]
    ) -> list[RunSummary]:
        """Save, unless it is a named save that is stored already."""
        from astraguard_store.store.saving import SavedAlreadyError, is_same_save

        for run in runs.values():
            # Only `save` names one, so it is the only run.
            if run.save_id is not None:
                named = self._database.read(partial(named_saves, save_id=run.save_id))
                if is_same_save(run, named):
                    return [self.get(run.run_id)]
        try:
            return save()
        except SavedAlreadyError:
            # By another process, since it was looked for.
            return [self.get(run_id) for run_id in runs]

    def record(self, run_id: str, head: JournalHead) -> Recording:
        """Begin to record a run, without a journal."""
        from astraguard_store.store.recording import MemoryRecording

        logger.info("run %r is recorded into memory alone: a crash takes all of it", run_id)
        return MemoryRecording(self._store, run_id, self._wanted(head))

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set and, where None, remove tags of a stored run."""
        from astraguard_store.store.changes import set_tags

        set_tags(self._store, run_id, tags)

    def purge_measurements(self, run_id: str) -> int:
        """Delete a run's measurements from the table; return how many there were."""
        from astraguard_store.store.changes import purge_measurements

        return purge_measurements(self._store, run_id)

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        from astraguard_store.store.changes import delete_run

        delete_run(self._store, run_id)

    def prune(self, pruning: Pruning, progress: Progress | None) -> PruneReport:
        """Delete old runs."""
        from astraguard_store.store.pruning import prune

        return prune(self._store, pruning, progress)

    def adopt(
        self,
        progress: Progress | None,  # noqa: ARG002
        jobs: int | None,  # noqa: ARG002
        *,
        rebuild: bool,  # noqa: ARG002
    ) -> ImportReport:
        """Do nothing: there are no folders."""
        from astraguard_store.reports import ImportReport

        return ImportReport(0, 0, ())

    def bring_in(
        self,
        paths: Iterable[Path],  # noqa: ARG002
        progress: Progress | None,  # noqa: ARG002
    ) -> ImportReport:
        """Refuse: there is no folder."""
        raise StoreNotFoundError("a store in memory has no folder, so no files can be imported")

    def merge(self, other: Path, progress: Progress | None) -> MergeReport:
        """Take over the rows of another store's runs."""
        from astraguard_store.store.merging import merge_rows

        return merge_rows(self._store, other, progress)

    def recover(self) -> None:
        """Do nothing: nothing is staged in memory."""

    def _wanted(self, head: JournalHead) -> JournalHead:
        return replace(head, in_database=self._store.options.keep_measurements == "database")

    def _options(self, satellite_buckets: bool) -> StoreOptions:
        options = self._store.options
        return replace(options, satellite_buckets=True) if satellite_buckets else options


class FolderSource(MemorySource):
    """The rows of a store in a results folder, beside the runs' files.

    Args:
        store: The open store.
        writes: Whether files that a dead process left staged may be published.
    """

    def __init__(self, store: FolderStore, *, writes: bool) -> None:
        super().__init__(store)
        self._folder = store
        self._root = store.root
        self._on_load = self._finish_publishing if writes else None
        self._documents: dict[str, tuple[StoredRun, dict[str, Any]]] = {}

    def back_up(self, target: Path) -> None:
        """Copy the database to a new file, and not to a name of the store's own."""
        from astraguard_store.artifacts.exports import why_in_store

        reason = why_in_store(self._root, target)
        if reason and not os.path.lexists(target):
            raise DatabaseError(f"{target} {reason}")
        super().back_up(target)

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""
        run = self._database.get(run_id, self._on_load)
        if run.live_token is None:
            return run.summary
        from astraguard_store.store.recording import as_journalled, seen_alive

        seen = seen_alive(self._root, run)
        if seen.state != "interrupted":
            return seen
        if self._adopt_journals({run_id}):
            return self._database.get(run_id, self._on_load).summary
        told = as_journalled(self._root, seen, run.live_token)
        # Adopted by another meanwhile, whose commit came before the journal went?
        again = self._database.get(run_id, self._on_load)
        return told if again.live_token == run.live_token else again.summary

    def recent(self, limit: int, filters: RunFilters | None = None) -> list[RunHeader]:
        """Return the newest *limit* runs that pass the filters, newest first."""
        state = filters.state if filters else None
        if filters and state in {"running", "interrupted"}:
            # What a row takes for running may be interrupted by now.
            running = self._as_seen(super().recent(limit, replace(filters, state="running")))
            others = super().recent(limit, filters) if state == "interrupted" else []
            found = {header.run_id: header for header in (*running, *others)}
            passed = [header for header in found.values() if header.state == state]
            passed.sort(key=lambda header: (header.recorded_at, header.run_id), reverse=True)
            return passed[:limit]
        return self._as_seen(super().recent(limit, filters))

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool) -> Comparison:
        """Return what changed from one run to another, by one joined query."""
        found = super().compare(baseline, candidate, by_satellite=by_satellite)
        if "running" not in {found.baseline_state, found.candidate_state}:
            return found
        from astraguard_store.comparison import compare

        # A recorder may have died: then its run is as it is once its journal is adopted.
        before, after = self.get(baseline), self.get(candidate)
        if "interrupted" in {before.state, after.state}:
            # This user may not have adopted it, so that rows don't hold all of it.
            return compare(before, after, by_satellite)
        found = super().compare(baseline, candidate, by_satellite=by_satellite)
        return replace(found, baseline_state=before.state, candidate_state=after.state)

    def _as_seen(self, headers: list[RunHeader]) -> list[RunHeader]:
        """Return *headers*, with the states of running runs as they are now."""
        if not any(header.state == "running" for header in headers):
            return headers
        from astraguard_store.store.recording import seen_alive_headers

        seen = seen_alive_headers(self._root, headers)
        dead = {
            new.run_id
            for old, new in zip(headers, seen, strict=True)
            if old.state == "running" and new.state == "interrupted"
        }
        if not dead:
            return seen
        found = []
        for header in seen:
            # One that was deleted meanwhile is left out.
            with suppress(RunNotFoundError):
                found.append(self.get(header.run_id).header if header.run_id in dead else header)
        return found

    def _adopt_journals(self, run_ids: Collection[str]) -> bool:
        """Adopt the journals of runs whose recorder died; return whether that was tried."""
        if self._on_load is None:
            return False
        from astraguard_store.artifacts.journal import journals
        from astraguard_store.store.recording import end_lost_recordings
        from astraguard_store.store.recovery import settle

        names = [name for run_id, name in journals(self._root).items() if run_id in run_ids]
        try:
            with interrupts_held_back():
                for name in names:
                    settle(self._folder, (name,))
                if not names:
                    end_lost_recordings(self._folder)
        except (OSError, StoreError) as error:
            logger.warning("%s: what was recorded could not be adopted: %s", self._root, error)
            return False
        return True

    def document(self, run_id: str, *, afresh: bool) -> dict[str, Any]:
        """Return what the run's summary file holds, from memory if it is as it was saved."""
        try:
            run = self._load(run_id)
        except RunNotFoundError:
            pass
        else:
            if not afresh and self._is_as_saved(run):
                return copied(self._document_of(run))
        try:
            return read_document(self._root, run_id)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self._root)) from None

    def few_measurements(self, run_id: str) -> Columns | None:
        """Return a run's measurements if they are few, read without polars; else None."""
        from astraguard_store.store.measurements import few_of_stored

        return few_of_stored(self._folder, lambda: self._load(run_id))

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements, in the order of their recording."""
        from astraguard_store.store.measurements import frame_of_stored

        return frame_of_stored(self._folder, lambda: self._load(run_id))

    def export(
        self,
        run_ids: Iterable[str],
        target: Path,
        progress: Progress | None,
        *,
        dataset: bool = False,
    ) -> ExportReport:
        """Copy runs out of the store."""
        from astraguard_store.database.baselines import judgements_of
        from astraguard_store.store.exporting import Noted, export

        def noted(run_id: str) -> tuple[StoredRun, Noted]:
            # It may have to be published first.
            self._load(run_id)
            return self._database.read(partial(at_once, run_id=run_id))

        def at_once(connection: Connection, run_id: str) -> tuple[StoredRun, Noted]:
            run = load_run(connection, run_id)
            if run is None:
                raise RunNotFoundError(run_id, str(self._root))
            return run, Noted(
                keeps_satellite_buckets(connection, run_id),
                judgements_of(connection, run_id),
                save_ids_of(connection, run_id),
            )

        return export(
            self._root,
            self._load,
            noted,
            self.measurements,
            run_ids,
            target,
            progress,
            dataset=dataset,
        )

    def check(self, progress: Progress | None, *, deep: bool = False) -> CheckReport:
        """Hold database, rows and files against each other."""
        from astraguard_store.store.checking import check_files

        return check_files(self._folder, deep=deep, progress=progress)

    def check_and_fix(
        self, progress: Progress | None, *, deep: bool = False, satellite_buckets: bool = False
    ) -> CheckReport:
        """Check, and mend what can be mended."""
        from astraguard_store.store.checking import check_files

        return check_files(
            self._folder,
            fix=True,
            deep=deep,
            satellite_buckets=satellite_buckets,
            progress=progress,
        )

    def save(self, runs: Mapping[str, NewRun], *, satellite_buckets: bool) -> list[RunSummary]:
        """Save runs, all or none."""
        from astraguard_store.store.recovery import recover
        from astraguard_store.store.saving import save_runs

        if self._store.shared.unsettled:
            try:
                recover(self._folder)
            except StoreError as error:
                # The save says so too, and keeps its files.
                logger.warning("%s: what is unsettled stays so: %s", self._root, error)
        options = self._options(satellite_buckets)
        return self._unless_stored(
            runs, lambda: self._without_dead(lambda: save_runs(self._folder, runs, options))
        )

    def record(self, run_id: str, head: JournalHead) -> Recording:
        """Begin to record a run."""
        from astraguard_store.store.recording import FolderRecording

        wanted = self._wanted(head)
        return self._without_dead(lambda: FolderRecording(self._folder, run_id, wanted))

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        from astraguard_store.store.changes import delete_run

        self._without_dead(lambda: delete_run(self._store, run_id))

    def _without_dead(self, change: Callable[[], T]) -> T:
        """Make a change; if a recorder is in its way that has died, adopt its journal first."""
        try:
            return change()
        except RunIsRunningError as error:
            if not self._adopt_journals({error.run_id}):
                raise
            return change()

    def adopt(self, progress: Progress | None, jobs: int | None, *, rebuild: bool) -> ImportReport:
        """Adopt the run folders that have no rows."""
        from astraguard_store.store.adoption import adopt_folders
        from astraguard_store.store.recovery import finish_first_adoption

        report = adopt_folders(self._folder, progress, jobs, rebuild=rebuild)
        finish_first_adoption(self._folder)
        return report

    def bring_in(self, paths: Iterable[Path], progress: Progress | None) -> ImportReport:
        """Bring in runs that lie elsewhere."""
        from astraguard_store.store.importing import import_paths

        return import_paths(self._folder, paths, progress)

    def merge(self, other: Path, progress: Progress | None) -> MergeReport:
        """Take over the runs of another store."""
        from astraguard_store.store.merging import merge_runs

        if self._store.shared.unsettled:
            self.recover()
        return merge_runs(self._folder, other, progress)

    def recover(self) -> None:
        """Finish or undo what dead processes left behind."""
        from astraguard_store.store.recovery import recover

        recover(self._folder)

    def _origin(self) -> tuple[str, Path | None]:
        store_id = self._database.store_id()
        if store_id is None:
            raise StoreNotFoundError(
                f"the store in {self._root} has no id yet, by which a server knows it again; "
                "open it for writing once"
            )
        return store_id, self._root

    def _load(self, run_id: str) -> StoredRun:
        return self._database.get(run_id, self._on_load)

    def _document_of(self, run: StoredRun) -> dict[str, Any]:
        """Return the run's document, built once; it is nobody's to change."""
        kept = self._documents.get(run.summary.run_id)
        # The database gives the same object for as long as nobody has changed the run.
        if kept is not None and kept[0] is run:
            return kept[1]
        document = summary_document(run.summary, run.utc_offset_s or 0)
        if len(self._documents) >= _DOCUMENTS:
            self._documents.clear()
        self._documents[run.summary.run_id] = run, document
        return document

    def _is_as_saved(self, run: StoredRun) -> bool:
        # The file of an adopted run was written by somebody else; merged, it has a token.
        if run.staging_token is None or run.utc_offset_s is None:
            return False
        summary = run.summary
        # They are in the order of their kinds, and another program may have deleted some.
        noted = summary.artifacts[-1] if summary.artifacts else None
        if noted is None or noted.kind != "summary_json":
            return False
        return is_as_saved(self._root, noted, epoch_us(summary.recorded_at))

    def _finish_publishing(self, run: StoredRun) -> None:
        """Publish a run's files if the process that saved it died in between."""
        if run.staging_token is None:
            return
        files = (a.path for a in run.summary.artifacts if a.kind == "summary_json")
        names = staged_files(
            self._root, run.summary.run_id, run.staging_token, name_in(next(files, SUMMARY_NAME))
        )
        if names:
            from astraguard_store.store.recovery import settle

            try:
                settle(self._folder, names)
            except (OSError, StoreError) as error:
                logger.warning("files of run %r: %s", run.summary.run_id, error)
