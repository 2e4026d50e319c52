"""How sure a percentile is: from how many effective events, and between which ranks."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from astraguard_store.model import RunSummary
from astraguard_store.verdict.special import beta_cdf

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

LEAST_EVENTS: Final = {"p50": 20, "p95": 59, "p99": 299}
"""Effective events that a percentile needs: of so many, one is above it with 95 %
(1 − q**n ≥ 0.95); of a median, that its interval means anything."""


def effective_events(count: int, ticks: int) -> int:
    """Return how many independent events *count* of them are worth.

    Satellites are served in turn: what the machine does in a tick, it does to all of
    them (neighbours resemble each other up to 0.95). So a tick counts once.

    Args:
        count: Events of a metric type.
        ticks: The most events of one metric type on one satellite.
    """
    return min(count, max(ticks, 1))


def ticks_of(run: RunSummary) -> int:
    """Return the most events of one metric type on one satellite of a run."""
    counts = (s.count for metrics in run.satellites.values() for s in metrics.values())
    return max(counts, default=0)


# Runs of a scenario have as many events each, and a chart asks of many quantiles: 0.4 ms each.
@lru_cache(maxsize=4096)
def interval_quantiles(
    events: int, q: float, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """Return between which quantiles of the sample the true quantile *q* lies.

    By order statistics, whatever the distribution: how many of *events* independent ones
    are below the true quantile is binomial (David and Nagaraja 2003, section 7.1).

    Returns:
        (lower, upper), 0 to 1; None for an end that so few events don't give.
    """
    # With no more than this the true quantile lies below the first of these ranks, and
    # with no more above the second; ranks count from 1.
    tail = (1 - confidence) / 2
    lower = _rank(events, q, tail)
    upper = _rank(events, q, 1 - tail) + 1
    # The middle of a rank: its beginning may be rounded into the rank before.
    return (
        (lower - 0.5) / events if lower >= 1 else None,
        (upper - 0.5) / events if upper <= events else None,
    )


def _rank(events: int, q: float, p: float) -> int:
    """Return the smallest k with P(B ≤ k) ≥ *p*, of a binomial B(events, q)."""
    low, high = -1, events
    while high - low > 1:
        middle = (low + high) // 2
        # P(B ≤ k) = I_(1−q)(n − k, k + 1)
        if beta_cdf(1.0 - q, events - middle, middle + 1) >= p:
            high = middle
        else:
            low = middle
    return high
