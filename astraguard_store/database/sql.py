"""SQL text, and how it is run: on the driver's connection, from text that is kept.

A statement is written with SQLAlchemy Core (`core`), which takes a third of a second to
import and up to 1 ms a statement to compile. So `statements.sql` keeps the texts;
`python tests/statement_texts.py` writes it anew, and a test compares it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial, wraps
from itertools import islice
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

from astraguard_store.database.core import compiled, insert_row, metadata

P = ParamSpec("P")
T = TypeVar("T")

Connection = sqlite3.Connection
"""The driver's connection, on which statements run."""

ValueRefusedError = sqlite3.IntegrityError
"""A value breaks a rule of its table: a CHECK, or a key."""

Query = Callable[[Connection], T]
"""Reads from the connection that it is given."""

ALL_SATELLITES: Final = ""
"""In place of a satellite's id, in rows about all of them together; no satellite is named so."""

_KEPT: Final = Path(__file__).with_name("statements.sql")
_BEGINNING: Final = "-- "

# Rows of one statement: 100,000 measurements take a third of the time of one at a time,
# the 300 buckets of a run two thirds.
_MANY: Final = 50

_writers: Final[dict[str, Callable[[], str]]] = {}
_by_text: Final[dict[str, Callable[[], str]]] = {}


def kept(
    *variants: Mapping[str, Any], named: bool = False
) -> Callable[[Callable[P, Any]], Callable[P, str]]:
    """Return a decorator of what writes a statement, or a text about tables.

    What it is called on gives the text, from the file and once.

    Args:
        variants: What it is called with, by name; a text is kept for each. Called with
            something else it is written anew. None if it is called with nothing.
        named: How its parameters are bound: see `compiled`.
    """

    def decorated(write: Callable[..., Any]) -> Callable[P, str]:
        def written(**how: Any) -> str:
            made = write(**how)
            return made if isinstance(made, str) else compiled(made, named=named)

        def text(**how: Any) -> str:
            found = _texts().get(_name(write, how))
            if found is None:
                return written(**how)
            _by_text[found] = partial(written, **how)
            return found

        for variant in variants or ({},):
            _writers[_name(write, variant)] = partial(written, **variant)
        once = wraps(write)(lru_cache(maxsize=256)(text))
        return cast("Callable[P, str]", once)

    return decorated


def _name(write: Callable[..., str], named: Mapping[str, Any]) -> str:
    module = write.__module__.rpartition(".")[2]
    return " ".join([f"{module}.{write.__name__}", *(f"{k}={named[k]}" for k in sorted(named))])


@cache
def _texts() -> dict[str, str]:
    texts = _KEPT.read_text(encoding="utf-8").removeprefix(_BEGINNING).rstrip("\n")
    return dict(text.split("\n", 1) for text in texts.split(f"\n\n{_BEGINNING}"))


def written_anew() -> str:
    """Return what `statements.sql` has to be, of the modules that are imported."""
    texts = (f"{_BEGINNING}{name}\n{write()}\n" for name, write in sorted(_writers.items()))
    return "\n".join(texts)


@cache
def for_server(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement's text as PostgreSQL has it, all parameters bound by name.

    Returns:
        The text for psycopg, and the names of what is bound by position, in their order.
    """
    from astraguard_store.database import dialect

    if text in _by_text:
        # Only what was compiled here is known as more than text.
        _by_text[text]()
    return dialect.for_server(text)


def insert_rows(connection: Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Insert some rows, one by one; their values come in the order of the table's columns."""
    connection.executemany(_insert_sql(table=table), rows)


def insert_many(connection: Connection, table: str, values: Iterable[Any]) -> None:
    """Insert rows, as many at a time as pays.

    Args:
        connection: In a write transaction.
        table: The table.
        values: Row after row, best in the order of the table's key: so SQLite fills page
            after page.
    """
    width = _insert_sql(table=table).count("?")
    rest = iter(values)
    while len(some := tuple(islice(rest, _MANY * width))) == _MANY * width:
        connection.execute(_insert_many_sql(table), some)
    if some:
        # As many references to one iterator as a row has values.
        insert_rows(connection, table, zip(*[iter(some)] * width, strict=True))


@kept(
    *(
        {"table": table}
        for table in (
            "artifacts",
            "attachments",
            "baseline_runs",
            "buckets",
            "machine_noise",
            "measurements",
            "run_tags",
            "run_verdicts",
            "statistics",
            "units",
        )
    )
)
def _insert_sql(*, table: str) -> Any:
    return insert_row(metadata.tables[table])


@cache
def _insert_many_sql(table: str) -> str:
    one = _insert_sql(table=table)
    return ", ".join([one, *[one[one.rindex("(") :]] * (_MANY - 1)])
