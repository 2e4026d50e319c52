"""Somebody's own SQL on a server: one statement that only reads, and only for so long.

What holds it, from the outside in: a fresh connection that is closed afterwards, so that
neither a setting nor a lock stays; the reader's role, where there is one; a transaction
that is READ ONLY and rolled back; the extended protocol, which takes one statement; the
server's own time limit, and a cancel from here, as some functions don't look at the
former; and a look at the words of the statement: a READ ONLY transaction lets functions
reach the server's files, its settings and other sessions.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.database.backend import Parameters, Question
from astraguard_store.database.postgres.connections import Connections, driver
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.exceptions import QueryError
from astraguard_store.reports import QueryResult

if TYPE_CHECKING:
    import psycopg

READER: Final = "astraguard_reader"
"""The role that may only read; `query` takes it on where it is there and may be."""

_ADVICE: Final = (
    "one statement that only reads is allowed: SELECT, WITH … SELECT, VALUES, TABLE or EXPLAIN"
)
_BEGINNINGS: Final = frozenset({"select", "with", "values", "table", "explain"})
_TOKENS: Final = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*)
    |(?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    |(?P<hidden>[uU]&["'])
    |(?P<text>'(?:[^']|'')*')
    |(?P<dollar>\$(?P<tag>(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<cast>::)
    |(?P<name>:[A-Za-z_]\w*)
    |(?P<place>\?)
    |(?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
    |(?P<number>\d[\w.]*)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# What reaches files, other sessions, settings or locks, or runs text as SQL of its own.
_FORBIDDEN: Final = re.compile(
    r"""
    set_config|current_setting_set|lo_\w+|lo(create|_unlink|_import|_export)|dblink\w*
    |pg_(read|ls|stat|write)_\w*file\w*|pg_(read|ls)_\w+|pg_stat_file|pg_file_\w+
    |pg_sleep\w*|pg_notify|pg_(try_)?advisory_\w+
    |pg_(terminate|cancel)_backend|pg_(reload_conf|rotate_logfile\w*|switch_wal|promote)
    |pg_(create|drop|copy|advance)_\w+|pg_replication_\w+|pg_logical_\w+|pg_wal_\w+
    |pg_(backup_\w+|start_backup|stop_backup|export_snapshot|log_\w+|stat_reset\w*)
    |pg_(import_\w+|set_\w+|current_logfile|hba_file_rules|ident_file_mappings|show_all_\w+)
    |(query|cursor|table|schema|database)_to_xml\w*|xpath_table|ts_stat|crosstab\w*
    |nextval|setval|currval|pg_(authid|shadow|user_mapping\w*|largeobject\w*)
    |repeat|lpad|rpad|array_fill
    """,
    re.VERBOSE | re.IGNORECASE,
)
_QUOTES: Final = "'\""
_NAMES: Final = frozenset({"word", "quoted"})
_ROWS_AT_ONCE: Final = 1_000
_LONGEST_ANSWER_BYTES: Final = 512 * 2**20
# Of the memory and the disk that a sort may take; a server's own limits are often higher.
_SETTINGS: Final = {"work_mem": "64MB", "max_parallel_workers_per_gather": "1"}


def answer(connections: Connections, question: Question) -> QueryResult:
    """Return the answer to the question; see the module for what holds it.

    Raises:
        QueryError: It is refused, wrong, or took too long.
        DatabaseError: The server can't be asked.
    """
    text, parameters = _numbered(question.sql, question.parameters)
    psycopg = driver()
    deadline = time.monotonic() + question.time_limit_s
    raw = connections.fresh()
    stop = threading.Timer(question.time_limit_s, _cancel, (raw,))
    stop.daemon = True
    try:
        _restrict(raw, question.time_limit_s)
        stop.start()
        return _rows(raw, text, parameters, question, deadline)
    except psycopg.Error as error:
        raise _explained(error, question, connections.url, deadline) from error
    finally:
        stop.cancel()
        raw.close()


def _restrict(raw: psycopg.Connection[tuple[Any, ...]], time_limit_s: float) -> None:
    """Begin what is all that the statement may do, in one round trip."""
    limit_ms = max(1, int(time_limit_s * 1000))
    with raw.pipeline():
        raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for name, value in {**_SETTINGS, "statement_timeout": str(limit_ms)}.items():
            raw.execute("SELECT set_config(%s, %s, true)", (name, value))
        # It may do no more than before if the role isn't there, or isn't this user's.
        raw.execute(
            "SELECT set_config('role', rolname, true) FROM pg_roles "
            "WHERE rolname = %s AND pg_has_role(current_user, oid, 'MEMBER') "
            # A role is one of all databases of the server, and may have no rights in this one.
            "AND has_table_privilege(oid, to_regclass('runs'), 'SELECT')",
            (READER,),
        )


def _rows(
    raw: psycopg.Connection[tuple[Any, ...]],
    text: str,
    parameters: list[Any],
    question: Question,
    deadline: float,
) -> QueryResult:
    psycopg = driver()
    cursor = psycopg.RawCursor(raw)
    limit = question.row_limit
    rows: list[tuple[Any, ...]] = []
    held = 0
    streamed = cursor.stream(text, parameters or None, size=_ROWS_AT_ONCE)
    try:
        for row in streamed:
            rows.append(tuple(map(_plain, row)))
            held += sum(len(value) for value in row if isinstance(value, str | bytes)) + 64
            if limit is not None and len(rows) > limit:
                break
            if held > _LONGEST_ANSWER_BYTES:
                raise QueryError("the answer is longer than 512 MB; ask for less of it")
            if len(rows) % _ROWS_AT_ONCE == 0 and time.monotonic() >= deadline:
                raise question.too_long()
        described = cursor.description
    finally:
        streamed.close()
    columns = tuple(c.name for c in described) if described else _described(raw, text)
    return question.result(columns, rows)


def _described(raw: psycopg.Connection[tuple[Any, ...]], text: str) -> tuple[str, ...]:
    """Return the columns of a statement that had no rows, of which the driver tells none."""
    raw.pgconn.prepare(b"", text.encode())
    answer = raw.pgconn.describe_prepared(b"")
    names = (answer.fname(place) for place in range(answer.nfields))
    return tuple((name or b"").decode() for name in names)


def _plain(value: Any) -> Any:
    """Return what `QueryResult` holds: what SQLite has no type for becomes text."""
    if value is None or isinstance(value, int | float | str | bytes):
        # As on SQLite, which knows no other.
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, list | dict):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _numbered(sql: str, parameters: Parameters) -> tuple[str, list[Any]]:
    """Return the statement with ``$1`` for ``?`` and ``:name``, and what to bind in that order.

    Raises:
        QueryError: It begins as none that only reads, or a word in it is forbidden; or it
            has other parameters than are given.
    """
    tokens = list(_tokens(sql))
    _check([t.strip('"').replace('""', '"') for kind, t in tokens if kind in _NAMES])
    mark = "name" if isinstance(parameters, Mapping) else "place"
    # Without parameters, a ? is an operator of JSON.
    found = [token for kind, token in tokens if kind == mark] if parameters else []
    values, numbers = _bound(found, parameters)
    following = iter(numbers)
    parts = [
        f"${next(following)}" if parameters and kind == mark else token for kind, token in tokens
    ]
    return "".join(parts), values


def _bound(found: list[str], parameters: Parameters) -> tuple[list[Any], list[int]]:
    """Return what to bind, and which of it each mark is, counted from 1."""
    if isinstance(parameters, Mapping):
        order = list(dict.fromkeys(token[1:] for token in found))
        missing = next((name for name in order if name not in parameters), None)
        if missing is not None:
            raise QueryError(f"the parameter :{missing} is not given")
        values = [parameters[name] for name in order]
        return values, [order.index(token[1:]) + 1 for token in found]
    if len(found) != len(parameters):
        raise QueryError(f"{len(parameters)} parameters are given, and there are {len(found)} ?")
    return list(parameters), list(range(1, len(found) + 1))


def _check(words: list[str]) -> None:
    if not words or words[0].lower() not in _BEGINNINGS:
        raise QueryError(_ADVICE)
    for word in words:
        if _FORBIDDEN.fullmatch(word):
            raise QueryError(f"{word} is not allowed: {_ADVICE}, without what reaches beyond it")


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of the tokens of a statement, without its comments.

    Raises:
        QueryError: A quote or comment isn't closed, or hides what is in it.
    """
    place = 0
    while place < len(sql):
        found = _TOKENS.match(sql, place)
        assert found is not None  # noqa: S101 - `other` matches anything
        # A match of the tag alone is none of a token.
        kind = next(name for name, text in found.groupdict().items() if text and name != "tag")
        token = found.group()
        if kind == "hidden":
            raise QueryError(f"{token} is not allowed: write the characters themselves")
        if kind == "comment":
            place = _end_of_comment(sql, place)
            yield "space", " "
            continue
        if kind == "other" and token in _QUOTES:
            raise QueryError(f"a quote {token} isn't closed")
        yield kind, token
        place = found.end()


def _end_of_comment(sql: str, place: int) -> int:
    """Return where a comment ends; those of /* nest."""
    if sql.startswith("--", place):
        end = sql.find("\n", place)
        return len(sql) if end < 0 else end
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(sql, place):
        depth += 1 if found.group() == "/*" else -1
        if not depth:
            return found.end()
    raise QueryError("a comment /* isn't closed")


def _cancel(raw: psycopg.Connection[tuple[Any, ...]]) -> None:
    psycopg = driver()
    try:
        raw.cancel_safe(timeout=5.0)
    except psycopg.Error:
        # It can't be told to stop; the connection's end tells it.
        raw.close()


def _explained(error: Exception, question: Question, url: ServerUrl, deadline: float) -> Exception:
    psycopg = driver()
    is_late = time.monotonic() >= deadline and isinstance(error, psycopg.OperationalError)
    if is_late or isinstance(error, psycopg.errors.QueryCanceled):
        return question.too_long()
    message = url.without_secrets(str(error).partition("\nLINE ")[0])
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return QueryError(f"{message}; the table schema_doc names what there is")
    if "read-only transaction" in message or "multiple commands" in message:
        return QueryError(f"{message}: {_ADVICE}")
    return QueryError(message)
