"""Summaries ↔ the JSON document of ``latency_summary.json``; pure.

Statistics without missed events have the keys that they always had. With some,
``missed`` follows, their number; a percentile that falls among them is null, and
a key such as ``p95_above_ms`` at the end has its lower bound.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
import orjson

from astraguard_store.checks import check_name
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import (
    PERCENTILES,
    MetricSummary,
    RunSummary,
    epoch_us,
    rank_of,
    utc_from_epoch_us,
)

_METRIC_KEYS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms")
_SATELLITE_KEYS = ("count", "mean_ms", "p50_ms", "p95_ms", "max_ms")
# How many of the first fields of `MetricSummary` a file must have; `max_ms` always.
_OF_SATELLITE: Final = MetricSummary._fields.index("p99_ms")
_OF_RUN: Final = MetricSummary._fields.index("missed")
_NONE_MISSED: Final = (0, *(None for _ in PERCENTILES))
_LARGEST_INTEGER: Final = 2**63 - 1
_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]


class _Statistics(msgspec.Struct, kw_only=True):
    """The numbers of one metric type, in the order of `MetricSummary`; other keys may follow."""

    count: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_INTEGER)]
    mean_ms: _Milliseconds
    p50_ms: _Milliseconds | None = None
    p95_ms: _Milliseconds | None = None
    p99_ms: _Milliseconds | None = None
    min_ms: _Milliseconds | None = None
    max_ms: _Milliseconds
    missed: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INTEGER)] | None = None
    p50_above_ms: _Milliseconds | None = None
    p95_above_ms: _Milliseconds | None = None
    p99_above_ms: _Milliseconds | None = None


class _Summary(msgspec.Struct):
    """The document, as far as it is read; other keys may follow."""

    total_measurements: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INTEGER)]
    stats: dict[str, _Statistics]
    stats_by_satellite: dict[str, dict[str, _Statistics]] = {}
    timestamp: Any = None
    run_id: Any = None


class _OwnStatistics(_Statistics, forbid_unknown_fields=True):
    """The same, with no other keys."""


class _OwnSummary(msgspec.Struct, forbid_unknown_fields=True):
    """The whole document, as this store and the old class wrote it."""

    total_measurements: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INTEGER)]
    stats: dict[str, _OwnStatistics]
    stats_by_satellite: dict[str, dict[str, _OwnStatistics]] = {}
    timestamp: Any = None
    run_id: Any = None
    measurement_types: Any = None


_decode: Final = msgspec.json.Decoder(_OwnSummary).decode

_BELOW: Final[dict[str, tuple[Any, ...]]] = {
    "stats": (_Statistics,),
    "stats_by_satellite": (dict[str, _Statistics], _Statistics),
}
"""{field of `_Summary`: what the mappings in it hold, outermost first}."""


def stats_document(metrics: Mapping[str, MetricSummary]) -> dict[str, dict[str, Any]]:
    """Return the seven numbers of each metric type, in the old order; then what was missed."""
    return {
        metric_type: {
            "count": m.count,
            "mean_ms": m.mean_ms,
            "p50_ms": m.p50_ms,
            "p95_ms": m.p95_ms,
            "p99_ms": m.p99_ms,
            "max_ms": m.max_ms,
            "min_ms": m.min_ms,
            **(_missed_document(m, _METRIC_KEYS) if m.missed else {}),
        }
        for metric_type, m in metrics.items()
    }


def satellites_document(
    satellites: Mapping[str, Mapping[str, MetricSummary]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the five numbers of each satellite and metric type, likewise."""
    return {
        satellite_id: {
            metric_type: {
                "count": m.count,
                "mean_ms": m.mean_ms,
                "p50_ms": m.p50_ms,
                "p95_ms": m.p95_ms,
                "max_ms": m.max_ms,
                **(_missed_document(m, _SATELLITE_KEYS) if m.missed else {}),
            }
            for metric_type, m in metrics.items()
        }
        for satellite_id, metrics in satellites.items()
    }


def _missed_document(metric: MetricSummary, shown: Container[str]) -> dict[str, Any]:
    bounds = {
        f"{name}_above_ms": getattr(metric, f"{name}_above_ms")
        for name in PERCENTILES
        if f"{name}_ms" in shown
    }
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"missed": metric.missed, **known}


