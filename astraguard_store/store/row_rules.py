"""What holds for the rows of every run that this store has written; pure.

Rows of another store, or rows that another program has changed, are held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from astraguard_store.buckets import buckets_of
from astraguard_store.checks import (
    DAY_S,
    MOST_REVISIONS,
    check_attachment_name,
    check_name,
    check_named_save,
    check_run_id,
)
from astraguard_store.database.runs import PROVENANCE_COLUMNS
from astraguard_store.database.sql import ALL_SATELLITES
from astraguard_store.database.whole_runs import RunRows, columns_text
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import utc_from_epoch_us
from astraguard_store.provenance import Provenance, check_tags

_INFINITE = float("inf")
_ordered_of = itemgetter("min_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")

_KINDS: Final = {kind.__name__: kind for kind in (bytes, float, int, str)}

Row = Mapping[str, Any]


def why_not_written(rows: RunRows) -> str | None:
    """Return why no save, adoption or merge can have written these rows; None if one can.

    Counts have to add up in runs that were saved: the summary file of an adopted run may
    say anything.
    """
    try:
        faults = _faults(rows)
        return next(faults, None)
    # What isn't of its column's type, and times out of the calendar, end up here.
    except (InvalidRunError, ArithmeticError, TypeError, ValueError) as error:
        return str(error)


def _faults(found: RunRows) -> Iterator[str]:
    yield from _faults_of_types("runs", [found.run])
    for table, of_table in found.children.items():
        yield from _faults_of_types(table, of_table)
    run = _named("runs", [found.run])[0]
    children = {table: _named(table, of_table) for table, of_table in found.children.items()}
    yield from _faults_of_run(run)
    check_tags({row["tag"]: row["value"] for row in children["run_tags"]})
    for row in children.get("attachments", ()):
        check_attachment_name(row["name"])
    for row in children.get("save_ids", ()):
        check_named_save(row["save_id"], row["sha256"], row["revision"])
    is_saved = run["utc_offset_s"] is not None
    rows = children["statistics"]
    of_types = [row for row in rows if row["satellite_id"] == ALL_SATELLITES]
    on_satellites = [row for row in rows if row["satellite_id"] != ALL_SATELLITES]
    yield from _faults_of_positions("of its metric types", of_types)
    yield from _faults_of_positions("on its satellites", on_satellites)
    yield from _faults_of_buckets(rows, children["buckets"], is_saved=is_saved)
    if is_saved:
        yield from _faults_of_counts(run, of_types, on_satellites)
        for row in rows:
            yield from _faults_of_order(row)
    yield from _faults_of_measurements(found.measurements, on_satellites)


class _Column(NamedTuple):
    name: str
    kind: type
    nullable: bool


@cache
def _columns(table: str) -> tuple[_Column, ...]:
    lines = [line.split() for line in columns_text(table=table).split("\n")]
    return tuple(_Column(name, _KINDS[kind], bool(or_null)) for name, kind, *or_null in lines)


def _named(table: str, rows: Iterable[Sequence[Any]]) -> list[Row]:
    names = [column.name for column in _columns(table)]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _faults_of_types(table: str, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    columns = _columns(table)
    for row in rows:
        wrong, floats = _places(table, tuple(map(type, row)))
        for place in wrong:
            yield f"{table}.{columns[place].name} is {row[place]!r:.40}"
        for place in floats:
            if not 0 <= row[place] < _INFINITE:
                yield f"{table}.{columns[place].name} is {row[place]!r}"


# Mostly the rows of a table are alike.
@lru_cache(maxsize=4096)
def _places(table: str, kinds: tuple[type, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which values of a row aren't of their columns' types, and which are floats."""
    pairs = list(enumerate(zip(_columns(table), kinds, strict=True)))
    wrong = tuple(place for place, (column, kind) in pairs if not _may_be(column, kind))
    return wrong, tuple(place for place, (column, kind) in pairs if column.kind is float is kind)


def _may_be(column: _Column, kind: type) -> bool:
    if kind is type(None):
        return column.nullable
    return issubclass(kind, column.kind) and not issubclass(kind, bool)


