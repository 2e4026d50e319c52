"""Baselines and recorded verdicts: the tables `baseline_runs` and `run_verdicts`.

A baseline is its rows: it is gone with its last run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from astraguard_store.database.core import (
    baseline_runs,
    bindparam,
    delete,
    exists,
    first,
    given_values,
    run_verdicts,
    select,
)
from astraguard_store.database.sql import Connection, insert_rows, kept
from astraguard_store.model import utc_from_epoch_us
from astraguard_store.verdict.values import Baseline, Judgements, RecordedVerdict

Row = tuple[Any, ...]


@kept()
def _baselines_sql() -> Any:
    row = baseline_runs.c
    # By the run: SQLite finds the names in an index and sorts them.
    return select(row.baseline, row.run_id, row.set_at_us).order_by(row.baseline, row.run_id)


def baselines(connection: Connection) -> dict[str, Baseline]:
    """Return all baselines, by name."""
    found: dict[str, list[str]] = {}
    set_at: dict[str, int] = {}
    for name, run_id, set_at_us in connection.execute(_baselines_sql()):
        found.setdefault(name, []).append(run_id)
        set_at[name] = set_at_us
    return {
        name: Baseline(name, tuple(run_ids), utc_from_epoch_us(set_at[name]))
        for name, run_ids in found.items()
    }


@kept()
def _delete_sql() -> Any:
    return delete(baseline_runs).where(baseline_runs.c.baseline == bindparam("name"))


def set_baseline(connection: Connection, name: str, run_ids: Iterable[str], now_us: int) -> None:
    """Let *name* be these stored runs, and no others."""
    connection.execute(_delete_sql(), (name,))
    insert_rows(connection, "baseline_runs", [(run_id, name, now_us) for run_id in run_ids])


def delete_baseline(connection: Connection, name: str) -> bool:
    """Delete a baseline, not its runs; return whether there was one."""
    return connection.execute(_delete_sql(), (name,)).rowcount > 0


@kept()
def _others_sql() -> Any:
    row = baseline_runs.c
    return select(
        exists().where(row.baseline == bindparam("name"), row.set_at_us != bindparam("set_at_us"))
    )


def of_same_baselines(connection: Connection, rows: Iterable[Row]) -> list[Row]:
    """Return those of *rows*, of another store, whose baseline isn't another one here."""
    return [row for row in rows if not connection.execute(_others_sql(), row[1:]).fetchone()[0]]


def insert_verdicts(connection: Connection, rows: Iterable[Row]) -> None:
    """Write verdicts, in the order of the table's columns."""
    insert_rows(connection, "run_verdicts", rows)


@kept()
def _baselines_of_run_sql() -> Any:
    row = baseline_runs.c
    of_run = row.run_id == bindparam("run_id")
    return select(row.baseline, row.set_at_us).where(of_run).order_by(row.baseline)


@kept()
def _verdicts_of_run_sql() -> Any:
    row = run_verdicts.c
    columns = (row[name] for name in RecordedVerdict._fields)
    of_run = row.run_id == bindparam("run_id")
    return select(*columns).where(of_run).order_by(row.judged_at_us)


@kept()
def _judged_sql() -> Any:
    row = run_verdicts.c
    after = row.run_id > bindparam("after")
    return first(select(row.run_id).distinct().where(after).order_by(row.run_id))


def judged_run_ids(connection: Connection, after: str, limit: int) -> list[str]:
    """Return the next runs behind the id *after* with a recorded verdict, by their ids."""
    return [run_id for (run_id,) in connection.execute(_judged_sql(), (after, limit))]


@kept()
def _marks_sql() -> Any:
    row = run_verdicts.c
    named = row.run_id.in_(select(given_values("run_ids")))
    return select(row.run_id, row.judged_at_us).where(named)


def verdict_marks(connection: Connection, run_ids: Collection[str]) -> set[tuple[str, int]]:
    """Return (run id, when it was judged, µs) of the recorded verdicts on some runs."""
    found = connection.execute(_marks_sql(), (json.dumps(sorted(run_ids)),))
    return {(run_id, judged_at_us) for run_id, judged_at_us in found}


def judgements_of(connection: Connection, run_id: str) -> Judgements:
    """Return which baselines have a run, and which verdicts on it are recorded."""
    of_baselines = connection.execute(_baselines_of_run_sql(), (run_id,)).fetchall()
    verdicts = connection.execute(_verdicts_of_run_sql(), (run_id,))
    return Judgements(
        tuple((name, set_at_us) for name, set_at_us in of_baselines),
        tuple(RecordedVerdict(*row) for row in verdicts),
    )


def insert_judgements(connection: Connection, run_id: str, given: Judgements) -> None:
    """Write what another store noted of a run; a baseline of the same name here stays."""
    rows = [(run_id, *one) for one in given.baselines]
    insert_rows(connection, "baseline_runs", of_same_baselines(connection, rows))
    insert_verdicts(connection, [(run_id, *verdict) for verdict in given.verdicts])
