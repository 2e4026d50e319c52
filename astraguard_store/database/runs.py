"""One run: loaded, saved, tagged, deleted, and compared with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from astraguard_store.columns import Columns
from astraguard_store.comparison import Comparison, MetricChange
from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    artifacts,
    attachments,
    bindparam,
    buckets,
    delete,
    exists,
    insert_new,
    literal_column,
    machine_noise,
    measurements,
    metadata,
    null,
    run_documents,
    run_tags,
    runs,
    save_ids,
    select,
    statistics,
    union_all,
    units,
    upsert,
    whole,
)
from astraguard_store.database.documents import NO_BOUNDS, RunParts, decode, parts_of
from astraguard_store.database.measurements import insert_measurements
from astraguard_store.database.rows import (
    MOMENTS,
    PROVENANCE_COLUMNS,
    STATISTICS_COLUMNS,
    insert_buckets,
    insert_files,
    insert_surroundings,
    provenance_values,
    statistics_rows,
    what_it_was,
    worst,
)
from astraguard_store.database.sql import Connection, insert_rows, kept
from astraguard_store.exceptions import DatabaseError, RunIsRunningError
from astraguard_store.model import (
    NO_TAGS,
    Artifact,
    Attachment,
    FrozenMapping,
    MetricSummary,
    RunSummary,
    epoch_us,
    utc_from_epoch_us,
    with_bounds,
)
from astraguard_store.noise import NOISE_FIELDS, WORST_FIELDS, MachineNoise
from astraguard_store.provenance import (
    NO_UNITS,
    UNIT_FIELDS,
    Provenance,
    ProvenanceChange,
    Unit,
    changes_of_units,
    changes_of_values,
)

if TYPE_CHECKING:
    from sqlalchemy.sql.selectable import CTE

    from astraguard_store.statistics import RunStatistics

RUN_COLUMNS: Final = (
    "revision",
    "recorded_at_us",
    "total_measurements",
    "utc_offset_s",
    "staging_token",
    "state",
    "error",
    "last_written_at_us",
    "live_token",
    "save_id",
    "save_sha256",
)
"""The other columns of a run."""

_OF_RUN, OF_PROVENANCE, OF_STATISTICS, _OF_ARTIFACT, OF_TAG = range(5)
OF_ATTACHMENT, OF_UNIT, OF_NOISE = range(5, 8)
"""What a row of a union is, a run's or a comparison's: its first column."""

_WIDTH = 1 + len(PROVENANCE_COLUMNS)
_TYPE = itemgetter(0)
_SATELLITE_AND_TYPE = itemgetter(1, 0)
_KEYS: Final = ("satellite_id", "metric_type")
_FIRST = 1 + len(_KEYS)
_MIDDLE = _FIRST + len(STATISTICS_COLUMNS)
_END_OF_RUN = 1 + len(RUN_COLUMNS)
_END_OF_STATISTICS = 4 + len(STATISTICS_COLUMNS)
_END_OF_ROW = _MIDDLE + len(STATISTICS_COLUMNS)
_OF_SIDE = 2 + len(PROVENANCE_COLUMNS)
_END_OF_SIDE = _OF_SIDE + 1 + len(WORST_FIELDS)
_SIDES: Final = ("baseline", "candidate")
BELOW_RUN: Final[tuple[tuple[Any, ...], ...]] = (
    (run_tags, OF_TAG, "tag", "value"),
    (attachments, OF_ATTACHMENT, *Attachment._fields),
    (units, OF_UNIT, "satellite_id", *UNIT_FIELDS),
    (machine_noise, OF_NOISE, *NOISE_FIELDS),
)
"""What a run's document doesn't hold: (table, what its rows are, columns)."""

# Not the tags, nor the names of its saves: they are of the run, whichever save is stored.
_OF_ONE_SAVE: Final = (
    "statistics",
    "artifacts",
    "buckets",
    "measurements",
    "attachments",
    "units",
    "machine_noise",
)
# The documents first: triggers of the tables that they copy delete them, uncounted.
BELOW: Final = (
    "run_documents",
    *_OF_ONE_SAVE,
    "run_tags",
    "save_ids",
    "baseline_runs",
    "run_verdicts",
)
"""The tables below `runs`: all whose rows are of one run."""


def _run_id() -> Any:
    return bindparam("run_id")


class StoredRun(NamedTuple):
    """A run with what only the store itself needs to know.

    Attributes:
        summary: The run; its revision is ignored when it is saved.
        utc_offset_s: How far local time was ahead of UTC where it was saved,
            seconds; None if it was adopted.
        staging_token: The save its files belong to; None if it was adopted.
        live_token: The journal that its recorder writes; None if none does.
        save_sha256: The hash of what a named save held; None where it has no name.
    """

    summary: RunSummary
    utc_offset_s: int | None
    staging_token: str | None
    live_token: str | None = None
    save_sha256: str | None = None

    @property
    def run_id(self) -> str:
        """The run."""
        return self.summary.run_id


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


@kept()
def run_with_document_sql() -> Any:
    """Return the statement for a run's row, its document and its tags.

    Two rows of tables instead of 25.
    """
    columns = (*RUN_COLUMNS, *PROVENANCE_COLUMNS, run_documents.c.document)
    width = 1 + len(columns)
    run = _padded(runs, _OF_RUN, columns, width)
    return union_all(
        run.select_from(runs.outerjoin(run_documents)).where(runs.c.run_id == _run_id()),
        *(
            _padded(table, what, names, width).where(table.c.run_id == _run_id())
            for table, what, *names in BELOW_RUN
        ),
    )


def load_run(connection: Connection, run_id: str) -> StoredRun | None:
    """Return the run, None if there is none; one statement where it has a document."""
    rows = connection.execute(run_with_document_sql(), (run_id,) * (1 + len(BELOW_RUN))).fetchall()
    if not rows or rows[0][0] != _OF_RUN:
        return None
    run = rows[0]
    parts = decode(run_id, run[-1]) if run[-1] is not None else None
    if parts is None:
        return load_run_of_rows(connection, run_id)
    return stored_run(run_id, run[1:_END_OF_RUN], run[_END_OF_RUN:-1], parts, rows[1:])


@kept()
def run_rows_sql() -> Any:
    """Return the statement for all rows of a run, of four tables, in as many columns each.

    One statement is one snapshot without a transaction around it, and takes two thirds
    of the time of one a table.
    """
    selects: tuple[Any, ...] = (
        (runs, _OF_RUN, *RUN_COLUMNS),
        (runs, OF_PROVENANCE, *PROVENANCE_COLUMNS),
        (statistics, OF_STATISTICS, *statistics.c.keys()[1:]),
        (artifacts, _OF_ARTIFACT, *Artifact._fields),
        *BELOW_RUN,
    )
    return union_all(
        *(
            _padded(table, what, columns, _WIDTH).where(table.c.run_id == _run_id())
            for table, what, *columns in selects
        )
    )


def _padded(table: Any, what: int, columns: Sequence[Any], width: int) -> Any:
    """Select *columns* behind the mark *what*, with NULLs up to *width*."""
    named = [table.c[column] if isinstance(column, str) else column for column in columns]
    padding = [null() for _ in range(width - 1 - len(named))]
    return select(whole(what), *named, *padding)


def load_run_of_rows(connection: Connection, run_id: str) -> StoredRun | None:
    """Return what the rows say of the run, whatever its document does; one statement."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in connection.execute(run_rows_sql(), (run_id,) * (4 + len(BELOW_RUN))):
        found.setdefault(row[0], []).append(row)
    if _OF_RUN not in found:
        return None
    parts = parts_of(
        (row[:_END_OF_STATISTICS] for row in found.get(OF_STATISTICS, ())),
        found.get(_OF_ARTIFACT, ()),
    )
    (run,), (provenance,) = found[_OF_RUN], found[OF_PROVENANCE]
    below = [row for _, what, *_ in BELOW_RUN for row in found.get(what, ())]
    return stored_run(run_id, run[1:_END_OF_RUN], provenance[1:], parts, below)


