"""Durations in logarithmic buckets, which merge by adding their counts; pure.

The mapping is DDSketch's: bucket i holds the durations above GAMMA**(i - 1) up
to GAMMA**i milliseconds, and its value 2 * GAMMA**i / (GAMMA + 1) lies within
1 % of every one of them. So a percentile over many runs comes from the sums of
their buckets, and is off by 1 % at most; from their percentiles it can't be had.

Two buckets have an open end. `ZERO_BUCKET` holds what is up to 9.8e-10 ms, zero
above all; its value is 0. `LAST_BUCKET` holds what is above 2.3e17 ms, seven
million years; its value is about that.

A duration belongs where comparing it with the powers of GAMMA puts it. The
logarithm would be wrong by one bucket just beside some of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import AtLeast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "GAMMA",
    "LAST_BUCKET",
    "RELATIVE_ERROR",
    "ZERO_BUCKET",
    "Bucket",
    "BucketColumns",
    "bucket_of",
    "bucket_value",
    "count_by_bucket",
    "merged",
    "quantile",
    "rank_of",
]

RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
ZERO_BUCKET: Final = -1037
LAST_BUCKET: Final = 2000

# The largest duration of each bucket but the last: 3,037 powers, made in 0.3 ms.
_BOUNDARIES: Final = [GAMMA**i for i in range(ZERO_BUCKET, LAST_BUCKET)]


class Bucket(NamedTuple):
    """How many durations fall into one bucket.

    Attributes:
        bucket: Number of the bucket; see `bucket_value`.
        count: Measured durations in it. The missed events are not among them.
        missed: Missed events that were waited for so long.
    """

    bucket: int
    count: int  # type: ignore[assignment]  # shadows tuple.count
    missed: int = 0


class BucketColumns(NamedTuple):
    """Rows of one metric type as columns, in the order of the buckets; see `Bucket`.

    A hundred rows are written in a third of the time from columns.
    """

    buckets: list[int]
    counts: list[int]
    missed: list[int]


def bucket_of(duration_ms: float) -> int:
    """Return the number of the bucket that holds a duration of at least 0 ms."""
    return ZERO_BUCKET + bisect_left(_BOUNDARIES, duration_ms)


def bucket_value(bucket: int) -> float:
    """Return the duration, ms, that stands for all in *bucket*: within 1 % of each."""
    # Without the exception it were 9.7e-10: nobody's SQL needs the exception.
    return 0.0 if bucket <= ZERO_BUCKET else 2 * GAMMA**bucket / (GAMMA + 1)


def count_by_bucket(ordered: ArrayLike, waits: Sequence[float] = ()) -> BucketColumns:
    """Return the rows of one metric type.

    Args:
        ordered: Durations of all events, ms, each missed one at what was waited; sorted.
        waits: What was waited for those missed among them, ms.
    """
    buckets, counts = _counted(ordered)
    if not waits:
        return BucketColumns(buckets, counts, [0] * len(buckets))
    missed = Counter(map(bucket_of, waits))
    measured = [count - missed[bucket] for bucket, count in zip(buckets, counts, strict=True)]
    return BucketColumns(buckets, measured, [missed[bucket] for bucket in buckets])


def _counted(ordered: ArrayLike) -> tuple[list[int], list[int]]:
    """Return the buckets that hold any of the sorted durations, in order, and how many."""
    # Imported where it is called, for who only reads.
    import numpy as np

    durations = np.asarray(ordered)
    if not len(durations):
        return [], []
    first, last = bucket_of(durations[0]), bucket_of(durations[-1])
    boundaries = _boundary_array()[first - ZERO_BUCKET : last - ZERO_BUCKET]
    ends = durations.searchsorted(boundaries, side="right")
    # What `numpy.diff` does, in a sixth of its 20 µs.
    counts = np.empty(len(ends) + 1, np.intp)
    counts[:-1] = ends
    counts[-1] = len(durations)
    counts[1:] -= ends
    filled = counts.nonzero()[0]
    return (filled + first).tolist(), counts[filled].tolist()


@cache
def _boundary_array() -> NDArray[np.float64]:
    import numpy as np

    return np.array(_BOUNDARIES)


def merged(rows: Iterable[tuple[int, int, int]]) -> tuple[Bucket, ...]:
    """Return one row a bucket, in their order, of the rows of any number of runs."""
    counts: dict[int, list[int]] = {}
    for bucket, count, missed in rows:
        sums = counts.setdefault(bucket, [0, 0])
        sums[0] += count
        sums[1] += missed
    return tuple([Bucket(bucket, *counts[bucket]) for bucket in sorted(counts)])


def rank_of(count: int, q: float) -> int:
    """Return the index of the percentile *q*, from 0 to 1, among *count* sorted durations."""
    return min(int(count * q), count - 1)


def quantile(rows: Iterable[tuple[int, int, int]], q: float) -> float | AtLeast | None:
    """Return a percentile of all that *rows* count, ms.

    The rule is that of a run's own percentiles: the missed events come last.

    Args:
        rows: (bucket, count, missed) of any number of runs, in any order.
        q: From 0 to 1.

    Returns:
        Within 1 % of the order statistic, or of its lower bound if that falls among
        the missed events; None where there are no events.

    Raises:
        InvalidRunError: *q* isn't from 0 to 1.
    """
    if not 0 <= q <= 1:
        raise InvalidRunError(f"Invalid quantile {q!r}: a number from 0 to 1 is needed")
    buckets = merged(rows)
    measured = sum(row.count for row in buckets)
    events = measured + sum(row.missed for row in buckets)
    if not events:
        return None
    rank = rank_of(events, q)
    if rank < measured:
        return _value_at(rank, ((row.bucket, row.count) for row in buckets))
    among_all = ((row.bucket, row.count + row.missed) for row in buckets)
    return AtLeast(_value_at(rank, among_all))


def _value_at(rank: int, counts: Iterable[tuple[int, int]]) -> float:
    up_to = 0
    for bucket, count in counts:
        up_to += count
        if rank < up_to:
            return bucket_value(bucket)
    raise AssertionError("the rank is below the number of durations")
