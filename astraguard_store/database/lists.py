"""Lists of runs: the newest, those that pass filters, and what may be pruned.

A list of the newest walks an index backwards and stops at the limit.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    ColumnElement,
    Select,
    artifacts,
    attachments,
    baseline_runs,
    bindparam,
    case,
    compiled,
    exists,
    first,
    func,
    given_values,
    literal_column,
    measurements,
    run_tags,
    runs,
    select,
    statistics,
    tuple_,
    whole,
)
from astraguard_store.database.sql import Connection, kept
from astraguard_store.filters import LIMITED, RunFilters
from astraguard_store.model import RunHeader, RunState, epoch_us, utc_from_epoch_us

logger = logging.getLogger("astraguard_store")

PINNED: Final = "pinned"
"""The tag that keeps a run from being pruned, whatever its value."""

# From so many tagged runs on, walking past the untagged ones is the shorter way:
# among 100,000 runs 10 of 1,000 tagged ones are found after some 1,000 steps.
_FEW: Final = 1_000

_Tagged = Literal["", "name", "value"]
_TAGGED: Final[tuple[_Tagged, ...]] = ("name", "value")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What makes one statement another one; the rest is bound."""

    scenario: bool = False
    tag: _Tagged = ""
    few_tagged: bool = False
    since: bool = False
    statistic: str | None = None
    before: bool = False
    state: bool = False
    until: bool = False
    recorded_since: bool = False


# Of a command's one option.
_USUAL: Final = (
    _Shape(scenario=True),
    _Shape(since=True),
    _Shape(before=True),
    _Shape(state=True),
    _Shape(until=True),
    *(_Shape(statistic=name) for name in LIMITED),
    *(_Shape(tag=tag, few_tagged=few) for tag in _TAGGED for few in (False, True)),
)


@kept()
def recent_sql() -> str:
    """Return the statement for the newest runs, whose limit is bound by position."""
    return compiled(_recent(_Shape()))


@kept(*({"shape": shape} for shape in _USUAL))
def filtered_sql(*, shape: _Shape) -> str:
    """Return the statement with filters; it compiles in 1 ms, and there are 2,880 shapes."""
    return compiled(_recent(shape), named=True)


def _recent(shape: _Shape) -> Select[Any]:
    columns = (
        runs.c.run_id,
        runs.c.revision,
        runs.c.recorded_at_us,
        runs.c.total_measurements,
        runs.c.state,
        runs.c.last_written_at_us,
    )
    return first(select(*columns).where(*_conditions(shape)).order_by(*_newest_first()))


def _newest_first() -> Sequence[ColumnElement[Any]]:
    return runs.c.recorded_at_us.desc(), runs.c.run_id.desc()


def _flown_us() -> ColumnElement[int]:
    return func.coalesce(runs.c.started_at_us, runs.c.recorded_at_us)


def recent_headers(connection: Connection, limit: int) -> list[RunHeader]:
    """Return the newest *limit* runs; reads the covering index and nothing else."""
    return _headers(connection.execute(recent_sql(), (limit,)).fetchall())


def filtered_headers(
    connection: Connection, limit: int, filters: RunFilters, *, count_first: bool = True
) -> list[RunHeader]:
    """Return the newest *limit* runs that pass *filters*, newest first.

    Args:
        connection: On a snapshot, if it counts.
        limit: Most runs to return.
        filters: What they must pass.
        count_first: Whether to see if the tagged runs are few, and then to begin with them.
    """
    tag, value = filters.tag if isinstance(filters.tag, tuple) else (filters.tag, None)
    tagged: _Tagged = "" if tag is None else "name" if value is None else "value"
    bound: dict[str, Any] = {
        "limit": limit,
        "scenario": filters.scenario,
        "state": filters.state,
        "tag": tag,
        "value": value,
        "since_us": filters.since and epoch_us(filters.since),
        "until_us": filters.until and epoch_us(filters.until),
        "recorded_since_us": filters.recorded_since and epoch_us(filters.recorded_since),
    }
    if filters.above:
        bound["metric_type"], _, bound["limit_ms"] = filters.above
    if filters.before:
        bound["before_us"] = epoch_us(filters.before.recorded_at)
        bound["before_id"] = filters.before.run_id
    shape = _Shape(
        scenario=filters.scenario is not None,
        tag=tagged,
        few_tagged=bool(tagged) and count_first and _are_few(connection, tagged, bound),
        since=filters.since is not None,
        statistic=filters.above[1] if filters.above else None,
        before=filters.before is not None,
        state=filters.state is not None,
        until=filters.until is not None,
        recorded_since=filters.recorded_since is not None,
    )
    return _headers(connection.execute(filtered_sql(shape=shape), bound).fetchall())