def stored_run(
    run_id: str,
    run: tuple[Any, ...],
    provenance: tuple[Any, ...],
    parts: RunParts,
    below: Sequence[tuple[Any, ...]],
) -> StoredRun:
    """Return a run; *below* are rows of the tables of `BELOW_RUN`."""
    revision, recorded_at_us, total, utc_offset_s, staging_token, *life = run
    state, error, last_written_at_us, live_token, save_id, save_sha256 = life
    try:
        recorded_at = utc_from_epoch_us(recorded_at_us)
        written_at = None if last_written_at_us is None else utc_from_epoch_us(last_written_at_us)
        known = provenance_values(provenance)
    except OverflowError as failure:
        raise DatabaseError(
            f"run {run_id!r} has a time in its row that is no date, which another program wrote "
            f"there ({failure}); `astraguard-store check` says more"
        ) from failure
    tags = {row[1]: row[2] for row in below if row[0] == OF_TAG}
    of_units = {row[1]: _unit(row[2:5]) for row in below if row[0] == OF_UNIT}
    noise = [row[1 : 1 + len(NOISE_FIELDS)] for row in below if row[0] == OF_NOISE]
    attached = [Attachment._make(row[1:4]) for row in below if row[0] == OF_ATTACHMENT]
    summary = RunSummary(
        run_id,
        revision,
        recorded_at,
        total,
        *parts,
        Provenance.of_values(known, FrozenMapping(of_units) if of_units else NO_UNITS),
        FrozenMapping(dict(sorted(tags.items()))) if tags else NO_TAGS,
        state,
        written_at,
        error,
        tuple(sorted(attached)),
        MachineNoise(**dict(zip(NOISE_FIELDS, noise[0], strict=True))) if noise else None,
        save_id,
    )
    return StoredRun(summary, utc_offset_s, staging_token, live_token, save_sha256)


