"""Statistics, changes, provenance, tags and names as text for people; numbers: `numbers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from astraguard_store.model import AtLeast, MetricSummary, RunSummary
from astraguard_store.presentation.numbers import (
    Unit,
    change_text,
    count_text,
    in_unit,
    is_difference,
    unit_of,
)

if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison, MetricChange, ValueChange
    from astraguard_store.provenance import ProvenanceValue
    from astraguard_store.verdict.values import PercentileInterval

STATISTICS = ("count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "missed")
"""The statistics of a metric type, in the order in which they are shown."""

USUAL_METRIC = "fault_detection"
"""The metric type whose percentile a list of runs shows where none is asked for."""

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


def summary_unit(summaries: Iterable[MetricSummary | None]) -> Unit:
    """Return the unit in which the durations of these statistics are shown together."""
    return unit_of(
        getattr(summary, statistic)
        for summary in summaries
        if summary is not None
        for statistic in ("mean_ms", "p50", "p95", "p99")
    )


def statistic_text(summary: MetricSummary | None, statistic: str, unit: Unit) -> str:
    """Return a statistic, as a lower bound where only that is known; ``-`` without a summary."""
    if summary is None:
        return "-"
    if statistic in _COUNTS:
        return count_text(getattr(summary, statistic))
    # `p95` has the number of `p95_ms`, or its lower bound.
    return in_unit(getattr(summary, _NUMBER_OR_BOUND.get(statistic, statistic)), unit)


def interval_text(interval: PercentileInterval, unit: Unit) -> str:
    """Return ``78.1-79.5`` in *unit*, or ``few: 12`` where so few events are too few."""
    if not interval.is_enough:
        return f"few: {interval.effective_events}"
    low, high = interval.low_ms, interval.high_ms
    if low is None:
        return "-"
    shown = in_unit(low, unit)
    return f"above {shown}" if high is None else f"{shown}-{in_unit(high, unit)}"


def change_texts(
    change: MetricChange, statistic: str, comparison: Comparison, *, at_least: str = "≥ "
) -> ChangeTexts:
    """Return one statistic of *change*, which is one of *comparison*.

    Durations are in the unit that `summary_unit` gives for both of its sides.

    Args:
        change: The metric type.
        statistic: One of `STATISTICS`.
        comparison: Whose runs are named.
        at_least: What stands before a lower bound of a difference.
    """
    unit = summary_unit((change.baseline, change.candidate))
    value: ValueChange = getattr(change, statistic)
    differs = _differs(value, statistic)
    return ChangeTexts(
        statistic_text(change.baseline, statistic, unit),
        statistic_text(change.candidate, statistic, unit),
        _difference_text(value, statistic, unit, at_least) if differs else "0",
        _remark(change, value, comparison, at_least) if differs else "0.0 %",
        is_slower(value, statistic),
        isinstance(value.difference, AtLeast),
    )


def is_slower(value: ValueChange, statistic: str) -> bool | None:
    """Return whether the candidate is slower; None where no reader of three digits sees it.

    More or fewer measurements are neither better nor worse.
    """
    difference = value.difference
    if not difference or statistic == "count":
        return None
    if statistic != "missed" and not _is_visible(value):
        return None
    return difference > 0


def _is_visible(value: ValueChange) -> bool:
    if not is_difference(value.baseline, value.candidate):
        return False
    return change_text(value.relative_change) != "0.0 %"


def _differs(value: ValueChange, statistic: str) -> bool:
    if not value.difference or statistic in _COUNTS:
        return value.difference != 0
    return _is_visible(value)


def _difference_text(value: ValueChange, statistic: str, unit: Unit, at_least: str) -> str:
    difference = value.difference
    if difference is None:
        return "-"
    if statistic in _COUNTS:
        return count_text(difference)
    sign = "+" if difference > 0 else ""
    bound = at_least if isinstance(difference, AtLeast) else ""
    return f"{bound}{sign}{in_unit(float(difference), unit)}"


def _remark(
    change: MetricChange, value: ValueChange, comparison: Comparison, at_least: str
) -> str:
    side = side_present(change)
    if side != "both":
        return f"only in {comparison.baseline if side == 'baseline' else comparison.candidate}"
    if isinstance(value.baseline, AtLeast):
        # Nothing is known of the change that could be shown.
        return "among the missed"
    if value.baseline == 0 and value.candidate:
        # Of nothing there is no percentage: the first missed event.
        return "new"
    return change_text(value.relative_change, at_least=at_least)


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


def counted(number: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{count_text(number)} {noun}{'' if number == 1 else 's'}"


def usual_metric(runs: Iterable[RunSummary]) -> str | None:
    """Return `USUAL_METRIC` if any run has it, else the first by name; None without any."""
    found = {metric_type for run in runs for metric_type in run.metrics}
    return USUAL_METRIC if USUAL_METRIC in found else min(found, default=None)


def few_names(names: Sequence[str], most: int = 5) -> str:
    """Return the first names and how many more there are: ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def shortened(name: str, most: int, measure: Callable[[str], int] = len) -> str:
    """Return a name of at most so many columns: its two ends, as names often differ there.

    Args:
        name: Printable.
        most: Columns, three at least.
        measure: How many columns a text takes.
    """
    if measure(name) <= most:
        return name
    end = name
    while measure(end) > (most - 1) // 2:
        end = end[1:]
    start = name
    while measure(start) > most - 1 - measure(end):
        start = start[:-1]
    return f"{start}…{end}"


def band_text(baseline: str, band: tuple[float, float] | None, unit: Unit) -> str:
    """Return between what the runs of a baseline lie: ``nightly, 40.1 to 45.2 ms``.

    Args:
        baseline: Its name.
        band: Its lowest and its highest, ms; None where it has no such run.
        unit: The unit to write them in.
    """
    if band is None:
        return f"{baseline}, no such run"
    low, high = (in_unit(end, unit) for end in band)
    return f"{baseline}, {low} to {high} {unit.name}"


def left_out(unfinished: Sequence[str]) -> str:
    """Return which runs an answer leaves out."""
    return f"left out, for not being finished: {few_names(unfinished)}"
