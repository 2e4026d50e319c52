"""How a schema comes to be, by the migrations and nothing else; and what it means.

Alembic takes 0.2 s to import, so it is imported only to migrate; whether a
database is current is asked of its version table directly.
"""

from __future__ import annotations

import logging
import os
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from astraguard_store.database.documents import renew_missing_documents
from astraguard_store.database.revision import (
    HEAD_REVISION,
    KNOWN_REVISIONS,
    VERSION_TABLE,
    schema_error,
)
from astraguard_store.database.sqlite.backup import (
    BESIDE,
    back_up,
    remove_beside,
    unfinished_name,
)
from astraguard_store.database.sqlite.connections import FileReader
from astraguard_store.database.sqlite.engine import (
    BEGIN_TO_WRITE,
    WRITES,
    connect,
    connect_in_memory,
    engine_of,
)
from astraguard_store.database.sqlite.errors import translated, translated_os_errors
from astraguard_store.database.sqlite.open_files import has_log_of_another
from astraguard_store.database.store_row import set_created
from astraguard_store.exceptions import (
    DatabaseDamagedError,
    DatabaseError,
    SchemaVersionError,
    StoreError,
)
from astraguard_store.system.files import make_file, sync_folder
from astraguard_store.system.forks import in_forked_child

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from astraguard_store.reports import DescribedObject

logger = logging.getLogger("astraguard_store")

_FORMER: Final = "-before-restore"

# The views first, for they are what to ask; the row about the object before its columns.
_DESCRIPTIONS: Final = """
SELECT d.object, d.kind, d."column", d.unit, d.description
FROM schema_doc AS d
LEFT JOIN pragma_table_info(d.object) AS c ON c.name = d."column"
ORDER BY d.kind DESC, d.object, d."column" <> '', c.cid
"""