def _unit(values: tuple[Any, ...]) -> Unit:
    return Unit(**dict(zip(UNIT_FIELDS, values, strict=True)))


@kept()
def run_exists_sql() -> Any:
    """Return the statement that finds a run's row."""
    return select(runs.c.revision).where(runs.c.run_id == _run_id())


def run_exists(connection: Connection, run_id: str) -> bool:
    """Return whether the run has a row."""
    try:
        row = connection.execute(run_exists_sql(), (run_id,)).fetchone()
    except UnicodeEncodeError:
        # A folder's name that is no text can't be a run's.
        return False
    return row is not None


@kept()
def save_run_sql() -> Any:
    """Return the statement that writes a run's row and returns its revision."""
    return upsert(
        runs, {"revision": runs.c.revision + whole(1)}, runs.c.live_token.is_(None)
    ).returning(runs.c.revision)


@kept()
def _insert_new_sql() -> Any:
    return insert_new(runs)


def insert_new_run(connection: Connection, row: tuple[Any, ...]) -> bool:
    """Write a run's row, unless there is one of that id; return whether it was written."""
    return connection.execute(_insert_new_sql(), row).rowcount > 0


@kept()
def _keeps_buckets_sql() -> Any:
    return select(
        exists().where(buckets.c.run_id == _run_id(), buckets.c.satellite_id > OF_ALL_SATELLITES)
    )


def keeps_satellite_buckets(connection: Connection, run_id: str) -> bool:
    """Return whether the buckets of a run's satellites are kept."""
    return bool(connection.execute(_keeps_buckets_sql(), (run_id,)).fetchone()[0])


@kept()
def _named_saves_sql() -> Any:
    named = select(save_ids.c.run_id, save_ids.c.sha256)
    return named.where(save_ids.c.save_id == bindparam("save_id"))


def named_saves(connection: Connection, save_id: str) -> list[tuple[str, str]]:
    """Return (run id, content's hash) of each save that was ever given that name.

    More than one where runs of several stores came together.
    """
    return connection.execute(_named_saves_sql(), (save_id,)).fetchall()


