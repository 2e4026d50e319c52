"""One cell: one statistic of a metric type on two sides → an interval, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, inf, log1p, sqrt
from typing import Final

from astraguard_store.verdict.limits import CellLimits
from astraguard_store.verdict.noise import Group, Noise, effective_runs
from astraguard_store.verdict.settling import fewest_runs
from astraguard_store.verdict.special import t_quantile
from astraguard_store.verdict.values import CellVerdict, Settling, Verdict

ONE_SIDED: Final = 0.95
"""Confidence with which an equivalent cell is, and an excluded regression isn't."""

REFERENCE_GAIN: Final = 0.045 / 0.13
"""What an in-run reference left of the noise between runs of the demo's swarm."""

_MOST_DF: Final = 8
_MOST_DF_OF_ONE: Final = 4
_MOST_DF_OF_ONE_WITH_HISTORY: Final = 5
_MOST_DF_OF_ONE_WITH_REFERENCE: Final = 3
_MOST_DF_OF_MANY: Final = 5
_TAIL_OF_MANY: Final = 0.001  # of more than 25 cells at an alpha of 5 %


@dataclass(frozen=True, slots=True)
class Cell:
    """One statistic of both sides, logarithms of ms by the start of the runs.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        statistic: ``p50``, ``p95`` or ``p99``.
        baseline: Of the baseline's runs.
        candidate: Of the candidate's.
        history: Groups of older runs.
        baseline_bound: Whether one of the baseline's is but a lower bound.
        candidate_bound: Whether one of the candidate's is.
    """

    metric_type: str
    satellite_id: str | None
    statistic: str
    baseline: Group
    candidate: Group
    history: Sequence[Group] = ()
    baseline_bound: bool = False
    candidate_bound: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Δ = mean of the candidate − mean of the baseline, and how sure it is.

    Attributes:
        delta: Of the logarithms, with what the reference explains taken off.
        se: Its standard error.
        df: Degrees of freedom.
        runs: Effective runs of (baseline, candidate).
    """

    delta: float
    se: float
    df: float
    runs: tuple[float, float]

    def bounds(self, p: float) -> tuple[float, float]:
        """Return the interval whose ends each have probability *p* to be right."""
        half = t_quantile(p, self.df) * self.se
        return self.delta - half, self.delta + half


def difference(cell: Cell, noise: Noise, rho: float, tail: float) -> Difference:
    """Return the difference of a cell's sides; runs of autocorrelation *rho* count less."""
    k = effective_runs(len(cell.baseline.y), rho)
    m = effective_runs(len(cell.candidate.y), rho)
    delta = mean(cell.candidate.y) - mean(cell.baseline.y)
    variance = noise.variance * (1 / k + 1 / m)
    if noise.slope:
        of_reference = mean(cell.candidate.x) - mean(cell.baseline.x)
        delta -= noise.slope.beta * of_reference
        variance += noise.variance * of_reference**2 / noise.slope.sum_xx
    df = df_of_test(noise, noise.df, tail, (len(cell.baseline.y), len(cell.candidate.y)))
    return Difference(delta, sqrt(variance), df, (k, m))


def df_of_test(noise: Noise, df: float, tail: float, runs: tuple[int, int]) -> float:
    """Return the degrees of freedom of the t that a difference is tested by.

    Runs have heavier tails than a normal distribution: now and then one meets a burst
    of other work. So no more than 8, and no more than 4 where a side is a single run,
    which may be such a one; 5 where older runs show how often that is, and 3 where a
    reference explains all else. Among more than 25 cells, where each has to be surer,
    no more than 5: with 10, unchanged runs of 10 satellites were called regressed in
    5 %, with 5 in 1 to 4 %. A slope that was fitted to the same runs costs one.

    Args:
        noise: What the difference is held against.
        df: Its degrees of freedom, or what they will be.
        tail: α/2M, as in `judge`.
        runs: Of baseline and candidate.
    """
    most = _MOST_DF if tail > _TAIL_OF_MANY else _MOST_DF_OF_MANY
    if min(runs) == 1:
        most = min(most, _most_df_of_one(noise))
    return min(df - 1 if noise.slope else df, most)


