"""What is asked of the tables; rows become values here.

The statements run on the driver's connection: the list of recent runs takes
12 µs so, and 60 through SQLAlchemy's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, NamedTuple

from astraguard_store.comparison import Comparison, MetricChange
from astraguard_store.database.documents import RunParts, decode
from astraguard_store.database.statements import (
    MOMENTS,
    OF_ARTIFACT,
    OF_METRIC,
    OF_PROVENANCE,
    OF_RUN,
    OF_SATELLITE,
    OF_TAG,
    PROVENANCE,
    RUN,
    STATISTICS,
    statements,
)
from astraguard_store.model import (
    NO_TAGS,
    Artifact,
    FrozenMapping,
    MetricSummary,
    RunHeader,
    RunSummary,
    utc_from_epoch_us,
    with_bounds,
)
from astraguard_store.provenance import Provenance, ProvenanceChange, changes_of_values

__all__ = [
    "Missing",
    "StoredRun",
    "adopted",
    "compare",
    "is_same",
    "load_run",
    "load_run_of_rows",
    "recent_headers",
    "run_exists",
    "tags_of",
]


_KIND_AND_POSITION = itemgetter(0, 3)
_TYPE = itemgetter(0)
_SATELLITE_AND_TYPE = itemgetter(1, 0)
_END_OF_RUN = 1 + len(RUN)
_OF_SIDE = 2 + len(PROVENANCE)
_DIRTY = PROVENANCE.index("git_dirty")
_NO_BOUNDS = (None, None, None)
_VALUES: Final[list[tuple[int, Callable[[int], Any]]]] = [
    (_DIRTY, bool),
    *((moment, utc_from_epoch_us) for moment in MOMENTS),
]
"""Which columns of provenance aren't stored as they are, and how they are made."""


class StoredRun(NamedTuple):
    """A run with what only the store itself needs to know.

    Attributes:
        summary: The run; its revision is ignored when it is saved.
        utc_offset_s: How far local time was ahead of UTC where it was saved,
            seconds; None if it was adopted.
        staging_token: The save its files belong to; None if it was adopted.
    """

    summary: RunSummary
    utc_offset_s: int | None
    staging_token: str | None


def is_same(answer: StoredRun | Comparison, other: StoredRun | Comparison) -> bool:
    """Return whether two answers to one question are the same, to the order of what is in them.

    Mappings are equal in any order, but a summary file has them in that of the rows.
    """
    return answer == other and _order(answer) == _order(other)


def _order(answer: StoredRun | Comparison) -> object:
    if isinstance(answer, Comparison):
        return None
    run = answer.summary
    return list(run.metrics), [(name, *metrics) for name, metrics in run.satellites.items()]


def recent_headers(connection: sqlite3.Connection, limit: int) -> list[RunHeader]:
    """Return the newest *limit* runs; reads the covering index and nothing else."""
    return [
        RunHeader(run_id, revision, utc_from_epoch_us(recorded_at_us), total)
        for run_id, revision, recorded_at_us, total in connection.execute(
            statements().recent, (limit,)
        )
    ]


def load_run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """Return the run, None if there is none; one statement where it has a document."""
    rows = connection.execute(statements().run_and_document, (run_id, run_id)).fetchall()
    if not rows or rows[0][0] != OF_RUN:
        return None
    run = rows[0]
    parts = decode(run_id, run[-1]) if run[-1] is not None else None
    if parts is None:
        return load_run_of_rows(connection, run_id)
    tags = {row[1]: row[2] for row in rows[1:]}
    return _stored_run(run_id, run[1:_END_OF_RUN], run[_END_OF_RUN:-1], parts, tags)


