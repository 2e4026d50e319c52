"""The cell of missed events: whether their share rose."""

from __future__ import annotations

from collections.abc import Sequence
from math import asin, pi, sin, sqrt
from typing import Final, NamedTuple

from astraguard_store.verdict.cells import ONE_SIDED, mean
from astraguard_store.verdict.settling import fewest_runs
from astraguard_store.verdict.special import t_quantile
from astraguard_store.verdict.values import CellVerdict, Settling, Verdict

_CV: Final = 0.5  # how much the share of missed events varies from run to run
_PRIOR_DF: Final = 4
_EQUIVALENT_RISE: Final = 0.01
"""A rise of the share that is small enough for "equivalent", where none is allowed."""


class Counts(NamedTuple):
    """The events of one run, and how many of them were missed."""

    missed: int
    events: int


def judge_missed(
    metric_type: str,
    satellite_id: str | None,
    baseline: Sequence[Counts],
    candidate: Sequence[Counts],
    *,
    allowed: float,
    tail: float,
) -> CellVerdict:
    """Return whether the share of missed events rose.

    z = asin √((x + ⅜)/(n + ¾)) of each run has a variance of 1/4n, whatever the share
    (Anscombe 1948, Biometrika 35), and φ times that where events are missed together.
    φ is measured between runs, and moderated by what is usual.

    Args:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        baseline: Of the baseline's runs.
        candidate: Of the candidate's.
        allowed: Rise of the share that is allowed; a greater one has to be proven.
        tail: α/2M, as in `cells.judge`.
    """
    before, after = (_arcs(side) for side in (baseline, candidate))
    d = len(before) + len(after) - 2
    n = sum(run.events for run in (*baseline, *candidate)) / (d + 2)
    share = _share(baseline)
    phi_0 = 1 + n * share * _CV**2
    squares = sum(
        4 * run.events * (z - mean(arcs)) ** 2
        for runs, arcs in ((baseline, before), (candidate, after))
        for run, z in zip(runs, arcs, strict=True)
    )
    df = _PRIOR_DF + d
    phi = max(1.0, (_PRIOR_DF * phi_0 + squares) / df)
    se = sqrt(phi / (4 * n) * (1 / len(before) + 1 / len(after)))
    delta = mean(after) - mean(before)
    rise = _share(candidate) - share
    half, half_95 = t_quantile(1.0 - tail, df) * se, t_quantile(ONE_SIDED, df) * se
    at = mean(before)

    def rise_of(difference: float) -> float:
        return _share_of(at + difference) - _share_of(at)

    tolerated = max(allowed, _EQUIVALENT_RISE)
    verdict: Verdict = "inconclusive"
    if delta - half > 0 and rise > allowed:
        verdict = "regressed"
    elif delta + half < 0 and rise < -allowed:
        verdict = "improved"
    elif rise_of(delta + half_95) < tolerated and rise_of(delta - half_95) > -tolerated:
        verdict = "equivalent"
    excludes = rise_of(delta + half_95) < tolerated

    def settled(more_k: int, more_m: int) -> bool:
        k, m = len(before) + more_k, len(after) + more_m
        se = sqrt(phi / (4 * n) * (1 / k + 1 / m))
        more = df + more_k + more_m
        if rise > allowed and delta > t_quantile(1.0 - tail, more) * se:
            return True
        return rise_of(delta + t_quantile(ONE_SIDED, more) * se) < tolerated

    return CellVerdict(
        metric_type,
        satellite_id,
        "missed",
        verdict,
        share,
        _share(candidate),
        rise,
        rise_of(delta - half),
        rise_of(delta + half),
        allowed,
        excludes_regression=excludes,
        noise=phi,
        noise_source="measured",
        df=df,
        settling=None
        if excludes or verdict == "regressed"
        else Settling(
            fewest_runs(lambda more: settled(0, more)),
            fewest_runs(lambda more: settled(more, more)),
            None,
        ),
    )


def _arcs(runs: Sequence[Counts]) -> list[float]:
    return [asin(sqrt((run.missed + 0.375) / (run.events + 0.75))) for run in runs]


def _share_of(arc: float) -> float:
    """Return the share whose arc this is, from 0 to 1."""
    return sin(min(max(arc, 0.0), pi / 2)) ** 2


def _share(runs: Sequence[Counts]) -> float:
    return sum(run.missed for run in runs) / sum(run.events for run in runs)
