"""Durations, lower bounds, changes, sizes and counts as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from astraguard_store.comparison import Comparison, MetricChange, ValueChange
from astraguard_store.model import AtLeast, MetricSummary
from astraguard_store.provenance import ProvenanceValue
from astraguard_store.verdict.values import PercentileInterval

STATISTICS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "missed")
"""The statistics of a metric type, in the order in which they are shown."""

_COUNTS = frozenset({"count", "missed"})
_NUMBER_OR_BOUND = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}


class Column(NamedTuple):
    """A column of a table."""

    title: str
    numeric: bool


def words(*titles: str) -> list[Column]:
    """Return columns of text."""
    return [Column(title, numeric=False) for title in titles]


def numbers(*titles: str) -> list[Column]:
    """Return columns of numbers, set to the right."""
    return [Column(title, numeric=True) for title in titles]


class ChangeTexts(NamedTuple):
    """One statistic of two runs, as text.

    Attributes:
        baseline: Its value in the baseline.
        candidate: Its value in the candidate.
        difference: Candidate - baseline.
        change: The relative change, or why there is none.
        is_slower: Whether the candidate is slower; None where it is neither
            slower nor faster, or where that isn't known.
        is_bound: Whether only a lower bound of the difference is known.
    """

    baseline: str
    candidate: str
    difference: str
    change: str
    is_slower: bool | None
    is_bound: bool = False


def duration_text(value_ms: float | AtLeast | None) -> str:
    """Return milliseconds, as ``above 12.5000`` where only a lower bound is known.

    Four digits after the point are a tenth of a microsecond; the clocks give no more.
    """
    if value_ms is None:
        return "-"
    return f"{'above ' if isinstance(value_ms, AtLeast) else ''}{float(value_ms):z.4f}"


def statistic_text(summary: MetricSummary | None, statistic: str) -> str:
    """Return a statistic, as a lower bound where only that is known; ``-`` without a summary."""
    if summary is None:
        return "-"
    if statistic in _COUNTS:
        return str(getattr(summary, statistic))
    # `p95` has the number of `p95_ms`, or its lower bound.
    return duration_text(getattr(summary, _NUMBER_OR_BOUND.get(statistic, statistic)))


def interval_text(interval: PercentileInterval) -> str:
    """Return ``78.1-79.5``, or ``few: 12`` where so few events are too few."""
    if not interval.is_enough:
        return f"few: {interval.effective_events}"
    low, high = interval.low_ms, interval.high_ms
    if low is None:
        return "-"
    return f"{low:.3g}-{high:.3g}" if high is not None else f"above {low:.3g}"


def change_texts(
    change: MetricChange, statistic: str, comparison: Comparison, *, at_least: str = "≥ "
) -> ChangeTexts:
    """Return one statistic of *change*, which is one of *comparison*.

    Args:
        change: The metric type.
        statistic: One of `STATISTICS`.
        comparison: Whose runs are named.
        at_least: What stands before a lower bound of a difference.
    """
    value: ValueChange = getattr(change, statistic)
    difference = value.difference
    if difference is not None and statistic in _COUNTS:
        shown = f"{difference:.0f}"
    elif isinstance(difference, AtLeast):
        shown = f"{at_least}{float(difference):+.4g} ms"
    else:
        shown = duration_text(difference)
    side = side_present(change)
    if side != "both":
        remark = f"only in {comparison.baseline if side == 'baseline' else comparison.candidate}"
    elif isinstance(value.baseline, AtLeast):
        # Nothing is known of the change that could be shown.
        remark = "among the missed"
    else:
        remark = _percentage(value.relative_change, at_least)
    return ChangeTexts(
        statistic_text(change.baseline, statistic),
        statistic_text(change.candidate, statistic),
        shown,
        remark,
        # More or fewer measurements are neither better nor worse.
        difference > 0 if difference and statistic != "count" else None,
        isinstance(difference, AtLeast),
    )


def side_present(change: MetricChange) -> str:
    """Return which side has measurements: ``both``, ``baseline`` or ``candidate``."""
    if change.baseline and change.candidate:
        return "both"
    return "baseline" if change.baseline else "candidate"


def provenance_text(value: ProvenanceValue) -> str:
    """Return a value of a run's provenance, such as ``yes``; ``-`` where it isn't known."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{time_text(value)} UTC" if isinstance(value, datetime) else str(value)


def time_text(time: datetime) -> str:
    """Return a UTC time to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def ago_text(time: datetime, now: datetime) -> str:
    """Return how long ago a time was, such as ``12 s ago`` or ``3 h ago``."""
    seconds = max(0.0, (now - time).total_seconds())
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def tags_text(tags: Mapping[str, str]) -> str:
    """Return tags as they are given on the command line."""
    return ", ".join(f"{name}={value}" if value else name for name, value in tags.items())


def quantile_text(quantile: float) -> str:
    """Return ``p99.9`` for 0.999: from its decimal digits, as 0.07 * 100 isn't 7."""
    return f"p{(Decimal(repr(quantile)) * 100).normalize():f}"


def size_text(number_of_bytes: int) -> str:
    """Return a number of bytes, as ``12.3 MB``."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if number_of_bytes >= 10**power:
            return f"{number_of_bytes / 10**power:.1f} {unit}"
    return counted(number_of_bytes, "byte")


def counted(number: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def few_names(names: Sequence[str], most: int = 5) -> str:
    """Return the first names and how many more there are: ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    """Return *text* with control characters escaped: names come from files, not from us."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _percentage(relative_change: float | AtLeast | None, at_least: str) -> str:
    """Return a relative change as ``+12.3 %``."""
    if relative_change is None:
        return "-"
    if isinstance(relative_change, AtLeast):
        return f"{at_least}{float(relative_change) * 100:+.0f} %"
    text = f"{relative_change * 100:+.1f} %"
    return "0.0 %" if text in ("+0.0 %", "-0.0 %") else text
