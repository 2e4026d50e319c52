"""Percentiles over many runs: the sums of their buckets, for each group of runs.

SQL finds the rows of one group after the other; the sums are made as they come. So only the
rows of some thousand runs are in memory at a time, and of the groups what is made of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from astraguard_store.buckets import BucketColumns, added_up, buckets_of
from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    ColumnElement,
    Table,
    and_,
    bindparam,
    buckets,
    compiled,
    day_of,
    exists,
    first,
    func,
    given_values,
    literal_column,
    month_of,
    or_,
    runs,
    select,
    statistics,
    units,
    unsearched,
    week_of,
    whole,
)
from astraguard_store.database.sql import Connection, kept
from astraguard_store.exceptions import DatabaseError

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


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MergedBuckets:
    """What many runs measured of one metric type.

    Attributes:
        buckets: The sums, in the order of the buckets.
        runs: How many runs have buckets, and so are in the sums.
        without: Ids of the runs that measured it, and have no buckets.
    """

    buckets: BucketColumns
    runs: int
    without: tuple[str, ...]


NO_RUNS: Final = MergedBuckets(BucketColumns([], [], []), 0, ())


@dataclass(frozen=True, slots=True)
class Grouped(Generic[T]):
    """What was made of the runs of each group.

    Attributes:
        groups: In ascending order; None comes first.
        unknown: The first id that was asked for and is no run's; None if all are.
        unfinished: Ids of the runs that measured it and are left out for their state.
    """

    groups: dict[Group, T]
    unknown: str | None = None
    unfinished: tuple[str, ...] = ()


def grouped_buckets(
    connection: Connection,
    by: tuple[str, ...],
    metric_type: str,
    satellite_id: str | None,
    run_ids: Collection[str] | None,
    make: Callable[[Group, MergedBuckets], T],
) -> Grouped[T]:
    """Return what *make* makes of each group of runs that measured a metric type.

    Args:
        connection: On a snapshot: several statements are run.
        by: Names of `GROUPINGS`. None at all make one group, of all
            the runs, which is there even if none of them measured it.
        metric_type: What was measured.
        satellite_id: On which satellite; None for all.
        run_ids: Of which runs; None for all.
        make: Called with a group and its merged buckets, one group after the other.

    Raises:
        DatabaseError: A row has buckets that no save writes.
    """
    sql = percentile_statements(by, of_one=satellite_id is not None, of_all=run_ids is None)
    bound: dict[str, Any] = {"metric_type": metric_type, "satellite_id": satellite_id}
    if run_ids is not None:
        bound["run_ids"] = json.dumps(list(run_ids))
        unknown = connection.execute(sql.unknown, bound).fetchone()
        if unknown:
            return Grouped({}, unknown[0])
    unfinished: tuple[str, ...] = ()
    if run_ids is None:
        unfinished = tuple([row[0] for row in connection.execute(sql.unfinished, bound)])
    groups: dict[Group, T] = {} if by else {(): make((), NO_RUNS)}
    width = len(by)
    rows = connection.execute(sql.rows, bound)
    try:
        for group, of_group in groupby(rows, itemgetter(slice(width))):
            groups[group] = make(group, _merged(of_group))
    except ValueError as error:
        raise DatabaseError(
            f"buckets of {metric_type!r} can't be added up: {error}; `astraguard-store check` "
            "names the run"
        ) from error
    return Grouped(groups, unfinished=unfinished)


def _merged(rows: Iterator[tuple[Any, ...]]) -> MergedBuckets:
    """Return the sums of the rows of one group, which end in run id and text of buckets."""
    some = list(islice(rows, 2))
    if len(some) == 1 and some[0][-1] is not None:
        return MergedBuckets(buckets_of(some[0][-1]), 1, ())
    measured = 0
    without: list[str] = []

    def texts() -> Iterator[str]:
        nonlocal measured
        for row in chain(some, rows):
            if row[-1] is None:
                without.append(row[-2])
            else:
                measured += 1
                yield row[-1]

    sums = added_up(texts())
    return MergedBuckets(sums, measured, tuple(sorted(without)))


@dataclass(frozen=True, slots=True)
class _Statements:
    rows: str
    unknown: str
    unfinished: str


_On = Literal["all", "one", "each"]
"""Of which satellites a row is."""

# Of which a text is kept: what is asked of all runs, by one thing at most or as the README does,
# and then by run, to find the groups of a single one.
_ASKED_BY: Final = ((), *((name,) for name in GROUPINGS), ("scenario", "week"))
_USUAL_BY: Final = dict.fromkeys(
    (*_ASKED_BY, *((*by, "run") for by in _ASKED_BY if by != ("run",)))
)


def percentile_statements(by: tuple[str, ...], *, of_one: bool, of_all: bool) -> _Statements:
    """Return the statements of a question.

    Args:
        by: Names of `GROUPINGS`.
        of_one: Whether of one satellite.
        of_all: Whether of all runs, instead of those named.
    """
    on: _On = "one" if of_one else "all" if OF_SATELLITES.isdisjoint(by) else "each"
    return _Statements(
        _rows_sql(by=by, on=on, of_all=of_all), _unknown_sql(), _unfinished_sql(on=on)
    )


@kept(
    *(
        {"by": by, "on": "all" if OF_SATELLITES.isdisjoint(by) else "each", "of_all": True}
        for by in _USUAL_BY
    ),
    {"by": (), "on": "one", "of_all": True},
    {"by": (), "on": "all", "of_all": False},
)
def _rows_sql(*, by: tuple[str, ...], on: _On, of_all: bool) -> str:
    groups = [expression_of(name).label(f"group_{number}") for number, name in enumerate(by)]
    rows = select(*groups, runs.c.run_id, buckets.c.counts)
    measured = _of_run(statistics, on)
    if OF_SATELLITES.isdisjoint(by):
        # Who has buckets measured it: a third of the time less than to look for both.
        source = runs.outerjoin(buckets, _of_run(buckets, on))
        rows = rows.where(or_(buckets.c.run_id.is_not(None), exists().where(measured)))
    else:
        theirs = and_(*(buckets.c[key.name] == key for key in statistics.primary_key))
        source = runs.join(statistics, measured).outerjoin(buckets, theirs)
    if "serial" in by:
        row = statistics.c
        of_unit = (units.c.run_id == row.run_id) & (units.c.satellite_id == row.satellite_id)
        source = source.outerjoin(units, of_unit)
    # In the order of the keys by which the other tables are searched, where nothing else is.
    rows = rows.select_from(source).order_by(*(groups or (runs.c.run_id,)))
    wanted = _finished() if of_all else runs.c.run_id.in_(select(given_values("run_ids")))
    return compiled(rows.where(wanted), named=True)


@kept()
def _unknown_sql() -> str:
    given = given_values("run_ids")
    return compiled(
        first(select(given).where(~exists().where(runs.c.run_id == given)), whole(1)), named=True
    )


@kept(*({"on": on} for on in get_args(_On)))
def _unfinished_sql(*, on: _On) -> str:
    return compiled(
        select(runs.c.run_id)
        .select_from(runs.join(statistics, _of_run(statistics, on)))
        .where(~_finished())
        .distinct()
        .order_by(runs.c.run_id),
        named=True,
    )


def _of_run(table: Table, on: _On) -> ColumnElement[bool]:
    """Return which rows of *table* are those of a run, the metric type and what is asked for."""
    if on == "one":
        satellites = table.c.satellite_id == bindparam("satellite_id")
    elif on == "each":
        satellites = table.c.satellite_id > OF_ALL_SATELLITES
    else:
        satellites = table.c.satellite_id == OF_ALL_SATELLITES
    # Each run's row by its key: else the other 17 of the run would be read too.
    of_run = table.c.run_id == unsearched(runs.c.run_id)
    return and_(of_run, table.c.metric_type == bindparam("metric_type"), satellites)


def _finished() -> ColumnElement[bool]:
    return runs.c.state == literal_column("'finished'")


def expression_of(name: str) -> ColumnElement[Any]:
    """Return what *name*, one of `GROUPINGS`, is for a row of `statistics` joined with `runs`."""
    if name == "run":
        return runs.c.run_id
    if name == "satellite":
        return statistics.c.satellite_id
    if name == "serial":
        return units.c.serial
    if name in _PROVENANCE:
        return runs.c[name]
    # The times of a question are those at which the runs were flown.
    return _TIMES[name](func.coalesce(runs.c.started_at_us, runs.c.recorded_at_us))


_TIMES: Final = {"day": day_of, "week": week_of, "month": month_of}