def scripts_folder() -> Path:
    """Return the folder of the migrations: in an installed wheel, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise DatabaseError(f"the migrations are missing from {package}; install the package again")


def found_revision(connection: sqlite3.Connection) -> str | None:
    """Return the schema revision of a database, None where it has no version table."""
    try:
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such table"):
            raise
        return None
    return None if row is None else str(row[0])


def check_revision(path: Path, found: str | None) -> None:
    """Do nothing if *found* is the schema that this code works with.

    Raises:
        DatabaseDamagedError: The file is empty.
        SchemaVersionError: It is another schema; the message says what to do.
    """
    if found == HEAD_REVISION:
        return
    if found is None:
        if path.stat().st_size == 0:
            raise DatabaseDamagedError(path, "the file is empty")
        message = (
            f"{path} holds no astraguard_store schema (needed: {HEAD_REVISION}). If another "
            "program made it, use another results folder; if an `alembic upgrade head` on it "
            "never finished, run that again"
        )
        raise SchemaVersionError(message, found, HEAD_REVISION)
    folder = shlex.quote(str(path.parent))
    raise schema_error(path, found, f": astraguard-store db upgrade --results {folder}")


def check_log_fits(path: Path) -> None:
    """Raise DatabaseDamagedError if a copy was put in place beside the log of another file."""
    with translated_os_errors(path):
        is_another = has_log_of_another(path)
    if is_another:
        raise DatabaseDamagedError(
            path,
            f"a copy was put in its place beside {path.name}-wal, the log of the file that was "
            "there before, which SQLite would play back over it",
        )


def described_objects(connection: sqlite3.Connection) -> tuple[DescribedObject, ...]:
    """Return what all views and then all tables mean, each by name; one statement."""
    from astraguard_store.reports import DescribedObject

    return DescribedObject.of_rows(connection.execute(_DESCRIPTIONS).fetchall())


def migrate(driver: sqlite3.Connection) -> None:
    """Bring the database behind *driver* to the newest schema, or leave it as it was.

    Raises:
        DatabaseError: After it rows would refer to runs that are gone.
    """
    from sqlalchemy.exc import DBAPIError

    # With foreign keys on, rebuilding a table would delete its children; the
    # setting can't be changed inside the transaction. The scripts' env.py
    # checks the keys before it commits.
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        with engine_of(driver).connect() as connection:
            run_scripts(connection.execution_options(**{WRITES: True}))
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def fill_new(driver: sqlite3.Connection) -> None:
    """Make the empty database behind *driver* what the migrations make of one."""
    with closing(sqlite3.connect(":memory:")) as new:
        new.deserialize(_new_database())
        set_created(new, time.time_ns() // 1000)
        new.commit()
        new.backup(driver)


@cache
def _new_database() -> bytes:
    """Return the file that the migrations make of none; they take 160 ms, and a copy of it 2."""
    with closing(connect_in_memory()) as driver:
        migrate(driver)
        return driver.serialize()


def create_database(path: Path) -> None:
    """Create the database *path* by the migrations; the caller holds the write ticket.

    It is made under another name and then renamed, so that there never is an
    empty or half-made database, and an existing file is never touched.

    Raises:
        DatabaseError: It can't be made: the disk is full, or fails.
    """
    new = path.with_name(f"{path.name}-new")
    try:
        # What a creation left that died.
        new.unlink(missing_ok=True)
        remove_beside(new)
        # SQLite would make it 0644 whatever the umask, and gives its log the same rights:
        # users of one group couldn't save.
        make_file(new)
        with translated(path), closing(connect(new, "rw")) as driver:
            fill_new(driver)
            # Closing does that too, and doesn't say why it fails, as on a full disk.
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # Without its log the file would be half a database.
        if new.with_name(f"{new.name}-wal").exists():
            raise DatabaseError(f"{path} can't be made: writing it to disk failed; try again")
        new.rename(path)
        sync_folder(path.parent)
    except StoreError:
        # Among them is a TimeoutError, which is an OSError.
        raise
    except OSError as error:
        failure = DatabaseError(f"{path} can't be made: {error.strerror}")
        failure.errno = error.errno
        raise failure from error


def revision_of(path: Path) -> str | None:
    """Return the schema revision of the database file *path*; writes nothing.

    Raises:
        DatabaseError: It can't be read.
    """
    with closing(FileReader(path, busy_timeout_s=30.0)) as reader:
        return reader.read(found_revision)


def upgrade_database(path: Path) -> Path | None:
    """Bring the database *path* to the newest schema; the caller holds the write ticket.

    Returns:
        The copy that was made before; None if there was nothing to do.

    Raises:
        SchemaVersionError: The schema is newer than this code, or another program's.
        DatabaseError: The copy or the migration failed; the database is as it was.
    """
    check_log_fits(path)
    found = revision_of(path)
    if found == HEAD_REVISION:
        return None
    if found not in KNOWN_REVISIONS:
        check_revision(path, found)
    backup_path = _free_name(path, f"{path.name}-before-{HEAD_REVISION}-from-{found}")
    # Closed before the migration opens a connection: it may have taken the file for one
    # that nobody writes.
    with closing(FileReader(path, busy_timeout_s=30.0)) as reader:
        back_up(reader.read, path, backup_path)
    with translated(path), closing(connect(path, "rw")) as driver:
        migrate(driver)
        _renew_documents(driver, path)
    return backup_path


def restore_database(backup: Path, path: Path) -> Path | None:
    """Put a copy of *backup* in the place of the database *path*; the caller holds the ticket.

    The former database and its log first get second names, which stay. Then the copy
    takes the place, in one step, and last the former log goes away. Where that doesn't
    come, SQLite would play it back over the copy: openings refuse such a pair, and
    `finish_restoring` knows by the second name that the log is the former one's.

    Returns:
        Where the former database lies now; None if there was none.

    Raises:
        SchemaVersionError: The backup's schema is unknown here.
        DatabaseError: It isn't sound, or can't be copied; the database is as it was.
    """
    new = path.with_name(f"{path.name}-restored")
    _check_is_apart(backup, (path, new, unfinished_name(new)))
    try:
        new.unlink(missing_ok=True)
        remove_beside(new)
        check_log_fits(backup)
        with closing(FileReader(backup, busy_timeout_s=30.0)) as reader:
            found = reader.read(found_revision)
            if found not in KNOWN_REVISIONS:
                check_revision(backup, found)
            # Checks the copy, and so the backup.
            back_up(reader.read, backup, new)
        former = _give_second_names(path)
        new.rename(path)
        sync_folder(path.parent)
        remove_beside(path)
        sync_folder(path.parent)
    except DatabaseDamagedError as error:
        # Whatever was named, the store needs none of the advice for its own database.
        advice = "Name another backup; the store is as it was"
        raise DatabaseDamagedError(backup, error.reason, advice) from error
    except StoreError:
        raise
    except OSError as error:
        raise DatabaseError(f"{path} can't be restored: {error.strerror}") from error
    return former


def _check_is_apart(backup: Path, replaced: Iterable[Path]) -> None:
    """Refuse a backup that restoring would remove or replace before it is copied."""
    if backup.name.endswith(BESIDE) or any(
        name.exists() and name.samefile(backup) for name in replaced
    ):
        raise DatabaseError(
            f"{backup} has a name that the database itself has, its log, or the copy that is put "
            "in its place; copy it to another name, and restore that"
        )


def finish_restoring(path: Path) -> None:
    """Remove the former log from beside a copy whose restoring died; the ticket is held."""
    if not has_log_of_another(path):
        return
    log = path.with_name(f"{path.name}-wal")
    former = path.parent.glob(f"{path.name}{_FORMER}*-wal")
    if any(name.samefile(log) for name in former):
        remove_beside(path)
        sync_folder(path.parent)


def _give_second_names(path: Path) -> Path | None:
    if not os.path.lexists(path):
        return None
    former = _free_name(path, f"{path.name}{_FORMER}")
    for suffix in ("-wal", "-journal", ""):
        if os.path.lexists(f"{path}{suffix}"):
            os.link(f"{path}{suffix}", f"{former}{suffix}", follow_symlinks=False)
    return former


def _free_name(path: Path, name: str) -> Path:
    """Return a name beside *path* that an upgrade that failed before hasn't taken."""
    candidate = path.with_name(name)
    for attempt in count(2):
        if not os.path.lexists(candidate):
            break
        candidate = path.with_name(f"{name}-{attempt}")
    return candidate


# Alembic keeps what it works on in its modules: of two threads that migrate at once, each
# runs statements on the other's database. The process may even be killed by it.
_migrating = threading.Lock()


def _new_lock() -> None:
    global _migrating
    _migrating = threading.Lock()


in_forked_child(_new_lock)


def run_scripts(connection: Connection) -> None:
    """Run the migrations up to the newest on a connection; one at a time in a process."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _migrating:
        command.upgrade(config, "head")


def _renew_documents(driver: sqlite3.Connection, path: Path) -> None:
    """Give runs the documents that the migrations dropped; without, they are read from rows.

    A part at a time: a process that dies has lost nothing, and the log stays small.
    """
    last: str | None = ""
    try:
        with translated(path):
            while last is not None:
                driver.execute(BEGIN_TO_WRITE)
                with driver:
                    last = renew_missing_documents(driver, last, most=1000)
    except DatabaseError as error:
        logger.warning(
            "%s is upgraded, but not all documents are renewed (%s): such runs are read from "
            "their rows, which takes longer, until `astraguard-store check --fix`",
            path,
            error,
        )
