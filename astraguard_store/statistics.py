"""Columns → statistics; pure.

Two roads give the same numbers to the last bit: plain Python for small runs
(and where polars can't be used), polars for the others. The mean is the plain
left-to-right sum in recording order over the count, as the old class had it on
Python 3.11; `sum()` of later Pythons rounds differently, so it isn't used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import fsum, isfinite
from typing import TYPE_CHECKING

from astraguard_store.columns import Columns, polars_pays, series
from astraguard_store.model import MetricSummary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RunStatistics", "summarize"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """The statistics of one snapshot, names in the order of their first measurement."""

    total_measurements: int
    metrics: dict[str, MetricSummary]
    satellites: dict[str, dict[str, MetricSummary]]


def summarize(columns: Columns) -> RunStatistics:
    """Return the statistics of *columns*, by metric type and by satellite and metric type."""
    metric_types = list(dict.fromkeys(metric_type for metric_type, _ in columns.labels))
    type_codes = [metric_types.index(metric_type) for metric_type, _ in columns.labels]
    summaries = _by_polars if polars_pays(columns.rows) else _in_python
    by_type, by_label = summaries(columns, type_codes)
    satellites: dict[str, dict[str, MetricSummary]] = {}
    for code, summary in by_label.items():
        metric_type, satellite_id = columns.labels[code]
        satellites.setdefault(satellite_id, {})[metric_type] = summary
    metrics = {metric_types[code]: summary for code, summary in by_type.items()}
    return RunStatistics(columns.rows, metrics, satellites)


Summaries = dict[int, MetricSummary]


def _in_python(columns: Columns, type_codes: list[int]) -> tuple[Summaries, Summaries]:
    by_type: dict[int, list[float]] = {}
    by_label: dict[int, list[float]] = {}
    for batch in columns.batches(_BATCH_ROWS):
        for code, duration in zip(batch.codes, batch.durations_ms, strict=True):
            by_label.setdefault(code, []).append(duration)
            by_type.setdefault(type_codes[code], []).append(duration)
    return (
        {code: _summary(durations) for code, durations in by_type.items()},
        {code: _summary(durations) for code, durations in by_label.items()},
    )


def _summary(durations: Sequence[float]) -> MetricSummary:
    ordered = sorted(durations)
    n = len(ordered)
    total = deque(accumulate(durations), maxlen=1)[0]
    return MetricSummary(
        count=n,
        # A sum beyond the largest double: divide first.
        mean_ms=(total / n if isfinite(total) else fsum(value / n for value in ordered)) + 0.0,
        p50_ms=ordered[n // 2] + 0.0,
        p95_ms=ordered[int(n * 0.95)] + 0.0,
        p99_ms=ordered[int(n * 0.99)] + 0.0,
        # Adding 0.0 turns -0.0 into 0.0, which is what SQLite makes of it.
        min_ms=ordered[0] + 0.0,
        max_ms=ordered[-1] + 0.0,
    )


def _by_polars(columns: Columns, type_codes: list[int]) -> tuple[Summaries, Summaries]:
    import polars as pl  # 0.15 s that small runs don't pay

    batches = [
        pl.DataFrame(
            {
                "code": series(batch.codes, pl.Int64).cast(pl.Int32),
                "duration": series(batch.durations_ms, pl.Float64),
            }
        )
        for batch in columns.batches(_BATCH_ROWS)
    ]
    frame = pl.concat(batches)
    batches.clear()
    by_label = _grouped(frame)
    types = pl.Series(type_codes, dtype=pl.Int32)
    return _grouped(frame.with_columns(code=types.gather(frame["code"]))), by_label


def _grouped(frame: pl.DataFrame) -> Summaries:
    rows = frame.group_by("code", maintain_order=True).agg(_aggregates())
    if not rows["total"].is_finite().all():
        groups = frame.group_by("code", maintain_order=True).agg("duration")
        return {code: _summary(durations) for code, durations in groups.iter_rows()}
    return {
        code: MetricSummary(n, total / n + 0.0, *(value + 0.0 for value in order_statistics))
        for code, n, total, *order_statistics in rows.iter_rows()
    }


@cache
def _aggregates() -> list[pl.Expr]:
    """Return what is asked of each group; built once, since that takes as long as 2,000 rows."""
    import polars as pl

    duration, n = pl.col("duration"), pl.len()
    ordered = duration.sort()
    return [
        n.alias("n"),
        # cum_sum adds from left to right; sum() doesn't.
        duration.cum_sum().last().alias("total"),
        ordered.get(n // 2).alias("p50"),
        ordered.get((n * 0.95).cast(pl.Int64)).alias("p95"),
        ordered.get((n * 0.99).cast(pl.Int64)).alias("p99"),
        ordered.first().alias("min"),
        ordered.last().alias("max"),
    ]
