"""Columns → statistics, of runs that lie in a file because memory is too small for them.

The numbers are those of `statistics`, to the last bit, in memory that doesn't grow with the
run: the durations of each label go side by side into a temporary file, 8 bytes each. A group
that is short enough is sorted. Of a longer one the order statistics are found 16 bits at a
time: doubles of at least 0 are in the order of their bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from math import fsum, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from astraguard_store.buckets import BucketColumns, count_by_bucket
from astraguard_store.columns import Columns
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.model import PERCENTILES, MetricSummary, rank_of
from astraguard_store.system.spill import Spill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_ROWS = 262_144
# Sorted at once: 8 MB.
_MOST_SORTED = 2**20
_DURATION_BYTES = 8
_DIGIT_BITS = 16
_DIGITS = 2**_DIGIT_BITS

Chunks = Callable[[], Iterator["NDArray[np.float64]"]]
"""Gives some durations again and again, `_MOST_SORTED` at most at a time."""


class _Group(NamedTuple):
    """The label numbers of a metric type, or of one on one satellite.

    Attributes:
        total_ms: The sum of its durations in recording order.
        codes: All of them that any row has.
        measured: Those of them that aren't of missed events.
    """

    total_ms: float
    codes: list[int]
    measured: list[int]


class LongColumns:
    """The durations of a run by label, in a temporary file.

    Args:
        columns: What was recorded.
        groupings: Of each grouping, the group of each label number.

    Raises:
        ArtifactWriteError: There is no room for the file.
    """

    def __init__(self, columns: Columns, groupings: Sequence[Sequence[int]]) -> None:
        import numpy as np

        labels = len(columns.labels)
        self._missed = columns.missed_codes
        self._counts = np.zeros(labels, np.int64)
        self._firsts = np.full(labels, columns.rows, np.int64)
        self._groupings = [np.array(groups, np.intp) for groups in groupings]
        self._totals: list[NDArray[Any]] = [np.zeros(labels) for _ in groupings]
        self._count(columns)
        self._starts = self._counts.cumsum() - self._counts
        try:
            self._spill = Spill()
            self._divide(columns)
        except OSError as error:
            raise ArtifactWriteError(
                f"durations can't be kept in a temporary file: {error.strerror or error}; name a "
                "folder with room by TMPDIR"
            ) from error

    def _count(self, columns: Columns) -> None:
        import numpy as np

        first = 0
        every = np.arange(len(self._counts))
        for batch in columns.batches(_BATCH_ROWS):
            found, places, counts = np.unique(batch.codes, return_index=True, return_counts=True)
            self._counts[found] += counts
            self._firsts[found] = np.minimum(self._firsts[found], places + first)
            first += len(batch.codes)
            for place, groups in enumerate(self._groupings):
                # One after the other, going on from the sums so far: that of recording order.
                self._totals[place] = np.bincount(
                    np.concatenate([every, groups[batch.codes]]),
                    np.concatenate([self._totals[place], batch.durations_ms]),
                )

    def _divide(self, columns: Columns) -> None:
        """Write the durations of each label side by side."""
        import numpy as np

        ends = self._starts.copy()
        for batch in columns.batches(_BATCH_ROWS):
            order = batch.codes.argsort(kind="stable")
            # Adding 0.0 turns -0.0 into 0.0, whose bits come first.
            durations = batch.durations_ms[order] + 0.0
            codes, starts, counts = np.unique(
                batch.codes[order], return_index=True, return_counts=True
            )
            for code, start, count in zip(
                codes.tolist(), starts.tolist(), counts.tolist(), strict=True
            ):
                content = durations[start : start + count].tobytes()
                self._spill.put(int(ends[code]) * _DURATION_BYTES, content)
                ends[code] += count

    def groups(
        self, grouping: int, *, with_buckets: bool
    ) -> Iterator[tuple[int, MetricSummary, BucketColumns | None]]:
        """Yield (group, its statistics, its buckets), in the order of first appearance."""
        codes: dict[int, list[int]] = {}
        for code in self._firsts.argsort(kind="stable").tolist():
            if self._counts[code]:
                codes.setdefault(int(self._groupings[grouping][code]), []).append(code)
        for number, of_group in codes.items():
            measured = [code for code in of_group if code not in self._missed]
            group = _Group(float(self._totals[grouping][number]), of_group, measured)
            buckets = self._buckets(group) if with_buckets else None
            yield number, self._summary(group), buckets

    def _summary(self, group: _Group) -> MetricSummary:
        n, n_measured = self._rows(group.codes), self._rows(group.measured)
        ranks = {name: rank_of(n, q) for name, q in PERCENTILES.items()}
        places = [*ranks.values(), 0, n - 1]
        *of_all, least, largest = _order_statistics(self._chunks(group.codes), n, places)
        mean_ms = group.total_ms / n + 0.0
        if not isfinite(mean_ms):
            durations = (value for part in self._chunks(group.codes)() for value in part.tolist())
            mean_ms = min(least + fsum((value - least) / n for value in durations), largest)
        found: dict[str, Any] = {f"{name}_ms": of_all[i] for i, name in enumerate(ranks)}
        if n_measured < n:
            # The missed events come last, so below them the measured ones alone count.
            low = [rank for rank in ranks.values() if rank < n_measured]
            chunks = self._chunks(group.measured)
            known = dict(zip(low, _order_statistics(chunks, n_measured, low), strict=True))
            for place, (name, rank) in enumerate(ranks.items()):
                found[f"{name}_ms"] = known.get(rank)
                found[f"{name}_above_ms"] = None if rank in known else of_all[place]
        return MetricSummary(
            count=n, mean_ms=mean_ms, min_ms=least, max_ms=largest, missed=n - n_measured, **found
        )

    def _buckets(self, group: _Group) -> BucketColumns:
        measured = self._bucket_counts(group.measured)
        missed = self._bucket_counts([code for code in group.codes if code in self._missed])
        buckets = sorted({*measured, *missed})
        return BucketColumns(buckets, [measured[i] for i in buckets], [missed[i] for i in buckets])

    def _bucket_counts(self, codes: Sequence[int]) -> Counter[int]:
        import numpy as np

        counted: Counter[int] = Counter()
        for part in self._chunks(codes)():
            found = count_by_bucket(np.sort(part))
            counted.update(dict(zip(found.buckets, found.counts, strict=True)))
        return counted

    def _rows(self, codes: Sequence[int]) -> int:
        return int(self._counts[list(codes)].sum()) if codes else 0

    def _chunks(self, codes: Sequence[int]) -> Chunks:
        def chunks() -> Iterator[NDArray[np.float64]]:
            parts: list[bytes] = []
            room = _MOST_SORTED
            for code in codes:
                start = int(self._starts[code])
                end = start + int(self._counts[code])
                while start < end:
                    stop = min(start + room, end)
                    parts.append(self._spill[start * _DURATION_BYTES : stop * _DURATION_BYTES])
                    room -= stop - start
                    start = stop
                    if not room:
                        yield _array(parts)
                        parts, room = [], _MOST_SORTED
            if parts:
                yield _array(parts)

        return chunks


def _array(parts: Sequence[bytes]) -> NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(b"".join(parts), np.float64)


def _order_statistics(chunks: Chunks, rows: int, ranks: Sequence[int]) -> list[float]:
    """Return the durations of those ranks among *rows* of them, 0 for the shortest."""
    import numpy as np

    if rows <= _MOST_SORTED:
        ordered = np.sort(np.concatenate(list(chunks()))) if ranks else np.empty(0)
        return [float(ordered[rank]) for rank in ranks]
    found = [0] * len(ranks)
    rest = list(ranks)
    for shift in range(3 * _DIGIT_BITS, -1, -_DIGIT_BITS):
        below = _counts_of_digits(chunks, shift, set(found))
        for place, bits in enumerate(found):
            digit = int(below[bits].searchsorted(rest[place], side="right"))
            rest[place] -= int(below[bits][digit - 1]) if digit else 0
            found[place] = bits << _DIGIT_BITS | digit
    numbers: list[float] = np.array(found, np.uint64).view(np.float64).tolist()
    return numbers


def _counts_of_digits(
    chunks: Chunks, shift: int, known: Collection[int]
) -> dict[int, NDArray[np.int64]]:
    """Return {bits: how many durations that begin with them have a next digit up to each}."""
    import numpy as np

    counts = {bits: np.zeros(_DIGITS, np.int64) for bits in known}
    for part in chunks():
        digits = part.view(np.uint64) >> np.uint64(shift)
        for bits, counted in counts.items():
            these = digits[digits >> np.uint64(_DIGIT_BITS) == bits]
            last = (these & np.uint64(_DIGITS - 1)).astype(np.intp)
            counted += np.bincount(last, minlength=_DIGITS)
    return {bits: counted.cumsum() for bits, counted in counts.items()}
