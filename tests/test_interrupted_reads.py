"""Ctrl-C in the middle of a read: the next one is as new as ever, and no lock is left."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from recordings import recorded
from stepping import right_after, right_before

from astraguard_store import DatabaseBusyError, RunRepository
from astraguard_store.database.ticket import WriteTicket

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Moment = Callable[[str, Callable[[], object], int], AbstractContextManager[None]]


@pytest.fixture
def repository(results: Path) -> Iterator[RunRepository]:
    """Give an open repository with one run."""
    with RunRepository.open(results) as opened:
        opened.save("run", recorded(4))
        yield opened


def interrupt() -> None:
    raise KeyboardInterrupt


def filtered(repository: RunRepository) -> list[int]:
    """Ask by several statements."""
    return [header.revision for header in repository.recent(5, since=LONG_AGO)]


def save_in_a_thread(repository: RunRepository) -> bool:
    """Return whether another thread can save."""
    saver = threading.Thread(target=lambda: repository.save("run", recorded(5)), daemon=True)
    saver.start()
    saver.join(20)
    return not saver.is_alive()


def change(repository: RunRepository, revision: int) -> None:
    """Change the run with another tool."""
    assert repository.database_path is not None
    with closing(sqlite3.connect(repository.database_path)) as tool, tool:
        tool.execute("UPDATE runs SET revision = ?", (revision,))


class TestSnapshots:
    """A read of several statements has a transaction, and ends it."""

    @pytest.mark.parametrize("call", [1, 2, 3])
    @pytest.mark.parametrize("moment", [right_before, right_after])
    def test_wherever_an_interrupt_strikes_the_next_read_is_new(
        self, repository: RunRepository, moment: Moment, call: int
    ) -> None:
        assert filtered(repository) == [1]

        with pytest.raises(KeyboardInterrupt), moment("execute", interrupt, call):
            filtered(repository)

        assert filtered(repository) == [1]
        repository.save("run", recorded(5))
        assert filtered(repository) == [2]
        assert repository.get("run").revision == 2

    def test_a_handler_may_read_in_the_middle_of_one(self, repository: RunRepository) -> None:
        read: list[list[int]] = []

        def handler() -> None:
            change(repository, 7)
            read.append(filtered(repository))

        with right_before("execute", handler, 2):
            before = filtered(repository)

        assert read == [[7]]
        # SQLite takes the snapshot with the first statement after BEGIN.
        assert before == [7]
        assert filtered(repository) == [7]


class TestFollowing:
    """A cached run is looked at for commits of others."""

    @pytest.mark.parametrize("name", ["acquire", "suspect_all", "data_version"])
    @pytest.mark.parametrize("moment", [right_before, right_after])
    def test_wherever_an_interrupt_strikes_others_save_and_are_seen(
        self, repository: RunRepository, moment: Moment, name: str
    ) -> None:
        repository.get("run")
        change(repository, 7)

        with pytest.raises(KeyboardInterrupt), moment(name, interrupt, 1):
            repository.get("run")

        assert repository.get("run").revision == 7
        assert save_in_a_thread(repository)

    def test_an_interrupt_that_strikes_as_the_ticket_is_taken_gives_it_back(
        self, tmp_path: Path
    ) -> None:
        ticket = WriteTicket(tmp_path / "lock", "the database")

        with (
            pytest.raises(KeyboardInterrupt),
            right_after("acquire", interrupt, 1),
            ticket.held("saving", 1.0),
        ):
            pass

        assert others_have(ticket)


def others_have(ticket: WriteTicket) -> bool:
    """Return whether another thread gets the ticket."""
    had: list[bool] = []

    def take() -> None:
        with suppress(DatabaseBusyError), ticket.held("trying", 0.2):
            had.append(True)

    other = threading.Thread(target=take)
    other.start()
    other.join(20)
    return had == [True]
