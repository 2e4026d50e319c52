"""What a verdict needs to know of runs: three statements, however many runs there are.

The tables of statistics are named here only, for everything that judges runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from astraguard_store.buckets import BucketColumns, buckets_of
from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    bindparam,
    buckets,
    exists,
    first,
    func,
    given_values,
    literal_column,
    machine_noise,
    run_tags,
    run_verdicts,
    runs,
    select,
    statistics,
    units,
)
from astraguard_store.database.rows import (
    STATISTICS_COLUMNS,
    provenance_values,
    started_us,
    what_it_was,
    worst,
)
from astraguard_store.database.sql import ALL_SATELLITES, Connection, kept
from astraguard_store.exceptions import DatabaseError
from astraguard_store.model import FrozenMapping, MetricSummary, epoch_us, with_bounds
from astraguard_store.noise import Worst
from astraguard_store.provenance import UNIT_FIELDS, Provenance, Unit
from astraguard_store.verdict.change_points import HistoryPoint
from astraguard_store.verdict.values import JudgedRun

SERIES_STATISTICS: Final = ("mean", "p50", "p95", "p99")
"""The statistics whose history can be looked at."""


def _is_finished() -> Any:
    # What ended early is no measure of anything, unless somebody names it.
    return runs.c.state == literal_column("'finished'")


Row = tuple[Any, ...]


def _machine() -> Any:
    return func.coalesce(func.nullif(runs.c.rig, literal_column("''")), runs.c.host)


def _of_given(table: Any) -> Any:
    return table.c.run_id.in_(select(given_values("run_ids")))


@kept()
def _runs_sql() -> Any:
    source = runs.outerjoin(machine_noise)
    columns = select(runs.c.run_id, started_us(), *worst(), *what_it_was())
    return columns.select_from(source).where(_of_given(runs))


@kept()
def _tags_sql() -> Any:
    tag = run_tags.c
    return select(tag.run_id, tag.tag, tag.value).where(_of_given(run_tags))


@kept()
def _units_sql() -> Any:
    columns = (units.c[name] for name in ("run_id", "satellite_id", *UNIT_FIELDS))
    return select(*columns).where(_of_given(units))


@kept({"of_satellites": False}, {"of_satellites": True})
def _statistics_sql(*, of_satellites: bool) -> Any:
    row = statistics.c
    of_all = row.satellite_id == OF_ALL_SATELLITES
    names = ("run_id", "metric_type", "satellite_id", *STATISTICS_COLUMNS)
    wanted = ~of_all if of_satellites else of_all
    return select(*(row[name] for name in names)).where(_of_given(statistics), wanted)


@kept()
def _served_sql() -> Any:
    """Return the statement for the most events on one satellite, and one satellite's name."""
    row = statistics.c
    names = (func.min(row.satellite_id), func.max(row.satellite_id))
    columns = select(row.run_id, row.metric_type, func.max(row.count), *names)
    of_satellites = columns.where(_of_given(statistics), row.satellite_id != OF_ALL_SATELLITES)
    return of_satellites.group_by(row.run_id, row.metric_type)


@kept()
def _buckets_sql() -> Any:
    bucket = buckets.c
    return select(bucket.run_id, bucket.counts).where(
        _of_given(buckets),
        bucket.satellite_id == bindparam("satellite_id"),
        bucket.metric_type == bindparam("metric_type"),
    )


def buckets_by_run(
    connection: Connection,
    metric_type: str,
    run_ids: Collection[str],
    satellite_id: str | None = None,
) -> dict[str, BucketColumns]:
    """Return {run id: the buckets of a metric type}, of those runs that keep them.

    Args:
        connection: On a snapshot.
        metric_type: Of what.
        run_ids: Of which runs.
        satellite_id: On which satellite; None for all together.
    """
    satellite = ALL_SATELLITES if satellite_id is None else satellite_id
    given = (json.dumps(list(run_ids)), satellite, metric_type)
    found: dict[str, BucketColumns] = {}
    for run_id, text in connection.execute(_buckets_sql(), given):
        try:
            found[run_id] = buckets_of(text)
        except ValueError as error:
            raise DatabaseError(
                f"buckets of {metric_type!r} in run {run_id!r} are no buckets: {error}; "
                "`astraguard-store check` says more"
            ) from error
    return found


def buckets_of_runs(
    connection: Connection, metric_type: str, run_ids: Collection[str]
) -> BucketColumns | None:
    """Return the sums of the buckets of some runs; None if none of them has any.

    Without numpy, which takes longer to import than some hundred runs to add up.
    """
    sums: dict[int, list[int]] = {}
    for columns in buckets_by_run(connection, metric_type, run_ids).values():
        for bucket, count, missed in zip(*columns, strict=True):
            of_bucket = sums.setdefault(bucket, [0, 0])
            of_bucket[0] += count
            of_bucket[1] += missed
    if not sums:
        return None
    places = sorted(sums)
    return BucketColumns(places, [sums[p][0] for p in places], [sums[p][1] for p in places])


