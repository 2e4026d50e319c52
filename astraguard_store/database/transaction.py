"""What one write transaction may do."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from astraguard_store.database import queries
from astraguard_store.database.adopted_csv import note_csv
from astraguard_store.database.engine import Durability
from astraguard_store.database.queries import StoredRun
from astraguard_store.model import Artifact, MetricSummary

__all__ = ["Transaction", "WriteOptions"]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a repository wants its transactions.

    Attributes:
        durability: ``full`` or ``normal``.
        busy_timeout_s: How long SQLite waits for the lock of another program.
    """

    durability: Durability = "full"
    busy_timeout_s: float = 30.0


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

    def save(self, run: StoredRun) -> int:
        """Write *run* in place of what is stored under its id; return its revision."""
        self._changed.add(run.summary.run_id)
        return queries.save_run(self._connection, run)

    def insert_new(self, run: StoredRun) -> bool:
        """Write *run* unless there is one of its id; return whether it was written."""
        self._changed.add(run.summary.run_id)
        return queries.insert_new_run(self._connection, run)

    def delete(self, run_id: str) -> bool:
        """Delete the run; return whether there was one."""
        self._changed.add(run_id)
        return queries.delete_run(self._connection, run_id)

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

    def mark_adopted(self, now_us: int) -> None:
        """Note that the run folders from before the database are in it."""
        queries.mark_adopted(self._connection, now_us)

    def fence(self) -> None:
        """Write something of no meaning: see `CommitOutcomeUnknownError`."""
        queries.fence(self._connection)
