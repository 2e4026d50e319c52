"""Runs that are being recorded: their rows begin, tell of the recorder, and end."""

from __future__ import annotations

from typing import Any

from astraguard_store.database.core import (
    ColumnElement,
    and_,
    bindparam,
    case,
    exists,
    runs,
    select,
    statistics,
    update,
)
from astraguard_store.database.rows import insert_surroundings
from astraguard_store.database.runs import (
    StoredRun,
    delete_of_run_sql,
    insert_new_run,
    load_run,
    run_row,
    set_tags,
)
from astraguard_store.database.sql import Connection, kept
from astraguard_store.exceptions import RunIsRunningError
from astraguard_store.model import RunSummary, epoch_us


def _has_statistics() -> ColumnElement[bool]:
    return exists().where(statistics.c.run_id == runs.c.run_id)


def _of_recorder() -> ColumnElement[bool]:
    return and_(runs.c.run_id == bindparam("this_run"), runs.c.live_token == bindparam("token"))


def _update_run() -> Any:
    return update(runs).where(runs.c.run_id == bindparam("this_run"))


@kept(named=True)
def _take_sql() -> Any:
    free = _update_run().where(runs.c.live_token.is_(None))
    is_running = free.values(state="running", error=None, live_token=bindparam("token"))
    return is_running.values(last_written_at_us=bindparam("written_at_us"))


def begin_live(connection: Connection, run: StoredRun) -> StoredRun | None:
    """Let the row of a run say that it is being recorded, with its tags and units.

    A stored run of that id keeps its statistics and files until another is saved.

    Returns:
        That one, as it was; None if there was none.

    Raises:
        RunIsRunningError: A recorder is at work already.
    """
    summary = run.summary
    before = load_run(connection, summary.run_id)
    if before is None:
        insert_new_run(connection, run_row(run))
        insert_surroundings(connection, summary)
    else:
        assert summary.last_written_at is not None  # noqa: S101 - it is live
        bound = {
            "this_run": summary.run_id,
            "token": run.live_token,
            "written_at_us": epoch_us(summary.last_written_at),
            "state": "running",
            "error": None,
        }
        if connection.execute(_take_sql(), bound).rowcount == 0:
            raise RunIsRunningError(summary.run_id)
    set_tags(connection, summary.run_id, summary.tags)
    return before


@kept(named=True)
def _touch_sql() -> Any:
    # What is stored of an earlier save keeps its own number.
    total = case(
        (_has_statistics(), runs.c.total_measurements), else_=bindparam("total_measurements_now")
    )
    values = {"last_written_at_us": bindparam("written_at_us"), "total_measurements": total}
    return update(runs).values(values).where(_of_recorder())


def touch_live(
    connection: Connection, run_id: str, token: str, written_at_us: int, measurements: int
) -> None:
    """Note when a recorder last wrote, and how many measurements it has."""
    bound = {
        "this_run": run_id,
        "token": token,
        "written_at_us": written_at_us,
        "total_measurements_now": measurements,
    }
    connection.execute(_touch_sql(), bound)


@kept(named=True)
def _is_new_sql() -> Any:
    return select(_has_statistics()).where(_of_recorder())


@kept(named=True)
def _end_sql() -> Any:
    return update(runs).values(live_token=bindparam("none")).where(_of_recorder())


def end_live(connection: Connection, run_id: str, token: str) -> bool | None:
    """Let the row of a run be saved: its recorder is done.

    Returns:
        Whether the run was new to the recorder; None if it isn't that recorder's any more.
    """
    bound = {"this_run": run_id, "token": token}
    found = connection.execute(_is_new_sql(), bound).fetchone()
    if found is None:
        return None
    connection.execute(_end_sql(), {**bound, "none": None})
    return not found[0]


@kept(named=True)
def _set_revision_sql() -> Any:
    return _update_run().values(revision=bindparam("new_revision"))


def set_revision(connection: Connection, run_id: str, revision: int) -> None:
    """Let a run have a revision that is not the next one."""
    bound = {"this_run": run_id, "new_revision": revision}
    connection.execute(_set_revision_sql(), bound)


@kept(named=True)
def _note_end_sql() -> Any:
    names = ("state", "error", "last_written_at_us")
    return _update_run().values({name: bindparam(f"new_{name}") for name in names})


def end_without_measurements(connection: Connection, run: RunSummary) -> None:
    """Note how a recording ended that measured nothing; `end_live` came before."""
    bound = {
        "this_run": run.run_id,
        "new_state": run.state,
        "new_error": run.error,
        "new_last_written_at_us": run.last_written_at and epoch_us(run.last_written_at),
    }
    connection.execute(_note_end_sql(), bound)
    for table in ("attachments", "machine_noise"):
        connection.execute(delete_of_run_sql(table=table), (run.run_id,))
    # Its units are there since it began.
    insert_surroundings(connection, run)


@kept()
def _live_runs_sql() -> Any:
    return select(runs.c.run_id, runs.c.live_token).where(runs.c.live_token.is_not(None))


def live_runs(connection: Connection) -> list[tuple[str, str]]:
    """Return (run id, token of its journal) of the runs that are being recorded."""
    return connection.execute(_live_runs_sql()).fetchall()
