"""Ctrl-C in the middle of a read: the next one is as new as ever, and no lock is left."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from recordings import recorded
from stepping import right_after, right_before, where_handlers_run

from astraguard_store import QueryError, RunRepository
from astraguard_store.database.identity_map import IdentityMap
from astraguard_store.database.sqlite import user_sql as asking

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Moment = Callable[[str, Callable[[], object], int], AbstractContextManager[None]]


class StoppedError(Exception):
    """Raised by a signal's handler."""


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


class TestFollowing:
    """A cached run is looked at for commits of others."""

    @pytest.mark.parametrize("name", ["version_of_others", "suspect_all"])
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


class TestQuestions:
    """Somebody's own SQL, of which SQLite asks here whether it may go on."""

    @pytest.fixture
    def handler(self) -> Iterator[None]:
        """Let a signal raise an error."""

        def stop(*_: object) -> None:
            raise StoppedError

        before = signal.signal(signal.SIGUSR1, stop)
        yield
        signal.signal(signal.SIGUSR1, before)

    @pytest.mark.usefixtures("handler")
    def test_what_a_handler_raises_is_no_refusal(
        self, repository: RunRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Striking(frozenset[int]):
            def __contains__(self, action: object) -> bool:
                signal.raise_signal(signal.SIGUSR1)
                return super().__contains__(action)

        with monkeypatch.context() as patch:
            patch.setattr(asking, "_ALLOWED", Striking(asking._ALLOWED))
            with pytest.raises(StoppedError):
                repository.query("SELECT 1")

        assert repository.query("SELECT 1").rows == [(1,)]

    @pytest.mark.parametrize("call", [1, 2, 3])
    def test_an_interrupt_that_strikes_just_when_sqlite_asks_is_no_refusal(
        self, repository: RunRepository, call: int
    ) -> None:
        with pytest.raises(KeyboardInterrupt), right_before("may", interrupt, call):
            repository.query("SELECT upper(run_id) FROM runs")

    def test_a_refusal_is_one(self, repository: RunRepository) -> None:
        with pytest.raises(QueryError, match="only reads"):
            repository.query("SELECT load_extension('x'), upper('x')")

    @pytest.mark.parametrize(
        ("name", "call"), [("__enter__", 3), ("__enter__", 4), ("__enter__", 5), ("close", 4)]
    )
    def test_wherever_an_interrupt_strikes_nobody_waits_for_its_connection(
        self, repository: RunRepository, name: str, call: int
    ) -> None:
        repository.query("SELECT 1")

        with pytest.raises(KeyboardInterrupt), right_after(name, interrupt, call):
            repository.query("SELECT 1")

        closer = threading.Thread(target=repository.close, daemon=True)
        closer.start()
        closer.join(20)
        assert not closer.is_alive()


def filled(limit: int) -> IdentityMap:
    """Return a map with as much as goes in."""
    identity_map = IdentityMap(limit)
    for number in range(limit - 1):
        identity_map.keep((number,), ("a", "b"), "kept", identity_map.mark())
    identity_map.keep("a", (), "kept", identity_map.mark())
    return identity_map


STEPS: dict[str, Callable[[IdentityMap], object]] = {
    "get": lambda identity_map: identity_map.get("a"),
    "keep": lambda identity_map: identity_map.keep("new", ("a", "b"), "old", identity_map.mark()),
    "forget": lambda identity_map: identity_map.forget(["a", "b"]),
}


@pytest.mark.parametrize("step", STEPS)
class TestIdentityMap:
    """Wherever an interrupt strikes, what is forgotten after it is forgotten."""

    def test_an_interrupt_leaves_a_map_that_forgets_and_keeps(self, step: str) -> None:
        for point in count(1):
            identity_map = filled(4)

            try:
                with where_handlers_run(interrupt, point) as reached:
                    STEPS[step](identity_map)
            except KeyboardInterrupt:
                pass
            if not reached:
                break
            identity_map.forget(["b", "a"])

            self.check_forgotten(identity_map)
            identity_map.keep("new", ("a", "b"), "true", identity_map.mark())
            assert identity_map.get("new") == "true"

    @staticmethod
    def check_forgotten(identity_map: IdentityMap) -> None:
        for key in ["a", "new", *((number,) for number in range(4))]:
            assert identity_map.get(key) is None
