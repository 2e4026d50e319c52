"""Stores of others, spoiled on purpose: values, tables, bytes of the database, files of runs."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from astraguard_store import RunRepository, StoreError

from .audit import DATABASE
from .cases import Case
from .ledger import Ledger
from .savers import KEPT, recording, save

# Not those of a journal or of Alembic: what holds measurements, and what runs refer to.
VALUES = (
    2**63 - 1,
    -(2**63),
    2**62,
    -1,
    0,
    1e308,
    9e999,
    -0.0,
    None,
    "",
    "\0",
    "a\0b",
    "../../etc/passwd",
    "x" * 1_000_000,
    "🛰" * 600,
    b"\xff\xfe",
    "1",
    '{"a":' * 400,
)
SCHEMAS = (
    "CREATE TRIGGER grow AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
    "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i",
    "DROP TABLE statistics",
    "DROP TABLE artifacts",
    "DELETE FROM artifacts",
    "DELETE FROM statistics",
    "ALTER TABLE runs ADD COLUMN more TEXT DEFAULT 'x'",
    "UPDATE runs SET run_id = run_id || '/../..'",
    "UPDATE runs SET run_id = upper(run_id)",
    "PRAGMA user_version = 77",
    "PRAGMA application_id = 77",
    "UPDATE alembic_version SET version_num = '9999'",
    "DELETE FROM alembic_version",
)


def other_store(place: Path) -> None:
    """Make a store of somebody else, with runs of all kinds of files and a live one's journal."""
    kinds: tuple[dict[str, str], ...] = (
        {},
        {"compression": "gzip"},
        {"keep_measurements": "parquet"},
        {"keep_measurements": "database"},
    )
    for number, options in enumerate(kinds):
        with RunRepository.open(place, **options) as repository:  # type: ignore[arg-type]
            run_id = f"other{number}"
            repository.save(run_id, recording(1_000 + number), tags={"rig": "7"})
            repository.set_baseline(f"of{number}", run_id)


def _connected(place: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(place / DATABASE, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    return connection


def spoil_value(place: Path, chance: random.Random) -> str:
    """Put a value into a column of one row or of all."""
    with closing(_connected(place)) as connection:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        table = chance.choice([name for (name,) in connection.execute(tables)])
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column, value = chance.choice(columns), chance.choice(VALUES)
        rows = chance.choice(("", f" WHERE rowid = (SELECT min(rowid) FROM {table})"))
        with suppress(sqlite3.Error):  # refused: another one is tried
            connection.execute(f"UPDATE {table} SET {column} = ?{rows}", (value,))
        return f"{table}.{column} = {str(value)[:30]!r}{rows}"


def spoil_schema(place: Path, chance: random.Random) -> str:
    """Change what tables there are, or what the whole database says of itself."""
    statement = chance.choice(SCHEMAS)
    with closing(_connected(place)) as connection, suppress(sqlite3.Error):
        connection.execute(statement)
    return statement


def spoil_bytes(place: Path, chance: random.Random) -> str:
    """Turn bits of the database file around, or cut it off."""
    path = place / DATABASE
    content = bytearray(path.read_bytes())
    if chance.random() < 0.2:
        del content[chance.randrange(len(content)) :]
    bits = [chance.randrange(len(content) * 8) for _ in range(chance.choice((1, 3, 200)))]
    for bit in bits if content else ():
        content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)
    return f"{len(bits)} bits, {len(content)} bytes left"


def spoil_file(place: Path, chance: random.Random) -> str:
    """Spoil a file of a run."""
    files = sorted(path for path in place.glob("other*/*") if path.is_file())
    path = chance.choice(files)
    content = path.read_bytes()
    path.unlink()
    spoiled: dict[str, Callable[[], object]] = {
        "gone": lambda: None,
        "empty": lambda: path.write_bytes(b""),
        "half": lambda: path.write_bytes(content[: len(content) // 2]),
        "noise": lambda: path.write_bytes(chance.randbytes(5_000)),
        "brackets": lambda: path.write_bytes(b"[" * 200_000),
        "digits": lambda: path.write_bytes(content.replace(b"1", b"9" * 6_000)),
        "NUL": lambda: path.write_bytes(content.replace(b"S", b"\0")),
        "pipe": partial(os.mkfifo, path),
        "link": partial(path.symlink_to, "/dev/zero"),
        "folder": path.mkdir,
    }
    how = chance.choice(sorted(spoiled))
    spoiled[how]()
    return f"{path.name} of {path.parent.name}: {how}"


SPOILERS = (spoil_value, spoil_value, spoil_value, spoil_schema, spoil_bytes, spoil_file)


def spoil(place: Path, chance: random.Random, times: int) -> list[str]:
    """Spoil the store in *place*; return what was done to it."""
    done = []
    for spoiler in chance.choices(SPOILERS, k=times):
        # A database that is spoiled already may take no more.
        with suppress(sqlite3.Error):
            done.append(spoiler(place, chance))
    return done


def meet(case: Case, other: Path) -> None:
    """Merge, import and read the spoiled store *other*; answer what was raw or did harm."""
    harms: list[str] = []

    def tried(what: str, act: Callable[[], object]) -> None:
        case.answer.write_text(json.dumps([*harms, f"{what} hangs"]))
        try:
            act()
        except StoreError:
            pass
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            harms.append(f"{what}: a raw {type(error).__name__}: {str(error)[:300]}")

    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as own:
        tried("merge", lambda: own.merge(other))
        tried("import", lambda: own.import_runs([other]))
        save(own, ledger, KEPT)
        faults = [str(found) for found in own.check(deep=True).findings if _is_fault(found)]
        harms += [f"after it, check finds {fault[:300]}" for fault in faults[:3]]
        run_ids = [header.run_id for header in own.recent(100)]
        for run_id in run_ids:
            tried(f"get {run_id} after it", partial(own.get, run_id))
            tried(f"measurements of {run_id}", partial(own.measurements, run_id))
        tried("export after it", lambda: own.export(run_ids, case.root / "all.zip"))
    for read_only in (True, False):
        tried(f"a look into it, {read_only=}", partial(_look, other, read_only=read_only))
    case.answer.write_text(json.dumps(harms))


def _is_fault(found: object) -> bool:
    return getattr(found, "severity", "") == "fault"


def _look(other: Path, *, read_only: bool) -> None:
    with RunRepository.open(other, read_only=read_only, busy_timeout_s=2.0) as repository:
        run_ids = [header.run_id for header in repository.recent(100)]
        repository.check(deep=True)
        for run_id in run_ids:
            with suppress(StoreError):
                repository.get(run_id)
            with suppress(StoreError):
                repository.measurements(run_id)
            with suppress(StoreError):
                repository.read_document(run_id, afresh=True)
        with suppress(StoreError):
            repository.percentiles((0.5,), metric_type="fault_detection")
        with suppress(StoreError):
            repository.compare("other0", "other1")
        repository.baselines()
        if not read_only:
            save(repository, Ledger(Path(os.devnull)), "one more")