@kept()
def _ids_of_run_sql() -> Any:
    named = select(save_ids.c.save_id, save_ids.c.sha256, save_ids.c.revision)
    of_run = named.where(save_ids.c.run_id == _run_id())
    return of_run.order_by(save_ids.c.revision, save_ids.c.save_id)


def save_ids_of(connection: Connection, run_id: str) -> list[tuple[str, str, int]]:
    """Return (name, content's hash, revision) of each named save of a run, the oldest first."""
    return connection.execute(_ids_of_run_sql(), (run_id,)).fetchall()


@kept()
def _note_save_id_sql() -> Any:
    return upsert(save_ids)


def note_save_ids(
    connection: Connection, run_id: str, named: Iterable[tuple[str, str, int]]
) -> None:
    """Write (name, content's hash, revision) of named saves of a run."""
    for one in named:
        connection.execute(_note_save_id_sql(), (run_id, *one))


@kept(*({"table": table} for table in _OF_ONE_SAVE))
def delete_of_run_sql(*, table: str) -> Any:
    """Return the statement that deletes the rows of a run from a table."""
    rows = metadata.tables[table]
    return delete(rows).where(rows.c.run_id == _run_id())


def delete_of_one_save_sql() -> tuple[str, ...]:
    """Return the statements that delete what a save of a run replaces."""
    return tuple(delete_of_run_sql(table=table) for table in _OF_ONE_SAVE)


def save_run(
    connection: Connection,
    run: StoredRun,
    found: RunStatistics | None = None,
    measurements: Columns | None = None,
) -> int:
    """Write a run in place of what is stored under its id; its tags are set, others stay.

    Args:
        connection: In a write transaction.
        run: The run.
        found: Whose buckets are written; None where they aren't known.
        measurements: Written too if given.

    Returns:
        Its revision.
    """
    revision = save_without_files(connection, run, found, measurements)
    insert_files(connection, run.summary)
    return revision


def save_without_files(
    connection: Connection,
    run: StoredRun,
    found: RunStatistics | None,
    measurements: Columns | None,
) -> int:
    """Write a run as `save_run` does, but for the rows of its files and its document."""
    summary = run.summary
    row = connection.execute(save_run_sql(), run_row(run)).fetchall()
    if not row:
        raise RunIsRunningError(summary.run_id)
    revision: int = row[0][0]
    if revision > 1:
        for delete_rows in delete_of_one_save_sql():
            connection.execute(delete_rows, (summary.run_id,))
    insert_rows(connection, "statistics", statistics_rows(summary))
    set_tags(connection, summary.run_id, summary.tags)
    insert_surroundings(connection, summary)
    if summary.save_id is not None and run.save_sha256 is not None:
        named = (summary.save_id, run.save_sha256, revision)
        note_save_ids(connection, summary.run_id, [named])
    if found:
        insert_buckets(connection, summary.run_id, found)
    if measurements:
        insert_measurements(connection, summary.run_id, summary.satellites, measurements)
    return revision


def run_row(run: StoredRun) -> tuple[Any, ...]:
    """Return the row of a new run in `runs`, its values in the order of the columns."""
    summary = run.summary
    return (
        summary.run_id,
        1,
        epoch_us(summary.recorded_at),
        summary.total_measurements,
        run.utc_offset_s,
        run.staging_token,
        *_provenance_row(summary.provenance),
        summary.state,
        summary.error,
        None if summary.last_written_at is None else epoch_us(summary.last_written_at),
        run.live_token,
        summary.save_id,
        run.save_sha256,
    )


def _provenance_row(provenance: Provenance) -> list[Any]:
    values: list[Any] = list(provenance.values())
    for moment in MOMENTS:
        if values[moment] is not None:
            values[moment] = epoch_us(values[moment])
    return values


@kept()
def delete_run_sql() -> Any:
    """Return the statement that deletes a run; a trigger deletes its other rows."""
    return delete(runs).where(runs.c.run_id == _run_id(), runs.c.live_token.is_(None))


