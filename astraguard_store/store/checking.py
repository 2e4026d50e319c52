"""A store held against what it promises; with ``fix``, what can be mended is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from astraguard_store.artifacts.scanner import has_folders
from astraguard_store.database.sqlite.connections import FileReader
from astraguard_store.database.sqlite.integrity import (
    dangling_rows,
    has_wal_reset_bug,
    structural_problems,
    wal_reset_note,
)
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import (
    DatabaseDamagedError,
    DatabaseError,
    SchemaVersionError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.reports import CheckReport
from astraguard_store.store.adoption import Progress
from astraguard_store.store.file_checking import FIX, FileCheck, Source, check_staging
from astraguard_store.store.mending import Mender
from astraguard_store.store.store import (
    DATABASE_NAME,
    SharedStore,
    acquire,
    existing_root,
)
from astraguard_store.store.tally import Tally
from astraguard_store.system.mounts import network_file_system

__all__ = ["check_folder", "check_store"]


def check_folder(
    results_dir: str | os.PathLike[str],
    *,
    fix: bool = False,
    progress: Progress | None = None,
    options: WriteOptions | None = None,
) -> CheckReport:
    """Check the store in a folder, also one that can't be opened.

    Args:
        results_dir: The results folder.
        fix: Mend what can be; a missing database is made from the run folders.
        progress: Called with (runs checked, runs in all).
        options: How to write, and how long to wait for others.

    Raises:
        StoreNotFoundError: There is no such folder, or neither a database nor a
            run in it.
        DatabaseError: The database can't be opened, and not because of damage.
    """
    options = options or WriteOptions()
    root = existing_root(results_dir, create=False)
    tally = Tally()
    is_missing = not os.path.lexists(root / DATABASE_NAME)
    if is_missing and not has_folders(root):
        raise StoreNotFoundError(
            f"{root} holds neither a database nor a run; check the folder's name"
        )
    try:
        store = acquire(root, options, create=fix and is_missing)
    except FileNotFoundError:
        _report_missing(root, tally)
    except SchemaVersionError as error:
        _report_schema(root, tally, error)
    except DatabaseDamagedError as error:
        _report_damage(root / DATABASE_NAME, tally, error)
    else:
        try:
            if is_missing:
                where, what = str(root / DATABASE_NAME), "there was no database"
                tally.mended("missing_database", where, what, "made")
            return check_store(store, options, fix=fix, progress=progress, tally=tally)
        finally:
            store.release()
    _check_surroundings(root, tally)
    check_staging(root, tally, [])
    return tally.report()


def check_store(
    store: SharedStore,
    options: WriteOptions,
    *,
    fix: bool = False,
    progress: Progress | None = None,
    tally: Tally | None = None,
) -> CheckReport:
    """Check an open store; raises as `RunRepository.check`."""
    tally = tally or Tally()
    root = store.root
    where = str(root / DATABASE_NAME) if root else "the database in memory"
    mender = Mender(store, options) if fix and root else None
    is_sound = _check_structure(store.database, where, tally, mender)
    if root is None:
        _note_sqlite(where, tally)
        return tally.report()
    # Nothing is written to a database that is damaged, and nothing after its word.
    if is_sound:
        try:
            FileCheck(root, store.database, tally, mender, progress).run()
        except DatabaseDamagedError as error:
            _report_damage(root / DATABASE_NAME, tally, error)
    else:
        check_staging(root, tally, [])
    _check_surroundings(root, tally)
    return tally.report()


def _check_structure(
    source: Source, where: str, tally: Tally, mender: Mender | None = None
) -> bool:
    """Ask SQLite for damage; return whether the rows can be believed."""
    try:
        problems = source.read(structural_problems)
        dangling = source.read(dangling_rows)
    except DatabaseDamagedError as error:
        problems, dangling = [error.reason], {}
    _report_dangling(dangling, where, tally, None if problems else mender)
    if problems:
        tally.fault("damaged_database", where, "; ".join(problems), _rebuild(Path(where)))
    return not problems


def _report_dangling(
    dangling: Mapping[str, int], where: str, tally: Tally, mender: Mender | None
) -> None:
    """Report rows without a run, by table; they may be in the way of saves and adoptions."""
    deleted: Mapping[str, int] = {}
    failure = ""
    if dangling and mender:
        try:
            deleted = mender.delete_dangling()
        except StoreError as error:
            failure = f"they could not be deleted: {error}; "
    for table, number in dangling.items():
        what = f"{number} row{'s' if number > 1 else ''} of {table} belong to no run"
        if table in deleted:
            tally.mended("foreign_key", where, what, "deleted")
        else:
            advice = f"{failure}another program left them; {FIX} deletes those of the store's own"
            tally.fault("foreign_key", where, what, f"{advice} tables; or `DELETE` them")


def _report_damage(path: Path, tally: Tally, error: DatabaseError) -> None:
    what = error.reason if isinstance(error, DatabaseDamagedError) else str(error)
    tally.fault("damaged_database", str(path), what, _rebuild(path))


def _report_missing(root: Path, tally: Tally) -> None:
    advice = f"`astraguard-store import --results {_quoted(root)}` makes one from the run folders"
    where = str(root / DATABASE_NAME)
    tally.fault("missing_database", where, "there is no database", advice)


def _report_schema(root: Path, tally: Tally, error: SchemaVersionError) -> None:
    path = root / DATABASE_NAME
    reader = FileReader(path, busy_timeout_s=30.0)
    try:
        _check_structure(reader, str(path), tally)
    finally:
        reader.close()
    found = f"schema {error.found}" if error.found else "no schema of this store"
    tally.fault(
        "schema_version", str(path), f"it has {found}, {error.needed} is needed", str(error)
    )


def _check_surroundings(root: Path, tally: Tally) -> None:
    where = str(root / DATABASE_NAME)
    kind = network_file_system(root)
    if kind:
        what = f"it lies on a network file system ({kind}), where locks and logs can't be trusted"
        advice = "keep the store on a local disk, and copy backups to the network"
        tally.fault("network_file_system", where, what, advice)
    _note_sqlite(where, tally)


def _note_sqlite(where: str, tally: Tally) -> None:
    if has_wal_reset_bug():
        advice = "use a newer SQLite when there is one for this Python"
        tally.note("sqlite_version", where, wal_reset_note(), advice)


def _rebuild(path: Path) -> str:
    return (
        f"nothing is written to it: move {path.name}, {path.name}-wal and {path.name}-shm away; "
        f"then restore a backup, or `astraguard-store import --results {_quoted(path.parent)}` "
        "makes a new one from the run folders"
    )


def _quoted(root: Path) -> str:
    return shlex.quote(str(root))
