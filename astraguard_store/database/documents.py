"""The rows of a run packed into one value, its document, and what a document tells; pure.

A document is a copy of a run's rows of three tables, statistics and files: one value
to read instead of some 20, as exact as they are and half their size. What can't be
packed has none, and is read from its rows. The satellites are unpacked when somebody
first looks at them: they are most of a document, and few who get a run ask for them.

Format 1, little-endian, one after the other: a head; the names of the metric types and
of the satellites; where not every satellite has every type in this order, how many each
has, and which; the files; the numbers of the metric types, then of the satellites. These
are columns: counts; missed events, if there are any; mean, median, p95 and max; p99 and
min, unless these are known to be none, or the max.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple

from astraguard_store.model import (
    Artifact,
    ArtifactKind,
    FrozenMapping,
    MetricSummary,
    with_bounds,
)

__all__ = ["RunParts", "decode", "encode"]

Row = tuple[Any, ...]

_VERSION: Final = 1
_ALL, _NONE, _AS_MAX = range(3)
_INTEGERS: Final = ("", "H", "Q")
_FILE: Final = struct.Struct("<BIi32s")
_NO_HASH: Final = bytes(32)
# SQLite stores it as 0.0.
_MINUS_ZERO: Final = struct.pack("<d", -0.0)
# In a document a file is the place of its name here: names are only ever added at the end.
_FILES: Final[tuple[tuple[ArtifactKind, str], ...]] = (
    ("raw_csv", "latency_raw.csv"),
    ("raw_csv", "latency_raw.csv.gz"),
    ("raw_csv", "latency_raw.csv.zst"),
    ("raw_parquet", "latency_raw.parquet"),
    ("summary_json", "latency_summary.json"),
    ("summary_json", "latency_summary.json.gz"),
    ("summary_json", "latency_summary.json.zst"),
)
_PLACES: Final = {file: place for place, file in enumerate(_FILES)}
_frozen = FrozenMapping.of_own


class RunParts(NamedTuple):
    """What a document tells of its run: attributes of `RunSummary`."""

    metrics: FrozenMapping[str, MetricSummary]
    satellites: FrozenMapping[str, FrozenMapping[str, MetricSummary]]
    artifacts: tuple[Artifact, ...]


class _UnpackableError(Exception):
    """The rows can't be packed."""


class _Form(NamedTuple):
    """How the numbers of some rows are packed: for each column how, or in how many bytes."""

    rows: int
    counts: int
    """Place in `_INTEGERS`, as of `missed`."""
    missed: int
    p99: int
    least: int

    @classmethod
    def of(cls, columns: Sequence[tuple[Any, ...]]) -> _Form:
        """Return the shortest form of *columns*, those of statistics in their order."""
        counts, _, _, _, p99, least, largest, missed = columns
        return cls(
            len(counts),
            1 if max(counts) < 2**16 else 2,
            0 if not any(missed) else 1 if max(missed) < 2**16 else 2,
            _AS_MAX if p99 == largest else _none_or_all(p99),
            _none_or_all(least),
        )

    @lru_cache(maxsize=64)  # noqa: B019 - of a tuple of numbers
    def structure(self) -> struct.Struct:
        """Return how the bytes are laid: the same for all runs of a rig."""
        integers = "".join(
            f"{self.rows}{_INTEGERS[way]}" for way in (self.counts, self.missed) if way
        )
        columns = 4 + (self.p99 == _ALL) + (self.least == _ALL)
        return struct.Struct(f"<{integers}{columns * self.rows}d")

    def packed(self, columns: Sequence[tuple[Any, ...]]) -> bytes:
        """Return the bytes of *columns*."""
        counts, mean, p50, p95, p99, least, largest, missed = columns
        values = [*counts, *(missed if self.missed else ()), *mean, *p50, *p95, *largest]
        values += p99 if self.p99 == _ALL else ()
        values += least if self.least == _ALL else ()
        numbers = self.structure().pack(*values)
        if _MINUS_ZERO in numbers:
            raise _UnpackableError
        return numbers

    def summaries(self, values: tuple[Any, ...]) -> list[MetricSummary]:
        """Return the statistics of each row; the loops are C's, for it is most of a document."""
        columns = self._columns()(values + (0,) * self.rows + (None,) * self.rows)
        rows = zip(*columns)  # noqa: B905
        summaries = list(map(tuple.__new__, repeat(MetricSummary), rows))
        if self.missed:
            return [with_bounds(summary) if summary.missed else summary for summary in summaries]
        return summaries

    @lru_cache(maxsize=64)  # noqa: B019 - as above
    def _columns(self) -> itemgetter[Any]:
        """Return what takes the columns of `MetricSummary` out of all values, zeros and Nones."""
        n = self.rows
        packed = 5 + bool(self.missed) + (self.p99 == _ALL) + (self.least == _ALL)
        *starts, zeros, nones = range(0, (packed + 2) * n, n)
        rest = iter(starts)
        counts = next(rest)
        missed = next(rest) if self.missed else zeros
        mean, p50, p95, largest = next(rest), next(rest), next(rest), next(rest)
        p99 = next(rest) if self.p99 == _ALL else largest if self.p99 == _AS_MAX else nones
        least = next(rest) if self.least == _ALL else nones
        columns = (counts, mean, p50, p95, p99, least, largest, missed, nones, nones, nones)
        return itemgetter(*(slice(start, start + n) for start in columns))


