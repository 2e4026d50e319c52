"""Percentiles over many runs: the sums of their buckets, by SQL, for each group of runs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Table,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)

from astraguard_store.buckets import Bucket
from astraguard_store.database.schema import (
    metric_buckets,
    metric_statistics,
    runs,
    satellite_buckets,
    satellite_statistics,
    units,
)
from astraguard_store.database.sql import (
    Connection,
    array_of,
    compiled,
    day_of,
    first,
    given_values,
    month_of,
    week_of,
    whole,
)

__all__ = [
    "GROUPINGS",
    "OF_SATELLITES",
    "Group",
    "GroupedBuckets",
    "MergedBuckets",
    "expression_of",
    "grouped_buckets",
    "percentile_statements",
]

_PROVENANCE: Final = (
    "scenario",
    "host",
    "rig",
    "firmware",
    "software_version",
    "git_branch",
    "git_commit",
    "platform",
    "python",
)
GROUPINGS: Final = ("run", "satellite", *_PROVENANCE, "serial", "day", "week", "month")
"""By what runs can be grouped."""

OF_SATELLITES: Final = frozenset({"satellite", "serial"})
"""Which of these need the buckets of satellites."""

Group = tuple[str | None, ...]
"""The value of each name by which runs are grouped; None where it isn't known."""


@dataclass(frozen=True, slots=True)
class MergedBuckets:
    """What many runs measured of one metric type.

    Attributes:
        buckets: The sums, by bucket.
        runs: How many runs have buckets, and so are in the sums.
        without: Ids of the runs that measured it, and have no buckets.
    """

    buckets: tuple[Bucket, ...]
    runs: int
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupedBuckets:
    """What the runs of each group measured of one metric type.

    Attributes:
        groups: In ascending order; None comes first.
        unknown: The first id that was asked for and is no run's; None if all are.
        unfinished: Ids of the runs that measured it and are left out for their state.
    """

    groups: dict[Group, MergedBuckets]
    unknown: str | None = None
    unfinished: tuple[str, ...] = ()


def grouped_buckets(
    connection: Connection,
    by: tuple[str, ...],
    metric_type: str,
    satellite_id: str | None,
    run_ids: Collection[str] | None,
) -> GroupedBuckets:
    """Return the merged buckets of a metric type, for each group of runs that measured it.

    Args:
        connection: On a snapshot: several statements are run.
        by: Names of `GROUPINGS`. None at all make one group, of all
            the runs, which is there even if none of them measured it.
        metric_type: What was measured.
        satellite_id: On which satellite; None for all.
        run_ids: Of which runs; None for all.
    """
    sql = percentile_statements(by, of_one=satellite_id is not None, of_all=run_ids is None)
    bound: dict[str, Any] = {"metric_type": metric_type, "satellite_id": satellite_id}
    if run_ids is not None:
        bound["run_ids"] = json.dumps(list(run_ids))
        unknown = connection.execute(sql.unknown, bound).fetchone()
        if unknown:
            return GroupedBuckets({}, unknown[0])
    sums: dict[Group, list[Bucket]] = {}
    for *group, bucket, count, missed in connection.execute(sql.sums, bound):
        sums.setdefault(tuple(group), []).append(Bucket(bucket, count, missed))
    groups: dict[Group, MergedBuckets] = {}
    for *group, measured, without in connection.execute(sql.runs, bound):
        ids = tuple(sorted(json.loads(without)))
        buckets = tuple(sums.get(tuple(group), ()))
        groups[tuple(group)] = MergedBuckets(buckets, measured - len(ids), ids)
    unfinished: tuple[str, ...] = ()
    if run_ids is None:
        unfinished = tuple([row[0] for row in connection.execute(sql.unfinished, bound)])
    return GroupedBuckets(groups, unfinished=unfinished)


@dataclass(frozen=True, slots=True)
class _Statements:
    sums: str
    runs: str
    unknown: str
    unfinished: str


