"""The hot statements as SQL text: queries with positional parameters, the rest with names.

Written with SQLAlchemy Core, so that the tables have one description, and
compiled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import bindparam, delete, literal_column, null, select, union_all, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.selectable import CTE

from astraguard_store.database.schema import (
    artifacts,
    measurements,
    metric_buckets,
    metric_statistics,
    run_documents,
    run_tags,
    runs,
    satellite_buckets,
    satellite_statistics,
    store,
)
from astraguard_store.model import MetricSummary

__all__ = [
    "MOMENTS",
    "OF_ARTIFACT",
    "OF_METRIC",
    "OF_PROVENANCE",
    "OF_RUN",
    "OF_SATELLITE",
    "OF_TAG",
    "PROVENANCE",
    "RUN",
    "STATISTICS",
    "Statements",
    "statements",
]

STATISTICS: Final = (
    "count",
    "mean_ms",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "min_ms",
    "max_ms",
    "missed",
)
"""The columns of statistics, in the order of the fields of `MetricSummary`."""

PROVENANCE: Final = (
    "scenario",
    "seed",
    "software_version",
    "git_commit",
    "git_branch",
    "git_dirty",
    "host",
    "platform",
    "python",
    "rig",
    "firmware",
    "started_at_us",
    "finished_at_us",
    "percentile_definition",
)
"""The columns of provenance, in the order of the fields of `Provenance`."""

RUN: Final = (
    "revision",
    "recorded_at_us",
    "total_measurements",
    "utc_offset_s",
    "staging_token",
)
"""The other columns of a run."""

MOMENTS: Final = (PROVENANCE.index("started_at_us"), PROVENANCE.index("finished_at_us"))
"""Which of them are times."""


def _query(statement: Any) -> str:
    # Positions bind twice as fast as names; the parameters come in the order of the text.
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))


def _insert_all(table: Any) -> str:
    """Insert a row whose values come in the order of the table's columns."""
    return _query(
        insert(table).values({column.name: bindparam(column.name) for column in table.c})
    )


class Statements:
    """SQL text, by what it is for."""

    def __init__(self) -> None:
        run_id: Any = bindparam("run_id")
        self.recent = _query(
            select(
                runs.c.run_id, runs.c.revision, runs.c.recorded_at_us, runs.c.total_measurements
            )
            .order_by(runs.c.recorded_at_us.desc(), runs.c.run_id.desc())
            .limit(bindparam("limit"))
            .offset(literal_column("0"))
        )
        self.run = _query(_whole_run())
        self.run_and_document = _query(_run_and_document())
        self.exists = _query(select(runs.c.revision).where(runs.c.run_id == run_id))
        self.compare_metrics = _query(_comparison(by_satellite=False))
        self.compare_satellites = _query(_comparison(by_satellite=True))
        new = insert(runs).values({column.name: bindparam(column.name) for column in runs.c})
        replaced = {
            column.name: new.excluded[column.name]
            for column in runs.c
            if column.name not in {"run_id", "revision"}
        }
        self.save_run = _query(
            new.on_conflict_do_update(
                index_elements=[runs.c.run_id],
                set_={**replaced, "revision": runs.c.revision + literal_column("1")},
            ).returning(runs.c.revision)
        )
        self.delete_run = _sql(delete(runs).where(runs.c.run_id == run_id))
        # Not the tags: they were set on the run, whichever of its saves is stored.
        children = (
            metric_statistics,
            satellite_statistics,
            artifacts,
            metric_buckets,
            satellite_buckets,
            measurements,
        )
        self.delete_children = [_sql(delete(t).where(t.c.run_id == run_id)) for t in children]
        # The documents first: triggers of the tables that they copy delete them, uncounted.
        self.delete_dangling = {
            t.name: _sql(delete(t).where(t.c.run_id.not_in(select(runs.c.run_id))))
            for t in (run_documents, *children, run_tags)
        }
        self.insert_metric = _insert_all(metric_statistics)
        self.insert_satellite = _insert_all(satellite_statistics)
        self.insert_artifact = _insert_all(artifacts)
        self.insert_metric_bucket = _insert_all(metric_buckets)
        self.insert_satellite_bucket = _insert_all(satellite_buckets)
        self.insert_measurement = _insert_all(measurements)
        document = insert(run_documents).values(
            run_id=run_id, document=bindparam("document", type_=run_documents.c.document.type)
        )
        self.write_document = _query(
            document.on_conflict_do_update(
                index_elements=[run_documents.c.run_id],
                set_={"document": document.excluded.document},
            )
        )
        self.purge_measurements = _sql(delete(measurements).where(measurements.c.run_id == run_id))
        tag = insert(run_tags).values(
            {column.name: bindparam(column.name) for column in run_tags.c}
        )
        self.set_tag = _sql(
            tag.on_conflict_do_update(
                index_elements=[run_tags.c.run_id, run_tags.c.tag],
                set_={"value": tag.excluded.value},
            )
        )
        self.remove_tag = _sql(
            delete(run_tags).where(run_tags.c.run_id == run_id, run_tags.c.tag == bindparam("tag"))
        )
        self.tags = _query(
            select(run_tags.c.tag, run_tags.c.value)
            .where(run_tags.c.run_id == run_id)
            .order_by(run_tags.c.tag)
        )
        self.adopted = _sql(select(store.c.adopted_at_us))
        self.mark_adopted = _sql(update(store).values(adopted_at_us=bindparam("now_us")))
        self.fence = _sql(update(store).values(fence=store.c.fence + literal_column("1")))


