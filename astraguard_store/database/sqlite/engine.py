"""URL → SQLAlchemy engine, with the settings that SQLite needs to be trusted."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

from astraguard_store.database.sqlite.open_files import check_side_files
from astraguard_store.options import Durability
from astraguard_store.system.files import make_file

__all__ = [
    "BEGIN_TO_WRITE",
    "WRITES",
    "Mode",
    "database_engine",
    "driver_connection",
    "memory_engine",
    "sqlite_library_version",
    "url_engine",
    "write_pragmas",
]

Mode = Literal["alone", "immutable", "ro", "rw"]

WRITES = "astraguard_writes"
"""Execution option of a connection whose transactions write."""

BEGIN_TO_WRITE = "BEGIN IMMEDIATE"
"""A transaction that reads first and writes later fails at once when another has written
in between, whatever the busy timeout."""


_QUERIES: dict[Mode, dict[str, str]] = {
    "alone": {"mode": "ro", "vfs": "unix-none"},
    "immutable": {"mode": "ro", "immutable": "1"},
}


def database_engine(
    path: Path, mode: Mode, *, durability: Durability = "full", busy_timeout_s: float = 30.0
) -> Engine:
    """Return an engine for the SQLite file *path*; each connection is a new one.

    Args:
        path: The file.
        mode: ``ro`` reads only; ``rw`` writes, and creates nothing; ``immutable``
            reads a file that nobody writes, and takes no lock; ``alone`` reads its log
            too, whose index it makes in memory.
        durability: ``full`` syncs every commit; ``normal`` only checkpoints, so
            a power cut may take the latest commits back.
        busy_timeout_s: How long SQLite waits for a lock that it needs.
    """
    query = _QUERIES.get(mode) or {"mode": mode}
    url = URL.create(
        "sqlite", database=f"file:{quote(os.fsencode(path))}", query={**query, "uri": "true"}
    )
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "timeout": busy_timeout_s},
    )
    _set_up(engine, _pragmas(mode, durability, busy_timeout_s))
    _check_before_connecting(engine, path)
    return engine


def memory_engine() -> Engine:
    """Return an engine for a database in memory: one connection, as long as the engine."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    _set_up(engine, ["PRAGMA foreign_keys=ON"])
    return engine


def url_engine(url: str) -> Engine:
    """Return an engine for migrating the database at *url*; a SQLite file gets its settings."""
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        file = engine.url.database
        if file and file != ":memory:" and not os.path.lexists(file):
            # SQLite would make it 0644 whatever the umask: see `create_database`.
            make_file(Path(file))
        _set_up(engine, _pragmas("rw", "full", busy_timeout_s=30.0))
        _check_before_connecting(engine, Path(file or ":memory:"))
    return engine


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Return sqlite3's connection, on which statements run: see `sql`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
    return driver


def sqlite_library_version() -> str:
    """Return the version of the SQLite library that Python was built with."""
    return sqlite3.sqlite_version


def write_pragmas(durability: Durability, busy_timeout_s: float) -> list[str]:
    """Return the settings of a writing connection that a repository chooses."""
    return [
        f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}",
        f"PRAGMA synchronous={durability.upper()}",
    ]


def _pragmas(mode: Mode, durability: Durability, busy_timeout_s: float) -> list[str]:
    # The timeout first: the pragmas after it may meet a lock themselves.
    pragmas = [f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}"]
    if mode == "alone":
        # The log's index is then no file. The lock is none: this VFS takes none.
        pragmas.append("PRAGMA locking_mode=EXCLUSIVE")
    if mode != "rw":
        # 32 MB of pages, taken as they are read: 14,000 runs stay in reach.
        return [
            *pragmas,
            "PRAGMA query_only=ON",
            "PRAGMA mmap_size=0",
            "PRAGMA cache_size=-32768",
        ]
    return [
        *write_pragmas(durability, busy_timeout_s),
        # Readers don't wait for writers, nor writers for readers.
        "PRAGMA journal_mode=WAL",
        "PRAGMA foreign_keys=ON",
        # Checkpoints are made under the ticket only: up to SQLite 3.51.2 one that
        # races with a commit can, rarely, corrupt the file.
        "PRAGMA wal_autocheckpoint=0",
        # An I/O error in mapped memory would kill the process.
        "PRAGMA mmap_size=0",
    ]


def _check_before_connecting(engine: Engine, path: Path) -> None:
    @event.listens_for(engine, "do_connect")
    def check(*_connecting: Any) -> None:
        check_side_files(path)


def _set_up(engine: Engine, pragmas: list[str]) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        try:
            prepare(connection)
        except BaseException:
            # Else the error's traceback keeps it open, and an empty log beside the file.
            connection.close()
            raise

    def prepare(connection: sqlite3.Connection) -> None:
        # Python's driver begins transactions at its own choice, and none for DDL.
        connection.isolation_level = None
        for pragma in pragmas:
            answer = connection.execute(pragma).fetchone()
            if pragma == "PRAGMA journal_mode=WAL" and answer != ("wal",):
                raise sqlite3.OperationalError(
                    f"the file system can't hold a write-ahead log (journal_mode is {answer[0]})"
                )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql(BEGIN_TO_WRITE if writes else "BEGIN")
