"""What one write transaction may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astraguard_store.columns import Columns
from astraguard_store.database import baselines, live, run_files, runs, store_row, whole_runs
from astraguard_store.database.documents import renew_document
from astraguard_store.database.rows import insert_files, insert_satellite_buckets
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.sql import Connection, ValueRefusedError
from astraguard_store.database.whole_runs import RunRows
from astraguard_store.model import Artifact, MetricSummary, RunSummary
from astraguard_store.statistics import RunStatistics
from astraguard_store.verdict.values import Judgements


class Transaction:
    """What may be written in one transaction, all of it or nothing.

    Attributes:
        attempted: Whether the commit was begun: from then on the outcome is
            the database's to know.
    """

    def __init__(self, connection: Connection) -> None:
        self.attempted = False
        self._connection = connection
        self._changed: set[str] = set()

    @property
    def changed_run_ids(self) -> frozenset[str]:
        """The runs that were written or deleted."""
        return frozenset(self._changed)

    def save(
        self,
        run: StoredRun,
        statistics: RunStatistics | None = None,
        measurements: Columns | None = None,
    ) -> int:
        """Write *run* in place of what is stored under its id; return its revision.

        Args:
            run: The run; its tags are set, others that it has stay.
            statistics: Whose buckets are written; None where they aren't known.
            measurements: Written too if given.
        """
        self._changed.add(run.summary.run_id)
        return runs.save_run(self._connection, run, statistics, measurements)

    def save_without_files(
        self, run: StoredRun, statistics: RunStatistics, measurements: Columns | None
    ) -> int:
        """Write *run* as `save` does, but for what is noted of its files.

        `note_files` ends it, in the same transaction.
        """
        self._changed.add(run.summary.run_id)
        return runs.save_without_files(self._connection, run, statistics, measurements)

    def note_files(self, run: RunSummary) -> None:
        """Write the rows of the files of *run*; see `save_without_files`."""
        insert_files(self._connection, run)

    def tags_of(self, run_id: str) -> dict[str, str]:
        """Return a run's tags, by name."""
        return runs.tags_of(self._connection, run_id)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a stored run; None removes one."""
        self._changed.add(run_id)
        runs.set_tags(self._connection, run_id, tags)

    def purge_measurements(self, run_id: str) -> int:
        """Delete the kept measurements of a run; return how many there were."""
        return runs.purge_measurements(self._connection, run_id)

    def insert_new(self, new: Sequence[RunRows]) -> list[str]:
        """Write those of the runs whose id is free; return the ids of what was written."""
        written = whole_runs.insert_whole_runs(self._connection, new)
        self._changed.update(written)
        return written

    def insert_if_allowed(self, new: RunRows) -> tuple[bool, str | None]:
        """Write a run if its id is free; return whether it is written, or why it is refused.

        If the database refuses a value of it, none of its rows is written.
        """
        self._connection.execute("SAVEPOINT run")
        try:
            return bool(self.insert_new([new])), None
        except ValueRefusedError as error:
            self._connection.execute("ROLLBACK TO run")
            return False, f"its rows are not what a save writes: {error}"
        finally:
            self._connection.execute("RELEASE run")

    def named_saves(self, save_id: str) -> list[tuple[str, str]]:
        """Return (run id, content's hash) of each save that was ever given that name."""
        return runs.named_saves(self._connection, save_id)

    def note_save_ids(self, run_id: str, named: Sequence[tuple[str, str, int]]) -> None:
        """Write (name, content's hash, revision) of named saves of a run."""
        runs.note_save_ids(self._connection, run_id, named)

    def begin_live(self, run: StoredRun) -> StoredRun | None:
        """Let the row of *run* say that it is being recorded; return what was stored before.

        Raises:
            RunIsRunningError: A recorder is at work already.
        """
        self._changed.add(run.summary.run_id)
        return live.begin_live(self._connection, run)

    def touch_live(self, run_id: str, token: str, written_at_us: int, measurements: int) -> None:
        """Note when a recorder last wrote, and how many measurements it has."""
        self._changed.add(run_id)
        live.touch_live(self._connection, run_id, token, written_at_us, measurements)

    def end_live(self, run_id: str, token: str) -> bool | None:
        """Let the row of a run be saved, whose recorder is done.

        Returns:
            Whether the run was new to it; None if it isn't that recorder's any more.
        """
        self._changed.add(run_id)
        return live.end_live(self._connection, run_id, token)

    def set_revision(self, run_id: str, revision: int) -> None:
        """Let a run that was written here have a revision that is not the next one."""
        live.set_revision(self._connection, run_id, revision)

    def end_without_measurements(self, run: RunSummary) -> None:
        """Note how a recording ended that measured nothing; `end_live` came before."""
        self._changed.add(run.run_id)
        live.end_without_measurements(self._connection, run)

    def delete(self, run_id: str) -> bool:
        """Delete the run; return whether there was one."""
        self._changed.add(run_id)
        return runs.delete_run(self._connection, run_id)

    def delete_dangling(self) -> dict[str, int]:
        """Delete the rows whose run is missing; return {table: how many there were}."""
        return runs.delete_dangling(self._connection)

    def has(self, run_id: str) -> bool:
        """Return whether there is such a run."""
        return runs.run_exists(self._connection, run_id)

    def load(self, run_id: str) -> StoredRun | None:
        """Return the run as this transaction sees it, None if there is none."""
        return runs.load_run(self._connection, run_id)

    def note_csv(
        self,
        run_id: str,
        csv: Artifact,
        satellites: Mapping[str, Mapping[str, MetricSummary]],
    ) -> bool:
        """Note what the CSV of an adopted run tells; return whether it was still unknown."""
        self._changed.add(run_id)
        return run_files.note_csv(self._connection, run_id, csv, satellites)

    def note_file(self, run_id: str, file: Artifact) -> None:
        """Note that a file of a run has another size and hash than it had."""
        self._changed.add(run_id)
        run_files.note_file(self._connection, run_id, file)

    def renew_document(self, run_id: str) -> None:
        """Write the copy of a run's rows anew that is read instead of them."""
        self._changed.add(run_id)
        renew_document(self._connection, run_id)

    def add_buckets(self, run_id: str, statistics: RunStatistics) -> bool:
        """Write the buckets of a run that has none; return whether they were written."""
        return run_files.add_buckets(self._connection, run_id, statistics)

    def set_baseline(self, name: str, run_ids: Sequence[str], now_us: int) -> None:
        """Let a baseline be these stored runs, and no others."""
        baselines.set_baseline(self._connection, name, run_ids, now_us)

    def delete_baseline(self, name: str) -> bool:
        """Delete a baseline, not its runs; return whether there was one."""
        return baselines.delete_baseline(self._connection, name)

    def insert_verdicts(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write verdicts on runs, in the order of the columns of their table."""
        baselines.insert_verdicts(self._connection, rows)

    def insert_judgements(self, run_id: str, given: Judgements) -> None:
        """Write what another store noted of a run that is new here."""
        baselines.insert_judgements(self._connection, run_id, given)

    def add_satellite_buckets(self, run_id: str, statistics: RunStatistics) -> None:
        """Write the buckets of a run's satellites, of which none are kept."""
        insert_satellite_buckets(self._connection, run_id, statistics)

    def mark_adopted(self, now_us: int) -> None:
        """Note that the run folders from before the database are in it."""
        store_row.mark_adopted(self._connection, now_us)

    def set_store_id(self, store_id: str) -> None:
        """Set the id, 32 hex digits, that database and results folder share."""
        store_row.set_store_id(self._connection, store_id)

    def fence(self) -> None:
        """Write something of no meaning: see `CommitOutcomeUnknownError`."""
        store_row.fence(self._connection)
