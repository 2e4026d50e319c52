"""How much slower one run is than another at each quantile, and how sure that is; pure.

The quantiles of a run come from its buckets. Which of them enclose the true one is told by
order statistics, whatever the distribution (David and Nagaraja 2003, section 7.1): see
`interval_quantiles`. The ends of both runs' intervals, each at 97.5 %, divided by one another
enclose the true ratio with 95 % at least (Bonferroni). That is of the events within the two
runs: the next runs of the same software differ by more, which a gate measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10
from typing import Final, NamedTuple

from astraguard_store.buckets import RELATIVE_ERROR, BucketColumns, quantiles
from astraguard_store.distributions import Distribution, RunDistribution, columns_of
from astraguard_store.model import AtLeast, RunSummary
from astraguard_store.verdict.order_statistics import (
    LEAST_EVENTS,
    effective_events,
    interval_quantiles,
    ticks_of,
)

# Closer together towards the tail.
_QUANTILES: Final = (*(n / 20 for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
_CONFIDENCE: Final = 0.975


class QuantileChange(NamedTuple):
    """The change of one quantile, 0.1 for 10 % slower.

    Attributes:
        quantile: Which one, 0 to 1.
        change: Candidate over baseline, less one, within 2 %.
        low: The true change is more than this, with 95 %; None where no end is known.
        high: The true change is less than this; None where it may be among the missed.
    """

    quantile: float
    change: float
    low: float | None
    high: float | None


class QuantileChanges(NamedTuple):
    """The changes of one metric type from one run to another.

    Attributes:
        candidate: The run id of the one that is held against the baseline.
        changes: By quantile; those that so few events tell nothing of are left out.
    """

    candidate: str
    changes: tuple[QuantileChange, ...]


def ratio_range(points: Sequence[QuantileChange]) -> tuple[float, float]:
    """Return from which ratio to which an axis goes; an interval may reach beyond it."""
    size = max(abs(log10(1 + point.change)) for point in points)
    # An interval of a few tail events may be a hundred times as wide as what is of interest.
    most = 10.0 ** max(2 * size, 0.05)
    ends = [1 + end for p in points for end in (p.low, p.high, p.change) if end is not None]
    return max(min(ends) / 1.02, 1 / most), min(max(ends) * 1.02, most)


def quantile_interval(
    columns: BucketColumns, events: int, q: float, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """Return between which durations the true quantile *q* lies, ms; None for an open end.

    Args:
        columns: The buckets of the sample.
        events: How many independent events it is worth.
        q: Which quantile, 0 to 1.
        confidence: How sure.
    """
    low, high = (
        None if end is None or isinstance(end, AtLeast) else end
        for place in interval_quantiles(events, q, confidence)
        for end in [None if place is None else quantiles(columns, [place])[0]]
    )
    # Out to the edges of the buckets, so that an exact percentile is never outside.
    return (
        None if low is None else low * (1 - RELATIVE_ERROR),
        None if high is None else high * (1 + RELATIVE_ERROR),
    )


def quantile_changes(
    distribution: Distribution, baseline: RunSummary, candidates: Iterable[RunSummary]
) -> list[QuantileChanges]:
    """Return the changes of each candidate that measured what the baseline did.

    Args:
        distribution: Of one metric type, in all of these runs.
        baseline: The run compared with.
        candidates: The runs in question.
    """
    before = distribution.run(baseline.run_id)
    found = []
    for run in candidates:
        after = distribution.run(run.run_id)
        if before is not None and after is not None:
            of_run = _changes(before, ticks_of(baseline), after, ticks_of(run))
            found.append(QuantileChanges(run.run_id, tuple(of_run)))
    return found


def _changes(
    before: RunDistribution, before_ticks: int, after: RunDistribution, after_ticks: int
) -> Sequence[QuantileChange]:
    events = [
        effective_events(before.events, before_ticks),
        effective_events(after.events, after_ticks),
    ]
    if min(events) < LEAST_EVENTS["p50"]:
        return []
    columns = [columns_of(before), columns_of(after)]
    found = []
    for q in _QUANTILES:
        if any(None in interval_quantiles(number, q, _CONFIDENCE) for number in events):
            continue
        old, new = (quantiles(one, [q])[0] for one in columns)
        if isinstance(old, AtLeast) or isinstance(new, AtLeast) or not old or not new:
            # Nothing is so many times as long as 0 ms, and 0 ms has no place on the axis.
            continue
        (old_low, old_high), (new_low, new_high) = (
            quantile_interval(one, number, q, _CONFIDENCE)
            for one, number in zip(columns, events, strict=True)
        )
        low, high = _ratio(new_low, old_high), _ratio(new_high, old_low)
        found.append(QuantileChange(q, new / old - 1, low, high))
    return found


def _ratio(new: float | None, old: float | None) -> float | None:
    return None if new is None or not old else new / old - 1
