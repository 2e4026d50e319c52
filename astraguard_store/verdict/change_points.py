"""Steps in the history of a statistic: found by optimal partition, and then proven."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf, log, log1p, sqrt
from statistics import median
from typing import Final, NamedTuple

from astraguard_store.model import utc_from_epoch_us
from astraguard_store.verdict.noise import Group, autocorrelation
from astraguard_store.verdict.special import t_cdf
from astraguard_store.verdict.values import ChangePoint

_LEAST_RUNS: Final = 4  # of a segment
_WINDOW: Final = 7
_WINSORISED_AT: Final = 2.5
_P_VALUE: Final = 0.01
_LEAST_STEP: Final = log1p(0.05)
_PRIOR_DF: Final = 4
# The median deviation of normal noise is its standard deviation over 1.4826.
_MAD: Final = 1.4826


class HistoryPoint(NamedTuple):
    """A run of the history: its id, its start in µs since 1970, and the statistic in ms."""

    run_id: str
    started_us: int
    value_ms: float


def find_change_points(history: Sequence[HistoryPoint]) -> tuple[ChangePoint, ...]:
    """Return the steps of a history, which is sorted by its start.

    An optimal partition of the logarithms into segments of constant level (Jackson et al.
    2005), with a penalty of 2σ² ln n each; then the weakest step goes until each is
    proven by a t test between neighbours with p < 0.01/n, and is of 5 % at least.
    """
    n = len(history)
    if n < 2 * _LEAST_RUNS:
        return ()
    y = [log(max(point.value_ms, 1e-6)) for point in history]
    sigma = _sigma(y)
    y = _winsorised(y, sigma)
    starts = _partition(y, 2 * sigma * sigma * log(n))
    while len(starts) > 1:
        proofs = [_proof(y, starts, place, sigma) for place in range(1, len(starts))]
        weakest = max(range(len(proofs)), key=lambda place: proofs[place].rank)
        proof = proofs[weakest]
        if proof.p_value < _P_VALUE / n and abs(proof.step) >= _LEAST_STEP:
            break
        del starts[weakest + 1]
    ends = [*starts[1:], n]
    levels = [sum(y[a:b]) / (b - a) for a, b in zip(starts, ends, strict=True)]
    return tuple(
        ChangePoint(
            history[starts[place]].run_id,
            utc_from_epoch_us(history[starts[place]].started_us),
            exp(levels[place - 1]),
            exp(levels[place]),
            exp(levels[place] - levels[place - 1]) - 1.0,
            starts[place] - starts[place - 1],
            ends[place] - starts[place],
            _proof(y, starts, place, sigma).p_value,
        )
        for place in range(1, len(starts))
    )


class _Proof(NamedTuple):
    p_value: float
    step: float

    @property
    def rank(self) -> tuple[bool, float]:
        """What goes first: steps that are too small, then the least proven one."""
        return abs(self.step) < _LEAST_STEP, self.p_value


def _sigma(y: Sequence[float]) -> float:
    """Return the noise of a value, from differences of neighbours: steps don't count."""
    differences = [b - a for a, b in pairwise(y)]
    middle = median(differences)
    return max(_MAD * median(abs(d - middle) for d in differences) / sqrt(2), 0.01)


def _winsorised(y: Sequence[float], sigma: float) -> list[float]:
    """Return the values, outliers drawn to 2.5 σ about the running median of 7."""
    half = _WINDOW // 2
    found = []
    for place, value in enumerate(y):
        first = min(max(0, place - half), max(0, len(y) - _WINDOW))
        middle = median(y[first : first + _WINDOW])
        bound = _WINSORISED_AT * sigma
        found.append(min(max(value, middle - bound), middle + bound))
    return found


def _partition(y: Sequence[float], penalty: float) -> list[int]:
    """Return where the segments start whose squares and penalties are the fewest."""
    sums, squares = [0.0], [0.0]
    for value in y:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)

    def cost(a: int, b: int) -> float:
        return squares[b] - squares[a] - (sums[b] - sums[a]) ** 2 / (b - a)

    n = len(y)
    best, before = [0.0, *[inf] * n], [0] * (n + 1)
    for end in range(_LEAST_RUNS, n + 1):
        for start in (0, *range(_LEAST_RUNS, end - _LEAST_RUNS + 1)):
            total = best[start] + cost(start, end) + penalty
            if total < best[end]:
                best[end], before[end] = total, start
    starts, end = [], n
    while end > 0:
        end = before[end]
        starts.append(end)
    return starts[::-1]


def _proof(y: Sequence[float], starts: Sequence[int], place: int, sigma: float) -> _Proof:
    """Return how sure a step is: a t test between neighbours, its variance moderated."""
    end = starts[place + 1] if place + 1 < len(starts) else len(y)
    left, right = y[starts[place - 1] : starts[place]], y[starts[place] : end]
    df = len(left) + len(right) - 2
    squares = sum((v - sum(part) / len(part)) ** 2 for part in (left, right) for v in part)
    variance = (_PRIOR_DF * sigma * sigma + squares) / (_PRIOR_DF + df)
    rho = autocorrelation([Group(left), Group(right)], None)
    variance *= (1 + rho) / (1 - rho)
    step = sum(right) / len(right) - sum(left) / len(left)
    t = abs(step) / sqrt(variance * (1 / len(left) + 1 / len(right)))
    return _Proof(2 * t_cdf(-t, _PRIOR_DF + df), step)
