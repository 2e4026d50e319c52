"""Documents: a copy of a run's rows in one value, read instead of some 20 rows.

A document copies two tables, statistics and files, as exactly as the rows and in half
their size. A run whose rows can't be copied so has none, and is read from its rows. The
satellites are decoded when somebody first looks at them: they are most of a document,
and few callers of `get` ask for them.

Format 2 is a MessagePack array: the format; {metric type: statistics}; the files; and
{satellite: {place of the metric type among those above: statistics}}. Statistics are the
fields of `MetricSummary`. Its CRC-32 follows, so that a damaged document isn't read.
Documents of format 1, packed by hand, aren't read either; `db upgrade` renews them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

import msgspec

from astraguard_store.database.core import (
    bindparam,
    delete,
    first,
    func,
    metadata,
    or_,
    run_documents,
    runs,
    select,
    upsert,
    whole,
)
from astraguard_store.database.sql import ALL_SATELLITES, Connection, kept
from astraguard_store.model import (
    Artifact,
    ArtifactKind,
    FrozenMapping,
    MetricSummary,
    with_bounds,
)

Row = tuple[Any, ...]
DocumentState = Literal["right", "missing", "wrong"]

_FORMAT: Final = 2
_BEGINNING: Final = b"\x94\x02"
"""An array of four, the first of them the format."""
_CRC_BYTES: Final = 4
# The CRC-32 of any bytes with their own CRC-32 behind them.
_RESIDUE: Final = 0x2144DF1C
# SQLite stores it as 0.0.
_MINUS_ZERO: Final = b"\xcb\x80" + bytes(7)


_POSITION: Final = itemgetter(3)  # which is the column `position` of statistics
NO_BOUNDS: Final = (None, None, None)
_WITHOUT_BOUNDS: Final = len(MetricSummary._fields) - len(NO_BOUNDS)


class RunParts(NamedTuple):
    """What a document tells of its run: attributes of `RunSummary`."""

    metrics: Mapping[str, MetricSummary]
    satellites: Mapping[str, Mapping[str, MetricSummary]]
    artifacts: tuple[Artifact, ...]


_File = tuple[ArtifactKind, str, int, bytes | None, int | None]
"""An `Artifact`, its name in the run's folder, and its hash in 32 bytes."""


class _Document(NamedTuple):
    format: int
    metrics: dict[str, MetricSummary]
    files: list[_File]
    satellites: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Document).decode
_decode_satellites = msgspec.msgpack.Decoder(dict[str, dict[int, MetricSummary]]).decode


class _LazySatellites(FrozenMapping[str, FrozenMapping[str, MetricSummary]]):
    """The satellites of a run, decoded when somebody first looks.

    Threads that look at the same time may decode them twice, and get equal values.
    """

    __slots__ = ("_source",)

    def __init__(self, types: Iterable[str], encoded: msgspec.Raw) -> None:
        self._source: tuple[Iterable[str], msgspec.Raw] | None = (types, encoded)

    def __getattr__(self, name: str) -> Any:
        # Only called for what isn't set yet.
        if name != "_items":
            raise AttributeError(name)
        source = self._source
        if source is None:
            # Another thread has just set it.
            return object.__getattribute__(self, "_items")
        types = list(source[0])
        self._items = {
            satellite: FrozenMapping.of_own({types[place]: m for place, m in metrics.items()})
            for satellite, metrics in _decode_satellites(source[1]).items()
        }
        self._source = None
        return self._items

    def __reduce__(self) -> Any:
        return FrozenMapping, (dict(self._items),)


def parts_of(statistics: Iterable[Row], artifacts: Iterable[Row]) -> RunParts:
    """Return what the rows of a run say, whose values come in the order of their tables' columns.

    The run's id, which is the first of them, isn't looked at.
    """
    metrics: dict[str, MetricSummary] = {}
    satellites: dict[str, dict[str, MetricSummary]] = {}
    for _, satellite_id, metric_type, _, *numbers in sorted(statistics, key=_POSITION):
        summary = MetricSummary._make([*numbers, *NO_BOUNDS])
        of_one = (
            metrics if satellite_id == ALL_SATELLITES else satellites.setdefault(satellite_id, {})
        )
        of_one[metric_type] = with_bounds(summary) if summary.missed else summary
    # The last column names another store's folder, and no value has it.
    files = sorted(Artifact._make(row[1:6]) for row in artifacts)
    return RunParts(
        FrozenMapping.of_own(metrics),
        FrozenMapping.of_own({name: FrozenMapping.of_own(m) for name, m in satellites.items()}),
        tuple(files),
    )


