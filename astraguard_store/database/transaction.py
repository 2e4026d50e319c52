"""What one write transaction may do."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from astraguard_store.columns import Columns
from astraguard_store.database import rows as row_writing
from astraguard_store.database import runs as queries
from astraguard_store.database.adopted_csv import add_buckets, note_csv, note_file
from astraguard_store.database.documents import renew_document
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.whole_runs import RunRows, insert_rows
from astraguard_store.model import Artifact, MetricSummary, RunSummary
from astraguard_store.statistics import RunStatistics

__all__ = ["Transaction"]


class Transaction:
    """What may be written in one transaction, all of it or nothing.

    Attributes:
        attempted: Whether the commit was begun: from then on the outcome is
            the database's to know.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
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
        return row_writing.save_run(self._connection, run, statistics, measurements)

    def save_without_files(
        self, run: StoredRun, statistics: RunStatistics, measurements: Columns | None
    ) -> int:
        """Write *run* as `save` does, but for what is noted of its files.

        `note_files` ends it, in the same transaction.
        """
        self._changed.add(run.summary.run_id)
        return row_writing.save_without_files(self._connection, run, statistics, measurements)

    def note_files(self, run: RunSummary) -> None:
        """Write the rows of the files of *run*; see `save_without_files`."""
        row_writing.insert_files(self._connection, run)

    def tags_of(self, run_id: str) -> dict[str, str]:
        """Return a run's tags, by name."""
        return queries.tags_of(self._connection, run_id)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a stored run; None removes one."""
        self._changed.add(run_id)
        row_writing.set_tags(self._connection, run_id, tags)

    def purge_measurements(self, run_id: str) -> int:
        """Delete the kept measurements of a run; return how many there were."""
        return row_writing.purge_measurements(self._connection, run_id)

    def insert_new(self, runs: Sequence[RunRows]) -> list[str]:
        """Write those of the runs whose id is free; return the ids of what was written."""
        written = insert_rows(self._connection, runs)
        self._changed.update(written)
        return written

    def delete(self, run_id: str) -> bool:
        """Delete the run; return whether there was one."""
        self._changed.add(run_id)
        return row_writing.delete_run(self._connection, run_id)

    def delete_dangling(self) -> dict[str, int]:
        """Delete the rows whose run is missing; return {table: how many there were}."""
        return row_writing.delete_dangling(self._connection)

    def load(self, run_id: str) -> StoredRun | None:
        """Return the run as this transaction sees it, None if there is none."""
        return queries.load_run(self._connection, run_id)

    def note_csv(
        self,
        run_id: str,
        csv: Artifact,
        satellites: Mapping[str, Mapping[str, MetricSummary]],
    ) -> bool:
        """Note what the CSV of an adopted run tells; return whether it was still unknown."""
        self._changed.add(run_id)
        return note_csv(self._connection, run_id, csv, satellites)

    def note_file(self, run_id: str, file: Artifact) -> None:
        """Note that a file of a run has another size and hash than it had."""
        self._changed.add(run_id)
        note_file(self._connection, run_id, file)

    def renew_document(self, run_id: str) -> None:
        """Write the copy of a run's rows anew that is read instead of them."""
        self._changed.add(run_id)
        renew_document(self._connection, run_id)

    def add_buckets(self, run_id: str, statistics: RunStatistics) -> bool:
        """Write the buckets of a run that has none; return whether they were written."""
        return add_buckets(self._connection, run_id, statistics)

    def mark_adopted(self, now_us: int) -> None:
        """Note that the run folders from before the database are in it."""
        row_writing.mark_adopted(self._connection, now_us)

    def fence(self) -> None:
        """Write something of no meaning: see `CommitOutcomeUnknownError`."""
        row_writing.fence(self._connection)
