"""Distributions and trends as a few block characters, for the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from astraguard_store.distributions import RunDistribution

BLOCKS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = " "
_OUTSIDE: Final = 0.005


class Sketch(str):
    """Text whose columns have a meaning, blank ones too: Markdown shows it as code."""

    __slots__ = ()


def histograms(runs: Sequence[RunDistribution], width: int) -> list[Sketch]:
    """Return a histogram of each run on one log axis, which all of them share.

    The axis goes to the outermost half percent, so that an outlier doesn't push all others
    into one column; what lies outside counts in the column at its end. A column without
    events is blank, and one with any is at least the lowest block. Missed events have no
    duration, so they aren't in it.
    """
    counted = [[(b.bucket, b.count) for b in run.buckets if b.count] for run in runs]
    ends = [_ends(counts) for counts in counted if counts]
    if not ends:
        return [Sketch() for _ in runs]
    first, last = min(end[0] for end in ends), max(end[1] for end in ends)
    return [Sketch(_histogram(counts, first, last, width)) for counts in counted]


def _ends(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the buckets between which all but the outermost half percents lie."""
    outside = sum(count for _, count in counts) * _OUTSIDE
    return _reached(counts, outside), _reached(counts[::-1], outside)


def _reached(counts: Sequence[tuple[int, int]], outside: float) -> int:
    up_to = 0
    for bucket, count in counts:
        up_to += count
        if up_to > outside:
            return bucket
    raise AssertionError("more is outside than there is")


def _histogram(counts: Sequence[tuple[int, int]], first: int, last: int, width: int) -> str:
    sums = [0] * width
    for bucket, count in counts:
        inside = min(max(bucket, first), last)
        sums[(inside - first) * width // (last - first + 1)] += count
    most = max(sums, default=0)
    return "".join(_NOTHING if not c else BLOCKS[(c * len(BLOCKS) - 1) // most] for c in sums)


def sparkline(values: Sequence[float | None], *, logarithmic: bool = False) -> Sketch:
    """Return one block for each value, from the smallest to the largest; blank for None.

    Where all values are equal, they stand at half height: nothing changed.

    Args:
        values: In their order.
        logarithmic: Place them by their logarithm, where all are above zero.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Sketch(_NOTHING * len(values))
    if logarithmic and min(known) > 0:
        values, known = [v and log(v) for v in values], [log(v) for v in known]
    low, high = min(known), max(known)
    most = len(BLOCKS) - 1

    def block(value: float) -> str:
        return BLOCKS[most // 2 if high == low else round((value - low) / (high - low) * most)]

    return Sketch("".join(_NOTHING if value is None else block(value) for value in values))