_HEAD: Final = struct.Struct("<BBHHHBBBBHBBBB")
_ENDS: Final = struct.Struct("<BBHH")
"""The beginning of the head: format, number of files, bytes of names, of names and places."""


def encode(
    run_id: str, metrics: Iterable[Row], satellites: Iterable[Row], artifacts: Iterable[Row]
) -> bytes | None:
    """Return the document of rows, whose values come in the order of their tables' columns.

    Returns:
        None if they can't be packed: there is none, or one that no save writes.
    """
    try:
        return _encoded(run_id, metrics, satellites, artifacts)
    except (_UnpackableError, struct.error, TypeError, ValueError):
        return None


def _encoded(
    run_id: str, metrics: Iterable[Row], satellites: Iterable[Row], artifacts: Iterable[Row]
) -> bytes:
    of_types = sorted(metrics, key=itemgetter(2))
    by_satellite: dict[str, list[Row]] = {}
    for row in sorted(satellites, key=itemgetter(3)):
        by_satellite.setdefault(row[1], []).append(row)
    of_satellites = list(chain.from_iterable(by_satellite.values()))
    types = [row[1] for row in of_types]
    names = "\0".join([*types, *by_satellite]).encode()
    places = _places(types, [[row[2] for row in rows] for rows in by_satellite.values()])
    files = [_packed_file(run_id, row) for row in sorted(artifacts)]
    first = list(zip(*(row[3:] for row in of_types), strict=True))
    second = list(zip(*(row[4:] for row in of_satellites), strict=True))
    forms = _Form.of(first), _Form.of(second)
    ends = len(names), len(names) + len(places)
    return b"".join(
        (
            _HEAD.pack(_VERSION, len(files), *ends, *forms[0], *forms[1]),
            names,
            places,
            *files,
            forms[0].packed(first),
            forms[1].packed(second),
        )
    )


def _none_or_all(column: tuple[float | None, ...]) -> int:
    missing = column.count(None)
    if missing and missing < len(column):
        raise _UnpackableError
    return _NONE if missing else _ALL


def _places(types: list[str], of_each: list[list[str]]) -> bytes:
    """Return of each satellite the number of its types, and their places in *types*."""
    if all(measured == types for measured in of_each):
        return b""
    place_of = {name: place for place, name in enumerate(types)}
    if not place_of.keys() >= set(chain.from_iterable(of_each)):
        raise _UnpackableError
    flat = [n for some in of_each for n in (len(some), *map(place_of.__getitem__, some))]
    return struct.pack(f"<{len(flat)}H", *flat)


def _packed_file(run_id: str, row: Row) -> bytes:
    _, kind, path, size, sha256, rows = row
    folder, _, name = path.partition("/")
    digest = _NO_HASH if sha256 is None else bytes.fromhex(sha256)
    if folder != run_id or (kind, name) not in _PLACES or sha256 != _hex(digest):
        raise _UnpackableError
    return _FILE.pack(_PLACES[kind, name], size, -1 if rows is None else rows, digest)


