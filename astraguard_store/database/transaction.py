"""What one write transaction may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from astraguard_store.columns import Columns
from astraguard_store.database import baselines, live, run_files, runs, store_row, whole_runs
from astraguard_store.database.documents import renew_document
from astraguard_store.database.rows import insert_files, insert_satellite_buckets
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.sql import Connection, ValueRefusedError
from astraguard_store.database.whole_runs import RunRows
from astraguard_store.model import RunSummary
from astraguard_store.statistics import RunStatistics

P = ParamSpec("P")
T = TypeVar("T")


class _Step(Generic[P, T]):
    """A function of `database/` as a method: on the transaction's connection."""

    def __init__(self, function: Callable[Concatenate[Connection, P], T]) -> None:
        self._function = function

    def __get__(self, transaction: Transaction, _: type[Transaction]) -> Callable[P, T]:
        return partial(self._function, transaction._connection)


class _Change(_Step[P, T]):
    """One that changes the run that is its first argument, or whose id that is."""

    def __get__(self, transaction: Transaction, _: type[Transaction]) -> Callable[P, T]:
        def change(*args: P.args, **kwargs: P.kwargs) -> T:
            run: Any = args[0]
            transaction._changed.add(run if isinstance(run, str) else run.run_id)
            return self._function(transaction._connection, *args, **kwargs)

        return change


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

    load = _Step(runs.load_run)
    has = _Step(runs.run_exists)
    tags_of = _Step(runs.tags_of)
    named_saves = _Step(runs.named_saves)

    save = _Change(runs.save_run)
    delete = _Change(runs.delete_run)
    set_tags = _Change(runs.set_tags)
    note_save_ids = _Step(runs.note_save_ids)
    purge_measurements = _Step(runs.purge_measurements)
    delete_dangling = _Step(runs.delete_dangling)

    begin_live = _Change(live.begin_live)
    touch_live = _Change(live.touch_live)
    end_live = _Change(live.end_live)
    end_without_measurements = _Change(live.end_without_measurements)
    # Of a run that was written here.
    set_revision = _Step(live.set_revision)

    note_csv = _Change(run_files.note_csv)
    note_file = _Change(run_files.note_file)
    renew_document = _Change(renew_document)
    # Of which no run that is read knows.
    add_buckets = _Step(run_files.add_buckets)
    add_satellite_buckets = _Step(insert_satellite_buckets)

    set_baseline = _Step(baselines.set_baseline)
    delete_baseline = _Step(baselines.delete_baseline)
    insert_verdicts = _Step(baselines.insert_verdicts)
    insert_judgements = _Step(baselines.insert_judgements)

    mark_adopted = _Step(store_row.mark_adopted)
    set_store_id = _Step(store_row.set_store_id)
    fence = _Step(store_row.fence)

    def save_without_files(
        self, run: StoredRun, statistics: RunStatistics, measurements: Columns | None
    ) -> int:
        """Write *run* as `save` does, but for what is noted of its files.

        `note_files` ends it, in the same transaction.
        """
        self._changed.add(run.run_id)
        return runs.save_without_files(self._connection, run, statistics, measurements)

    def note_files(self, run: RunSummary) -> None:
        """Write the rows of the files of *run*; see `save_without_files`."""
        insert_files(self._connection, run)

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
