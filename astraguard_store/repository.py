"""RunRepository: the class that callers use."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from astraguard_store.checks import check_run_id, check_whole_number
from astraguard_store.exceptions import (
    ClosedStoreError,
    DatabaseError,
    InvalidRunError,
    ReadOnlyStoreError,
    StoreNotFoundError,
)
from astraguard_store.filters import RunFilters
from astraguard_store.formats.compression import check_compression
from astraguard_store.model import RunHeader, RunHeaders, RunState, RunSummary
from astraguard_store.options import (
    DATABASE_NAME,
    DEFAULT_RESULTS_DIR,
    RESULTS_VARIABLE,
    Compression,
    Durability,
    KeptMeasurements,
    StoreOptions,
    local_path,
    names_server,
)
from astraguard_store.provenance import (
    UNKNOWN_PROVENANCE,
    Provenance,
    check_tag_changes,
    check_tags,
)
from astraguard_store.shown import note_asked
from astraguard_store.store.sources import FolderSource, MemorySource
from astraguard_store.store.store import existing_root, folder_store, holds_folders, memory_store
from astraguard_store.store.store_id import check_store_id, settle_store_id
from astraguard_store.system.file_limit import names_the_file_limit
from astraguard_store.system.interrupts import interrupts_held_back

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.columns import Columns
    from astraguard_store.comparison import Comparison
    from astraguard_store.database.backend import Parameters
    from astraguard_store.distributions import Distribution
    from astraguard_store.history import History
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
    from astraguard_store.store.folder_runs import FolderRuns
    from astraguard_store.store.live_run import LiveRun
    from astraguard_store.store.new_runs import Measured, NewRun
    from astraguard_store.store.recording import Recording
    from astraguard_store.store.server_source import ServerSource
    from astraguard_store.verdict.limits import Limits
    from astraguard_store.verdict.values import (
        Baseline,
        Calibration,
        ChangePoint,
        GateReport,
        PercentileInterval,
    )

    # What one of them lacks of what is asked below, the type checker names.
    WritableSource = MemorySource | ServerSource
    Source = WritableSource | FolderRuns

logger = logging.getLogger("astraguard_store")

_NO_FILTERS = (None,) * 8
# More than anybody has, and what SQLite's integers hold.
_MOST_RUNS = 2**62


@names_the_file_limit
class RunRepository:
    """The runs of a results folder: saved, listed, compared.

    Open one with `open` or `in_memory`, and close it, or use it in a ``with``.
    Any number of threads and processes may work on one folder at a time, and
    all repositories of a folder in one process share its connections and its
    cache. A repository may be used from all threads; after a fork the child
    opens connections of its own.

    What it guarantees: a save that returned is in the database and in both
    files, after a crash and, with ``durability="full"``, after a power cut. A
    reader never sees half of a run, nor an old one after the new one was saved.

    Any method raises `ClosedStoreError` after `close`, and `DatabaseError` where the database
    can't be read; one that writes raises `ReadOnlyStoreError` if the repository was opened for
    reading, and `DatabaseBusyError` if others held the database for longer than
    *busy_timeout_s*. Its own section says what else.

    Attributes:
        results_dir: The folder; None in memory and on a server.
        server: The URL of the server, without its password; None elsewhere.
        answers_from: ``"database"``, or ``"folders"`` where a folder was opened
            for reading that has no database, or none that can be read.
    """

    def __init__(
        self,
        source: Source,
        writable: WritableSource | None = None,
        results_dir: Path | None = None,
        *,
        server: str | None = None,
    ) -> None:
        """Use `open` or `in_memory`.

        Raises:
            TypeError: *source* is the name of a folder.
        """
        if isinstance(source, (str, os.PathLike)):
            raise TypeError(
                f"a repository is opened: RunRepository.open({os.fspath(source)!r}), or "
                "RunRepository.in_memory()"
            )
        self.results_dir = results_dir
        self.server = server
        self.answers_from: Literal["database", "folders"] = source.answers_from
        self._open_source = source
        self._writable_source = writable
        self._closed = False
        # A collection may run anywhere, also where this thread keeps others waiting.
        self._finalizer = weakref.finalize(self, source.close, wait=False)

    @classmethod
    def open(
        cls,
        results_dir: str | os.PathLike[str] | None = None,
        *,
        read_only: bool = False,
        durability: Durability = "full",
        busy_timeout_s: float = 30.0,
        adopt: bool = True,
        safe_csv: bool = False,
        keep_measurements: KeptMeasurements = "csv",
        compression: Compression | None = None,
    ) -> RunRepository:
        """Open the store in the folder *results_dir*.

        Where there is none, the folder and its database are made, and runs that
        lie in the folder already are adopted. What a dead process left behind
        is finished or undone.

        Or, with a URL, the store on a PostgreSQL server, which `push` fills and which
        answers the same questions. Its schema must be there: `astraguard-store db
        upgrade URL` makes it. The runs' files stay on the machines that they came from.

        Args:
            results_dir: The results folder, or ``postgresql://user@host/database``; None
                for what the environment variable ``ASTRAGUARD_STORE_RESULTS`` names, as
                for the command, or else for ``astraguard/hil/results``.
            read_only: Create, write and migrate nothing. A folder of runs
                without a usable database is then answered from the run folders,
                which the log says.
            durability: ``"full"``: a save that returned survives a power cut.
                ``"normal"``: no file, folder or commit of a save is synced; after
                a power cut the latest saves may be missing or their files
                incomplete. A crash of the process harms neither.
            busy_timeout_s: How long a save waits for other writers, seconds.
            adopt: False leaves runs that were there before the database to
                `import_legacy`, which reports and shows progress.
            safe_csv: In the CSVs of runs that are saved through this repository,
                put an apostrophe before names that a spreadsheet would take for
                a formula: those that begin with ``= + - @``, a tab or a carriage
                return. Rows and summaries keep the names as they are.
            keep_measurements: Where the measurements of runs that are saved through
                this repository are kept: ``"csv"`` in the CSV alone;
                ``"database"`` in the table `measurements` too, for SQL (60 bytes
                a row; `purge_measurements` removes them); ``"parquet"`` in
                ``latency_raw.parquet`` too.
            compression: ``"gzip"`` or ``"zstd"`` writes ``latency_raw.csv.gz`` and
                ``latency_summary.json.gz`` (``.zst``) instead of the plain files,
                a quarter of their size; a run that is saved again changes over.
                It doesn't change how the runs that are there are read.

        Raises:
            ValueError: An option isn't one of those named, or one that says how files
                are written is given with a URL.
            StoreNotFoundError: With `read_only`, there is no such folder, or
                neither a database nor a run in it. Or the URL can't be read, or the
                package psycopg isn't there, which
                ``pip install 'astraguard-store[postgres]'`` installs.
            DatabaseError: The server can't be reached.
            SchemaVersionError: The database is older or newer than this code.
            StoreMismatchError: The database is that of another store's folder.
            DatabaseDamagedError: The database is damaged; it is left as it is.
            DatabaseBusyError: Others held the database for too long.
            ArtifactWriteError: The folder can't be made; or ``"zstd"`` needs the
                package zstandard, which ``pip install 'astraguard-store[zstd]'``
                installs.
        """
        options = StoreOptions(
            durability, busy_timeout_s, safe_csv, compression, keep_measurements
        )
        check_compression(compression)
        if results_dir is None:
            results_dir = os.environ.get(RESULTS_VARIABLE) or DEFAULT_RESULTS_DIR
        if names_server(results_dir):
            return cls._open_server(os.fspath(results_dir), options, read_only=read_only)
        root = existing_root(results_dir, create=not read_only)
        if read_only:
            return cls._open_for_reading(root, options)
        _prepare_to_save()
        store = folder_store(root, options, create=True)
        source = FolderSource(store, writes=True)
        repository = cls(source, source, root)
        try:
            settle_store_id(store)
            if adopt and not store.database.adopted():
                repository._adopt_at_first_opening()
            repository.recover()
        except BaseException:
            repository.close()
            raise
        return repository

    @classmethod
    def in_memory(cls, *, keep_measurements: Literal["database"] | None = None) -> RunRepository:
        """Return a new, empty repository that lives in memory and writes no files.

        Args:
            keep_measurements: ``"database"`` keeps the measurements in the table
                `measurements`; None keeps only what is computed from them.

        Raises:
            ValueError: An option isn't one of those named.
        """
        if keep_measurements not in {None, "database"}:
            raise ValueError(
                f"keep_measurements is None or 'database' in memory, not {keep_measurements!r}"
            )
        _prepare_to_save()
        options = StoreOptions(keep_measurements=keep_measurements or "csv")
        source = MemorySource(memory_store(options))
        return cls(source, source)

    @classmethod
    def _open_for_reading(cls, root: Path, options: StoreOptions) -> RunRepository:
        source: Source
        try:
            store = folder_store(root, options, create=False)
            source = FolderSource(store, writes=False)
        except (FileNotFoundError, DatabaseError) as error:
            missing = isinstance(error, FileNotFoundError)
            if not holds_folders(root):
                if not missing:
                    raise
                raise StoreNotFoundError(
                    f"{root} holds neither a database nor a run; check the folder's name"
                ) from None
            reason = "there is no database" if missing else str(error)
            logger.warning("%s: answering from the run folders: %s", root, reason)
            from astraguard_store.store.folder_runs import FolderRuns

            source = FolderRuns(root)
        else:
            try:
                check_store_id(store)
            except BaseException:
                source.close()
                raise
        return cls(source, None, root)

    @classmethod
    def _open_server(cls, url: str, options: StoreOptions, *, read_only: bool) -> RunRepository:
        from astraguard_store.store.server_source import ServerSource

        if not read_only:
            _prepare_to_save()
        source = ServerSource.open(url, options)
        return cls(source, None if read_only else source, server=source.where)

    def _adopt_at_first_opening(self) -> None:
        with interrupts_held_back():
            report = self._writable().adopt(None, 1, rebuild=False)
        if report.adopted:
            logger.info("%s: adopted %d runs", self.results_dir, report.adopted)
        for name, reason in report.refused:
            logger.warning("%s: folder %r was not adopted: %s", self.results_dir, name, reason)

    @property
    def database_path(self) -> Path | None:
        """Where the database is, or would be; None in memory."""
        return None if self.results_dir is None else self.results_dir / DATABASE_NAME

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still the one in the folder."""
        return self._open_source.is_in_place()

    def close(self) -> None:
        """Let go of the store; its connections close with its last repository."""
        self._closed = True
        if self._finalizer.detach():
            self._open_source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.server or self.results_dir or "in memory"
        read_only = ", read only" if self._writable_source is None else ""
        state = ", closed" if self._closed else read_only
        return f"<RunRepository {where}, answers from {self.answers_from}{state}>"

    def save(
        self,
        run_id: str,
        collector: Measured,
        *,
        provenance: Provenance | None = None,
        tags: Mapping[str, str] | None = None,
        satellite_buckets: bool = False,
        save_id: str | None = None,
    ) -> RunSummary:
        """Save a run; it is on disk when this returns.

        A second save of a run replaces the first, as a whole, and its revision
        counts up. Only its tags stay, but for those that are set anew.

        Args:
            run_id: Its name; see `check_run_id` for what is allowed.
            collector: What was measured: a collector, which may go on recording
                meanwhile, or a frame (anything with ``__arrow_c_stream__``, as those of
                polars, pandas and Arrow) with the columns ``metric_type``,
                ``satellite_id``, ``duration_ms`` and ``scenario_time_s``, maybe also
                ``timestamp`` (a time, or seconds, ms, µs or ns since 1970) and ``missed``.
            provenance: What the run was. What is None in it and can be learned by
                this process, is: see `Provenance`.
            tags: {tag: value} to set; `set_tags` changes them later.
            satellite_buckets: Keep the buckets of each satellite too, so that
                `percentiles` can be asked for one: some 100 rows for each metric
                type on each satellite.
            save_id: A name for this save: saved again under it with the same
                names, durations and scenario times, as after an unknown outcome, it is one
                save, and what is stored now is returned. A name is known as long as its
                run exists, also after newer saves of it.

        Returns:
            The run as `get` gives it.

        Raises:
            InvalidRunError: The id is not allowed, there are no measurements, a value
                can't be stored (the message names column and row of a frame), or
                *save_id* names a save of something else.
            RunIsRunningError: The run is being recorded.
            ArtifactWriteError: A file couldn't be written; nothing was saved.
            DatabaseError: The database couldn't be written; the files are kept
                and the next opening adopts them.
            CommitOutcomeUnknownError: The commit failed; open again to learn.
        """
        from astraguard_store.store.new_runs import new_run

        source = self._writable()
        run_id = check_run_id(run_id)
        new = new_run(run_id, collector, provenance, tags, save_id)
        with interrupts_held_back():
            return source.save({run_id: new}, satellite_buckets=satellite_buckets)[0]

    def save_many(
        self,
        runs: Iterable[tuple[str, Measured]],
        *,
        provenance: Provenance | None = None,
        tags: Mapping[str, str] | None = None,
        satellite_buckets: bool = False,
    ) -> list[RunSummary]:
        """Save several runs in one transaction: all of them, or none.

        Args:
            runs: (run id, collector) pairs.
            provenance: What each of them was; the rest as in `save`.
            tags: To set on each of them.
            satellite_buckets: As in `save`.

        Raises:
            InvalidRunError: As `save`, or an id is named twice.
        """
        from astraguard_store.store.new_runs import new_run

        source = self._writable()
        new: dict[str, NewRun] = {}
        for name, collector in runs:
            run_id = check_run_id(name)
            if run_id in new:
                raise InvalidRunError(f"Invalid run_id {run_id!r}: it is named twice")
            new[run_id] = new_run(run_id, collector, provenance, tags)
        with interrupts_held_back():
            return source.save(new, satellite_buckets=satellite_buckets)

    def run(
        self,
        run_id: str,
        *,
        provenance: Provenance | None = None,
        tags: Mapping[str, str] | None = None,
        satellite_buckets: bool = False,
        flush_every_s: float = 1.0,
    ) -> LiveRun:
        """Return a run to be recorded in a ``with``: in the store from its beginning on.

        What is recorded is written to a journal in `.staging` while it is recorded. After
        a crash of the process at most the last *flush_every_s* are missing, and with
        ``durability="full"`` also after a power cut. Who next opens the store for writing,
        or asks an open one for the run, finds it ``interrupted``, with what it had. In
        memory there is no journal, so a crash takes all of it.

        While it is recorded it shows as ``running``, and nobody else may save, record or
        delete it. If there is a run of that id already, its statistics and files stay
        until the end, which replaces them as a save does.

        Args:
            run_id: Its name; see `check_run_id` for what is allowed.
            provenance: As in `save`.
            tags: As in `save`; set at the beginning.
            satellite_buckets: As in `save`.
            flush_every_s: How often what is new is written to the disk, seconds.

        Returns:
            What records. Its block begins with what `save` may raise, or RunIsRunningError;
            its end raises as `save` does.

        Raises:
            InvalidRunError: The id is not allowed, or a value can't be stored.
            ReadOnlyStoreError: The repository was opened for reading.
        """
        from astraguard_store.formats.journal import JournalHead
        from astraguard_store.store.live_run import LiveRun, check_flush_every
        from astraguard_store.store.new_runs import check_provenance
        from astraguard_store.system.machine import surroundings

        run_id = check_run_id(run_id)
        check_provenance(provenance)
        checked = check_tags(tags or {})
        head = JournalHead(0, provenance or UNKNOWN_PROVENANCE, checked, satellite_buckets)
        source = self._writable()

        def begin() -> Recording:
            learned = head.provenance.filled_from(surroundings())
            now_us = time.time_ns() // 1000
            self._writable()
            return source.record(run_id, replace(head, began_at_us=now_us, provenance=learned))

        return LiveRun(run_id, begin, check_flush_every(flush_every_s))

    def get(self, run_id: str) -> RunSummary:
        """Return a run: the same object for as long as nobody changes the run.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
        """
        run = self._source().get(check_run_id(run_id))
        note_asked(run, self)
        return run

    def _get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there: for the package's lists, which show many."""
        return self._source().get_all(run_ids)

    def recent(
        self,
        limit: int = 10,
        *,
        scenario: str | None = None,
        tag: str | tuple[str, str] | None = None,
        since: datetime | None = None,
        above: tuple[str, str, float] | None = None,
        before: RunHeader | None = None,
        state: RunState | None = None,
        until: datetime | None = None,
        recorded_since: datetime | None = None,
    ) -> RunHeaders:
        """Return the newest runs, newest first; of those that pass all filters given.

        Walks the index on the recording time, or that on scenarios: the cost
        follows *limit* and how many runs are passed by, not the number of runs.
        Where run folders answer, they know times and *before* only.

        Args:
            limit: Most runs to return; below 1 gives none.
            scenario: Of this scenario.
            tag: With this tag, or, a pair, with this tag and value.
            since: Flown at this time or later, by when the run started, else by when it
                was recorded; aware.
            above: (metric type, statistic, limit in ms): whose ``mean_ms``,
                ``p50_ms``, ``p95_ms``, ``p99_ms`` or ``max_ms`` of the metric
                type is above the limit. A percentile that falls among the missed
                events counts by what it is above of.
            before: Older than this run, in the order of the list: the last run
                of one page gives the next.
            state: ``running``, ``finished``, ``failed`` or ``interrupted``; see `RunHeader`.
            until: Flown before this time; aware.
            recorded_since: Recorded at this time or later; aware.

        Returns:
            A list of run headers by recording time (UTC), ties by run id, newest first;
            notebooks show it as a table, and it has ``to_polars()``.

        Raises:
            InvalidRunError: A filter can't be, or *limit* isn't a whole number.
            StoreNotFoundError: Run folders answer, and a filter needs a database.
        """
        limit = check_whole_number(limit, "limit")
        source = self._source()
        filters = None
        # Without a filter, 12 µs: not even the filters are made.
        given = (scenario, tag, since, above, before, state, until, recorded_since)
        if given != _NO_FILTERS:
            filters = RunFilters(*given)
        return RunHeaders(source.recent(min(limit, _MOST_RUNS), filters) if limit > 0 else ())

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool = False) -> Comparison:
        """Return what changed from one run to another, by one joined query.

        A run that isn't finished is compared as far as it came, because it was named:
        ``.warnings`` says so, and what else makes the numbers doubtful.

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
        comparison = self._source().compare(baseline, candidate, by_satellite=by_satellite)
        note_asked(comparison, self)
        return comparison

    def percentiles(
        self,
        quantiles: Iterable[float],
        *,
        metric_type: str,
        runs: Iterable[str] | None = None,
        satellite_id: str | None = None,
    ) -> Percentiles:
        """Return percentiles of all events of many runs, each within 1 %.

        They come from the sums of the runs' buckets, never from percentiles of
        runs. Some 10 µs a run; other queries of this process wait meanwhile.

        Args:
            quantiles: Which ones, from 0 to 1.
            metric_type: Of what.
            runs: Ids of the runs, finished or not; None for all that are finished.
            satellite_id: On which satellite; None for all together.

        Returns:
            The percentiles, and which runs could not be in them.

        Raises:
            InvalidRunError: A quantile, an id or a name can't be; or buckets of
                single satellites are asked for, and none of the runs keeps them.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and they have no buckets.
        """
        return self.grouped_percentiles(
            (), quantiles, metric_type=metric_type, runs=runs, satellite_id=satellite_id
        )[()]

    def grouped_percentiles(
        self,
        by: Iterable[str],
        quantiles: Iterable[float],
        *,
        metric_type: str,
        runs: Iterable[str] | None = None,
        satellite_id: str | None = None,
    ) -> dict[tuple[str | None, ...], Percentiles]:
        """Return `percentiles` of each group of runs, such as each scenario in each week.

        Some 12 µs a run, 30 µs where each run is a group of its own.

        Args:
            by: What the runs of a group have in common: ``run``, ``satellite``
                (of the runs that keep buckets of satellites), ``scenario``,
                ``host``, ``rig``, ``firmware``, ``software_version``,
                ``git_branch``, ``git_commit``, ``platform``, ``python``, ``serial``
                (of the units, of the runs that keep buckets of satellites), or, of
                when the run started, else was recorded, in UTC, ``day``
                (``2026-11-20``), ``week`` (of ISO 8601: ``2026-W47``) or ``month``
                (``2026-11``).
            quantiles: Which ones, from 0 to 1.
            metric_type: Of what.
            runs: Ids of the runs, finished or not; None for all that are finished.
            satellite_id: On which satellite; None for all together.

        Returns:
            {a value for each name in *by*, None where it isn't known: the
            percentiles}, in ascending order, None first; only groups in which
            a run measured it. Where *by* has a satellite, so have the percentiles.

        Raises:
            InvalidRunError: A name in *by*, a quantile, an id or a name can't be;
                or buckets of single satellites are asked for, and none of the
                runs keeps them.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and they have no buckets.
        """
        from astraguard_store.store.percentiles import PercentilesQuestion

        question = PercentilesQuestion(by, quantiles, metric_type, runs, satellite_id)
        return self._source().percentiles(question)

    def history(
        self,
        metric_type: str,
        *,
        by: str | None = None,
        satellite_id: str | None = None,
        limit: int = 100,
        scenario: str | None = None,
        tag: str | tuple[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        recorded_since: datetime | None = None,
        baseline: str | None = None,
    ) -> History:
        """Return how one metric type went over the newest runs, with the commit of each.

        Some 50 µs a run that isn't cached. ``.changes()`` says where it changed, and
        ``.plot()`` draws it.

        Args:
            metric_type: Of what.
            by: Taken apart by ``scenario``, ``rig`` or ``satellite``; None for one trend.
            satellite_id: On which satellite; None for all together.
            limit: How many of the newest runs, of those that pass the filters. Those of them
                that aren't finished are left out: ``.unfinished`` says which.
            scenario: As in `recent`.
            tag: As in `recent`.
            since: As in `recent`.
            until: As in `recent`.
            recorded_since: As in `recent`.
            baseline: Name of a baseline to hold it against: ``.bands()``, and a band in the
                chart, go from the lowest to the highest of its runs in each group, and of
                *scenario* where that is given. The other filters are not for them.

        Raises:
            GateError: There is no such baseline.
            InvalidRunError: A name, *by* or a filter can't be.
            StoreNotFoundError: Run folders answer, and a filter or *baseline* needs a database.
        """
        from astraguard_store.store.seeing import history

        found = self.recent(
            limit,
            scenario=scenario,
            tag=tag,
            since=since,
            until=until,
            recorded_since=recorded_since,
        )
        held_against = None if baseline is None else self.baseline(baseline)
        return history(self, found, metric_type, by, satellite_id, held_against, scenario)

    def distribution(
        self,
        metric_type: str,
        runs: Iterable[str] | None = None,
        *,
        satellite_id: str | None = None,
    ) -> Distribution:
        """Return how the durations of one metric type are distributed in several runs.

        They come from the buckets, within 1 %; of a run that keeps none, its measurements
        are counted. ``.plot()`` draws them one over the other.

        Args:
            metric_type: Of what.
            runs: Ids of the runs; None for the ten newest. A run that didn't measure it is
                left out.
            satellite_id: On which satellite; None for all together.

        Raises:
            InvalidRunError: An id or a name can't be.
            RunNotFoundError: There is no such run.
        """
        from astraguard_store.store.seeing import distribution

        return distribution(self, metric_type, runs, satellite_id, self._source().buckets)

    def gate(
        self,
        candidate: str | Iterable[str],
        baseline: str | Iterable[str],
        limits: Limits | None = None,
        *,
        by_satellite: bool = False,
        reference: str | None = "reference",
    ) -> GateReport:
        """Return whether runs got worse than a baseline, and how sure that is.

        The unit is the run: what a machine, a day and an order do to all events of a run
        is noise, and is measured between runs; of older runs of the same scenario, rig
        (or host) and firmware too, as long as their commits are known and clean. Runs
        tagged ``gate:exclude``, and runs with a recorded verdict ``regressed``, aren't
        among these. docs/verdicts.md has the rule. 10 runs against 3 take some 10 ms;
        a deadline reads the candidate's measurements too.

        Args:
            candidate: The run in question, or several of one state of the software.
            baseline: The name of a baseline; or a run; or several.
            limits: Which changes count; None for ``Limits()``.
            by_satellite: Judge each metric type on each satellite, instead of on all
                together.
            reference: The metric type of the in-run reference; None uses none.

        Returns:
            The verdict, each cell with its interval, what it was held against, and what
            would settle it.

        Raises:
            GateError: There is no such baseline; the runs can't be compared, because
                scenario, rig or host differ; a limit matches nothing; or nothing can
                be judged.
            InvalidRunError: An id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactReadError: There is a deadline, and a run's measurements can't be read.
            StoreNotFoundError: Run folders answer, and a verdict needs a database.
        """
        from astraguard_store.verdict.limits import Limits

        return (
            self._source()
            .gating()
            .gate(candidate, baseline, limits or Limits(), by_satellite, reference)
        )

    def calibrate(
        self,
        baseline: str | Iterable[str],
        candidate_runs: int = 3,
        limits: Limits | None = None,
        *,
        by_satellite: bool = False,
        reference: str | None = "reference",
    ) -> Calibration:
        """Return what `gate` can find against a baseline, and its false alarms there.

        Each run of the baseline is judged against the others. What is called regressed
        then is a false alarm, and so few tries leave a bound of their share. The smallest
        change that is found with 80 % follows from the noise.

        Args:
            baseline: As in `gate`; 3 runs or more.
            candidate_runs: How many runs a candidate will have.
            limits: As in `gate`.
            by_satellite: As in `gate`.
            reference: As in `gate`.

        Raises:
            GateError: As in `gate`, or there are too few runs.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and it needs a database.
        """
        from astraguard_store.verdict.limits import Limits

        return (
            self._source()
            .gating()
            .calibrate(baseline, candidate_runs, limits or Limits(), by_satellite, reference)
        )

    def change_points(
        self,
        metric_type: str,
        statistic: str = "p50",
        *,
        scenario: str | None = None,
        since: datetime | None = None,
    ) -> tuple[ChangePoint, ...]:
        """Return the steps in the history of a statistic, by time.

        Runs of different scenarios, rigs or hosts have histories of their own. A step
        shows once it has four runs, is of 5 % at least, and is proven. Runs that aren't
        finished are left out.

        Args:
            metric_type: Of what.
            statistic: ``mean``, ``p50``, ``p95`` or ``p99``.
            scenario: Of runs of this scenario only.
            since: Of runs that started at this time or later only; aware.

        Raises:
            GateError: It is no such statistic.
            InvalidRunError: The name or the time can't be.
            StoreNotFoundError: Run folders answer, and it needs a database.
        """
        return self._source().gating().change_points(metric_type, statistic, scenario, since)

    def percentile_intervals(self, run_id: str) -> dict[str, dict[str, PercentileInterval]]:
        """Return how sure a run's percentiles are: their 95 % intervals, by order statistics.

        Of the events within the run alone: the next run of the same software differs by
        more, which `gate` measures. The ends come from the run's buckets, within 1 %.

        Returns:
            {metric type: {``p50``, ``p95``, ``p99``: interval}}, over all satellites.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and they have no buckets.
        """
        return self._source().gating().intervals(check_run_id(run_id))

    def set_baseline(self, name: str, runs: str | Iterable[str]) -> Baseline:
        """Let *name* stand for these runs, and no others; they aren't pruned from now on.

        Args:
            name: Any text without commas; a baseline of that name is replaced.
            runs: Ids of the runs; a single one may stand alone.

        Raises:
            InvalidRunError: The name or an id is not allowed, or no run is named.
            RunNotFoundError: There is no such run.
            DatabaseError: The database couldn't be written; nothing is changed.
        """
        source = self._writable()
        with interrupts_held_back():
            return source.gating().set_baseline(name, runs)

    def baseline(self, name: str) -> Baseline:
        """Return a baseline.

        Raises:
            GateError: There is none of that name.
            StoreNotFoundError: Run folders answer, and they have none.
        """
        return self._source().gating().baseline(name)

    def baselines(self) -> tuple[Baseline, ...]:
        """Return all baselines, by name.

        Raises:
            StoreNotFoundError: Run folders answer, and they have none.
        """
        return self._source().gating().baselines()

    def delete_baseline(self, name: str) -> None:
        """Delete a baseline; its runs stay, and may be pruned.

        Raises:
            GateError: There is none of that name.
            DatabaseError: The database couldn't be written; nothing is changed.
        """
        source = self._writable()
        with interrupts_held_back():
            source.gating().delete_baseline(name)

    def record_verdict(self, report: GateReport) -> None:
        """Write a verdict into the database, for ``v_verdicts``.

        A run that regressed isn't among those that later noise is measured by.

        Raises:
            RunNotFoundError: A candidate run was deleted meanwhile.
            DatabaseError: The database couldn't be written; nothing is changed.
        """
        source = self._writable()
        with interrupts_held_back():
            source.gating().record(report)

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
        return self._source().document(check_run_id(run_id), afresh=afresh)

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
        return self._source().measurements(check_run_id(run_id))

    def _few_measurements(self, run_id: str) -> Columns | None:
        """Return a run's measurements if they are few, read without polars: see `over_time`."""
        return self._source().few_measurements(check_run_id(run_id))

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
        from astraguard_store.database.backend import Question

        question = Question(sql, parameters, time_limit_s, row_limit)
        return self._source().query(question)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> RunSummary:
        """Set tags of a stored run; None removes one. Others stay, and so does the revision.

        Args:
            run_id: The run.
            tags: {tag: value, which may be empty; or None}.

        Returns:
            The run with its new tags.

        Raises:
            InvalidRunError: The id is not allowed, or a tag can't be stored.
            RunNotFoundError: There is no such run.
            DatabaseError: The database couldn't be written; no tag is changed.
        """
        source = self._writable()
        changes = check_tag_changes(tags)
        with interrupts_held_back():
            source.set_tags(check_run_id(run_id), changes)
        return self.get(run_id)

    def purge_measurements(self, run_id: str) -> int:
        """Delete the measurements that ``keep_measurements="database"`` put into the table.

        The run, its statistics and its files stay.

        Returns:
            How many rows were deleted.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            DatabaseError: The database couldn't be written; nothing is deleted.
        """
        source = self._writable()
        with interrupts_held_back():
            return source.purge_measurements(check_run_id(run_id))

    def delete(self, run_id: str) -> None:
        """Delete a run: its rows and its files; the folder too if nothing else is in it.

        A save of it that was kept because the database failed is not deleted with
        it: the next opening adopts it.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactWriteError: The deletion couldn't be noted; nothing is deleted.
            DatabaseError: The database couldn't be written; nothing is deleted.
        """
        source = self._writable()
        with interrupts_held_back():
            source.delete(check_run_id(run_id))

    def prune(
        self,
        keep: int | None = None,
        older_than: timedelta | None = None,
        *,
        measurements_only: bool = False,
        unfinished: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> PruneReport:
        """Delete old runs and give their bytes back to the disk; pinned runs stay.

        A run goes that is not among the newest *keep* and was recorded longer
        than *older_than* ago; with one of the two, by that alone. Runs with the
        tag ``pinned`` stay, whatever its value, and so do the runs of baselines.
        Runs go oldest first and each as by `delete`, but many in one transaction: one at
        first, then up to 100. What was not reached is as it was.

        At the end the database file is written anew without what is free in it,
        if that is more than 1 MB or a tenth. Savers wait meanwhile, some 10 s
        for each GB that stays, and as much free disk is needed twice over. If
        that fails, the runs are deleted all the same, and the report says why.

        Args:
            keep: How many of the newest runs stay, pinned ones among them.
            older_than: How old a run must be to go.
            measurements_only: Leave the runs, and only delete the measurements
                that ``keep_measurements="database"`` put into the table.
            unfinished: Let failed and interrupted runs go too, which stay otherwise;
                a running one always stays.
            dry_run: Change nothing, and report what would be; of files, what they had
                when they were noted.
            progress: Called with (runs done, runs in all) after each transaction.

        Returns:
            What went, what stayed for being pinned, and how many bytes are free.

        Raises:
            InvalidRunError: Neither *keep* nor *older_than* is given, or one can't be.
            StoreNotFoundError: Run folders answer; only a database can be pruned.
            ArtifactWriteError: A deletion couldn't be noted; it and the rest stay.
            DatabaseError: The database couldn't be written; the same.
        """
        from astraguard_store.store.pruning import Pruning

        pruning = Pruning(keep, older_than, measurements_only, unfinished)
        if dry_run:
            return self._source().estimate_pruning(pruning)
        return self._writable().prune(pruning, progress)

    def import_legacy(
        self, progress: Progress | None = None, jobs: int | None = 1
    ) -> ImportReport:
        """Adopt the runs that lie in the folder but not in the database.

        Their summary files are read, not their CSVs; no file is changed. A summary that
        is missing or damaged is made anew where the CSV is whole; a damaged one is kept
        beside it. Run again, it adopts only what is new.

        Args:
            progress: Called with (folders done, folders in all).
            jobs: How many processes read the summaries, from 1 on; with 1 this one
                does. None: one up to 5,000 folders, then one a processor, four at
                most. The result is the same. With more than one, a script needs
                ``if __name__ == "__main__":`` around its work.

        Raises:
            InvalidRunError: *jobs* is below 1.
            ReadOnlyStoreError: The repository was opened for reading.
            ArtifactReadError: A process that read summaries died; what was adopted
                before stays.
            DatabaseError: The database couldn't be written.
        """
        source = self._writable()
        report = source.adopt(progress, jobs, rebuild=True)
        with interrupts_held_back():
            source.recover()
        return report

    def import_runs(
        self,
        paths: Iterable[str | os.PathLike[str]],
        progress: Progress | None = None,
    ) -> ImportReport:
        """Bring in runs that lie elsewhere: folders of runs, and zips that `export` made.

        Their files are copied as they are, and their rows are computed from the CSVs. What
        `export` noted beside a run comes along: provenance, tags, state, revision, time and
        attachments. A run that is here already is skipped; one of whose id there is another
        run here is refused. A missing or damaged summary is made anew from the CSV.

        Args:
            paths: Folders with a folder for each run, or one run's folder, or zips.
            progress: Called with (runs done, runs in all).

        Raises:
            InvalidRunError: *paths* is one path and no list.
            StoreNotFoundError: A path is none of these.
            ReadOnlyStoreError: The repository was opened for reading.
            ArtifactReadError: A zip is damaged; what was brought in before stays.
            DatabaseError: The database couldn't be written; the same.
        """
        source = self._writable()
        if isinstance(paths, str | os.PathLike):
            raise InvalidRunError(f"Invalid paths {os.fspath(paths)!r}: give a list of them")
        instead = "a server's runs can't be brought back"
        found: ImportReport = source.bring_in([local_path(p, instead) for p in paths], progress)
        return found

    def export(
        self,
        run_ids: Iterable[str],
        target: str | os.PathLike[str],
        progress: Progress | None = None,
        *,
        dataset: bool = False,
    ) -> ExportReport:
        """Copy runs out of the store: all that are named, or nothing.

        The target says what is made. ``….zip``: a zip with a folder for each run;
        the same runs always make the same file. ``….parquet``: one file with the
        measurements of all runs, each with its ``run_id``, one run in memory at a
        time. Anything else: a folder of run folders, which the old readers and
        `import_legacy` take. Each file is held against what was noted of it, so
        a run that is saved meanwhile ends the export.

        Args:
            run_ids: The runs; in the target they are in the order of their ids.
            target: What is to be made; nothing may be there yet.
            progress: Called with (runs done, runs in all).
            dataset: Make a folder of raw measurements that DuckDB, polars or Spark read
                as one table, or add to it: one parquet file a run, in folders
                ``rig=…/date=…``. What is there already isn't written again, and the
                file of a run that was saved again is replaced. Each file is whole or
                not there; of an export that failed, the runs before are.

        Raises:
            InvalidRunError: No run is named, or an id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactReadError: A file is missing or damaged; the message names it.
            ArtifactWriteError: The target is there already, or can't be written.
        """
        path = local_path(target, "`push` copies runs to a server")
        return self._source().export(run_ids, path, progress, dataset=dataset)

    def merge(
        self, other: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> MergeReport:
        """Take over the runs of another store; it is only read, and nothing here is replaced.

        A run comes over as a whole: its rows with revision, time, provenance,
        tags, buckets and kept measurements, and its files, each held against what
        was noted of it. A run of which there is another save here is a conflict,
        and stays as it is on both sides; so do the tags of a run that is here
        already. Interrupted and called again, it goes on.

        Args:
            other: A results folder, or a database. A run whose files aren't beside
                it comes over with its rows, and with a summary file made of them.
            progress: Called with (runs looked at, runs in all).

        Raises:
            ReadOnlyStoreError: This repository was opened for reading.
            StoreNotFoundError: There is no database.
            InvalidRunError: *other* is this store itself.
            SchemaVersionError: Its database has another schema; the message says
                what to run.
            ArtifactWriteError: A file couldn't be written; the batch of runs that it
                is in is not here.
            DatabaseError: A database couldn't be read or written; the same.
        """
        return self._writable().merge(
            local_path(other, "runs go to a server, by `push`"), progress
        )

    def push(
        self,
        url: str,
        *,
        raw: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> PushReport:
        """Copy to a PostgreSQL server what it doesn't have of the runs here.

        A run goes over as a whole: its rows with revision, time, provenance, tags,
        buckets and kept measurements, and what is noted of its files, which stay here. A
        later save replaces the one that was pushed before, and tags that were set here
        since are set there. A run of that id from elsewhere is a conflict, and stays as
        it is on both sides. Nothing is noted here, and savers aren't disturbed.

        Interrupted and called again, it goes on; a second push sends nothing.

        Args:
            url: The server: ``postgresql://user@host/database``.
            raw: Also write the raw measurements of each run as a parquet file, into a
                dataset as of `export`, and let the server's catalogue name it, so that
                `measurements` finds it there. A folder that all see, or the URL of object
                storage, such as ``s3://bucket/lake``, which needs the package obstore
                (``pip install 'astraguard-store[objects]'``).
            progress: Called with (runs looked at, runs in all).

        Raises:
            StoreNotFoundError: A URL can't be read, psycopg is missing, or run
                folders answer here, which have no rows to push.
            ArtifactWriteError: A file of raw measurements can't be written.
            SchemaVersionError: The server has another schema; the message says what
                to run.
            DatabaseError: The server can't be reached, or went away: what was
                pushed is there; or the database here can't be read.
        """
        return self._source().push(url, progress, raw)

    def recover(self) -> None:
        """Finish or undo what dead processes left behind; `open` does so too."""
        source = self._writable()
        with interrupts_held_back():
            source.recover()

    def check(
        self,
        *,
        fix: bool = False,
        deep: bool = False,
        satellite_buckets: bool = False,
        progress: Progress | None = None,
    ) -> CheckReport:
        """Hold database, rows and files against each other; writes nothing without *fix*.

        Every file is read once, 1 MB at a time; other processes may go on saving. The
        rows of a run have to be those of its summary file, if that has its hash; what
        contradicts it stays a fault until somebody decides.
        Queries of this process wait while the database itself is checked.

        Args:
            fix: Finish or undo what dead processes left, adopt folders without
                rows, write missing or changed summary files anew (a changed one
                is kept beside it), hash the CSVs of adopted runs, and compute
                from them the buckets that runs lack. A damaged database is left
                as it is; the report says what to do.
            deep: Compute statistics, buckets and kept measurements anew from the CSVs,
                and compare them: some 0.1 s for 100,000 measurements.
            satellite_buckets: With *fix*, compute from the CSVs the buckets of each
                satellite too, of the runs that were saved without.
            progress: Called with (runs checked, runs in all).

        Raises:
            InvalidRunError: *satellite_buckets* without *fix*.
            ReadOnlyStoreError: With *fix*, the repository was opened for reading.
            DatabaseError: The database can't be read, and not because of damage.
        """
        if satellite_buckets and not fix:
            raise InvalidRunError(
                "Invalid satellite_buckets True: fix=True is needed to make them"
            )
        source = self._writable() if fix else self._source()
        return source.check(progress, deep=deep, fix=fix, satellite_buckets=satellite_buckets)

    def back_up(self, target: str | os.PathLike[str]) -> None:
        """Copy the database to the new file *target*, and check the copy.

        Writers go on meanwhile; the copy is of one moment. The run folders are
        not copied. Other queries of this process wait.

        Raises:
            StoreNotFoundError: Run folders answer, so there is nothing to copy.
            DatabaseError: The target is there already, or can't be written.
            DatabaseDamagedError: The copy isn't sound, so the original isn't either.
        """
        self._source().back_up(local_path(target, "`push` copies runs to a server"))

    def cache_info(self) -> CacheInfo:
        """Return the hits and misses of this process in this folder, size and limit."""
        return self._source().cache_info()

    def _source(self) -> Source:
        if self._closed:
            where = self.server or self.results_dir
            raise ClosedStoreError(f"the repository of {where} is closed; open another")
        return self._open_source

    def _writable(self) -> WritableSource:
        if self._writable_source is None:
            raise ReadOnlyStoreError(
                f"{self.server or self.results_dir} was opened with read_only=True; open it "
                "without to write"
            )
        self._source()
        return self._writable_source


def _prepare_to_save() -> None:
    """Import what saves need, and begin to ask what this machine is; reading does without.

    At the opening: a save may come when the process can open no more files, or from a child that
    is forked while another thread imports.
    """
    from astraguard_store.store import new_runs, recording, saving  # noqa: F401
    from astraguard_store.system.machine import begin_asking

    begin_asking()


def server_shown(url: str) -> str:
    """Return the URL of a server as messages show it: without its password.

    Raises:
        StoreNotFoundError: It can't be read, or is one of another kind of database.
    """
    from astraguard_store.database.server_url import ServerUrl

    return ServerUrl.parse(url).shown