def _hex(digest: bytes) -> str | None:
    return None if digest == _NO_HASH else digest.hex()


class _Plan(NamedTuple):
    """What a document's beginning says of the rest: the same for all runs of a rig."""

    types: list[str]
    satellites: list[tuple[str, list[str]]]
    of_types: _Form
    of_satellites: _Form
    numbers_of_types: struct.Struct
    numbers_of_satellites: struct.Struct
    at_types: int
    at_satellites: int
    size: int


class _Packed(FrozenMapping[str, FrozenMapping[str, MetricSummary]]):
    """The satellites of a run, unpacked when one first looks.

    Threads that look at the same time may unpack it twice, and get equal values.
    """

    __slots__ = ("_source",)

    def __init__(self, plan: _Plan, document: bytes) -> None:
        self._source: tuple[_Plan, bytes] | None = (plan, document)

    def __getattr__(self, name: str) -> Any:
        # Only asked for what isn't set yet.
        if name != "_items":
            raise AttributeError(name)
        source = self._source
        if source is None:
            return object.__getattribute__(self, "_items")
        plan, document = source
        values = plan.numbers_of_satellites.unpack_from(document, plan.at_satellites)
        # Each zip takes as many as it has names.
        summaries = iter(plan.of_satellites.summaries(values))
        self._items = {
            name: _frozen(dict(zip(measured, summaries)))  # noqa: B905
            for name, measured in plan.satellites
        }
        self._source = None
        return self._items

    def __reduce__(self) -> Any:
        return FrozenMapping, (dict(self._items),)


def decode(run_id: str, document: bytes) -> RunParts | None:
    """Return what the document of a run tells, None if it is of another format or damaged."""
    try:
        if document[0] != _VERSION:
            return None
        _, _, _, end = _ENDS.unpack_from(document)
        beginning = _HEAD.size + end
        plan = _plan(document[:beginning])
        if len(document) != plan.size:
            return None
        values = plan.numbers_of_types.unpack_from(document, plan.at_types)
        return RunParts(
            _frozen(dict(zip(plan.types, plan.of_types.summaries(values), strict=True))),
            _Packed(plan, document),
            _files(run_id, document[beginning : plan.at_types]),
        )
    # StopIteration: it has fewer places than its numbers of types ask for.
    except (struct.error, IndexError, StopIteration, ValueError):
        return None


def _files(run_id: str, packed: bytes) -> tuple[Artifact, ...]:
    files = []
    for place, size, rows, digest in _FILE.iter_unpack(packed):
        kind, name = _FILES[place]
        file = (kind, f"{run_id}/{name}", size, _hex(digest), None if rows < 0 else rows)
        # Half the time of the class's own ways.
        files.append(tuple.__new__(Artifact, file))
    return tuple(files)


@lru_cache(maxsize=64)
def _plan(beginning: bytes) -> _Plan:
    _, files, at_places, _, *forms = _HEAD.unpack_from(beginning)
    of_types, of_satellites = _Form._make(forms[:5]), _Form._make(forms[5:])
    packed_names = beginning[_HEAD.size : _HEAD.size + at_places]
    packed_places = beginning[_HEAD.size + at_places :]
    names = packed_names.decode().split("\0")
    types, satellites = names[: of_types.rows], names[of_types.rows :]
    of_each = [types] * len(satellites)
    if packed_places:
        places = iter(struct.unpack(f"<{len(packed_places) // 2}H", packed_places))
        of_each = [[types[next(places)] for _ in range(next(places))] for _ in satellites]
    if sum(map(len, of_each)) != of_satellites.rows:
        raise ValueError("it names other rows than it has")
    of_numbers = of_types.structure(), of_satellites.structure()
    at_types = len(beginning) + files * _FILE.size
    at_satellites = at_types + of_numbers[0].size
    return _Plan(
        types,
        list(zip(satellites, of_each, strict=True)),
        of_types,
        of_satellites,
        *of_numbers,
        at_types,
        at_satellites,
        at_satellites + of_numbers[1].size,
    )
