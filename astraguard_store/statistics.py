"""Columns → statistics; pure.

Two roads give the same numbers to the last bit: plain Python for small runs
(and where polars can't be used), polars for the others. The mean is the plain
left-to-right sum in recording order over the count, as the old class had it on
Python 3.11; `sum()` of later Pythons rounds differently, so it isn't used.

A missed event counts as what was waited for it, but comes last in the order of
the percentiles: one that falls among the missed is a bound and no number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import fsum, isfinite
from typing import TYPE_CHECKING, NamedTuple, Protocol

from astraguard_store.buckets import (
    Bucket,
    bucket_of,
    bucket_rows,
    count_by_bucket,
    counts_between,
    rank_of,
    upper_boundaries,
)
from astraguard_store.columns import Columns, polars_pays, series
from astraguard_store.model import MetricSummary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RunStatistics", "summarize"]

_BATCH_ROWS = 65_536
# Up to so many groups, picking out each of them is faster than splitting by
# group (100,000 rows: 22 against 33 ms with 6 groups), and takes a third of the memory.
_FILTERED_GROUPS = 64


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """The statistics of one snapshot, names in the order of their first measurement.

    Attributes:
        total_measurements: Number of events, the missed ones among them.
        metrics: {metric type: statistics over all satellites}.
        satellites: {satellite: {metric type: statistics}}.
        metric_buckets: {metric type: its durations in buckets, in their order}.
        satellite_buckets: {satellite: {metric type: the same}}; empty unless asked for.
    """

    total_measurements: int
    metrics: dict[str, MetricSummary]
    satellites: dict[str, dict[str, MetricSummary]]
    metric_buckets: dict[str, tuple[Bucket, ...]] = field(default_factory=dict)
    satellite_buckets: dict[str, dict[str, tuple[Bucket, ...]]] = field(default_factory=dict)


class _Group(NamedTuple):
    """What is said of the events of one metric type, or of one on one satellite."""

    summary: MetricSummary
    buckets: tuple[Bucket, ...]


Groups = dict[int, _Group]
Waits = dict[int, list[float]]


class _Codes(NamedTuple):
    """What the label numbers in the rows stand for, by label number.

    Attributes:
        satellites: First label number of the same metric type and satellite:
            measured and missed events have different ones.
        types: First label number of the same metric type.
    """

    satellites: list[int]
    types: list[int]

    @classmethod
    def of(cls, columns: Columns) -> _Codes:
        first_labels: dict[tuple[str, str], int] = {}
        first_types: dict[str, int] = {}
        for code, label in enumerate(columns.labels):
            first_labels.setdefault(label, code)
            first_types.setdefault(label[0], code)
        return cls(
            [first_labels[label] for label in columns.labels],
            [first_types[metric_type] for metric_type, _ in columns.labels],
        )


def summarize(columns: Columns, *, satellite_buckets: bool = False) -> RunStatistics:
    """Return the statistics of *columns*, by metric type and by satellite and metric type.

    Args:
        columns: What was recorded.
        satellite_buckets: Whether to fill buckets for each satellite too; a
            metric type takes 40 µs on each.
    """
    summaries = _by_polars if polars_pays(columns.rows) else _in_python
    by_type, by_label = summaries(columns, _Codes.of(columns), satellite_buckets)
    satellites: dict[str, dict[str, MetricSummary]] = {}
    buckets: dict[str, dict[str, tuple[Bucket, ...]]] = {}
    for code, group in by_label.items():
        metric_type, satellite_id = columns.labels[code]
        satellites.setdefault(satellite_id, {})[metric_type] = group.summary
        if satellite_buckets:
            buckets.setdefault(satellite_id, {})[metric_type] = group.buckets
    types = {columns.labels[code][0]: group for code, group in by_type.items()}
    return RunStatistics(
        columns.rows,
        {metric_type: group.summary for metric_type, group in types.items()},
        satellites,
        {metric_type: group.buckets for metric_type, group in types.items()},
        buckets,
    )


def _in_python(columns: Columns, codes: _Codes, label_buckets: bool) -> tuple[Groups, Groups]:
    by_label: list[list[float]] = [[] for _ in codes.satellites]
    by_type: list[list[float]] = [[] for _ in codes.types]
    # Bound methods: finding the lists again for each row takes half as long again.
    add = [
        (by_label[of_label].append, by_type[of_type].append)
        for of_label, of_type in zip(*codes, strict=True)
    ]
    first_seen: dict[int, None] = {}
    missed: list[tuple[int, float]] = []
    for batch in columns.batches(_BATCH_ROWS):
        first_seen.update(dict.fromkeys(batch.codes))
        for code, duration in zip(batch.codes, batch.durations_ms, strict=True):
            add_to_label, add_to_type = add[code]
            add_to_label(duration)
            add_to_type(duration)
        if columns.missed_codes:
            rows = zip(batch.codes, batch.durations_ms, strict=True)
            missed += [row for row in rows if row[0] in columns.missed_codes]
    types = dict.fromkeys(codes.types[code] for code in first_seen)
    labels = dict.fromkeys(codes.satellites[code] for code in first_seen)
    of_type, of_label = _waits(missed, codes.types), _waits(missed, codes.satellites)
    return (
        {code: _summary(by_type[code], of_type.get(code, ()), True) for code in types},
        {code: _summary(by_label[code], of_label.get(code, ()), label_buckets) for code in labels},
    )


def _waits(missed: Iterable[tuple[int, float]], groups: list[int]) -> Waits:
    """Return what was waited in each group, sorted, of (label number, wait) pairs."""
    waits: Waits = {}
    for code, waited_ms in missed:
        waits.setdefault(groups[code], []).append(waited_ms)
    return {group: sorted(of_group) for group, of_group in waits.items()}


def _summary(durations: Sequence[float], waits: Sequence[float], with_buckets: bool) -> _Group:
    n = len(durations)
    total = deque(accumulate(durations), maxlen=1)[0]
    ordered = sorted(durations)
    mean_ms = total / n if isfinite(total) else _mean_of_huge(ordered)
    return _Group(
        _with_order_statistics(n, mean_ms, ordered, waits),
        bucket_rows(count_by_bucket(ordered), waits) if with_buckets else (),
    )


def _mean_of_huge(ordered: Sequence[float]) -> float:
    """Return the mean of durations whose sum is beyond the largest double."""
    least, n = ordered[0], len(ordered)
    return min(least + fsum((value - least) / n for value in ordered), ordered[-1])


def _by_polars(columns: Columns, codes: _Codes, label_buckets: bool) -> tuple[Groups, Groups]:
    import polars as pl

    parts: list[pl.Series] = []
    durations: list[pl.Series] = []
    for batch in columns.batches(_BATCH_ROWS):
        parts.append(series(batch.codes, pl.Int64).cast(pl.Int32))
        durations.append(series(batch.durations_ms, pl.Float64))
    code, duration = pl.concat(parts, rechunk=True), pl.concat(durations, rechunk=True)
    parts.clear()
    durations.clear()
    of_type, of_label = {}, {}
    if columns.missed_codes:
        is_missed = code.is_in(list(columns.missed_codes))
        missed = list(zip(code.filter(is_missed), duration.filter(is_missed), strict=True))
        of_type, of_label = _waits(missed, codes.types), _waits(missed, codes.satellites)
    types = pl.Series(codes.types, dtype=pl.Int32).gather(code)
    if codes.satellites != list(range(len(codes.satellites))):
        code = pl.Series(codes.satellites, dtype=pl.Int32).gather(code)
    by_label = _grouped(code, duration, of_label, label_buckets)
    return _grouped(types, duration, of_type, True), by_label


def _grouped(codes: pl.Series, durations: pl.Series, waits: Waits, with_buckets: bool) -> Groups:
    """Return what is said of the durations of each code, in the order of first appearance."""
    import polars as pl

    distinct = codes.unique(maintain_order=True).to_list()
    if len(distinct) <= _FILTERED_GROUPS:
        return {
            code: _summary_of(durations.filter(codes == code), waits.get(code, ()), with_buckets)
            for code in distinct
        }
    parts = pl.DataFrame({"code": codes, "duration": durations}).partition_by(
        "code", as_dict=True, maintain_order=True, include_key=False
    )
    return {
        code: _summary_of(part["duration"], waits.get(code, ()), with_buckets)
        for (code,), part in parts.items()
    }


def _summary_of(durations: pl.Series, waits: Sequence[float], with_buckets: bool) -> _Group:
    # One thread: the others are formatting the CSV.
    ordered = durations.sort(multithreaded=False)
    n = len(ordered)
    # cum_sum adds from left to right; sum() doesn't.
    total = float(durations.cum_sum()[-1])
    mean_ms = total / n if isfinite(total) else _mean_of_huge(ordered.to_list())
    return _Group(
        _with_order_statistics(n, mean_ms, ordered, waits),
        bucket_rows(_count_by_bucket(ordered), waits) if with_buckets else (),
    )


def _count_by_bucket(ordered: pl.Series) -> dict[int, int]:
    import polars as pl

    first, last = bucket_of(ordered[0]), bucket_of(ordered[-1])
    boundaries = pl.Series(upper_boundaries(first, last), dtype=pl.Float64)
    ends = ordered.search_sorted(boundaries, side="right").to_list()
    return counts_between(first, [*ends, len(ordered)])


class _Ordered(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> float: ...


def _with_order_statistics(
    n: int, mean_ms: float, ordered: _Ordered, waits: Sequence[float]
) -> MetricSummary:
    if waits:
        return _with_bounds(n, mean_ms, ordered, waits)
    # Adding 0.0 turns -0.0 into 0.0, which is what SQLite makes of it.
    return MetricSummary(
        n,
        mean_ms + 0.0,
        ordered[n // 2] + 0.0,
        ordered[int(n * 0.95)] + 0.0,
        ordered[int(n * 0.99)] + 0.0,
        ordered[0] + 0.0,
        ordered[n - 1] + 0.0,
    )


def _with_bounds(
    n: int, mean_ms: float, ordered: _Ordered, waits: Sequence[float]
) -> MetricSummary:
    """Return the statistics of *ordered* events, the missed ones among them at their *waits*."""
    measured = n - len(waits)

    def percentile(q: float) -> tuple[float | None, float | None]:
        rank = rank_of(n, q)
        if rank < measured:
            return _measured(ordered, waits, rank), None
        return None, ordered[rank] + 0.0

    p50_ms, p50_above_ms = percentile(0.5)
    p95_ms, p95_above_ms = percentile(0.95)
    p99_ms, p99_above_ms = percentile(0.99)
    return MetricSummary(
        n,
        mean_ms + 0.0,
        p50_ms,
        p95_ms,
        p99_ms,
        ordered[0] + 0.0,
        ordered[n - 1] + 0.0,
        len(waits),
        p50_above_ms,
        p95_above_ms,
        p99_above_ms,
    )


def _measured(ordered: _Ordered, waits: Sequence[float], rank: int) -> float:
    """Return the number of that rank among *ordered* without *waits*; both are sorted."""

    def is_reached(position: int) -> bool:
        value = ordered[position]
        return bisect_right(ordered, value) - bisect_right(waits, value) > rank

    # Of the measured ones none with a lower rank lies further on.
    return ordered[bisect_left(range(len(ordered)), True, lo=rank, key=is_reached)] + 0.0
