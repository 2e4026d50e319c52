"""What a repository is asked."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from astraguard_store.artifacts.reader import is_as_saved, read_document
from astraguard_store.artifacts.staging import staged_files
from astraguard_store.checks import check_run_id
from astraguard_store.comparison import Comparison
from astraguard_store.database.backend import Parameters, Question
from astraguard_store.database.lists import filtered_headers
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import RunNotFoundError, StoreError
from astraguard_store.filters import RunFilters
from astraguard_store.formats.layout import SUMMARY_NAME, name_in
from astraguard_store.formats.summary import summary_document
from astraguard_store.model import RunHeader, RunSummary, epoch_us
from astraguard_store.reports import CacheInfo, QueryResult
from astraguard_store.store.distributions import Distributions
from astraguard_store.store.folder_runs import FolderRuns
from astraguard_store.store.raw_measurements import frame_of_files, frame_of_stored
from astraguard_store.store.recovery import settle

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Questions"]

logger = logging.getLogger("astraguard_store")

_NO_FILTERS = (None, None, None, None, None)


class Questions(Distributions):
    """The part of `RunRepository` that answers."""

    def get(self, run_id: str) -> RunSummary:
        """Return a run: the same object for as long as nobody changes the run.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
        """
        run_id = check_run_id(run_id)
        if self._folders:
            self._check_open()
            return self._folders.get(run_id)
        return self._store().database.get(run_id, self._finish_publishing).summary

    def recent(
        self,
        limit: int = 10,
        *,
        scenario: str | None = None,
        tag: str | tuple[str, str] | None = None,
        since: datetime | None = None,
        above: tuple[str, str, float] | None = None,
        before: RunHeader | None = None,
    ) -> list[RunHeader]:
        """Return the newest runs, newest first; of those that pass all filters given.

        Walks the index on the recording time, or that on scenarios: the cost
        follows *limit* and how many runs are passed by, not the number of runs.
        Where run folders answer, they know *since* and *before* only.

        Args:
            limit: Most runs to return; below 1 gives none.
            scenario: Of this scenario.
            tag: With this tag, or, a pair, with this tag and value.
            since: Recorded at this time or later; aware.
            above: (metric type, statistic, limit in ms): whose ``mean_ms``,
                ``p50_ms``, ``p95_ms``, ``p99_ms`` or ``max_ms`` of the metric
                type is above the limit. A percentile that falls among the missed
                events counts by what it is above of.
            before: Older than this run, in the order of the list: the last run
                of one page gives the next.

        Returns:
            Run headers by recording time (UTC), ties by run id, newest first.

        Raises:
            InvalidRunError: A filter can't be.
            StoreNotFoundError: Run folders answer, and a filter needs a database.
        """
        self._check_open()
        # Without a filter, 12 µs: not even the filters are made.
        if (scenario, tag, since, above, before) == _NO_FILTERS:
            if limit < 1:
                return []
            limit = min(limit, 2**62)
            if self._folders:
                return self._folders.recent(limit)
            return self._store().database.recent(limit)
        filters = RunFilters(scenario, tag, since, above, before)
        return self._filtered(max(0, min(limit, 2**62)), filters)

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool = False) -> Comparison:
        """Return what changed from one run to another, by one joined query.

        Args:
            baseline: The run to compare against.
            candidate: The run in question; differences are candidate − baseline.
            by_satellite: Compare each metric type on each satellite, instead of
                on all together.

        Raises:
            InvalidRunError: An id is not allowed.
            RunNotFoundError: There is no such run; the baseline is looked for first.
        """
        baseline, candidate = check_run_id(baseline), check_run_id(candidate)
        if self._folders:
            self._check_open()
            return self._folders.compare(baseline, candidate, by_satellite=by_satellite)
        return self._store().database.compare(baseline, candidate, by_satellite=by_satellite)

    def read_document(self, run_id: str, *, afresh: bool = False) -> dict[str, Any]:
        """Return what the run's ``latency_summary.json`` holds, as a new dict.

        It comes from memory for as long as the file is the one that the last
        save wrote, told by its size and time. If somebody else has changed or
        removed the file, the file is what counts.

        Args:
            run_id: The run; it needs a summary file, but no row.
            afresh: Read the file in any case.

        Raises:
            RunNotFoundError: There is no such run.
            ArtifactReadError: The file can't be read; the message says why.
        """
        run_id = check_run_id(run_id)
        run = self._row(run_id)
        if run is not None and self._is_as_saved(run, afresh=afresh):
            return summary_document(run.summary, run.utc_offset_s or 0)
        if self.results_dir is None:
            raise RunNotFoundError(run_id, "the database in memory")
        try:
            return read_document(self.results_dir, run_id)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self.results_dir)) from None

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements, in the order of their recording.

        They come from the parquet file, else from the table `measurements`, else
        from the CSV, plain or compressed: whichever the run has, checked against
        the SHA-256 noted when it was saved (rows of the table are counted). A run
        known from its folder alone, or adopted and not yet checked, has no such
        note. Names are as they were recorded, also where `safe_csv` changed
        them in the CSV. 100,000 rows take 20 ms from parquet, 0.15 s from the
        table, 30 ms from a CSV, and 0.7 s from one that has no such note.

        Returns:
            A frame with the columns ``timestamp`` (Float64, seconds since 1970,
            UTC), ``metric_type`` and ``satellite_id`` (String), ``duration_ms``
            (Float64, milliseconds; of a missed event, what was waited),
            ``scenario_time_s`` (Float64, seconds since the scenario's start) and
            ``missed`` (Boolean).

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactReadError: They are kept nowhere, as in memory by default; or
                the file is missing or changed (the message names it, and both
                hashes); or this process was forked from one that had polars
                loaded.
        """
        run_id = check_run_id(run_id)
        if self._folders and self.results_dir:
            self._check_open()
            return frame_of_files(self.results_dir, self._folders.get(run_id))
        store = self._store()
        return frame_of_stored(store, lambda: store.database.get(run_id, self._finish_publishing))

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        time_limit_s: float = 10.0,
        row_limit: int | None = None,
    ) -> QueryResult:
        """Return the answer to one statement of SQL that only reads.

        The views with plain names, ``v_runs``, ``v_latency`` and so on, are
        described in the table ``schema_doc``. It is run on a connection of its
        own, so that neither other queries nor savers wait for it; in memory, on
        a copy. What it may not do is refused before it begins.

        Args:
            sql: A SELECT, a WITH … SELECT, VALUES or EXPLAIN.
            parameters: Values for ``?`` in order, or for ``:name`` by name.
            time_limit_s: Seconds after which it is stopped.
            row_limit: Most rows to return; None for all that there are.

        Raises:
            QueryError: It is refused, wrong, or took longer than its limit.
            StoreNotFoundError: Run folders answer, so there is no SQL.
            DatabaseError: The database couldn't be read.
        """
        question = Question(sql, parameters, time_limit_s, row_limit)
        if self._folders:
            self._check_open()
            raise self._needs_database("SQL")
        return self._store().database.ask(question)

    def cache_info(self) -> CacheInfo:
        """Return the hits and misses of this process in this folder, size and limit."""
        if self._folders:
            self._check_open()
            return CacheInfo(0, 0, 0, 0)
        return self._store().database.cache_info()

    def _filtered(self, limit: int, filters: RunFilters) -> list[RunHeader]:
        if not self._folders:
            return self._store().database.read(
                lambda connection: filtered_headers(connection, limit, filters)
            )
        if not filters.in_folders:
            raise self._needs_database("filtering by scenario, tag or statistic")
        return _filtered_in_time(self._folders, limit, filters)

    def _row(self, run_id: str) -> StoredRun | None:
        if self._folders:
            return None
        try:
            return self._store().database.get(run_id, self._finish_publishing)
        except RunNotFoundError:
            return None

    def _is_as_saved(self, run: StoredRun, *, afresh: bool) -> bool:
        if self.results_dir is None:
            return True
        # The file of an adopted run was written by somebody else; merged, it has a token.
        if afresh or run.staging_token is None or run.utc_offset_s is None:
            return False
        summary = run.summary
        # They are in the order of their kinds, and another program may have deleted some.
        noted = summary.artifacts[-1] if summary.artifacts else None
        if noted is None or noted.kind != "summary_json":
            return False
        return is_as_saved(self.results_dir, noted, epoch_us(summary.recorded_at))

    def _finish_publishing(self, run: StoredRun) -> None:
        """Publish a run's files if the process that saved it died in between."""
        if run.staging_token is None or self._read_only or self.results_dir is None:
            return
        store = self._store()
        assert store.root is not None  # noqa: S101 - where there is a folder
        files = (a.path for a in run.summary.artifacts if a.kind == "summary_json")
        names = staged_files(
            store.root, run.summary.run_id, run.staging_token, name_in(next(files, SUMMARY_NAME))
        )
        if names:
            try:
                settle(store, self._options, names)
            except (OSError, StoreError) as error:
                logger.warning("files of run %r: %s", run.summary.run_id, error)


def _filtered_in_time(folders: FolderRuns, limit: int, filters: RunFilters) -> list[RunHeader]:
    wanted = limit
    while True:
        found = folders.recent(wanted)
        passed = [header for header in found if filters.holds_in_time(header)]
        is_past = bool(found and filters.since and found[-1].recorded_at < filters.since)
        if len(passed) >= limit or len(found) < wanted or is_past:
            return passed[:limit]
        wanted *= 4
