"""Which of the sorted events a percentile is: the one place that has the rule."""

from __future__ import annotations

from typing import Final

__all__ = ["PERCENTILES", "rank_of"]

PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""What part of a run's events lies below each percentile of `MetricSummary`."""


def rank_of(count: int, q: float) -> int:
    """Return the place of the percentile *q*, from 0 to 1, among *count* sorted durations."""
    return min(int(count * q), count - 1)
