"""Summaries ↔ the JSON document of ``latency_summary.json``; pure.

Statistics without missed events have the keys that they always had. With some,
``missed`` follows, their number; a percentile that falls among them is null,
and a key such as ``p95_above_ms`` at the end says what it is above of.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import inf, isfinite
from typing import Any

import orjson

from astraguard_store.buckets import rank_of
from astraguard_store.checks import check_name
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import MetricSummary, RunSummary, epoch_us, utc_from_epoch_us

__all__ = [
    "AdoptedSummary",
    "local_timestamp",
    "parse_document",
    "parse_summary",
    "parse_timestamp",
    "render_document",
    "satellites_document",
    "statistics_document",
    "stats_document",
    "summary_document",
]

_METRIC_KEYS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms")
_SATELLITE_KEYS = ("count", "mean_ms", "p50_ms", "p95_ms", "max_ms")
_NUMBERS = MetricSummary._fields[:7]
_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


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
        for name in _PERCENTILES
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
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ArtifactReadError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactReadError(f"the root is no object but {type(document).__name__}")
    return document


@dataclass(frozen=True, slots=True)
class AdoptedSummary:
    """What an old summary file says of a run; the mappings as in `RunSummary`.

    Attributes:
        recorded_at_us: Microseconds since 1970, UTC, of the document's timestamp
            (local where it has no zone); None where there is none.
    """

    total_measurements: int
    metrics: dict[str, MetricSummary]
    satellites: dict[str, dict[str, MetricSummary]]
    recorded_at_us: int | None


def parse_summary(document: dict[str, Any]) -> AdoptedSummary:
    """Return the statistics in an old *document*.

    Raises:
        ArtifactReadError: Something is missing or of the wrong type; the message
            names it.
    """
    total = _count(document.get("total_measurements"), "total_measurements", at_least=0)
    stats = _object(document.get("stats"), "stats")
    by_satellite = _object(document.get("stats_by_satellite", {}), "stats_by_satellite")
    _names(stats, "stats")
    _names(by_satellite, "stats_by_satellite")
    for satellite, metrics in by_satellite.items():
        _names(
            _object(metrics, f"stats_by_satellite.{satellite}"), f"stats_by_satellite.{satellite}"
        )
    return AdoptedSummary(
        total,
        {name: _metric(values, f"stats.{name}", _METRIC_KEYS) for name, values in stats.items()},
        {
            satellite: {
                name: _metric(values, f"stats_by_satellite.{satellite}.{name}", _SATELLITE_KEYS)
                for name, values in metrics.items()
            }
            for satellite, metrics in by_satellite.items()
            # One without measurements has no row either.
            if metrics
        },
        parse_timestamp(document.get("timestamp")),
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


def _metric(values: object, where: str, needed: tuple[str, ...]) -> MetricSummary:
    numbers = _object(values, where)
    missed = numbers.get("missed")
    if missed is not None and missed != 0:
        return _metric_with_missed(numbers, where, needed)
    count, *durations = map(numbers.get, _NUMBERS)
    for name, value in zip(_NUMBERS[1:], durations, strict=True):
        # Nearly all are exact floats; asking a function for each takes twice as long.
        if not (type(value) is float and 0.0 <= value < inf) and (
            value is not None or name in needed
        ):
            _check_number(value, f"{where}.{name}")
    if int in map(type, durations):
        durations = [None if value is None else float(value) for value in durations]
    return MetricSummary(_count(count, f"{where}.count", at_least=1), *durations)  # type: ignore[arg-type]


def _metric_with_missed(
    numbers: dict[str, Any], where: str, needed: tuple[str, ...]
) -> MetricSummary:
    count = _count(numbers.get("count"), f"{where}.count", at_least=1)
    missed = _count(numbers["missed"], f"{where}.missed", at_least=1)
    if missed > count:
        raise ArtifactReadError(f"{where}.missed is {missed}, of {count} events")
    bounded = {name for name, q in _PERCENTILES.items() if rank_of(count, q) >= count - missed}
    # Of the two keys of a percentile, one must hold a number and the other nothing.
    empty = {f"{name}_ms" if name in bounded else f"{name}_above_ms" for name in _PERCENTILES}
    required = {"mean_ms", "max_ms", *needed} | {f"{name}_above_ms" for name in _PERCENTILES}
    if "p99_ms" not in needed:
        required -= {"p99_above_ms"}
    durations: dict[str, float | None] = {}
    for name in (*_NUMBERS[1:], *(f"{name}_above_ms" for name in _PERCENTILES)):
        value = numbers.get(name)
        if name in empty and value is not None:
            raise ArtifactReadError(
                f"{where}.{name} is {_shown(value)}, with {missed} of {count} events missed"
            )
        if value is not None or (name in required and name not in empty):
            _check_number(value, f"{where}.{name}")
        durations[name] = None if value is None else float(value)
    return MetricSummary(count=count, missed=missed, **durations)  # type: ignore[arg-type]


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactReadError(f"{where} is no object but {_shown(value)}")
    return value


def _shown(value: object) -> str:
    # Not the repr of a container: of one that is deep it fails, and of a large one it's long.
    if isinstance(value, str | int | float | None):
        return f"{value!r:.40}"
    return type(value).__name__


def _names(names: Iterable[str], where: str) -> None:
    for name in names:
        try:
            check_name(name, "name")
        except InvalidRunError as error:
            raise ArtifactReadError(f"{where}: {error}") from error


def _count(value: object, where: str, at_least: int) -> int:
    if type(value) is not int or not at_least <= value < 2**63:
        raise ArtifactReadError(f"{where} is no count but {_shown(value)}")
    return value


def _check_number(value: object, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ArtifactReadError(f"{where} is no number but {_shown(value)}")
    if value < 0:
        raise ArtifactReadError(f"{where} is negative: {_shown(value)}")