@lru_cache(maxsize=64)  # a program asks in a few ways; the names can be put together in millions
def percentile_statements(by: tuple[str, ...], *, of_one: bool, of_all: bool) -> _Statements:
    """Return the statements, built and compiled once for each kind of question.

    Args:
        by: Names of `GROUPINGS`.
        of_one: Whether of one satellite.
        of_all: Whether of all runs, instead of those named.
    """
    by_satellite = of_one or not OF_SATELLITES.isdisjoint(by)
    buckets = satellite_buckets if by_satellite else metric_buckets
    given = given_values("run_ids")
    statistics = satellite_statistics if by_satellite else metric_statistics
    chosen = _chosen(by, statistics, of_one=of_one, given=None if of_all else select(given))
    groups = [chosen.c[f"group_{number}"] for number in range(len(by))]
    theirs = (buckets.c.run_id == chosen.c.run_id) & (buckets.c.position == chosen.c.position)
    without = array_of(chosen.c.run_id, ~exists().where(theirs))
    return _Statements(
        sums=compiled(
            select(
                *groups, buckets.c.bucket, func.sum(buckets.c.count), func.sum(buckets.c.missed)
            )
            .select_from(chosen.join(buckets, theirs))
            .group_by(*groups, buckets.c.bucket)
            .order_by(*groups, buckets.c.bucket),
            named=True,
        ),
        runs=compiled(
            select(*groups, func.count(), without)
            .select_from(chosen)
            .group_by(*groups)
            .order_by(*groups),
            named=True,
        ),
        unknown=compiled(
            first(select(given).where(~exists().where(runs.c.run_id == given)), whole(1)),
            named=True,
        ),
        unfinished=compiled(
            select(statistics.c.run_id)
            .where(*_wanted(statistics, of_one=of_one), statistics.c.run_id.in_(_unfinished()))
            .distinct()
            .order_by(statistics.c.run_id),
            named=True,
        ),
    )


def _unfinished() -> Any:
    return select(runs.c.run_id).where(runs.c.state != literal_column("'finished'"))


def _wanted(statistics: Table, *, of_one: bool) -> list[ColumnElement[bool]]:
    wanted = [statistics.c.metric_type == bindparam("metric_type")]
    if of_one:
        wanted.append(satellite_statistics.c.satellite_id == bindparam("satellite_id"))
    return wanted


def _chosen(by: tuple[str, ...], statistics: Table, *, of_one: bool, given: Any) -> CTE:
    """Return the rows of statistics that are asked for, each with its group."""
    wanted = _wanted(statistics, of_one=of_one)
    if given is None:
        wanted.append(statistics.c.run_id.not_in(_unfinished()))
    else:
        wanted.append(statistics.c.run_id.in_(given))
    source: Any = statistics
    if any(is_of_runs(name) for name in by):
        source = statistics.join(runs, runs.c.run_id == statistics.c.run_id)
    if "serial" in by:
        of_unit = (units.c.run_id == statistics.c.run_id) & (
            units.c.satellite_id == satellite_statistics.c.satellite_id
        )
        source = source.outerjoin(units, of_unit)
    groups = [
        expression_of(name, statistics).label(f"group_{number}") for number, name in enumerate(by)
    ]
    rows = select(statistics.c.run_id, statistics.c.position, *groups)
    # Else the week is worked out anew for each of the hundred buckets of a run.
    return rows.select_from(source).where(*wanted).cte("chosen").prefix_with("MATERIALIZED")


def is_of_runs(name: str) -> bool:
    """Return whether *name* needs the table `runs`; the others are keys of the statistics."""
    return name not in {"run", *OF_SATELLITES}


def expression_of(name: str, statistics: Table) -> ColumnElement[Any]:
    """Return what *name*, one of `GROUPINGS`, is for a row of *statistics* joined with `runs`."""
    if name == "run":
        return statistics.c.run_id
    if name == "satellite":
        return satellite_statistics.c.satellite_id
    if name == "serial":
        return units.c.serial
    if name in _PROVENANCE:
        return runs.c[name]
    return _TIMES[name]


# The times of a question are those at which the runs were flown.
_flown_us: Final[Any] = func.coalesce(runs.c.started_at_us, runs.c.recorded_at_us)
_TIMES: Final = {
    "day": day_of(_flown_us),
    "week": week_of(_flown_us),
    "month": month_of(_flown_us),
}
