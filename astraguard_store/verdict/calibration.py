"""What a baseline can find: false alarms of its own runs, and the smallest change found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import expm1, sqrt
from typing import Final

from astraguard_store.verdict.cells import REFERENCE_GAIN, Cell, df_of_test, margin
from astraguard_store.verdict.gate import judge_sides
from astraguard_store.verdict.limits import CellLimits, Limits
from astraguard_store.verdict.noise import Group, Noise, as_of_a_single_run, noise_of
from astraguard_store.verdict.sides import Sides
from astraguard_store.verdict.special import beta_quantile, t_cdf, t_quantile
from astraguard_store.verdict.values import Calibration, CalibrationCell, NoiseSource

POWER: Final = 0.8
_EXCESS_KURTOSIS: Final = 2.0
_CASES: Final = 8


def calibrate_pool(pool: Sides, limits: Limits, candidate_runs: int) -> Calibration:
    """Return what is known of a gate against a baseline.

    Args:
        pool: The baseline's runs as `baseline`, and older ones as `history`.
        limits: Which changes count.
        candidate_runs: How many runs a candidate will have, at least 1.
    """
    alarms: Counter[tuple[str, str | None, str]] = Counter()
    verdicts: Counter[str] = Counter()
    runs = pool.baseline
    for place in range(len(runs)):
        rest = (*runs[:place], *runs[place + 1 :])
        report = judge_sides(replace(pool, baseline=rest, candidate=(runs[place],)), limits)
        verdicts[report.verdict] += 1
        alarms.update((c.metric_type, c.satellite_id, c.statistic) for c in report.regressed)
    # As it would be judged: the pool against itself says which cells there are.
    both = replace(pool, candidate=runs)
    found, _ = both.percentiles(limits)
    missed = len(both.missed())
    tail = limits.alpha / (2 * max(1, len(found) + missed))
    cells = []
    sources: set[NoiseSource] = set()
    for cell in found:
        noise = noise_of(
            [cell.baseline],
            cell.history,
            reference=bool(cell.baseline.x),
            coming_df=candidate_runs - 1,
        )
        if noise is None:
            continue
        sources.add(noise.source)
        of_cell = limits.of(cell.metric_type, cell.satellite_id)
        key = (cell.metric_type, cell.satellite_id, cell.statistic)
        cells.append(
            CalibrationCell(
                *key,
                noise.sd,
                _detectable(cell, of_cell, noise, tail, candidate_runs, 1.0),
                None
                if cell.baseline.x
                else _detectable(cell, of_cell, noise, tail, candidate_runs, REFERENCE_GAIN),
                alarms[key],
            )
        )
    return Calibration(
        baseline=tuple(run.run_id for run in runs),
        candidate_runs=candidate_runs,
        tries=len(runs),
        false_alarms=verdicts["regressed"],
        false_improvements=verdicts["improved"],
        false_alarm_bound=largest_rate(verdicts["regressed"], len(runs)),
        cells=tuple(sorted(cells, key=lambda cell: cell.detectable)),
        noise_source="history" if "history" in sources else "measured",
        warnings=tuple(_warnings(pool)),
    )


def largest_rate(events: int, tries: int) -> float:
    """Return the largest probability that *events* of *tries* leave possible, with 95 %."""
    return beta_quantile(0.95, events + 1, tries - events) if events < tries else 1.0


def _detectable(
    cell: Cell, limits: CellLimits, noise: Noise, tail: float, m: int, gain: float
) -> float:
    """Return the smallest relative change that is called regressed with 80 %.

    What the candidate's runs will be is predicted from the baseline's, whose squares go
    into the test, too. The variance f within the candidate, over that of the baseline,
    follows an F distribution; given f, the difference over its standard error is Student's
    t of the degrees of freedom of both; what is found is averaged over f.
    """
    k = len(cell.baseline.y)
    # The slope is fitted to the same runs, which is why they lie nearer to it than others.
    known = max(1.0, noise.df - 1) if noise.slope else noise.df
    unit = noise.variance * noise.df / known
    tested = noise if m > 1 else as_of_a_single_run(noise, cell.statistic)
    of_groups = sqrt(1 / k + 1 / m + _of_reference(cell.baseline, noise, k, m))
    t = t_quantile(1.0 - tail, df_of_test(tested, tested.df + m - 1, tail, (k, m)))
    # The squares of few runs with heavy tails tell of their variance what fewer would.
    sure = 2 / (2 / known + _EXCESS_KURTOSIS / (known + 1))
    cases = []
    for ratio in _variance_ratios(m - 1, sure):
        squares = tested.df * tested.variance + (m - 1) * ratio * unit
        least = t * sqrt(squares / (tested.df + m - 1)) * of_groups * gain
        spread = sqrt(unit * (sure + (m - 1) * ratio) / (sure + m - 1)) * of_groups * gain
        cases.append((max(least, margin(cell, limits)), spread))
    df = sure + m - 1
    low, high = (pick(a + t_quantile(POWER, df) * b for a, b in cases) for pick in (min, max))
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        found = sum(t_cdf((middle - a) / b, df) for a, b in cases) / len(cases)
        low, high = (middle, high) if found < POWER else (low, middle)
    return expm1(high)


def _variance_ratios(df: int, of: float) -> list[float]:
    """Return quantiles, equally probable, of a variance over another: an F distribution."""
    if not df:
        return [0.0]
    shares = (beta_quantile((i + 0.5) / _CASES, df / 2, of / 2) for i in range(_CASES))
    return [of * share / (df * (1.0 - share)) for share in shares]


def _of_reference(group: Group, noise: Noise, k: int, m: int) -> float:
    """Return what the slope adds to the variance, over that of a run, as is usual."""
    if not noise.slope or k < 2:
        return 0.0
    mean = sum(group.x) / k
    spread = sum((x - mean) ** 2 for x in group.x) / (k - 1)
    return spread * (1 / k + 1 / m) / noise.slope.sum_xx


def _warnings(pool: Sides) -> list[str]:
    found = [
        f"the baseline's runs differ in {name}"
        for name in ("git_commit", "software_version", "firmware")
        if len({getattr(run.provenance, name) for run in pool.baseline}) > 1
    ]
    if len(pool.baseline) < 10:
        found.append(
            f"{len(pool.baseline)} runs show little of what else a run may be; take 10 or more"
        )
    return found
