"""The runs of one server: asked, changed, saved. Nothing is remembered but what is checked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, NamedTuple, ParamSpec, TypeVar

from astraguard_store.comparison import Comparison
from astraguard_store.database import lists
from astraguard_store.database.backend import Question
from astraguard_store.database.postgres import pushed, runs
from astraguard_store.database.postgres.connections import Connections, ServerConnection
from astraguard_store.database.postgres.migrate import check_server_revision, found_on_server
from astraguard_store.database.postgres.raw_files import (
    OF_DELETED,
    CataloguedFile,
    catalogue,
    file_of,
    files_of,
)
from astraguard_store.database.postgres.user_sql import answer
from astraguard_store.database.runs import (
    Missing,
    StoredRun,
    is_same,
    purge_measurements_sql,
)
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.transaction import Transaction
from astraguard_store.database.whole_runs import RunRows
from astraguard_store.exceptions import CommitOutcomeUnknownError, RunNotFoundError
from astraguard_store.filters import RunFilters
from astraguard_store.model import RunHeader
from astraguard_store.options import StoreOptions
from astraguard_store.reports import CacheInfo, QueryResult

P = ParamSpec("P")
T = TypeVar("T")

_MOST_KNOWN: Final = 1_024
_ATTEMPTS: Final = 5
# Of one statement: 256 documents of six satellites are some 300 kB.
_LOADED_AT_ONCE: Final = 256
_DELETE: Final = f"DELETE FROM runs WHERE run_id = %(run_id)s RETURNING {OF_DELETED}"  # noqa: S608
_PRUNE: Final = f"""
DELETE FROM runs WHERE run_id = %(run_id)s AND recorded_at_us = %(recorded_at_us)s
    AND state = %(state)s AND live_token IS NULL
    AND NOT EXISTS (SELECT 1 FROM run_tags AS t
        WHERE t.run_id = runs.run_id AND t.tag = %(pinned)s)
    AND NOT EXISTS (SELECT 1 FROM baseline_runs AS b WHERE b.run_id = runs.run_id)
