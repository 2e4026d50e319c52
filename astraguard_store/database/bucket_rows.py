"""Buckets ⇄ the text of their row in the table `buckets`; many such texts → their sums.

A text is a JSON array of parts. A part is ``[bucket, missed, count, count, …]``: how many
missed events each of its buckets has, and the measured durations in the bucket, in the next
one, and so on. So a bucket takes some 3 bytes, and SQL reads it with ``json_each``.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from msgspec import json

from astraguard_store.buckets import LAST_BUCKET, ZERO_BUCKET, BucketColumns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["added_up", "buckets_of", "text_of"]

_TEXTS_AT_A_TIME: Final = 2_000
_BUCKETS: Final = LAST_BUCKET - ZERO_BUCKET + 1
_encode = json.Encoder().encode
_decode = json.Decoder(list[list[int]]).decode


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


def buckets_of(text: str) -> BucketColumns:
    """Return the buckets of a text.

    Raises:
        ValueError: No save writes such a text.
    """
    columns = BucketColumns([], [], [])
    following = ZERO_BUCKET
    for bucket, missed, *counts in _decode(text):
        if bucket < following or missed < 0 or not counts:
            raise ValueError(f"the part of bucket {bucket} is none")
        following = bucket + len(counts)
        columns.buckets.extend(range(bucket, following))
        columns.counts.extend(counts)
        columns.missed.extend([missed] * len(counts))
    if following > LAST_BUCKET + 1 or min(columns.counts, default=0) < 0:
        raise ValueError("a bucket is beyond the last one, or counts less than nothing")
    return columns


def added_up(texts: Iterable[str]) -> BucketColumns:
    """Return the sums of buckets, in their order; some thousand texts are in memory at a time.

    Raises:
        ValueError: No save writes such a text.
    """
    rest = iter(texts)
    some = list(islice(rest, _TEXTS_AT_A_TIME))
    if len(some) == 1:
        return buckets_of(some[0])
    import numpy as np

    sums = np.zeros((2, _BUCKETS), np.int64)
    while some:
        _add(sums, some)
        some = list(islice(rest, _TEXTS_AT_A_TIME))
    filled = (sums[0] | sums[1]).nonzero()[0]
    counts, missed = sums[:, filled].tolist()
    return BucketColumns((filled + ZERO_BUCKET).tolist(), counts, missed)


def _add(sums: NDArray[np.int64], texts: list[str]) -> None:
    """Add the buckets of texts to *sums*, of which the rows are counts and missed."""
    import numpy as np

    # All as one text: a parser called once, and one list of parts.
    parts = _decode("[" + ",".join(text[1:-1] for text in texts) + "]")
    sizes = np.fromiter(map(len, parts), np.intp, len(parts))
    numbers = np.fromiter(chain.from_iterable(parts), np.int64, int(sizes.sum()))
    starts = sizes.cumsum() - sizes
    lengths = sizes - 2
    if len(parts) and lengths.min() < 1:
        raise ValueError("a part has no counts")
    is_count = np.ones(len(numbers), bool)
    is_count[starts] = is_count[starts + 1] = False
    counts = numbers[is_count]
    missed = np.repeat(numbers[starts + 1], lengths)
    within = np.arange(len(counts)) - np.repeat(lengths.cumsum() - lengths, lengths)
    places = np.repeat(numbers[starts] - ZERO_BUCKET, lengths) + within
    if len(places) and not 0 <= places.min() <= places.max() < _BUCKETS:
        raise ValueError("a bucket is beyond the last one")
    np.add.at(sums[0], places, counts)
    np.add.at(sums[1], places, missed)