def _most_df_of_one(noise: Noise) -> int:
    if noise.source == "history":
        return _MOST_DF_OF_ONE_WITH_HISTORY
    return _MOST_DF_OF_ONE_WITH_REFERENCE if noise.slope else _MOST_DF_OF_ONE


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


def margin(cell: Cell, limits: CellLimits) -> float:
    """Return δ, from which on a difference of logarithms counts: relative, and in ms."""
    # A latency may be too small for its absolute limit to be a number.
    absolute = log1p(min(limits.absolute_ms / _ms(cell.baseline.y), 1e9))
    return max(log1p(limits.relative[cell.statistic]), absolute)


def _ms(logarithms: Sequence[float]) -> float:
    return expm1(mean(logarithms)) + 1.0


def judge(cell: Cell, limits: CellLimits, noise: Noise, *, tail: float, rho: float) -> CellVerdict:
    """Return the verdict of a cell.

    Args:
        cell: The cell.
        limits: Which change counts.
        noise: What it is held against.
        tail: α/2M: probability of a false alarm in one direction of one of M cells.
        rho: Autocorrelation of the runs; 0 where the sides took turns.
    """
    found = difference(cell, noise, rho, tail)
    delta_min = margin(cell, limits)
    low, high = found.bounds(1.0 - tail)
    low_95, high_95 = found.bounds(ONE_SIDED)
    if cell.candidate_bound:
        # At least as slow as that: nothing is known of how much slower.
        high = high_95 = inf
    if cell.baseline_bound:
        low = -inf
    verdict: Verdict = "inconclusive"
    if not cell.baseline_bound:
        verdict = _verdict(found.delta, (low, high), (low_95, high_95), delta_min)
    # A cell that merely happens to look faster, within noise, has to exclude it more surely.
    excluded = high_95 if verdict == "equivalent" else high
    return CellVerdict(
        cell.metric_type,
        cell.satellite_id,
        cell.statistic,
        verdict,
        _ms(cell.baseline.y),
        _ms(cell.candidate.y),
        None if cell.baseline_bound else expm1(found.delta),
        expm1(low),
        expm1(high),
        expm1(delta_min),
        excludes_regression=excluded < delta_min,
        noise=noise.sd,
        noise_source=noise.source,
        df=noise.df,
        reference_slope=noise.slope.beta if noise.slope else None,
        settling=(
            _settling(found, noise, delta_min, tail, cell)
            if verdict == "inconclusive" and not excluded < delta_min
            else None
        ),
    )


def _verdict(
    delta: float,
    interval: tuple[float, float],
    one_sided: tuple[float, float],
    delta_min: float,
) -> Verdict:
    if interval[0] > 0 and delta >= delta_min:
        return "regressed"
    if interval[1] < 0 and delta <= -delta_min:
        return "improved"
    if -delta_min < one_sided[0] and one_sided[1] < delta_min:
        return "equivalent"
    return "inconclusive"


def _settling(
    found: Difference, noise: Noise, delta_min: float, tail: float, cell: Cell
) -> Settling | None:
    """Return how many more runs would settle it, if its difference stays what it is."""
    if cell.candidate_bound or cell.baseline_bound:
        return None
    k, m = len(cell.baseline.y), len(cell.candidate.y)
    # What an autocorrelation takes from a run it takes from the next ones too.
    worth = found.runs[1] / m if m > 1 else found.runs[0] / k

    def settled(more_k: int, more_m: int, gain: float) -> bool:
        df = df_of_test(noise, noise.df + more_k + more_m, tail, (k + more_k, m + more_m))
        per_side = 1 / max(1.0, worth * (k + more_k)) + 1 / max(1.0, worth * (m + more_m))
        se = gain * noise.sd * sqrt(per_side)
        if found.delta >= delta_min:
            return found.delta > t_quantile(1.0 - tail, df) * se
        if abs(found.delta) + t_quantile(ONE_SIDED, df) * se < delta_min:
            return True
        return found.delta + t_quantile(1.0 - tail, df) * se < delta_min

    return Settling(
        fewest_runs(lambda more: settled(0, more, 1.0)),
        fewest_runs(lambda more: settled(more, more, 1.0)),
        None if cell.baseline.x else fewest_runs(lambda more: settled(0, more, REFERENCE_GAIN)),
    )
