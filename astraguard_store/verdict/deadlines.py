"""The cell of a deadline: whether at most a share of the events is later than it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from astraguard_store.verdict.cells import ONE_SIDED
from astraguard_store.verdict.settling import fewest_runs
from astraguard_store.verdict.special import beta_quantile
from astraguard_store.verdict.values import CellVerdict, Settling, Verdict

_LEAST_BATCHES: Final = 8
# −ln 0.05: what may have a share of up to 3/n, and not be seen in n trials.
_RULE_OF_THREE: Final = 3.0


class Violations(NamedTuple):
    """The events of one run, in the order of their recording.

    Attributes:
        late: Whether each of them was later than the deadline, or missed.
        ticks: How often the satellites were served.
    """

    late: Sequence[bool]
    ticks: int


def judge_deadline(
    metric_type: str,
    satellite_id: str | None,
    runs: Sequence[Violations],
    *,
    at_most: float,
) -> CellVerdict:
    """Return whether no more than *at_most* of the events were too late, with 95 % confidence.

    By the bounds of Clopper and Pearson (1934) for the effective number of trials: late
    events come together, so that n of them tell less than n independent ones.
    """
    trials = sum(effective_trials(run) for run in runs)
    events = sum(len(run.late) for run in runs)
    share = sum(sum(run.late) for run in runs) / events
    low, high = _bounds(share, trials)
    verdict: Verdict = "inconclusive"
    if high <= at_most:
        verdict = "equivalent"
    elif low > at_most:
        verdict = "regressed"
    return CellVerdict(
        metric_type,
        satellite_id,
        "deadline",
        verdict,
        None,
        share,
        share,
        low,
        high,
        at_most,
        excludes_regression=high <= at_most,
        noise=None,
        noise_source="measured",
        df=None,
        settling=_settling(share, trials, len(runs), at_most)
        if verdict == "inconclusive"
        else None,
    )


def _bounds(share: float, trials: float) -> tuple[float, float]:
    """Return between which shares the true one is, each with 95 %."""
    if share == 0.0:
        return 0.0, min(1.0, _RULE_OF_THREE / trials)
    late = share * trials
    low = beta_quantile(1.0 - ONE_SIDED, late, trials - late + 1)
    return low, beta_quantile(ONE_SIDED, late + 1, trials - late) if share < 1.0 else 1.0


def _settling(share: float, trials: float, runs: int, at_most: float) -> Settling:
    """Return how many more candidate runs of this share would settle it.

    The baseline has no part in a deadline.
    """

    def settled(more: int) -> bool:
        low, high = _bounds(share, trials * (runs + more) / runs)
        return high <= at_most or low > at_most

    more = fewest_runs(settled)
    return Settling(more, more, None)


def effective_trials(run: Violations) -> float:
    """Return how many independent events tell as much as the run's: min(n/deff, ticks).

    deff is the variance of means of batches over that of independent events, the
    largest over batches of 1, 2, 4 … events, of which there are 8 at least.
    """
    n = len(run.late)
    share = sum(run.late) / n
    spread = share * (1.0 - share)
    deff, size = 1.0, 1
    while spread and n // size >= _LEAST_BATCHES:
        batches = n // size
        means = [sum(run.late[i * size : (i + 1) * size]) / size for i in range(batches)]
        mean = sum(means) / batches
        variance = sum((one - mean) ** 2 for one in means) / (batches - 1)
        deff = max(deff, variance * size / spread)
        size *= 2
    return max(1.0, min(n / deff, run.ticks))