def statistics_document(
    total_measurements: int,
    metrics: Mapping[str, MetricSummary],
    satellites: Mapping[str, Mapping[str, MetricSummary]],
) -> dict[str, Any]:
    """Return the document without the run's name and time."""
    return {
        "total_measurements": total_measurements,
        "measurement_types": {metric_type: m.count for metric_type, m in metrics.items()},
        "stats": stats_document(metrics),
        "stats_by_satellite": satellites_document(satellites),
    }


def summary_document(summary: RunSummary, utc_offset_s: int) -> dict[str, Any]:
    """Return the whole document, a new one each time.

    Args:
        summary: The run.
        utc_offset_s: How far the local time of the machine that saved it is
            ahead of UTC, seconds; the document's time has no zone.
    """
    return {
        "run_id": summary.run_id,
        "timestamp": local_timestamp(summary.recorded_at, utc_offset_s),
        **statistics_document(summary.total_measurements, summary.metrics, summary.satellites),
    }


def copied(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what `summary_document` gave, which shares no dict with it."""
    return {
        **document,
        "measurement_types": document["measurement_types"].copy(),
        "stats": {name: numbers.copy() for name, numbers in document["stats"].items()},
        "stats_by_satellite": {
            satellite_id: {name: numbers.copy() for name, numbers in by_type.items()}
            for satellite_id, by_type in document["stats_by_satellite"].items()
        },
    }


# Asked for the same few runs again and again: 0.3 µs instead of 2.6.
@lru_cache(maxsize=1024)
def local_timestamp(time: datetime, utc_offset_s: int) -> str:
    """Return *time* as the old files have it: local, ISO 8601, no zone."""
    return (time + timedelta(seconds=utc_offset_s)).replace(tzinfo=None).isoformat()


def render_document(document: dict[str, Any]) -> bytes:
    """Return the document as JSON, laid out as by ``json.dump(…, indent=2)``.

    Not always in its bytes: orjson writes names outside ASCII as they are, and very small
    or, in some versions, large numbers in another way. What is read is the same.
    """
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def parse_document(content: bytes) -> dict[str, Any]:
    """Return the JSON object in *content*.

    Raises:
        ArtifactReadError: It is no JSON (NaN and Infinity are none either), or
            no object.
    """
    try:
        # What editors and old systems put around it.
        document = orjson.loads(content.removeprefix(codecs.BOM_UTF8).rstrip(b"\x1a\r\n"))
    except orjson.JSONDecodeError as error:
        raise ArtifactReadError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactReadError(f"the root is no object but {type(document).__name__}")
    return document


@dataclass(frozen=True, slots=True)
class AdoptedSummary:
    """What an old summary file says of a run; the mappings as in `RunSummary`.

    Attributes:
        timestamp: What the document has there, None for nothing; see `parse_timestamp`.
        run_id: The run that it names; None where it names none.
    """

    total_measurements: int
    metrics: dict[str, MetricSummary]
    satellites: dict[str, dict[str, MetricSummary]]
    timestamp: object
    run_id: object


def decoded_summary(content: bytes) -> AdoptedSummary | None:
    """Return what `parse_summary` does of the document that *content* is, in half the time.

    None where that may refuse it, or the document has other keys than ours: only the long
    way says why, and reads what is behind such keys.
    """
    try:
        return _adopted(_decode(content))
    # What isn't in Unicode is a ValueError, what is too deep a RecursionError.
    except (msgspec.MsgspecError, ValueError, RecursionError, ArtifactReadError):
        return None


def parse_summary(document: dict[str, Any]) -> AdoptedSummary:
    """Return the statistics in an old *document*.

    Raises:
        ArtifactReadError: Something is missing or of the wrong type; the message
            names it.
    """
    try:
        found = msgspec.convert(document, _Summary)
    except msgspec.ValidationError as error:
        raise ArtifactReadError(_explained(error, document)) from error
    return _adopted(found)


def _adopted(found: _Summary | _OwnSummary) -> AdoptedSummary:
    for satellite_id in found.stats_by_satellite:
        _check_name(satellite_id, "stats_by_satellite")
    return AdoptedSummary(
        found.total_measurements,
        _metrics(found.stats, "stats", _OF_RUN),
        {
            satellite_id: _metrics(metrics, f"stats_by_satellite.{satellite_id}", _OF_SATELLITE)
            for satellite_id, metrics in found.stats_by_satellite.items()
            # One without measurements has no row either.
            if metrics
        },
        found.timestamp,
        found.run_id,
    )


def parse_timestamp(timestamp: object) -> int | None:
    """Return the microseconds since 1970 of an ISO time; local where it names no zone."""
    if not isinstance(timestamp, str):
        return None
    try:
        return epoch_us(datetime.fromisoformat(timestamp).astimezone())
    except (ValueError, OverflowError, OSError):
        return None


def utc_offset_s(epoch_time_us: int) -> int:
    """Return how far this machine's local time is ahead of UTC at that time, seconds."""
    offset = utc_from_epoch_us(epoch_time_us).astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _metrics(
    by_type: Mapping[str, _Statistics], where: str, needed: int
) -> dict[str, MetricSummary]:
    metrics = {}
    for name, found in by_type.items():
        _check_name(name, where)
        numbers: tuple[Any, ...] = msgspec.structs.astuple(found)
        if not found.missed:
            # Without missed events the keys of bounds mean nothing, whatever they hold.
            numbers = numbers[:_OF_RUN] + _NONE_MISSED
        if found.missed or None in numbers[:needed]:
            _check_complete(found, f"{where}.{name}", MetricSummary._fields[:needed])
        # A third of the time of the class's own way.
        metrics[name] = tuple.__new__(MetricSummary, numbers)
    return metrics


def _check_complete(found: _Statistics, where: str, needed: Container[str]) -> None:
    """Raise `ArtifactReadError` unless each percentile has a number, or the bound of one."""
    missed = found.missed or 0
    if missed > found.count:
        raise ArtifactReadError(f"{where}.missed is {missed}, of {found.count} events")
    if found.min_ms is None and "min_ms" in needed:
        raise ArtifactReadError(f"{where}.min_ms is missing")
    for name, q in PERCENTILES.items():
        is_bound = rank_of(found.count, q) >= found.count - missed
        # Of the two keys, one must hold a number and the other nothing.
        for key, is_filled in ((f"{name}_ms", not is_bound), (f"{name}_above_ms", is_bound)):
            value = getattr(found, key)
            if value is None and is_filled and f"{name}_ms" in needed:
                raise ArtifactReadError(f"{where}.{key} is missing")
            if value is not None and missed and not is_filled:
                raise ArtifactReadError(
                    f"{where}.{key} is {value!r}, with {missed} of {found.count} events missed"
                )


def _check_name(name: str, where: str) -> None:
    try:
        _checked_name(name)
    except InvalidRunError as error:
        raise ArtifactReadError(f"{where}: {error}") from error


# The runs of a folder have the same names; what is refused isn't kept.
@lru_cache(maxsize=4096)
def _checked_name(name: str) -> str:
    return check_name(name, "name")


def _explained(error: msgspec.ValidationError, document: dict[str, Any]) -> str:
    """Return which key of *document* is wrong, what it holds and what is expected.

    msgspec's own message leaves out the keys of mappings.
    """
    path = str(error).partition(" - at `$.")[2]
    key, in_mapping, _ = path.partition("[...]")
    if in_mapping:
        return _first_fault(document[key], _BELOW[key], key)
    return _fault(error, document, "")


def _first_fault(values: dict[str, Any], kinds: tuple[Any, ...], where: str) -> str:
    for name, value in values.items():
        try:
            msgspec.convert(value, kinds[0])
        except msgspec.ValidationError as error:
            if "[...]" in str(error):
                return _first_fault(value, kinds[1:], f"{where}.{name}")
            return _fault(error, value, f"{where}.{name}")
    raise AssertionError(f"nothing is wrong below {where}")


def _fault(error: msgspec.ValidationError, value: Any, where: str) -> str:
    expected, _, path = str(error).partition(" - at `$.")
    key = path.rstrip("`")
    place = ".".join(filter(None, (where, key))) or "the document"
    if expected.startswith("Object missing"):
        return f"{place} has no {expected.split('`')[1]}"
    return f"{place} is {_shown(value[key] if key else value)}: {_in_words(expected)}"


_WORDS: Final = {
    "float": "a number",
    "float | null": "a number or null",
    "int": "an integer",
    "int | null": "an integer or null",
    "object": "an object",
    "array": "a list",
    "str": "a text",
    "bool": "a truth value",
}


def _in_words(expected: str) -> str:
    """Return what msgspec expected, types by the names that JSON has for them."""
    text = re.sub(r"`([^`]+)`", lambda found: _WORDS.get(found[1], found[1]), expected)
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    # Not the repr of a container: of one that is deep it fails, and of a large one it's long.
    if isinstance(value, str | int | float | None):
        return f"{value!r:.40}"
    return "a list" if isinstance(value, list) else "an object"
