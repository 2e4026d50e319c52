"""The noise between runs: moderated variance, slope on the reference, autocorrelation.

All values are natural logarithms of a statistic in ms, so that noise and changes are
relative. A *group* is runs of one set-up and one state of the software, in the order
of their start; only differences within a group are noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from astraguard_store.verdict.values import NoiseSource

LEAST_HISTORY_DF: Final = 8
"""Degrees of freedom of history without which one run against one rests on `ASSUMED`."""

_LEAST_SD: Final = 0.01  # no machine repeats a latency better than to 1 %
_LEAST_SLOPE_DF: Final = 6
_MOST_SLOPE: Final = 2.0
_LEAST_RUNS: Final = 8  # for an autocorrelation
_MOST_AUTOCORRELATION: Final = 0.8


class Group(NamedTuple):
    """Runs of one set-up and one state of the software, by their start.

    Attributes:
        y: Logarithm of the statistic, of each run.
        x: Logarithm of its reference; empty where one of the runs has none.
    """

    y: Sequence[float]
    x: Sequence[float] = ()


class Slope(NamedTuple):
    """How y follows x within groups: by least squares, clipped.

    Attributes:
        beta: 0 to 2.
        sum_xx: Sum of the squares of x about the means of the groups.
    """

    beta: float
    sum_xx: float


@dataclass(frozen=True, slots=True)
class Noise:
    """What a difference of two sides is held against.

    Attributes:
        variance: Of a run, of the logarithm.
        df: Degrees of freedom of it.
        source: Where it comes from.
        slope: On the reference; None where none is used.
    """

    variance: float
    df: float
    source: NoiseSource
    slope: Slope | None = None

    @property
    def sd(self) -> float:
        """Its standard deviation: about the relative noise between runs."""
        return sqrt(self.variance)


_ASSUMED_SD: Final = {"p50": 0.15, "p95": 0.25, "p99": 0.35}
_ASSUMED_DF: Final = 4

ASSUMED: Final = Noise(_ASSUMED_SD["p50"] ** 2, _ASSUMED_DF, "assumed")
"""Of the median of a run, where nothing is known: as measured on an office machine."""


def as_of_a_single_run(noise: Noise, statistic: str) -> Noise:
    """Return the noise that a single run of one side is held against.

    A few calm runs don't show how much a burst of other work does to the next one. So
    where neither older runs nor a reference tell more, the noise that is usual counts
    like 4 degrees of freedom: without, unchanged runs were called regressed in up to
    10 % of draws of 5 against 1, with it in 0 to 2 %.
    """
    if noise.slope or noise.source != "measured":
        return noise
    df = _ASSUMED_DF + noise.df
    squares = _ASSUMED_DF * _ASSUMED_SD[statistic] ** 2 + noise.df * noise.variance
    return replace(noise, variance=squares / df, df=df)


def noise_of(
    sides: Sequence[Group], history: Sequence[Group], *, reference: bool, coming_df: int = 0
) -> Noise | None:
    """Return the noise of the runs of both sides, moderated by that of older runs.

    s² = (d0·s0² + SS)/(d0 + d): the older runs count like d0 = min(df of them,
    max(4, 8 − d)) degrees of freedom (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, 3).

    Args:
        sides: Baseline and candidate, or one pool.
        history: Groups of older runs of the same set-up.
        reference: Whether to take off what the reference explains, if there are enough
            runs for a slope.
        coming_df: Degrees of freedom of runs that a slope will be fitted to, too.

    Returns:
        None where there is nothing to measure it by.
    """
    slope = _slope([*sides, *history], _LEAST_SLOPE_DF - coming_df) if reference else None
    if slope:
        # A run without a reference has nothing that could be taken off.
        history = [group for group in history if group.x]
    d = _df(sides)
    df_history = _df(history)
    d0 = min(df_history, max(4, 8 - d))
    if d == 0 and df_history < LEAST_HISTORY_DF:
        return None
    squares = _squares(sides, slope)
    if d0:
        squares += d0 * _squares(history, slope) / df_history
    df = d0 + d
    variance = max(squares / df, _LEAST_SD**2)
    return Noise(variance, df, "history" if d0 else "measured", slope)


def _df(groups: Sequence[Group]) -> int:
    return sum(max(0, len(group.y) - 1) for group in groups)


def _slope(groups: Sequence[Group], least_df: int) -> Slope | None:
    groups = [group for group in groups if group.x and len(group.x) == len(group.y)]
    if _df(groups) < max(least_df, 2):
        return None
    sum_xx = sum_xy = 0.0
    for group in groups:
        x, y = _centred(group.x), _centred(group.y)
        sum_xx += sum(a * a for a in x)
        sum_xy += sum(a * b for a, b in zip(x, y, strict=True))
    if sum_xx <= 0.0:
        return None
    return Slope(min(max(sum_xy / sum_xx, 0.0), _MOST_SLOPE), sum_xx)


def _residuals(group: Group, slope: Slope | None) -> list[float]:
    y = _centred(group.y)
    if slope is None:
        return y
    return [b - slope.beta * a for a, b in zip(_centred(group.x), y, strict=True)]


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values) if values else 0.0
    return [value - mean for value in values]


def _squares(groups: Sequence[Group], slope: Slope | None) -> float:
    return sum(e * e for group in groups for e in _residuals(group, slope))


def autocorrelation(groups: Sequence[Group], slope: Slope | None) -> float:
    """Return how much a run resembles the one before it, 0 to 0.8; 0 for fewer than 8 runs.

    The lag-1 autocorrelation within groups. That of n values is too small by
    (1 + 3ρ)/n (Kendall 1954, Biometrika 41), which is made good.
    """
    residuals = [_residuals(group, slope) for group in groups if len(group.y) >= 3]
    n = sum(map(len, residuals))
    squares = sum(e * e for group in residuals for e in group)
    if n < _LEAST_RUNS or squares <= 0.0:
        return 0.0
    products = sum(a * b for group in residuals for a, b in pairwise(group))
    short = len(residuals) / n
    rho = (products / squares + short) / max(1.0 - 3.0 * short, 0.25)
    return min(max(rho, 0.0), _MOST_AUTOCORRELATION)


def effective_runs(runs: int, rho: float) -> float:
    """Return how many independent runs tell as much as *runs* of autocorrelation *rho*."""
    return max(1.0, runs * (1.0 - rho) / (1.0 + rho))
