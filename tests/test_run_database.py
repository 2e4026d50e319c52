"""What a database does for the store, whichever backend it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import DatabaseError, RunRepository
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.sqlite.integrity import dangling_rows, structural_problems
from astraguard_store.database.transaction import Transaction
from astraguard_store.options import StoreOptions

STORE_ID = "0123456789abcdef0123456789abcdef"
OPTIONS = StoreOptions()


@pytest.fixture
def path(results: Path) -> Path:
    """Give the database of a closed store with one run."""
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(4))
    return results / "astraguard.db"


@pytest.fixture(params=["on disk", "in memory"])
def database(request: pytest.FixtureRequest, path: Path) -> Iterator[RunDatabase]:
    """Give a database of each kind, open for writing."""
    on_disk = request.param == "on disk"
    opened = RunDatabase.open(path) if on_disk else RunDatabase.in_memory()
    with closing(opened):
        yield opened


def interrupted(database: RunDatabase, write: Callable[[Transaction], None]) -> None:
    """Write something in a transaction that an interrupt ends."""
    with database.transaction(OPTIONS) as transaction:
        write(transaction)
        raise KeyboardInterrupt


class TestStoreId:
    """The id that a database shares with its results folder."""

    def test_an_id_that_is_set_is_read_back(self, database: RunDatabase) -> None:
        with database.transaction(OPTIONS) as transaction:
            transaction.set_store_id(STORE_ID)

        assert database.store_id() == STORE_ID

    def test_an_interrupted_transaction_sets_none(self, database: RunDatabase) -> None:
        before = database.store_id()

        with pytest.raises(KeyboardInterrupt):
            interrupted(database, lambda transaction: transaction.set_store_id(STORE_ID))

        assert database.store_id() == before

    def test_another_length_is_refused(self, database: RunDatabase) -> None:
        before = database.store_id()

        with (
            pytest.raises(DatabaseError, match="store_id_length"),
            database.transaction(OPTIONS) as transaction,
        ):
            transaction.set_store_id("short")

        assert database.store_id() == before

    def test_files_lie_beside_the_database(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT DISTINCT store_id FROM artifacts").fetchall()

        assert rows == [(None,)]


class TestIntegrity:
    """Whether the database is sound."""

    def test_a_sound_one_has_no_problems(self, database: RunDatabase) -> None:
        assert database.read(structural_problems) == []
        assert database.read(dangling_rows) == {}

    def test_rows_without_a_run_are_counted(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as tool, tool:
            tool.execute("INSERT INTO run_tags VALUES ('gone', 'a', ''), ('gone', 'b', '')")

        with closing(RunDatabase.open(path)) as database:
            assert database.read(dangling_rows) == {"run_tags": 2}


class TestTransactions:
    """What one leaves behind that didn't commit."""

    def test_the_next_one_begins_anew(self, database: RunDatabase) -> None:
        with pytest.raises(KeyboardInterrupt):
            interrupted(database, lambda transaction: transaction.mark_adopted(7))

        with database.transaction(OPTIONS) as transaction:
            transaction.fence()

        query = "SELECT adopted_at_us, fence FROM store"
        adopted_at_us, fence = database.read(lambda c: c.execute(query).fetchone())
        assert (adopted_at_us != 7, fence) == (True, 1)