def delete_run(connection: Connection, run_id: str) -> bool:
    """Delete a run with all its rows; return whether there was one.

    Raises:
        RunIsRunningError: It is being recorded.
    """
    is_deleted = connection.execute(delete_run_sql(), (run_id,)).rowcount > 0
    if not is_deleted and run_exists(connection, run_id):
        raise RunIsRunningError(run_id)
    return is_deleted


@kept(*({"table": table} for table in BELOW))
def _delete_dangling_sql(*, table: str) -> Any:
    rows = metadata.tables[table]
    return delete(rows).where(rows.c.run_id.not_in(select(runs.c.run_id)))


def delete_dangling(connection: Connection) -> dict[str, int]:
    """Delete the rows whose run is missing; return {table: how many there were}."""
    deleted = {
        table: connection.execute(_delete_dangling_sql(table=table)).rowcount for table in BELOW
    }
    return {table: number for table, number in deleted.items() if number}


@kept()
def purge_measurements_sql() -> Any:
    """Return the statement that deletes the kept measurements of a run."""
    return delete(measurements).where(measurements.c.run_id == _run_id())


def purge_measurements(connection: Connection, run_id: str) -> int:
    """Delete the kept measurements of a run; its statistics and files stay.

    Returns:
        How many there were.
    """
    return connection.execute(purge_measurements_sql(), (run_id,)).rowcount


@kept()
def tags_sql() -> Any:
    """Return the statement for a run's tags."""
    tag = run_tags.c
    return select(tag.tag, tag.value).where(tag.run_id == _run_id()).order_by(tag.tag)


def tags_of(connection: Connection, run_id: str) -> dict[str, str]:
    """Return a run's tags, by name."""
    return dict(connection.execute(tags_sql(), (run_id,)))


@kept()
def set_tag_sql() -> Any:
    """Return the statement that writes a tag of a run."""
    return upsert(run_tags)


@kept()
def remove_tag_sql() -> Any:
    """Return the statement that deletes a tag of a run."""
    tag = run_tags.c
    return delete(run_tags).where(tag.run_id == _run_id(), tag.tag == bindparam("tag"))


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a stored run; None removes one."""
    for tag, value in tags.items():
        if value is None:
            connection.execute(remove_tag_sql(), (run_id, tag))
        else:
            connection.execute(set_tag_sql(), (run_id, tag, value))


class Missing(NamedTuple):
    """The answer to a comparison with a run that isn't there."""

    run_id: str


@kept({"by_satellite": False}, {"by_satellite": True})
def comparison_sql(*, by_satellite: bool) -> Any:
    """Return the statement for both runs' rows side by side, and what the runs were.

    NULLs where a side has none.

    Two expressions of one run each, joined: so it also runs where runs live on
    several machines. A left join and, from the other side, what it left out:
    twice as fast on SQLite as its FULL JOIN, which scans.
    """
    baseline, candidate = (
        _statistics_of(side, by_satellite=by_satellite) for side in ("baseline", "candidate")
    )
    same = (baseline.c.satellite_id == candidate.c.satellite_id) & (
        baseline.c.metric_type == candidate.c.metric_type
    )
    mark = whole(OF_STATISTICS)
    width = max(_END_OF_ROW, _END_OF_SIDE)
    padding = [null() for _ in range(width - _END_OF_ROW)]
    both = select(
        mark,
        *(baseline.c[key] for key in _KEYS),
        *(baseline.c[name] for name in STATISTICS_COLUMNS),
        *(candidate.c[name] for name in STATISTICS_COLUMNS),
        *padding,
    ).select_from(baseline.outerjoin(candidate, same))
    only_candidate = (
        select(
            mark,
            *(candidate.c[key] for key in _KEYS),
            *(null() for _ in STATISTICS_COLUMNS),
            *(candidate.c[name] for name in STATISTICS_COLUMNS),
            *padding,
        )
        .select_from(candidate.outerjoin(baseline, same))
        .where(baseline.c.metric_type.is_(None))
    )
    sides: list[Any] = [literal_column(f"'{side}'") for side in _SIDES]
    of_sides = (
        _padded(
            runs,
            OF_PROVENANCE,
            (name, *what_it_was(), runs.c.state, *worst()),
            width,
        )
        .select_from(runs.outerjoin(machine_noise))
        .where(runs.c.run_id == bindparam(side))
        for side, name in zip(_SIDES, sides, strict=True)
    )
    of_units = (
        _padded(units, OF_UNIT, (name, "satellite_id", *UNIT_FIELDS), width).where(
            units.c.run_id == bindparam(side)
        )
        for side, name in zip(_SIDES, sides, strict=True)
    )
    return union_all(both, only_candidate, *of_sides, *of_units)


