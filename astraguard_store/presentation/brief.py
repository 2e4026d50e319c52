"""A comparison in one line a metric type: what a reader looks at first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from astraguard_store.comparison import Comparison, MetricChange, ValueChange
from astraguard_store.model import AtLeast
from astraguard_store.presentation.numbers import change_text, count_text, in_unit
from astraguard_store.presentation.text import (
    Column,
    is_slower,
    numbers,
    side_present,
    summary_unit,
    words,
)

PERCENTILES: Final = ("p50", "p95", "p99")

_GONE: Final = {"baseline": "gone", "candidate": "new"}


class BriefLine(NamedTuple):
    """One metric type of a comparison.

    Attributes:
        satellite_id: On which satellite; None for all together.
        metric_type: What was measured.
        unit: Unit of the percentiles.
        percentiles: p50, p95 and p99, each as (baseline, candidate).
        change: The change of the percentile that became worst; ``new`` or ``gone`` where
            only one run has it.
        statistic: Which percentile that is; None where nobody sees a change, or one is new.
        is_slower: Whether that is slower; None where nothing visible changed.
        is_bound: Whether only a lower bound of it is known.
        missed: (baseline, candidate): missed events.
        is_more_missed: Whether the candidate missed more of them.
    """

    satellite_id: str | None
    metric_type: str
    unit: str
    percentiles: tuple[tuple[str, str], ...]
    change: str
    statistic: str | None
    is_slower: bool | None
    is_bound: bool
    missed: tuple[str, str]
    is_more_missed: bool

    @property
    def named_change(self) -> str:
        """The change with the percentile that it is of: ``+25.0 % p99``."""
        return f"{self.change} {self.statistic}" if self.statistic else self.change


def brief_lines(
    changes: Iterable[MetricChange], *, only_changed: bool = False, at_least: str = "≥ "
) -> list[BriefLine]:
    """Return a line a metric type, the worst first.

    Args:
        changes: Those of a comparison.
        only_changed: Leave out what no reader of three digits sees a change in.
        at_least: What stands before a lower bound of a change.
    """
    return [
        _line(change, at_least)
        # What never came is worst, then what is gone or new, what is slower, what is faster.
        for change in sorted(changes, key=_badness, reverse=True)
        if not only_changed or is_changed(change)
    ]


def brief_table(comparison: Comparison) -> tuple[list[Column], list[list[str]]]:
    """Return (columns, rows) of the same lines, the worst first."""
    by_satellite = any(change.satellite_id for change in comparison.changes)
    rows = [
        [
            *([line.satellite_id or ""] if by_satellite else []),
            line.metric_type,
            line.unit,
            *(f"{before} → {after}" for before, after in line.percentiles),
            line.named_change,
            " → ".join(line.missed),
        ]
        for line in brief_lines(comparison.changes)
    ]
    columns = [
        *words(*(["satellite"] if by_satellite else []), "metric type", "unit"),
        *numbers(*PERCENTILES, "worst change", "missed"),
    ]
    return columns, rows


def is_changed(change: MetricChange) -> bool:
    """Return whether a reader of three digits sees a change of a percentile or of the missed."""
    if side_present(change) != "both":
        return True
    is_visible = (is_slower(value, name) is not None for name, value in _values(change))
    return any(is_visible) or change.missed.difference != 0


def worst(change: MetricChange) -> tuple[str, ValueChange]:
    """Return (name, change) of the percentile that became worst, else the most different."""
    return max(_values(change), key=lambda named: _size(named[1]))


def _values(change: MetricChange) -> list[tuple[str, ValueChange]]:
    return [(name, getattr(change, f"{name}_ms")) for name in PERCENTILES]


def _size(value: ValueChange) -> tuple[bool, bool, float]:
    relative = value.relative_change
    if relative is None:
        return False, False, 0.0
    # Slower comes before faster, whatever the sizes: 1 % slower is worse than 50 % faster.
    return isinstance(relative, AtLeast), relative > 0, abs(relative)


def _badness(change: MetricChange) -> tuple[object, ...]:
    is_bound, is_worse, size = _size(worst(change)[1])
    more_missed = float(change.missed.difference or 0)
    one_sided = side_present(change) != "both"
    return is_bound, more_missed > 0, one_sided, size if is_worse else -size


def _line(change: MetricChange, at_least: str) -> BriefLine:
    unit = summary_unit((change.baseline, change.candidate))
    name, value = worst(change)
    slower = is_slower(value, name)
    side = side_present(change)
    if side != "both":
        shown = _GONE[side]
    elif isinstance(value.baseline, AtLeast):
        shown = "missed"
    else:
        shown = change_text(value.relative_change if slower is not None else 0, at_least=at_least)
    missed = change.missed
    return BriefLine(
        change.satellite_id,
        change.metric_type,
        unit.name,
        tuple(
            (in_unit(before, unit, above=">"), in_unit(after, unit, above=">"))
            for _, (before, after) in _values(change)
        ),
        shown,
        name if side == "both" and slower is not None else None,
        slower,
        isinstance(value.difference, AtLeast),
        (_count(missed.baseline), _count(missed.candidate)),
        (missed.candidate or 0) > (missed.baseline or 0),
    )


def _count(number: float | None) -> str:
    return "-" if number is None else count_text(number)


def misses(lines: Sequence[BriefLine]) -> bool:
    """Return whether any event was missed: else nobody has to read past the zeros."""
    return any(set(line.missed) - {"-", "0"} for line in lines)