def load_run_of_rows(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """Return what the rows say of the run, whatever its document does; one statement."""
    rows = connection.execute(statements().run, (run_id,) * 6).fetchall()
    # By kind of row, and then by position.
    rows.sort(key=_KIND_AND_POSITION)
    if not rows or rows[0][0] != OF_RUN:
        return None
    metrics: dict[str, MetricSummary] = {}
    satellites: dict[str, dict[str, MetricSummary]] = {}
    files: list[Artifact] = []
    tags: dict[str, str] = {}
    for row in rows[2:]:
        kind, name = row[:2]
        if kind == OF_SATELLITE:
            satellites.setdefault(name, {})[row[2]] = _summary(row[4:])
        elif kind == OF_METRIC:
            metrics[name] = _summary(row[4:])
        elif kind == OF_ARTIFACT:
            files.append(Artifact._make(row[1:6]))
        elif kind == OF_TAG:
            tags[name] = row[2]
    parts = RunParts(
        FrozenMapping(metrics),
        FrozenMapping({name: FrozenMapping(of_one) for name, of_one in satellites.items()}),
        tuple(sorted(files)),
    )
    return _stored_run(run_id, rows[0][1:_END_OF_RUN], rows[1][1:], parts, tags)


def _stored_run(
    run_id: str,
    run: tuple[Any, ...],
    provenance: tuple[Any, ...],
    parts: RunParts,
    tags: dict[str, str],
) -> StoredRun:
    revision, recorded_at_us, total, utc_offset_s, staging_token = run
    summary = RunSummary(
        run_id,
        revision,
        utc_from_epoch_us(recorded_at_us),
        total,
        *parts,
        Provenance.of_values(_provenance(provenance)),
        FrozenMapping(dict(sorted(tags.items()))) if tags else NO_TAGS,
    )
    return StoredRun(summary, utc_offset_s, staging_token)


def _summary(row: tuple[Any, ...]) -> MetricSummary:
    summary = MetricSummary._make(row)
    return with_bounds(summary) if summary.missed else summary


def _side(numbers: tuple[Any, ...]) -> MetricSummary | None:
    if numbers[0] is None:
        return None
    # Half the time of the class's own ways.
    summary: MetricSummary = tuple.__new__(MetricSummary, numbers + _NO_BOUNDS)
    return with_bounds(summary) if numbers[-1] else summary


def _provenance(row: tuple[Any, ...]) -> list[Any]:
    """Return the values of `Provenance` in the columns `PROVENANCE`."""
    values = list(row[: len(PROVENANCE)])
    for place, value_of in _VALUES:
        if values[place] is not None:
            values[place] = value_of(values[place])
    return values


def run_exists(connection: sqlite3.Connection, run_id: str) -> bool:
    """Return whether the run has a row."""
    try:
        row = connection.execute(statements().exists, (run_id,)).fetchone()
    except UnicodeEncodeError:
        # A folder's name that is no text can't be a run's.
        return False
    return row is not None


def _with_dirty(row: tuple[Any, ...]) -> list[Any]:
    values = list(row[: len(PROVENANCE)])
    if values[_DIRTY] is not None:
        values[_DIRTY] = bool(values[_DIRTY])
    return values


class Missing(NamedTuple):
    """The answer to a comparison with a run that isn't there."""

    run_id: str


def compare(
    connection: sqlite3.Connection, baseline: str, candidate: str, *, by_satellite: bool
) -> Comparison | Missing:
    """Return what both runs have, and what only one has, by one joined statement."""
    sql = statements()
    joined = sql.compare_satellites if by_satellite else sql.compare_metrics
    rows = connection.execute(joined, (baseline, candidate) * 2).fetchall()
    sides = {row[1]: row[2:_OF_SIDE] for row in rows if row[0] == OF_PROVENANCE}
    if len(sides) < 2:
        return Missing(candidate if "baseline" in sides else baseline)
    first = 3 if by_satellite else 2
    middle = first + len(STATISTICS)
    changes = [
        tuple.__new__(
            MetricChange,
            (
                row[first - 1],
                row[1] if by_satellite else None,
                _side(row[first:middle]),
                _side(row[middle:]),
            ),
        )
        for row in rows
        if row[0] == OF_METRIC
    ]
    changes.sort(key=_SATELLITE_AND_TYPE if by_satellite else _TYPE)
    of_provenance = _provenance_changes(sides["baseline"], sides["candidate"])
    return Comparison(baseline, candidate, tuple(changes), of_provenance)


def _provenance_changes(
    baseline: tuple[Any, ...], candidate: tuple[Any, ...]
) -> tuple[ProvenanceChange, ...]:
    # Mostly nothing differs: 0.1 µs instead of 4.
    if baseline == candidate:
        return ()
    return changes_of_values(_with_dirty(baseline), _with_dirty(candidate))


def tags_of(connection: sqlite3.Connection, run_id: str) -> dict[str, str]:
    """Return a run's tags, by name."""
    return dict(connection.execute(statements().tags, (run_id,)))


def adopted(connection: sqlite3.Connection) -> bool:
    """Return whether the run folders from before the database have been adopted."""
    row = connection.execute(statements().adopted).fetchone()
    return row is not None and row[0] is not None