def encode(run_id: str, parts: RunParts) -> bytes | None:
    """Return the document of a run.

    Returns:
        None if rows that no save writes are among what it is made of.
    """
    place_of = {name: place for place, name in enumerate(parts.metrics)}
    try:
        satellites = {
            name: {place_of[metric_type]: numbers for metric_type, numbers in _short(of_one)}
            for name, of_one in parts.satellites.items()
        }
        files = [_file(run_id, artifact) for artifact in parts.artifacts]
        content = _encode((_FORMAT, dict(_short(parts.metrics)), files, satellites))
    # KeyError: a satellite has a metric type that the run as a whole hasn't.
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if _MINUS_ZERO in content:
        return None
    return content + crc32(content).to_bytes(_CRC_BYTES, "little")


def _short(metrics: Mapping[str, MetricSummary]) -> Iterator[tuple[str, Row]]:
    """Yield (metric type, fields of its `MetricSummary`), without bounds where none was missed."""
    for metric_type, summary in metrics.items():
        yield metric_type, summary if summary.missed else summary[:_WITHOUT_BOUNDS]


def _file(run_id: str, artifact: Artifact) -> _File:
    kind, path, size, sha256, rows = artifact
    folder, _, name = path.partition("/")
    digest = None if sha256 is None else bytes.fromhex(sha256)
    if folder != run_id or (digest is not None and (len(digest), digest.hex()) != (32, sha256)):
        raise ValueError("no save writes such a file")
    return kind, name, size, digest, rows


def decode(run_id: str, document: bytes) -> RunParts | None:
    """Return what the document of a run tells, None if it is of another format or damaged."""
    if document[:2] != _BEGINNING or crc32(document) != _RESIDUE:
        return None
    try:
        _, metrics, files, satellites = _decode(memoryview(document)[:-_CRC_BYTES])
    except msgspec.MsgspecError:
        return None
    return RunParts(
        FrozenMapping.of_own(metrics),
        _LazySatellites(metrics, satellites),
        tuple(
            [
                Artifact(kind, f"{run_id}/{name}", size, digest and digest.hex(), rows)  # type: ignore[arg-type]
                for kind, name, size, digest, rows in files
            ]
        ),
    )


@kept()
def _write_sql() -> Any:
    return upsert(run_documents)


def write_document(connection: Connection, run_id: str, document: bytes | None) -> None:
    """Write the document of a run, all of whose rows have been written; None writes nothing.

    It comes last, because every row that is written later drops it.
    """
    if document is not None:
        connection.execute(_write_sql(), (run_id, document))


@kept()
def _delete_sql() -> Any:
    return delete(run_documents).where(run_documents.c.run_id == bindparam("run_id"))


def renew_document(connection: Connection, run_id: str) -> None:
    """Write the document of a run anew, from the rows that it has; none if it has none."""
    connection.execute(_delete_sql(), (run_id,))
    write_document(connection, run_id, encode(run_id, stored_parts(connection, run_id)))


@kept()
def _missing_sql() -> Any:
    document = run_documents.c.document
    beginning = func.substr(document, whole(1), whole(len(_BEGINNING)))
    return first(
        select(runs.c.run_id)
        .join_from(runs, run_documents, isouter=True)
        .where(runs.c.run_id > bindparam("after"))
        .where(or_(document.is_(None), beginning != bindparam("beginning")))
        .order_by(runs.c.run_id)
    )


def renew_missing_documents(connection: Connection, after: str, most: int) -> str | None:
    """Write the documents that runs lack, or have in another format, from their rows.

    Returns:
        The last run that was looked at, to go on after it; None if no run is left.
    """
    found = connection.execute(_missing_sql(), (after, _BEGINNING, most)).fetchall()
    for (run_id,) in found:
        renew_document(connection, run_id)
    return found[-1][0] if found else None


@kept()
def _document_sql() -> Any:
    document = run_documents.c
    return select(document.document).where(document.run_id == bindparam("run_id"))


def document_state(connection: Connection, run_id: str) -> DocumentState:
    """Return whether the document of a run says what its rows say; one snapshot is needed.

    Returns:
        ``missing`` also for one of another format, which isn't read.
    """
    stored = connection.execute(_document_sql(), (run_id,)).fetchone()
    return state_of(run_id, stored and stored[0], stored_parts(connection, run_id))


def state_of(run_id: str, stored: bytes | None, parts: RunParts) -> DocumentState:
    """Return, as `document_state`, whether the document *stored* says what the rows do."""
    right = encode(run_id, parts)
    if stored is None:
        return "right" if right is None else "missing"
    if stored == right:
        return "right"
    return "wrong" if stored.startswith(_BEGINNING) else "missing"


_COPIED: Final = ("statistics", "artifacts")


@kept(*({"table": table} for table in _COPIED))
def _rows_sql(*, table: str) -> Any:
    copied = metadata.tables[table]
    return select(copied).where(copied.c.run_id == bindparam("run_id"))


def stored_parts(connection: Connection, run_id: str) -> RunParts:
    """Return what the rows of a run say, by two statements; one snapshot is needed."""
    sqls = (_rows_sql(table=table) for table in _COPIED)
    return parts_of(*(connection.execute(sql, (run_id,)).fetchall() for sql in sqls))
