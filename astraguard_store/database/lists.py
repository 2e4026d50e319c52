"""The recent runs that pass filters: one statement for each shape of filters, compiled once.

Each walks an index backwards and stops at the limit. Without a filter the list
is the hot path, and has a statement of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, bindparam, exists, func, literal_column, select, tuple_
from sqlalchemy.dialects import sqlite

from astraguard_store.checks import check_name, check_number
from astraguard_store.database.schema import metric_statistics, run_tags, runs
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import RunHeader, epoch_us, utc_from_epoch_us
from astraguard_store.provenance import MAX_TEXT_CHARACTERS

__all__ = ["Above", "RunFilters", "filtered_headers"]

Above = tuple[str, str, float]
"""(metric type, statistic, limit in ms)"""

_ABOVE: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")

# From so many tagged runs on, walking past the untagged ones is the shorter way:
# among 100,000 runs 10 of 1,000 tagged ones are found after some 1,000 steps.
_FEW: Final = 1_000

_Tagged = Literal["", "name", "value"]


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Which runs to list; None filters nothing.

    Attributes:
        scenario: Of this scenario.
        tag: With a tag of this name, or, a pair, of this name and value.
        since: Recorded then or later; aware.
        above: Whose statistic of a metric type is above a limit, ms. A percentile
            that falls among the missed events counts by what it is above of.
        before: Older than this one, in the order of the list.

    Raises:
        InvalidRunError: One of them can't be.
    """

    scenario: str | None = None
    tag: str | tuple[str, str] | None = None
    since: datetime | None = None
    above: Above | None = None
    before: RunHeader | None = None

    def __post_init__(self) -> None:
        if self.scenario is not None:
            _check_text(self.scenario, "scenario")
        if self.tag is not None:
            _check_tag(self.tag)
        if self.since is not None:
            _check_moment(self.since, "since")
        if self.above is not None:
            _check_above(self.above)
        if self.before is not None:
            if not isinstance(self.before, RunHeader):
                raise InvalidRunError(
                    f"Invalid before {self.before!r}: the header of a run is needed, such as "
                    "the last one of the page before"
                )
            _check_moment(self.before.recorded_at, "recorded_at of before")

    @property
    def in_folders(self) -> bool:
        """Whether the run folders can answer: they know times, and nothing of the rest."""
        return self.scenario is None and self.tag is None and self.above is None

    def holds_in_time(self, header: RunHeader) -> bool:
        """Return whether the filters on times let the run pass."""
        if self.since is not None and header.recorded_at < self.since:
            return False
        before = self.before
        return before is None or (header.recorded_at, header.run_id) < (
            before.recorded_at,
            before.run_id,
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    """What makes one statement another one; the rest is bound."""

    scenario: bool
    tag: _Tagged
    few_tagged: bool
    since: bool
    statistic: str | None
    before: bool


def filtered_headers(
    connection: sqlite3.Connection, limit: int, filters: RunFilters
) -> list[RunHeader]:
    """Return the newest *limit* runs that pass *filters*, newest first."""
    tag, value = filters.tag if isinstance(filters.tag, tuple) else (filters.tag, None)
    tagged: _Tagged = "" if tag is None else "name" if value is None else "value"
    bound: dict[str, Any] = {
        "limit": limit,
        "scenario": filters.scenario,
        "tag": tag,
        "value": value,
        "since_us": filters.since and epoch_us(filters.since),
    }
    if filters.above:
        bound["metric_type"], _, bound["limit_ms"] = filters.above
    if filters.before:
        bound["before_us"] = epoch_us(filters.before.recorded_at)
        bound["before_id"] = filters.before.run_id
    shape = _Shape(
        scenario=filters.scenario is not None,
        tag=tagged,
        few_tagged=bool(tagged) and _are_few(connection, tagged, bound),
        since=filters.since is not None,
        statistic=filters.above[1] if filters.above else None,
        before=filters.before is not None,
    )
    return [
        RunHeader(run_id, revision, utc_from_epoch_us(recorded_at_us), total)
        for run_id, revision, recorded_at_us, total in connection.execute(_sql(shape), bound)
    ]


def _are_few(connection: sqlite3.Connection, tagged: _Tagged, bound: dict[str, Any]) -> bool:
    count: int = connection.execute(_count_sql(tagged), bound).fetchone()[0]
    return count < _FEW


@cache
def _sql(shape: _Shape) -> str:
    """Return the statement; a shape is compiled in 1 ms, and there are 180 of them."""
    columns = (runs.c.run_id, runs.c.revision, runs.c.recorded_at_us, runs.c.total_measurements)
    return _compiled(
        select(*columns)
        .where(*_conditions(shape))
        .order_by(runs.c.recorded_at_us.desc(), runs.c.run_id.desc())
        .limit(bindparam("limit"))
        .offset(literal_column("0"))
    )


def _conditions(shape: _Shape) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if shape.scenario:
        conditions.append(runs.c.scenario == bindparam("scenario"))
    if shape.since:
        conditions.append(runs.c.recorded_at_us >= bindparam("since_us"))
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
                metric_statistics.c.run_id == runs.c.run_id,
                metric_statistics.c.metric_type == bindparam("metric_type"),
                # Where it falls among the missed, the column holds its bound.
                metric_statistics.c[shape.statistic] > bindparam("limit_ms"),
            )
        )
    return conditions


def _tagged(tag: _Tagged) -> Sequence[ColumnElement[bool]]:
    named = run_tags.c.tag == bindparam("tag")
    return [named] if tag == "name" else [named, run_tags.c.value == bindparam("value")]


@cache
def _count_sql(tag: _Tagged) -> str:
    some = select(run_tags.c.run_id).where(*_tagged(tag)).limit(literal_column(str(_FEW)))
    return _compiled(select(func.count()).select_from(some.offset(literal_column("0")).subquery()))


def _compiled(statement: Any) -> str:
    dialect = sqlite.dialect(paramstyle="named")
    return str(statement.compile(dialect=dialect))


def _check_text(value: object, parameter: str) -> None:
    if value != "":
        check_name(value, parameter, MAX_TEXT_CHARACTERS)


def _check_tag(tag: object) -> None:
    if isinstance(tag, tuple):
        if len(tag) != 2:
            raise InvalidRunError(f"Invalid tag {tag!r}: a name or (name, value) is needed")
        _check_text(tag[1], f"value of tag {tag[0]!r}")
        tag = tag[0]
    check_name(tag, "tag")


def _check_moment(value: object, parameter: str) -> None:
    if not isinstance(value, datetime):
        raise InvalidRunError(f"Invalid {parameter} {value!r}: a datetime is needed")
    if value.utcoffset() is None:
        raise InvalidRunError(
            f"Invalid {parameter} {value!r}: it has no time zone; datetime.now(UTC) has one"
        )


def _check_above(above: object) -> None:
    if not isinstance(above, tuple) or len(above) != 3:
        raise InvalidRunError(
            f"Invalid above {above!r}: (metric type, statistic, limit in ms) is needed"
        )
    metric_type, statistic, limit_ms = above
    check_name(metric_type, "metric type of above")
    if statistic not in _ABOVE:
        names = ", ".join(_ABOVE)
        raise InvalidRunError(f"Invalid statistic of above {statistic!r}: there are {names}")
    check_number(limit_ms, "limit of above")