def _statistics_of(run: str, *, by_satellite: bool) -> CTE:
    row = statistics.c
    which = (
        row.satellite_id > OF_ALL_SATELLITES
        if by_satellite
        else row.satellite_id == OF_ALL_SATELLITES
    )
    columns = (row[name] for name in (*_KEYS, *STATISTICS_COLUMNS))
    of_run = select(*columns).where(row.run_id == bindparam(run), which).cte(run)
    # Used twice, it would be copied first: 35 µs instead of 20.
    return of_run.prefix_with("NOT MATERIALIZED")


def compare(
    connection: Connection, baseline: str, candidate: str, *, by_satellite: bool
) -> Comparison | Missing:
    """Return what both runs have, and what only one has, by one joined statement."""
    sql = comparison_sql(by_satellite=by_satellite)
    rows = connection.execute(sql, (baseline, candidate) * 3).fetchall()
    return comparison_of(baseline, candidate, rows, by_satellite=by_satellite)


def comparison_of(
    baseline: str, candidate: str, rows: Sequence[tuple[Any, ...]], *, by_satellite: bool
) -> Comparison | Missing:
    """Return the comparison that rows of `comparison_sql` are, in whichever order they come."""
    sides = {row[1]: row[2:_OF_SIDE] for row in rows if row[0] == OF_PROVENANCE}
    if len(sides) < 2:
        return Missing(candidate if "baseline" in sides else baseline)
    changes = [
        tuple.__new__(
            MetricChange,
            (row[2], row[1] or None, _side(row[_FIRST:_MIDDLE]), _side(row[_MIDDLE:_END_OF_ROW])),
        )
        for row in rows
        if row[0] == OF_STATISTICS
    ]
    changes.sort(key=_SATELLITE_AND_TYPE if by_satellite else _TYPE)
    of_provenance = _provenance_changes(sides["baseline"], sides["candidate"])
    of_units = [row for row in rows if row[0] == OF_UNIT]
    if of_units:
        of_provenance += changes_of_units(*(_units_of(of_units, side) for side in _SIDES))
    how = {row[1]: row[_OF_SIDE:_END_OF_SIDE] for row in rows if row[0] == OF_PROVENANCE}
    pairs = zip(*(how[side] for side in _SIDES), strict=True)
    doubtful = (value for pair in pairs for value in pair)
    return Comparison(baseline, candidate, tuple(changes), of_provenance, *doubtful)


def _units_of(rows: Iterable[tuple[Any, ...]], side: str) -> dict[str, Unit]:
    return {row[2]: _unit(row[3:6]) for row in rows if row[1] == side}


def _side(numbers: tuple[Any, ...]) -> MetricSummary | None:
    if numbers[0] is None:
        return None
    # Half the time of the class's own ways.
    summary: MetricSummary = tuple.__new__(MetricSummary, numbers + NO_BOUNDS)
    return with_bounds(summary) if numbers[-1] else summary


def _provenance_changes(
    baseline: tuple[Any, ...], candidate: tuple[Any, ...]
) -> tuple[ProvenanceChange, ...]:
    # Mostly nothing differs: 0.1 µs instead of 4.
    if baseline == candidate:
        return ()
    return changes_of_values(provenance_values(baseline), provenance_values(candidate))
