"""Durations in logarithmic buckets, which merge by adding their counts; pure.

The mapping is DDSketch's: bucket i holds the durations above GAMMA**(i - 1) up
to GAMMA**i milliseconds, and its value 2 * GAMMA**i / (GAMMA + 1) lies within
1 % of every one of them. So a percentile over many runs comes from the sums of
their buckets, and is off by 1 % at most; from their percentiles it can't be had.

Two buckets have an open end. `ZERO_BUCKET` holds what is up to 9.8e-10 ms, zero
above all; its value is 0. `LAST_BUCKET` holds what is above 2.3e17 ms, seven
million years; its value is about that.

As a text they are a JSON array of parts. A part is ``[bucket, missed, count, count, …]``: how
many missed events each of its buckets has, and the measured durations in the bucket, in the
next one, and so on. So a bucket takes some 3 bytes, and SQL reads it with ``json_each``.

A duration belongs where comparing it with the powers of GAMMA puts it. The
logarithm would be wrong by one bucket just beside some of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate, islice, zip_longest
from operator import add, itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import MsgspecError, json

from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import AtLeast, rank_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
ZERO_BUCKET: Final = -1037
LAST_BUCKET: Final = 2000

_TEXTS_AT_A_TIME: Final = 2_000
_BUCKETS: Final = LAST_BUCKET - ZERO_BUCKET + 1
_encode = json.Encoder().encode
_decoder = json.Decoder(list[list[int]])

# The largest duration of each bucket but the last: 3,037 powers, made in 0.3 ms.
_BOUNDARIES: Final = [GAMMA**i for i in range(ZERO_BUCKET, LAST_BUCKET)]


class BucketColumns(NamedTuple):
    """The buckets of one metric type that hold anything, in their order.

    Attributes:
        buckets: Number of each bucket; see `bucket_value`.
        counts: Measured durations in it. The missed events are not among them.
        missed: Missed events that were waited for so long.
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
    """Return the buckets of one metric type.

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


def quantiles(columns: BucketColumns, qs: Iterable[float]) -> list[float | AtLeast | None]:
    """Return percentiles of all that is counted in buckets, which come in their order, ms.

    The rule is that of a run's own percentiles: the missed events come last.

    Args:
        columns: The buckets.
        qs: Which ones, from 0 to 1.

    Returns:
        For each of *qs* a number within 1 % of the order statistic; an `AtLeast` where
        that falls among the missed; None if there are no events.

    Raises:
        InvalidRunError: One of *qs* isn't from 0 to 1.
    """
    measured_up_to = list(accumulate(columns.counts))
    events_up_to = measured_up_to
    if any(columns.missed):
        events_up_to = list(accumulate(map(add, columns.counts, columns.missed)))
    found: list[float | AtLeast | None] = []
    for q in qs:
        if not 0 <= q <= 1:
            raise InvalidRunError(f"Invalid quantile {q!r}: a number from 0 to 1 is needed")
        rank = rank_of(events_up_to[-1], q) if events_up_to else -1
        if rank < 0:
            found.append(None)
        elif rank < measured_up_to[-1]:
            place = bisect_right(measured_up_to, rank)
            found.append(bucket_value(columns.buckets[place]))
        else:
            place = bisect_right(events_up_to, rank)
            found.append(AtLeast(bucket_value(columns.buckets[place])))
    return found


def text_of(columns: BucketColumns) -> str:
    """Return the text of buckets, which come in their order."""
    parts: list[list[int]] = []
    following, missed_in_each = None, 0
    for bucket, count, missed in zip(*columns, strict=True):
        if bucket == following and missed == missed_in_each:
            parts[-1].append(count)
        else:
            parts.append([bucket, missed, count])
            missed_in_each = missed
        following = bucket + 1
    return _encode(parts).decode()


def _decode(text: str) -> list[list[int]]:
    try:
        return _decoder.decode(text)
    except MsgspecError as error:
        # Before msgspec 0.21 it is none by itself.
        raise ValueError(str(error)) from error


def buckets_of(text: str) -> BucketColumns:
    """Return the buckets of a text.

    Raises:
        ValueError: No save writes such a text.
    """
    columns = buckets, counts, missed = BucketColumns([], [], [])
    following = ZERO_BUCKET
    for part in _decode(text):
        if len(part) < 3 or part[0] < following or part[1] < 0:
            raise ValueError(f"the part {part} is none")
        bucket, missed_in_each = part[:2]
        number = len(part) - 2
        following = bucket + number
        buckets += range(bucket, following)
        counts += part[2:]
        missed += [missed_in_each] * number
    # The sign is looked for first: to compare a hundred numbers takes as long as to read them.
    if following > LAST_BUCKET + 1 or ("-" in text and min(counts) < 0):
        raise ValueError("a bucket is beyond the last one, or counts less than nothing")
    return columns


def added_up(texts: Iterable[str]) -> BucketColumns:
    """Return the sums of buckets, in their order; some thousand texts are in memory at a time.

    Raises:
        ValueError: No save writes such a text.
    """
    rest = iter(texts)
    counts, missed = [0] * _BUCKETS, [0] * _BUCKETS
    while some := list(islice(rest, _TEXTS_AT_A_TIME)):
        _add(counts, missed, some)
    filled = [place for place in range(_BUCKETS) if counts[place] or missed[place]]
    return BucketColumns(
        [ZERO_BUCKET + place for place in filled],
        [counts[place] for place in filled],
        [missed[place] for place in filled],
    )


def _add(counts: list[int], missed: list[int], texts: Sequence[str]) -> None:
    """Add the buckets of texts to *counts* and *missed*, which begin with the first bucket.

    Parts that begin with the same bucket are added column by column: 10 ns a number, of which
    reading it takes 7. With NumPy it took 19, as each number had to become one of NumPy's.
    """
    beginning: dict[tuple[int, int], list[list[int]]] = {}
    # All as one text: a parser called once.
    for part in _decode("[" + ",".join([text[1:-1] for text in texts]) + "]"):
        if len(part) < 3:
            raise ValueError("a part has no counts")
        # Of about one length, or most of the columns would be those of few parts.
        beginning.setdefault((part[0], len(part).bit_length()), []).append(part)
    for (bucket, _), parts in beginning.items():
        first = bucket - ZERO_BUCKET
        _, misses, *sums = map(sum, zip_longest(*parts, fillvalue=0))
        if first < 0 or first + len(sums) > _BUCKETS:
            raise ValueError("a bucket is beyond the last one")
        for place, count in enumerate(sums, first):
            counts[place] += count
        for part in filter(itemgetter(1), parts if misses else ()):
            for place in range(first, first + len(part) - 2):
                missed[place] += part[1]