def _headers(rows: Iterable[tuple[Any, ...]]) -> list[RunHeader]:
    """Return the runs but those whose time another program put out of the calendar."""
    headers = []
    for run_id, revision, recorded_at_us, total, state, written_at_us in rows:
        try:
            recorded_at = utc_from_epoch_us(recorded_at_us)
            written_at = None if written_at_us is None else utc_from_epoch_us(written_at_us)
        except (OverflowError, ValueError, OSError):
            logger.warning(
                "run %r is left out of a list: its recorded_at_us, %r, is no time; "
                "`astraguard-store check` says what to do",
                run_id,
                recorded_at_us,
            )
            continue
        headers.append(RunHeader(run_id, revision, recorded_at, total, state, written_at))
    return headers


def _are_few(connection: Connection, tagged: _Tagged, bound: dict[str, Any]) -> bool:
    count: int = connection.execute(_count_sql(tag=tagged), bound).fetchone()[0]
    return count < _FEW


def _conditions(shape: _Shape) -> list[ColumnElement[bool]]:
    conditions = [*_conditions_of_row(shape)]
    if shape.before:
        position = tuple_(runs.c.recorded_at_us, runs.c.run_id)
        conditions.append(position < tuple_(bindparam("before_us"), bindparam("before_id")))
    if shape.tag:
        tagged = _tagged(shape.tag)
        if shape.few_tagged:
            # They are found first, and sorted.
            conditions.append(runs.c.run_id.in_(select(run_tags.c.run_id).where(*tagged)))
        else:
            conditions.append(exists().where(run_tags.c.run_id == runs.c.run_id, *tagged))
    if shape.statistic:
        conditions.append(
            exists().where(
                statistics.c.run_id == runs.c.run_id,
                statistics.c.satellite_id == OF_ALL_SATELLITES,
                statistics.c.metric_type == bindparam("metric_type"),
                # Where it falls among the missed, the column holds its bound.
                statistics.c[shape.statistic] > bindparam("limit_ms"),
            )
        )
    return conditions


def _conditions_of_row(shape: _Shape) -> Iterator[ColumnElement[bool]]:
    """Yield what the row of a run must be like."""
    if shape.scenario:
        yield runs.c.scenario == bindparam("scenario")
    if shape.state:
        yield runs.c.state == bindparam("state")
    if shape.since:
        yield _flown_us() >= bindparam("since_us")
    if shape.until:
        yield _flown_us() < bindparam("until_us")
    if shape.recorded_since:
        yield runs.c.recorded_at_us >= bindparam("recorded_since_us")


def _tagged(tag: _Tagged) -> Sequence[ColumnElement[bool]]:
    named = run_tags.c.tag == bindparam("tag")
    return [named] if tag == "name" else [named, run_tags.c.value == bindparam("value")]


@kept(*({"tag": tag} for tag in _TAGGED))
def _count_sql(*, tag: _Tagged) -> str:
    some = first(select(run_tags.c.run_id).where(*_tagged(tag)), whole(_FEW))
    return compiled(select(func.count()).select_from(some.subquery()), named=True)


@kept()
def _run_ids_sql() -> str:
    return compiled(select(runs.c.run_id).order_by(runs.c.run_id))


def run_ids(connection: Connection) -> list[str]:
    """Return the ids of all runs, in their order."""
    return [run_id for (run_id,) in connection.execute(_run_ids_sql())]


class SaveMark(NamedTuple):
    """Which save of a run is stored, how far the run came, and its tags.

    Attributes:
        run_id: The run.
        revision: How often it was saved.
        recorded_at_us: When, µs since 1970, UTC.
        token: Of the save; None if it was adopted, or if nothing is saved of it yet.
        state: How far it came; see `RunHeader`.
        last_written_at_us: When its recorder last wrote; None without a recorder.
        tags: What is set on it now.
    """

    run_id: str
    revision: int
    recorded_at_us: int
    token: str | None
    state: str
    last_written_at_us: int | None
    tags: Mapping[str, str]


@kept()
def _count_runs_sql() -> str:
    return compiled(select(func.count()).select_from(runs))


