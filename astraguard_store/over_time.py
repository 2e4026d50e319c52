"""A run's latencies over the time of its scenario, in equally long slices; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from astraguard_store.exceptions import ArtifactReadError, MissingExtraError, StoreNotFoundError
from astraguard_store.model import AtLeast, rank_of

if TYPE_CHECKING:
    import polars as pl


class TimeSlice(NamedTuple):
    """The events of one metric type in a part of the run's time.

    Attributes:
        number: Which part, from 0.
        start_s: Where it begins, seconds since the scenario's start.
        end_s: Where it ends.
        missed: How many of its events never came.
        p50: Median, ms, or its lower bound if it falls among the missed.
        p95: The 95th percentile, ms, likewise.
    """

    number: int
    start_s: float
    end_s: float
    missed: int
    p50: float | AtLeast
    p95: float | AtLeast


class Measuring(Protocol):
    """Who knows the measurements of runs."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements."""


def over_time(repository: Measuring, run_id: str, slices: int) -> dict[str, list[TimeSlice]]:
    """Return {metric type: its slices in which anything happened, in their order}.

    Args:
        repository: Who knows the measurements.
        run_id: The run. If its measurements aren't kept, or lie where they can't be read
            from here, the answer is empty.
        slices: Into how many the time is divided from the run's first event to its last.
    """
    import polars as pl

    try:
        frame = repository.measurements(run_id)
    except (ArtifactReadError, MissingExtraError, StoreNotFoundError):
        return {}
    if frame.is_empty():
        return {}
    time = pl.col("scenario_time_s")
    start, end = frame.select(time.min(), time.max().alias("end")).row(0)
    length = (end - start) / slices
    place = ((time - start) / length).floor().clip(0, slices - 1) if length > 0 else pl.lit(0)
    duration, missed = pl.col("duration_ms"), pl.col("missed")
    grouped = (
        frame.group_by("metric_type", place.cast(pl.Int64).alias("slice"))
        .agg(duration.filter(~missed).sort(), duration.sort().alias("waited"), missed.sum())
        .sort("metric_type", "slice")
    )
    found: dict[str, list[TimeSlice]] = {}
    for metric_type, number, measured, waited, n in grouped.iter_rows():
        p50, p95 = (_percentile(measured, waited, q) for q in (0.5, 0.95))
        begin = start + number * length
        one = TimeSlice(number, begin, begin + length, n, p50, p95)
        found.setdefault(metric_type, []).append(one)
    return found


def _percentile(measured: Sequence[float], waited: Sequence[float], q: float) -> float | AtLeast:
    """Return a percentile by the rule of `MetricSummary`: the missed events come last."""
    rank = rank_of(len(waited), q)
    return measured[rank] if rank < len(measured) else AtLeast(waited[rank])
