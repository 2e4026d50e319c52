"""A run's latencies over the time of its scenario, in equally long slices; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

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


class Few(Protocol):
    """A small run's measurements: `Columns`."""

    labels: Sequence[tuple[str, str]]
    missed_codes: Collection[int]

    def packed_rows(self) -> Iterable[tuple[float, float, float, int]]:
        """Return timestamp, duration, scenario time and label number of each."""


@runtime_checkable
class Sparing(Measuring, Protocol):
    """Who also knows those of small runs without polars, whose import takes 0.2 s of CPU."""

    def _few_measurements(self, run_id: str) -> Few | None:
        """Return a run's measurements; None where a frame is the shorter way to them."""


def over_time(repository: Measuring, run_id: str, slices: int) -> dict[str, list[TimeSlice]]:
    """Return {metric type: its slices in which anything happened, in their order}.

    Args:
        repository: Who knows the measurements.
        run_id: The run. If its measurements aren't kept, or lie where they can't be read
            from here, the answer is empty.
        slices: Into how many the time is divided from the run's first event to its last.
    """
    try:
        few = repository._few_measurements(run_id) if isinstance(repository, Sparing) else None
        if few is not None:
            start, length, parts = _parts_of_few(few, slices)
        else:
            start, length, parts = _parts_of_frame(repository.measurements(run_id), slices)
    except (ArtifactReadError, MissingExtraError, StoreNotFoundError):
        return {}
    found: dict[str, list[TimeSlice]] = {}
    for metric_type, number, measured, waited in parts:
        p50, p95 = (_percentile(measured, waited, q) for q in (0.5, 0.95))
        begin = start + number * length
        n = len(waited) - len(measured)
        one = TimeSlice(number, begin, begin + length, n, p50, p95)
        found.setdefault(metric_type, []).append(one)
    return found


class _Parts(NamedTuple):
    """A run's slices: the first one's start and each one's length, seconds, and their events.

    These are (metric type, number of the slice, durations of what was measured, of all events
    with the missed ones at what was waited); both sorted.
    """

    start_s: float
    length_s: float
    events: Iterable[tuple[str, int, Sequence[float], Sequence[float]]]


def _parts_of_few(few: Few, slices: int) -> _Parts:
    rows = list(few.packed_rows())
    if not rows:
        return _Parts(0.0, 0.0, ())
    start, end = min(row[2] for row in rows), max(row[2] for row in rows)
    length = (end - start) / slices
    types = [metric_type for metric_type, _ in few.labels]
    # {(metric type, slice): durations of its measured events, of its missed ones}
    grouped: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
    for _, duration_ms, time_s, code in rows:
        number = min(int((time_s - start) / length), slices - 1) if length > 0 else 0
        measured_and_missed = grouped.setdefault((types[code], number), ([], []))
        measured_and_missed[code in few.missed_codes].append(duration_ms)
    return _Parts(
        start,
        length,
        (
            (*key, sorted(measured), sorted(measured + missed))
            for key, (measured, missed) in sorted(grouped.items())
        ),
    )


def _parts_of_frame(frame: pl.DataFrame, slices: int) -> _Parts:
    import polars as pl

    if frame.is_empty():
        return _Parts(0.0, 0.0, ())
    time = pl.col("scenario_time_s")
    start, end = frame.select(time.min(), time.max().alias("end")).row(0)
    length = (end - start) / slices
    place = ((time - start) / length).floor().clip(0, slices - 1) if length > 0 else pl.lit(0)
    duration = pl.col("duration_ms")
    grouped = (
        frame.group_by("metric_type", place.cast(pl.Int64).alias("slice"))
        .agg(duration.filter(~pl.col("missed")).sort(), duration.sort().alias("waited"))
        .sort("metric_type", "slice")
    )
    return _Parts(start, length, grouped.iter_rows())


def _percentile(measured: Sequence[float], waited: Sequence[float], q: float) -> float | AtLeast:
    """Return a percentile by the rule of `MetricSummary`: the missed events come last."""
    rank = rank_of(len(waited), q)
    return measured[rank] if rank < len(measured) else AtLeast(waited[rank])