def judged_runs(
    connection: Connection, run_ids: Collection[str], *, by_satellite: bool, reference: str
) -> dict[str, JudgedRun]:
    """Return {run id: what a verdict needs of it}, of those that are stored.

    Args:
        connection: On a snapshot.
        run_ids: Of which runs.
        by_satellite: Whether the statistics of single satellites are needed too.
        reference: The metric type of the in-run reference, whose only satellite is
            its version.
    """
    given = (json.dumps(list(run_ids)),)
    cells: dict[str, dict[tuple[str, str | None], MetricSummary]] = {}
    tags: dict[str, dict[str, str]] = {}
    of_runs: dict[str, dict[str, Unit]] = {}
    ticks: dict[str, int] = {}
    versions: dict[str, str] = {}
    for of_satellites in (False, True) if by_satellite else (False,):
        sql = _statistics_sql(of_satellites=of_satellites)
        for run_id, metric_type, name, *numbers in connection.execute(sql, given):
            cells.setdefault(run_id, {})[metric_type, name or None] = _summary(numbers)
    for run_id, metric_type, most, least_name, last_name in connection.execute(
        _served_sql(), given
    ):
        ticks[run_id] = max(most, ticks.get(run_id, 0))
        if metric_type == reference:
            # Several versions in one run are none that another run has.
            same = least_name == last_name
            versions[run_id] = least_name if same else f"{least_name}, {last_name}"
    for run_id, name, *values in connection.execute(_units_sql(), given):
        of_runs.setdefault(run_id, {})[name] = Unit(**dict(zip(UNIT_FIELDS, values, strict=True)))
    for run_id, tag, value in connection.execute(_tags_sql(), given):
        tags.setdefault(run_id, {})[tag] = value
    return {
        run_id: JudgedRun(
            run_id,
            began_us,
            Provenance.of_values(provenance_values(was), FrozenMapping(of_runs.get(run_id, {}))),
            FrozenMapping(tags.get(run_id, {})),
            cells.get(run_id, {}),
            ticks.get(run_id, 0),
            versions.get(run_id),
            Worst(steal, pressure, load),
        )
        for run_id, began_us, steal, pressure, load, *was in connection.execute(_runs_sql(), given)
    }


def _summary(numbers: Iterable[Any]) -> MetricSummary:
    summary = MetricSummary(*numbers)
    return with_bounds(summary) if summary.missed else summary


@kept(named=True)
def _history_sql() -> Any:
    excluded = exists().where(
        run_tags.c.run_id == runs.c.run_id, run_tags.c.tag == bindparam("excluded")
    )
    regressed = exists().where(
        run_verdicts.c.run_id == runs.c.run_id,
        run_verdicts.c.verdict == literal_column("'regressed'"),
    )
    return first(
        select(runs.c.run_id)
        .where(
            runs.c.scenario == bindparam("scenario"),
            _machine() == bindparam("machine"),
            ~excluded,
            ~regressed,
            _is_finished(),
        )
        .order_by(runs.c.recorded_at_us.desc(), runs.c.run_id.desc())
    )


def history_ids(
    connection: Connection, scenario: str, machine: str, *, excluded: str, limit: int
) -> list[str]:
    """Return the newest runs of a set-up, but for known regressions and those left out.

    Args:
        connection: On a snapshot.
        scenario: Their scenario.
        machine: Their rig; where they have none, their host.
        excluded: The tag of runs that are left out.
        limit: Most runs to return.
    """
    bound = {"scenario": scenario, "machine": machine, "excluded": excluded, "limit": limit}
    return [run_id for (run_id,) in connection.execute(_history_sql(), bound)]


@kept(
    *(
        {"statistic": statistic, "of_scenario": of_scenario, "since": since}
        for statistic in SERIES_STATISTICS
        for of_scenario in (False, True)
        for since in (False, True)
    ),
    named=True,
)
def _series_sql(*, statistic: str, of_scenario: bool, since: bool) -> Any:
    table = statistics.c
    wanted = [
        table.metric_type == bindparam("metric_type"),
        table.satellite_id == OF_ALL_SATELLITES,
        _is_finished(),
    ]
    if of_scenario:
        wanted.append(runs.c.scenario == bindparam("scenario"))
    if since:
        wanted.append(started_us() >= bindparam("since_us"))
    # Where a percentile falls among the missed events, its bound.
    value = table[f"{statistic}_ms"]
    return (
        select(runs.c.scenario, _machine(), runs.c.run_id, started_us(), value)
        .select_from(statistics.join(runs, runs.c.run_id == table.run_id))
        .where(*wanted)
        .order_by(started_us(), runs.c.run_id)
    )


def series(
    connection: Connection,
    metric_type: str,
    statistic: str,
    *,
    scenario: str | None,
    since: datetime | None,
) -> list[list[HistoryPoint]]:
    """Return the history of a statistic by the start of the runs, of each set-up by itself.

    Args:
        connection: To read from.
        metric_type: Of what.
        statistic: One of `SERIES_STATISTICS`.
        scenario: Of this scenario only.
        since: Of runs that started then or later only; aware.
    """
    sql = _series_sql(
        statistic=statistic, of_scenario=scenario is not None, since=since is not None
    )
    bound = {
        "metric_type": metric_type,
        "scenario": scenario,
        "since_us": None if since is None else epoch_us(since),
    }
    found: dict[tuple[str | None, str | None], list[HistoryPoint]] = {}
    for of_scenario, machine, *point in connection.execute(sql, bound):
        found.setdefault((of_scenario, machine), []).append(HistoryPoint(*point))
    return list(found.values())
