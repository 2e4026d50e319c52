"""`kill -9` at every step of an upgrade and of a backup: the old or the new, and no half copy."""

from __future__ import annotations

import json
import runpy
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from astraguard_store import RunRepository, StoreError
from astraguard_store.database.revision import HEAD_REVISION
from astraguard_store.store.schema_versions import schema_status, upgrade_schema

from .audit import DATABASE
from .cases import Case, new_case
from .children import Children
from .report import Finding, Harm, Table
from .savers import prepare
from .shim import Action, Fault, Shim
from .test_kill import every_step, kill_at_steps

STORED = Path(__file__).parents[1] / "databases"
OLD = "0001"
COPY = "copy.db"


def upgrade_once(case: Case, fault: Fault) -> None:
    """Upgrade a store on a faulty disk."""
    with Shim(case.disk).armed(fault):
        upgrade_schema(case.results)


def rows_of(database: Path) -> list[Any]:
    """Read what every revision has of the runs and their statistics."""
    with closing(sqlite3.connect(database)) as connection:
        runs = "SELECT run_id, revision, recorded_at_us, total_measurements FROM runs ORDER BY 1"
        named = "SELECT count(*) FROM sqlite_schema WHERE name = 'statistics'"
        # Until 0005, those of all satellites together have a table of their own.
        is_one_table = connection.execute(named).fetchone()[0]
        table = "statistics WHERE satellite_id = ''" if is_one_table else "metric_statistics"
        statistics = f"SELECT run_id, count, mean_ms, max_ms FROM {table} ORDER BY 1, 2, 3, 4"
        return [connection.execute(query).fetchall() for query in (runs, statistics)]


def unlike_before(results: Path) -> list[Finding]:
    """Find what an upgrade that was killed lost, and go on with it."""
    return list(_unlike_before(results))


def _unlike_before(results: Path) -> Iterator[Finding]:
    before = rows_of(STORED / f"{OLD}.sqlite")
    try:
        found = schema_status(results).found
        if found not in (OLD, HEAD_REVISION):
            yield Finding(Harm.TORN, f"schema {found}")
        if rows_of(results / DATABASE) != before:
            yield Finding(Harm.LOST, "rows after the kill")
        upgrade_schema(results)
        if rows_of(results / DATABASE) != before:
            yield Finding(Harm.LOST, "rows after the upgrade was done again")
        answers = runpy.run_path(str(STORED / "make.py"))["answers"]
        with RunRepository.open(results) as repository:
            answers(repository)
    except (StoreError, sqlite3.Error) as error:
        yield Finding(Harm.LOST, f"can't be upgraded and read: {error!r}")
        return
    # One that was whole already is kept, and the next has a number.
    # What is unfinished says so, and nobody takes it for a copy.
    for copy in sorted(results.glob(f"{DATABASE}-before-*")):
        if "-unfinished" not in copy.name and not is_copy(copy, before):
            yield Finding(Harm.TORN, f"{copy.name} is no copy of what was before")


def is_copy(copy: Path, rows: list[Any]) -> bool:
    """Tell whether *copy* is a sound database with these *rows*."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return sound and rows_of(copy) == rows
    except sqlite3.Error:
        return False


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(14, id="bounded"), every_step])
@pytest.mark.parametrize("action", [Action.KILL, Action.TORN])
def test_a_killed_upgrade_leaves_the_old_schema_or_the_new(
    action: Action, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "old")
    case.results.mkdir()
    shutil.copyfile(STORED / f"{OLD}.sqlite", case.results / DATABASE)
    tally = table.row(f"{action.name.lower()} in an upgrade")

    kill_at_steps(
        case,
        lambda case, fault: children.run(upgrade_once, case, fault),
        action,
        stride,
        tally,
        lambda case: unlike_before(case.results),
    )

    tally.check()


def back_up_once(case: Case, fault: Fault) -> None:
    """Copy the database on a faulty disk."""
    with RunRepository.open(case.results) as repository, Shim(case.disk).armed(fault):
        repository.back_up(case.disk / COPY)


def wrong_copies(case: Case) -> list[Finding]:
    """Find half a copy under the name of a whole one, and what stays after the next backup."""
    findings = case.audit()
    rows = rows_of(case.results / DATABASE)
    copy = case.disk / COPY
    if copy.exists() and not is_copy(copy, rows):
        findings.append(Finding(Harm.TORN, f"{COPY} has {copy.stat().st_size} bytes, and no runs"))
    put_away = copy.rename(case.root / COPY) if copy.exists() else None
    try:
        with RunRepository.open(case.results) as repository:
            repository.back_up(copy)
    except StoreError as error:
        findings.append(Finding(Harm.LOST, f"can't be backed up any more: {error!r}"))
    if put_away and copy.exists() and (put_away.samefile(copy) or not is_copy(put_away, rows)):
        findings.append(Finding(Harm.LOST, "the next backup went into the one that was put away"))
    left = sorted(path.name for path in case.disk.iterdir() if path != case.results)
    if left != [COPY]:
        findings.append(Finding(Harm.LEFT_OVER, json.dumps(left)))
    return findings


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(6, id="bounded"), every_step])
@pytest.mark.parametrize("action", [Action.KILL, Action.TORN])
def test_a_killed_backup_leaves_a_whole_copy_or_none(
    action: Action, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "prepared")
    assert children.run(prepare, case) == 0
    tally = table.row(f"{action.name.lower()} in a backup")

    kill_at_steps(
        case,
        lambda case, fault: children.run(back_up_once, case, fault),
        action,
        stride,
        tally,
        wrong_copies,
    )

    tally.check()