def count_runs(connection: Connection) -> int:
    """Return how many runs there are."""
    count: int = connection.execute(_count_runs_sql()).fetchone()[0]
    return count


@kept()
def _marks_sql() -> str:
    columns = (
        runs.c.run_id,
        runs.c.revision,
        runs.c.recorded_at_us,
        runs.c.staging_token,
        runs.c.state,
        runs.c.last_written_at_us,
    )
    after = runs.c.run_id > bindparam("after")
    return compiled(first(select(*columns).where(after).order_by(runs.c.run_id)))


@kept()
def _tags_between_sql() -> str:
    between = (run_tags.c.run_id > bindparam("after"), run_tags.c.run_id <= bindparam("last"))
    return compiled(select(run_tags.c.run_id, run_tags.c.tag, run_tags.c.value).where(*between))


def save_marks(connection: Connection, after: str, limit: int) -> list[SaveMark]:
    """Return the next runs behind the id *after*, in the order of their ids."""
    rows = connection.execute(_marks_sql(), (after, limit)).fetchall()
    if not rows:
        return []
    tags: dict[str, dict[str, str]] = {}
    for run_id, tag, value in connection.execute(_tags_between_sql(), (after, rows[-1][0])):
        tags.setdefault(run_id, {})[tag] = value
    return [SaveMark._make((*row, tags.get(row[0], {}))) for row in rows]


class Prunable(NamedTuple):
    """One run.

    Attributes:
        run_id: Its id.
        recorded_at_us: When it was recorded, µs since 1970, UTC.
        is_pinned: Whether it stays.
        kept_rows: How many measurements the database keeps of it.
        state: How far it came; see `RunHeader`.
    """

    run_id: str
    recorded_at_us: int
    is_pinned: int
    kept_rows: int
    state: RunState = "finished"


@kept({"of_all": True}, {"of_all": False})
def _prunable_sql(*, of_all: bool) -> str:
    # Few runs are any of these. Looked for once, and not for each run, they leave the rest to
    # the index of recent runs: 0.3 s instead of 0.5 for 200,000 runs.
    tag = run_tags.c
    pinned = select(tag.run_id).where(tag.tag == literal_column(f"'{PINNED}'"))
    of_baseline = select(baseline_runs.c.run_id)
    recorded = runs.alias("recorded")
    live = select(recorded.c.run_id).where(recorded.c.live_token.is_not(None))
    kept = exists().where(measurements.c.run_id == runs.c.run_id)
    # All of a run's measurements are kept, or none.
    kept_rows = case((kept, runs.c.total_measurements), else_=whole(0))
    columns = (
        runs.c.run_id,
        runs.c.recorded_at_us,
        runs.c.run_id.in_(pinned) | runs.c.run_id.in_(of_baseline),
        kept_rows,
        case((runs.c.run_id.in_(live), literal_column("'running'")), else_=runs.c.state),
    )
    if of_all:
        return compiled(select(*columns).order_by(*_newest_first()))
    named = runs.c.run_id.in_(select(given_values("run_ids")))
    return compiled(select(*columns).where(named), named=True)


def prunable_runs(connection: Connection) -> list[Prunable]:
    """Return all runs, newest first."""
    return [Prunable._make(row) for row in connection.execute(_prunable_sql(of_all=True))]


def prunable_now(connection: Connection, run_ids: Iterable[str]) -> dict[str, Prunable]:
    """Return those of the runs that are there, by id."""
    bound = {"run_ids": json.dumps(list(run_ids))}
    rows = connection.execute(_prunable_sql(of_all=False), bound)
    return {row[0]: Prunable._make(row) for row in rows}


@kept()
def _noted_bytes_sql() -> str:
    staying = select(given_values("run_ids"))
    of_artifacts, of_attachments = (
        select(func.sum(table.c.bytes)).where(table.c.run_id.not_in(staying))
        for table in (artifacts, attachments)
    )
    of_artifacts = of_artifacts.where(artifacts.c.store_id.is_(None))
    return compiled(of_artifacts.union_all(of_attachments))


def noted_file_bytes(connection: Connection, but_of: Iterable[str]) -> int:
    """Return how many bytes the files had that are noted and lie beside the rows.

    Args:
        connection: To read from.
        but_of: Of all runs but these.
    """
    given = json.dumps(list(but_of))
    return sum(size or 0 for (size,) in connection.execute(_noted_bytes_sql(), (given, given)))
