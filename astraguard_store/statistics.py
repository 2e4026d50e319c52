"""Columns → statistics; pure.

The mean is the plain left-to-right sum in recording order over the count, to the last
bit, as the old class had it on Python 3.11: `sum()` of later Pythons and NumPy's own
round differently, `bincount` adds one weight after the other.

A missed event counts as what was waited for it, but comes last in the order of
the percentiles: one that falls among the missed is a bound and no number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from astraguard_store.buckets import BucketColumns, count_by_bucket
from astraguard_store.columns import Columns
from astraguard_store.model import PERCENTILES, MetricSummary, rank_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_ROWS = 65_536
# In memory these take 46 bytes a row.
_LONG_ROWS = 2**20
# Label numbers of two bytes are sorted in one pass each, ten times as fast as longer ones.
_TWO_BYTES = 2**16


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
    metric_buckets: dict[str, BucketColumns] = field(default_factory=dict)
    satellite_buckets: dict[str, dict[str, BucketColumns]] = field(default_factory=dict)


class _Group(NamedTuple):
    """What is said of the events of one metric type, or of one on one satellite."""

    summary: MetricSummary
    buckets: BucketColumns | None


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
    is_long = columns.is_in_file and columns.rows >= _LONG_ROWS
    by_label, by_type = (_of_file if is_long else _in_memory)(columns, satellite_buckets)
    satellites: dict[str, dict[str, MetricSummary]] = {}
    buckets: dict[str, dict[str, BucketColumns]] = {}
    for code, group in by_label.items():
        metric_type, satellite_id = columns.labels[code]
        satellites.setdefault(satellite_id, {})[metric_type] = group.summary
        if group.buckets:
            buckets.setdefault(satellite_id, {})[metric_type] = group.buckets
    types = {columns.labels[code][0]: group for code, group in by_type.items()}
    return RunStatistics(
        columns.rows,
        {metric_type: group.summary for metric_type, group in types.items()},
        satellites,
        {name: group.buckets for name, group in types.items() if group.buckets},
        buckets,
    )


def _in_memory(columns: Columns, satellite_buckets: bool) -> tuple[Groups, Groups]:
    """Return what is said of each metric type on each satellite, and of each metric type."""
    of_labels = _Codes.of(columns)
    codes, durations_ms = _arrays(columns)
    missed = _missed(columns, codes, durations_ms)
    by_label = _grouped(
        codes,
        of_labels.satellites,
        durations_ms,
        _waits(missed, of_labels.satellites),
        satellite_buckets,
    )
    by_type = _grouped(codes, of_labels.types, durations_ms, _waits(missed, of_labels.types), True)
    return by_label, by_type


def _of_file(columns: Columns, satellite_buckets: bool) -> tuple[Groups, Groups]:
    """Return the same of rows that memory may be too small for.

    Raises:
        ArtifactWriteError: There is no room for a temporary file.
    """
    from astraguard_store.long_statistics import LongColumns

    long = LongColumns(columns, _Codes.of(columns))
    by_label, by_type = (
        {
            code: _Group(summary, buckets)
            for code, summary, buckets in long.groups(place, with_buckets=with_buckets)
        }
        for place, with_buckets in enumerate((satellite_buckets, True))
    )
    return by_label, by_type


def _arrays(columns: Columns) -> tuple[NDArray[np.unsignedinteger], NDArray[np.float64]]:
    """Return the label numbers and the durations, ms, of all rows."""
    # Imported where it is called, for who only records or reads.
    import numpy as np

    small = len(columns.labels) <= _TWO_BYTES
    codes: NDArray[np.unsignedinteger] = np.empty(columns.rows, np.uint16 if small else np.uint32)
    durations_ms = np.empty(columns.rows)
    start = 0
    for batch in columns.batches(_BATCH_ROWS):
        end = start + len(batch.codes)
        codes[start:end] = batch.codes
        durations_ms[start:end] = batch.durations_ms
        start = end
    return codes, durations_ms


def _missed(
    columns: Columns, codes: NDArray[np.unsignedinteger], durations_ms: NDArray[np.float64]
) -> list[tuple[int, float]]:
    """Return (label number, wait in ms) of each missed event."""
    import numpy as np

    if not columns.missed_codes:
        return []
    missed = np.isin(codes, list(columns.missed_codes))
    return list(zip(codes[missed].tolist(), durations_ms[missed].tolist(), strict=True))


def _waits(missed: Iterable[tuple[int, float]], groups: list[int]) -> Waits:
    """Return what was waited in each group, sorted, of (label number, wait) pairs."""
    waits: Waits = {}
    for code, waited_ms in missed:
        waits.setdefault(groups[code], []).append(waited_ms)
    return {group: sorted(of_group) for group, of_group in waits.items()}


def _grouped(
    codes: NDArray[np.unsignedinteger],
    groups: Sequence[int],
    durations_ms: NDArray[np.float64],
    waits: Waits,
    with_buckets: bool,
) -> Groups:
    """Return what is said of the durations of each group, in the order of first appearance.

    Args:
        codes: The label number of each duration.
        groups: The group of each label number.
        durations_ms: In recording order.
        waits: What was waited for missed events, sorted, of groups that have some.
        with_buckets: Whether to fill buckets.
    """
    import numpy as np

    if groups != list(range(len(groups))):
        codes = np.array(groups, codes.dtype)[codes]
    counts = np.bincount(codes)
    # One after the other, so the sum is that of the recording order.
    totals = np.bincount(codes, weights=durations_ms)
    by_group = codes.argsort(kind="stable")
    ordered = durations_ms[by_group]
    present = counts.nonzero()[0]
    starts = counts.cumsum()[present] - counts[present]
    by_appearance = by_group[starts].argsort()
    del by_group
    present, starts = present[by_appearance], starts[by_appearance]
    n = counts[present]
    parts = [ordered[i : i + k] for i, k in zip(starts.tolist(), n.tolist(), strict=True)]
    for part in parts:
        part.sort()
    # Adding 0.0 turns -0.0 into 0.0, which is what SQLite makes of it.
    means = totals[present] / n + 0.0
    # `rank_of`, of all groups at once.
    ranks = [(n * q).astype(np.intp) for q in PERCENTILES.values()]
    numbers = ordered[[*(starts + rank for rank in ranks), starts, starts + n - 1]] + 0.0
    summaries = map(MetricSummary, n.tolist(), means.tolist(), *numbers.tolist())
    found: Groups = {}
    for group, summary, part in zip(present.tolist(), summaries, parts, strict=True):
        of_group = waits.get(group, ())
        if of_group or not isfinite(summary.mean_ms):
            summary = _summary_of_odd(summary, part.tolist(), of_group)
        found[group] = _Group(summary, count_by_bucket(part, of_group) if with_buckets else None)
    return found


def _summary_of_odd(
    summary: MetricSummary, ordered: list[float], waits: Sequence[float]
) -> MetricSummary:
    """Return *summary* with what a missed event, or a sum beyond the largest double, changes."""
    if not isfinite(summary.mean_ms):
        summary = summary._replace(mean_ms=_mean_of_huge(ordered))
    return _with_bounds(summary, ordered, waits) if waits else summary


def _mean_of_huge(ordered: Sequence[float]) -> float:
    """Return the mean of durations whose sum is beyond the largest double."""
    least, n = ordered[0], len(ordered)
    return min(least + fsum((value - least) / n for value in ordered), ordered[-1])


def _with_bounds(
    summary: MetricSummary, ordered: Sequence[float], waits: Sequence[float]
) -> MetricSummary:
    """Return *summary* of *ordered* events, the missed ones among them at their *waits*."""
    measured = summary.count - len(waits)
    found: dict[str, Any] = {"missed": len(waits)}
    for name, q in PERCENTILES.items():
        rank = rank_of(summary.count, q)
        is_bound = rank >= measured
        found[f"{name}_ms"] = None if is_bound else _measured(ordered, waits, rank)
        found[f"{name}_above_ms"] = ordered[rank] + 0.0 if is_bound else None
    return summary._replace(**found)


def _measured(ordered: Sequence[float], waits: Sequence[float], rank: int) -> float:
    """Return the number of that rank among *ordered* without *waits*; both are sorted."""

    def is_reached(position: int) -> bool:
        value = ordered[position]
        return bisect_right(ordered, value) - bisect_right(waits, value) > rank

    # Of the measured ones none with a lower rank lies further on.
    return ordered[bisect_left(range(len(ordered)), True, lo=rank, key=is_reached)] + 0.0