def _faults_of_run(run: Row) -> Iterator[str]:
    check_run_id(run["run_id"])
    if not 1 <= run["revision"] <= MOST_REVISIONS:
        yield f"its revision is {run['revision']}"
    offset_s = run["utc_offset_s"]
    if offset_s is not None and not -DAY_S < offset_s < DAY_S:
        yield f"its UTC offset is {offset_s} s"
    for what in ("staging_token", "live_token"):
        token = run[what]
        if token is not None and not (len(token) == 16 and set(token) <= set("0123456789abcdef")):
            yield f"its {what} is {token!r:.40}"
    for name in ("recorded_at_us", "started_at_us", "finished_at_us"):
        if run[name] is not None:
            try:
                utc_from_epoch_us(run[name]) + timedelta(seconds=offset_s or 0)
            except OverflowError:
                yield f"its {name} is {run[name]}, which is in no year from 1 to 9999"
    Provenance(**{name: run[name] for name in _texts()}, seed=run["seed"])


def _faults_of_positions(where: str, rows: list[Row]) -> Iterator[str]:
    if sorted(row["position"] for row in rows) != list(range(len(rows))):
        yield f"the positions of the statistics {where} have gaps, or come twice"
    for name in dict.fromkeys(row["metric_type"] for row in rows):
        check_name(name, "metric_type")
    for name in dict.fromkeys(row["satellite_id"] for row in rows):
        if name != ALL_SATELLITES:
            check_name(name, "satellite_id")
    for row in rows:
        if not (row["count"] >= 1 and 0 <= row["missed"] <= row["count"]):
            yield f"{_label(row)} has {row['count']} events, {row['missed']} of them missed"


def _faults_of_counts(run: Row, types: list[Row], satellites: list[Row]) -> Iterator[str]:
    total = run["total_measurements"]
    of_types = Counter({row["metric_type"]: row["count"] for row in types})
    on_satellites: Counter[str] = Counter()
    for row in satellites:
        on_satellites[row["metric_type"]] += row["count"]
    if of_types.total() != total:
        yield f"it has {total} measurements, and its metric types {of_types.total()}"
    for name in sorted({*of_types, *on_satellites}):
        if of_types[name] != on_satellites[name]:
            yield (
                f"{name!r} has {of_types[name]} events, and on all satellites "
                f"{on_satellites[name]}"
            )


def _faults_of_order(row: Row) -> Iterator[str]:
    # A bound of a percentile among the missed follows no order.
    if row["missed"] == 0:
        values = [value for value in _ordered_of(row) if value is not None]
        if values != sorted(values):
            yield f"the percentiles of {_label(row)} are in no order"


def _faults_of_buckets(
    statistics: list[Row], buckets: list[Row], *, is_saved: bool
) -> Iterator[str]:
    """Check that each row with buckets has its statistics, and that they count the same."""
    counted = {_key(row): row for row in statistics}
    kept = {row["satellite_id"] == ALL_SATELLITES for row in buckets}
    wanted = {key for key in counted if (key[0] == ALL_SATELLITES) in kept}
    if {_key(row) for row in buckets} != wanted:
        yield "there are buckets of what has no statistics, or statistics without theirs"
        return
    for row in buckets:
        columns = buckets_of(row["counts"])
        missed, of_row = sum(columns.missed), counted[_key(row)]
        events = sum(columns.counts) + missed
        if events != of_row["count"] or (is_saved and missed != of_row["missed"]):
            yield (
                f"the buckets of {_label(row)} hold {events} events, {missed} of them missed, "
                f"its statistics {of_row['count']} and {of_row['missed']}"
            )


def _key(row: Row) -> tuple[str, str]:
    return row["satellite_id"], row["metric_type"]


def _faults_of_measurements(
    measurements: Sequence[Sequence[float]], satellites: list[Row]
) -> Iterator[str]:
    """Check the packed columns of `measurements`, of which the first holds positions."""
    if measurements:
        kept = Counter(measurements[0])
        counts = {row["position"]: row["count"] for row in satellites}
        if kept != counts:
            yield "the measurements that the database keeps are not those of its statistics"


def _label(row: Row) -> str:
    on = f" on {row['satellite_id']!r}" if row["satellite_id"] else ""
    return f"{row['metric_type']!r}{on}"


@cache
def _texts() -> tuple[str, ...]:
    """Return which columns of provenance are texts."""
    kinds = {column.name: column.kind for column in _columns("runs")}
    return tuple(name for name in PROVENANCE_COLUMNS if kinds[name] is str)
