"""Runs read from their folders alone, where there is no database to ask."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.artifacts.reader import found_run, read_document, read_summary_file
from astraguard_store.artifacts.scanner import file_time_us, newest_runs
from astraguard_store.checks import check_run_id
from astraguard_store.comparison import Comparison, compare
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import (
    ArtifactReadError,
    RunNotFoundError,
    StoreNotFoundError,
)
from astraguard_store.filters import RunFilters
from astraguard_store.model import RunHeader, RunSummary
from astraguard_store.reports import (
    CacheInfo,
    CheckReport,
    ExportReport,
    Progress,
)
from astraguard_store.store.measurements import frame_of_files
from astraguard_store.store.sources import one_by_one, refusing

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.buckets import BucketColumns
    from astraguard_store.store.exporting import Noted

logger = logging.getLogger("astraguard_store")


class FolderRuns:
    """A source that answers from the run folders alone; it reads afresh each time.

    Threads may share it. What needs rows, it refuses.
    """

    answers_from: Final = "folders"

    percentiles = refusing(lambda self: self._needs_database("merging buckets"))
    push = refusing(lambda self: self._needs_database("pushing runs"))
    query = refusing(lambda self: self._needs_database("SQL"))
    gating = refusing(lambda self: self._needs_database("a verdict"))
    estimate_pruning = refusing(lambda self: self._needs_database("pruning"))
    back_up = refusing(
        lambda self: StoreNotFoundError(
            f"there is no usable database in {self.root}; "
            "`astraguard-store check` says what is wrong with it"
        )
    )

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, run_id: str) -> RunSummary:
        """Return the run as its summary file has it.

        Raises:
            RunNotFoundError: There is no such folder, or no summary in it.
            ArtifactReadError: The summary can't be read.
        """
        run_id = check_run_id(run_id)
        try:
            file = read_summary_file(self.root, run_id)
            time_us = file_time_us(self.root, run_id, file.modified_ns)
            return found_run(self.root, run_id, file, time_us)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self.root)) from None

    def get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there, by id."""
        return one_by_one(self.get, run_ids)

    def recent(self, limit: int, filters: RunFilters | None = None) -> list[RunHeader]:
        """Return the newest runs, newest first; a run that can't be read is logged.

        Raises:
            ArtifactReadError: The folder can't be listed.
            StoreNotFoundError: A filter asks for what only rows know.
        """
        if filters is not None and not filters.in_folders:
            raise self._needs_database("filtering by scenario, tag or statistic")
        since = filters.since if filters else None
        wanted = limit
        headers: dict[str, RunHeader | None] = {}
        while True:
            found = self._newest_ids(wanted)
            headers |= {run_id: self._header(run_id) for run_id in found if run_id not in headers}
            readable = [header for run_id in found if (header := headers[run_id])]
            passed = [h for h in readable if filters is None or filters.holds_in_time(h)]
            is_past = bool(readable and since and readable[-1].recorded_at < since)
            if len(passed) >= limit or len(found) < wanted or is_past:
                return passed[: max(limit, 0)]
            wanted *= 4 if filters else 2

    def _newest_ids(self, limit: int) -> list[str]:
        try:
            return [run_id for _, run_id in newest_runs(self.root, limit)]
        except OSError as error:
            raise ArtifactReadError(f"{self.root} can't be listed: {error.strerror}") from error

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool = False) -> Comparison:
        """Return what changed from *baseline* to *candidate*; raises as `get`."""
        return compare(self.get(baseline), self.get(candidate), by_satellite=by_satellite)

    def buckets(self, *_: object) -> dict[str, BucketColumns]:
        """Return none: folders keep no buckets."""
        return {}

    def document(self, run_id: str, *, afresh: bool) -> dict[str, Any]:  # noqa: ARG002
        """Return what the run's summary file holds; raises as `RunRepository.read_document`."""
        try:
            return read_document(self.root, run_id)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self.root)) from None

    def few_measurements(self, run_id: str) -> None:
        """Return None: they are read as a frame."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return the measurements in the run's CSV; raises as `RunRepository.measurements`."""
        return frame_of_files(self.root, self.get(run_id))

    def export(
        self,
        run_ids: Iterable[str],
        target: Path,
        progress: Progress | None,
        *,
        dataset: bool = False,
    ) -> ExportReport:
        """Copy runs out; raises as `RunRepository.export`."""
        # Imported where it is called, as in `sources`.
        from astraguard_store.store.exporting import export

        return export(self, run_ids, target, progress, dataset=dataset)

    def load(self, run_id: str) -> StoredRun:
        """Return a run as a row would have it."""
        return StoredRun(self.get(run_id), None, None)

    def noted(self, run_id: str) -> tuple[StoredRun, Noted]:
        """Return a run, and that nothing is noted beside it."""
        from astraguard_store.store.exporting import Noted
        from astraguard_store.verdict.values import Judgements

        return self.load(run_id), Noted(False, Judgements(), [])

    def check(
        self, progress: Progress | None, *, deep: bool, fix: bool, satellite_buckets: bool
    ) -> CheckReport:
        """Check a folder whose database can't be opened; raises as `RunRepository.check`."""
        from astraguard_store.store.checking import check_folder

        return check_folder(
            self.root,
            fix=fix,
            deep=deep,
            satellite_buckets=satellite_buckets,
            progress=progress,
        )

    def cache_info(self) -> CacheInfo:
        """Return zeros: nothing is kept."""
        return CacheInfo(0, 0, 0, 0)

    def is_in_place(self) -> bool:
        """Return False: no database was opened."""
        return False

    def close(self, *, wait: bool = True) -> None:
        """Do nothing: nothing is held open."""

    def _needs_database(self, what: str) -> StoreNotFoundError:
        return StoreNotFoundError(
            f"{what} needs a database, and there is no usable one in {self.root}; "
            "`astraguard-store import` makes it from the run folders"
        )

    def _header(self, run_id: str) -> RunHeader | None:
        try:
            return self.get(run_id).header
        except (ArtifactReadError, RunNotFoundError) as error:
            logger.warning("left out of the recent runs: %s", error)
            return None