RETURNING {OF_DELETED}
"""  # noqa: S608 - of names


class DeletedRun(NamedTuple):
    """A run that is deleted.

    Attributes:
        file: With its raw measurements, as it was catalogued; it is still there.
    """

    file: CataloguedFile | None


class _Asked(Generic[P, T]):
    """A function of one statement that reads, as a method; one round trip."""

    def __init__(self, function: Callable[Concatenate[Any, P], T]) -> None:
        self._function = function

    def __get__(self, database: ServerDatabase, _: type[ServerDatabase]) -> Callable[P, T]:
        def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            return database.read(lambda c: self._function(c, *args, **kwargs), one_statement=True)

        return ask


class _Made(_Asked[P, T]):
    """One that writes, as a method: in a transaction."""

    def __get__(self, database: ServerDatabase, _: type[ServerDatabase]) -> Callable[P, T]:
        def make(*args: P.args, **kwargs: P.kwargs) -> T:
            return database.transact(lambda c: self._function(c, *args, **kwargs))

        return make


class ServerDatabase:
    """The runs of a server; threads and forked children may use it.

    Attributes:
        path: None: it is no file.
        name: The URL, without its password.
    """

    path: Path | None = None

    known = _Asked(pushed.known_runs)
    origin_of = _Asked(pushed.origin_of)
    raw_files = _Asked(files_of)
    raw_file = _Asked(file_of)
    push = _Made(pushed.push_runs)
    push_tags = _Made(pushed.push_tags)
    catalogue = _Made(catalogue)
    renew_document = _Made(runs.renew_document)

    def __init__(self, url: ServerUrl, options: StoreOptions) -> None:
        self.name = url.shown
        self.connections = Connections(url, options.busy_timeout_s)
        self._sync = options.sync
        self._known: OrderedDict[str, runs.Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @classmethod
    def open(cls, url: ServerUrl, options: StoreOptions) -> ServerDatabase:
        """Open the server's store if its schema is the one that this code needs.

        Raises:
            SchemaVersionError: It is another one.
            DatabaseError: The server can't be reached.
        """
        database = cls(url, options)
        try:
            check_server_revision(url, found_on_server(database.connections))
        except BaseException:
            database.close()
            raise
        return database

    def get(self, run_id: str) -> StoredRun:
        """Return the run: the same object until somebody changes it. One round trip.

        One whose document was dropped, as somebody has changed its rows, takes more.

        Raises:
            RunNotFoundError: There is none.
        """
        found = self.get_all([run_id])
        if not found:
            raise RunNotFoundError(run_id, self.name)
        return found[run_id]

    def get_all(self, run_ids: Sequence[str]) -> dict[str, StoredRun]:
        """Return those of the runs that are there, as `get`; one round trip for 256 of them."""
        found: dict[str, StoredRun] = {}
        for first in range(0, len(run_ids), _LOADED_AT_ONCE):
            known = {
                run_id: self._known.get(run_id)
                for run_id in run_ids[first : first + _LOADED_AT_ONCE]
            }
            answers = self.read(partial(runs.load_if_changed, asked=known), one_statement=True)
            for run_id, before in known.items():
                answer = answers.get(run_id)
                if isinstance(answer, runs.Undocumented):
                    # Its row and its statistics must be of one save.
                    answer = self.read(partial(runs.load_from_rows, run_id=run_id))
                if answer is not None:
                    found[run_id] = self._kept(run_id, answer, before)
                elif before:
                    with self._lock:
                        self._known.pop(run_id, None)
        return found

    def recent(self, limit: int, filters: RunFilters | None) -> list[RunHeader]:
        """Return the newest runs that pass the filters, newest first. One round trip."""

        def query(connection: Any) -> list[RunHeader]:
            if filters is None:
                return lists.recent_headers(connection, limit)
            # The server counts for itself which way is the shorter one.
            return lists.filtered_headers(connection, limit, filters, count_first=False)

        return self.read(query, one_statement=True)

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool) -> Comparison:
        """Return what changed from one run to another. One round trip.

        Raises:
            RunNotFoundError: One of them isn't there; the baseline is looked for first.
        """
        found = self.read(
            lambda connection: runs.compare(
                connection, baseline, candidate, by_satellite=by_satellite
            ),
            one_statement=True,
        )
        if isinstance(found, Missing):
            raise RunNotFoundError(found.run_id, self.name)
        return found

    def read(self, query: Callable[[Any], T], *, one_statement: bool = False) -> T:
        """Return the result of *query*, run on one snapshot."""
        return self.connections.read(query, one_statement=one_statement)

    def ask(self, question: Question) -> QueryResult:
        """Return the answer to somebody's own SQL.

        Raises:
            QueryError: It is refused, wrong, or took too long.
        """
        return answer(self.connections, question)

    def save(self, new: Sequence[RunRows]) -> dict[str, tuple[int, dict[str, str]]]:
        """Save runs, all or none, and return their revisions and tags.

        Two round trips, three with a name: one whose `save_id` was given before isn't saved,
        nor returned.

        A save whose commit's outcome isn't known is looked up by its token, and saved
        again if it isn't there: so it is there once.

        Raises:
            DatabaseError: The server can't be reached; nothing is saved.
            CommitOutcomeUnknownError: It can't be reached any more either to look.
        """
        step = partial(runs.save_runs, new=new)
        for attempt in range(_ATTEMPTS):
            try:
                return self.transact(step)
            except CommitOutcomeUnknownError:
                known = self.known([rows.run_id for rows in new])
                if all(r.run_id in known and known[r.run_id].token == r.save[2] for r in new):
                    found = [self.get(rows.run_id).summary for rows in new]
                    return {run.run_id: (run.revision, dict(run.tags)) for run in found}
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a stored run; None removes one.

        Raises:
            RunNotFoundError: There is no such run.
        """

        def step(connection: ServerConnection) -> bool:
            found = connection.run(
                "SELECT 1 FROM runs WHERE run_id = %(run_id)s FOR KEY SHARE", {"run_id": run_id}
            ).fetchone()
            if found:
                new = [(run_id, tag, value) for tag, value in tags.items() if value is not None]
                runs.insert_tags(connection, new)
                gone = [tag for tag, value in tags.items() if value is None]
                if gone:
                    connection.run(
                        "DELETE FROM run_tags WHERE run_id = %(run_id)s "
                        "AND tag = ANY(%(tags)s::text[])",
                        {"run_id": run_id, "tags": gone},
                    )
            return found is not None

        if not self.transact(step):
            raise RunNotFoundError(run_id, self.name)

    def delete(
        self, run_id: str, *, if_recorded_at_us: int | None = None, if_state: str = "finished"
    ) -> DeletedRun | None:
        """Delete a run with all its rows; return what it was, None if it wasn't deleted.

        Args:
            run_id: The run.
            if_recorded_at_us: Only the run that was recorded at this time, µs since 1970,
                and is neither pinned nor one of a baseline.
            if_state: And only if it is in this state; without a time in any.
        """
        if if_recorded_at_us is None:
            return self.connections.again_if_stale(
                lambda connection: _deleted(connection, _DELETE, {"run_id": run_id})
            )

        def step(connection: ServerConnection) -> DeletedRun | None:
            bound = {
                "run_id": run_id,
                "recorded_at_us": if_recorded_at_us,
                "state": if_state,
                "pinned": lists.PINNED,
            }
            # Who pins it holds the row, so that the next statement sees what was pinned.
            connection.run("SELECT 1 FROM runs WHERE run_id = %(run_id)s FOR UPDATE", bound)
            return _deleted(connection, _PRUNE, bound)

        return self.transact(step)

    def purge_measurements(self, run_id: str) -> int:
        """Delete the kept measurements of a run; return how many there were."""
        return self.connections.again_if_stale(
            lambda connection: connection.execute(purge_measurements_sql(), (run_id,)).rowcount
        )

    def change_judgements(self, step: Callable[[Transaction], T]) -> T:
        """Return the result of *step*, which writes baselines or verdicts, one at a time."""
        return self.judge(lambda connection: step(Transaction(connection)))

    def judge(self, step: Callable[[Any], T]) -> T:
        """Do the same; *step* may also look at what the server has."""

        def alone(connection: Any) -> T:
            # Else of two that set a baseline at a time it might be a mixture.
            connection.run("LOCK TABLE baseline_runs IN SHARE ROW EXCLUSIVE MODE")
            return step(connection)

        return self.connections.transact(alone, sync=self._sync, pipelined=False)

    def cache_info(self) -> CacheInfo:
        """Return how often a run was as it was known."""
        return CacheInfo(self._hits, self._misses, len(self._known), _MOST_KNOWN)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self.connections.close()

    def transact(self, step: Callable[[ServerConnection], T]) -> T:
        """Return the result of *step*; all that it writes is kept, or nothing."""
        return self.connections.transact(step, sync=self._sync)

    def _kept(self, run_id: str, found: runs.Answer, known: runs.Answer | None) -> StoredRun:
        with self._lock:
            if known and (found is known or is_same(known.run, found.run)):
                found = found._replace(run=known.run)
                self._hits += 1
            else:
                self._misses += 1
            self._known[run_id] = found
            self._known.move_to_end(run_id)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return found.run


def _deleted(
    connection: ServerConnection, sql: str, bound: Mapping[str, Any]
) -> DeletedRun | None:
    row = connection.run(sql, bound).fetchone()
    if row is None:
        return None
    return DeletedRun(None if row[0] is None else CataloguedFile._make(row))