@cache
def statements() -> Statements:
    """Return the statements; compiling them takes 5 ms, so it is done once, at first use."""
    return Statements()


OF_RUN, OF_PROVENANCE, OF_METRIC, OF_SATELLITE, OF_ARTIFACT, OF_TAG = range(6)
"""What a row of `Statements.run` is, or of a comparison: its first column."""

_WIDTH = 3 + 1 + len(MetricSummary._fields)


def _whole_run() -> Any:
    """All rows of a run, of five tables, in as many columns each.

    One statement is one snapshot without a transaction around it, and takes 33 µs
    where four take 48.
    """
    statistics = ("position", *STATISTICS)
    files = ("kind", "path", "bytes", "sha256", "rows")
    return union_all(
        _rows(
            runs,
            OF_RUN,
            *RUN,
        ),
        _rows(runs, OF_PROVENANCE, *PROVENANCE),
        _rows(metric_statistics, OF_METRIC, "metric_type", null(), *statistics),
        _rows(satellite_statistics, OF_SATELLITE, "satellite_id", "metric_type", *statistics),
        _rows(artifacts, OF_ARTIFACT, *files),
        _rows(run_tags, OF_TAG, "tag", "value"),
    )


def _run_and_document() -> Any:
    """The row of a run with its document, and its tags: two rows of tables instead of 25."""
    run_id: Any = bindparam("run_id")
    columns = (*RUN, *PROVENANCE, run_documents.c.document)
    run = _padded(runs, OF_RUN, columns, 1 + len(columns))
    tags = _padded(run_tags, OF_TAG, ("tag", "value"), 1 + len(columns))
    return union_all(
        run.select_from(runs.outerjoin(run_documents)).where(runs.c.run_id == run_id),
        tags.where(run_tags.c.run_id == run_id),
    )


def _rows(table: Any, what: int, *columns: Any) -> Any:
    run_id: Any = bindparam("run_id")
    return _padded(table, what, columns, _WIDTH).where(table.c.run_id == run_id)


def _padded(table: Any, what: int, columns: Sequence[Any], width: int) -> Any:
    """Select *columns* behind the mark *what*, with NULLs up to *width*."""
    named = [table.c[column] if isinstance(column, str) else column for column in columns]
    padding = [null() for _ in range(width - 1 - len(named))]
    return select(literal_column(str(what)), *named, *padding)


def _comparison(*, by_satellite: bool) -> Any:
    """Both runs' rows side by side, NULLs where a side has none; and what the runs were.

    Two expressions of one run each, joined: so it also runs where runs live on
    several machines. A left join and, from the other side, what it left out:
    twice as fast on SQLite as its FULL JOIN, which scans.
    """
    table = satellite_statistics if by_satellite else metric_statistics
    keys = ["satellite_id", "metric_type"] if by_satellite else ["metric_type"]
    baseline, candidate = (_statistics_of(table, keys, name) for name in ("baseline", "candidate"))
    same = _all_equal(baseline, candidate, keys)
    mark: Any = literal_column(str(OF_METRIC))
    both = select(
        mark,
        *(baseline.c[key] for key in keys),
        *(baseline.c[name] for name in STATISTICS),
        *(candidate.c[name] for name in STATISTICS),
    ).select_from(baseline.outerjoin(candidate, same))
    only_candidate = (
        select(
            mark,
            *(candidate.c[key] for key in keys),
            *(null() for _ in STATISTICS),
            *(candidate.c[name] for name in STATISTICS),
        )
        .select_from(candidate.outerjoin(baseline, same))
        .where(baseline.c[keys[-1]].is_(None))
    )
    width = 1 + len(keys) + 2 * len(STATISTICS)
    # The times differ between any two runs, so they aren't compared.
    was = [null() if place in MOMENTS else name for place, name in enumerate(PROVENANCE)]
    sides = (
        _padded(runs, OF_PROVENANCE, (literal_column(f"'{side}'"), *was), width).where(
            runs.c.run_id == bindparam(side)
        )
        for side in ("baseline", "candidate")
    )
    return union_all(both, only_candidate, *sides)


def _statistics_of(table: Any, keys: list[str], run: str) -> CTE:
    columns = (table.c[name] for name in (*keys, *STATISTICS))
    of_run = select(*columns).where(table.c.run_id == bindparam(run)).cte(run)
    # Used twice, it would be copied first: 35 µs instead of 20.
    return of_run.prefix_with("NOT MATERIALIZED", dialect="sqlite")


def _all_equal(left: CTE, right: CTE, keys: list[str]) -> Any:
    condition = left.c[keys[0]] == right.c[keys[0]]
    for key in keys[1:]:
        condition &= left.c[key] == right.c[key]
    return condition
