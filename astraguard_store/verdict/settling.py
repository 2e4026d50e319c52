"""How many more runs would settle what these leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from astraguard_store.verdict.values import CellVerdict, Settling

_MOST_MORE_RUNS: Final = 200


def fewest_runs(settles: Callable[[int], bool]) -> int | None:
    """Return the smallest number of runs from 1 on with which it *settles*, None above 200."""
    high = 1
    while not settles(high):
        if high >= _MOST_MORE_RUNS:
            return None
        high = min(2 * high, _MOST_MORE_RUNS)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high


def settling_of_all(cells: Iterable[CellVerdict]) -> Settling | None:
    """Return what would settle the whole: None where nothing is open, or nothing is known.

    One cell that is proven to have regressed settles it, so of the cells that look like
    that the first to be proven counts; without any, all of them have to be excluded.
    """
    blocking = [cell for cell in cells if not cell.excludes_regression]
    slower = [cell for cell in blocking if (cell.change or 0.0) > cell.limit]
    found = [cell.settling for cell in slower or blocking]
    known = [settling for settling in found if settling is not None]
    if not known or (not slower and len(known) < len(found)):
        return None
    combine = _least if slower else _most
    # A cell whose runs have a reference says no number for one: its own is the same.
    with_reference = [one.with_reference or one.candidate_runs for one in known]
    return Settling(
        combine([one.candidate_runs for one in known]),
        combine([one.runs_of_both for one in known]),
        combine(with_reference) if any(one.with_reference for one in known) else None,
    )


def _least(numbers: Sequence[int | None]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _most(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return max(known) if len(known) == len(numbers) else None
