"""SQL functions of `query`: a percentile over many runs, from the buckets of `v_buckets`."""

from __future__ import annotations

import sqlite3
from typing import Any

from astraguard_store.buckets import BucketColumns, quantiles
from astraguard_store.model import AtLeast


class _PooledAtLeast:
    """Adds up buckets; gives the percentile of all events, ms, or what it is above of."""

    def __init__(self) -> None:
        self._sums: dict[int, list[int]] = {}
        self._q: float | None = None

    def step(self, bucket: int, count: int, missed: int, q: float) -> None:
        if self._q not in {None, q}:
            raise ValueError("the percentile isn't the same for each row")
        self._q = q
        sums = self._sums.setdefault(bucket, [0, 0])
        sums[0] += count
        sums[1] += missed

    def finalize(self) -> float | None:
        if self._q is None:
            return None
        buckets = sorted(self._sums)
        counts, missed = map(list, zip(*(self._sums[bucket] for bucket in buckets), strict=True))
        (found,) = quantiles(BucketColumns(buckets, counts, missed), [self._q])
        return self._shown(found)

    def _shown(self, found: float | AtLeast | None) -> float | None:
        return None if found is None else float(found)


class _PooledPercentile(_PooledAtLeast):
    """The same, but None where the percentile falls among the missed events."""

    def _shown(self, found: float | AtLeast | None) -> float | None:
        return None if isinstance(found, AtLeast) else found


def add_pooled_percentiles(connection: sqlite3.Connection) -> None:
    """Let SQL on *connection* call ``pooled_percentile(bucket, count, missed, q)``.

    And ``pooled_at_least`` of the same, which also gives lower bounds.
    """
    # Declared to take one value; as many as a function has are passed.
    functions: dict[str, Any] = {
        "pooled_percentile": _PooledPercentile,
        "pooled_at_least": _PooledAtLeast,
    }
    for name, function in functions.items():
        connection.create_aggregate(name, 4, function)
