"""Runs as the rule sees them, drawn with a known truth: a drift that all latencies share."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence

from astraguard_store import MetricSummary, Provenance
from astraguard_store.verdict.sides import Sides, by_start
from astraguard_store.verdict.values import JudgedRun

WAS = Provenance(scenario="swarm", rig="rig-7", git_commit="abc", git_dirty=False)
KEY = ("fault_detection", None)


def summary(p50_ms: float, *, count: int = 6_000, missed: int = 0) -> MetricSummary:
    """Give a summary whose other percentiles keep their distance from the median."""
    return MetricSummary(
        count, p50_ms, p50_ms, 1.5 * p50_ms, 2.5 * p50_ms, p50_ms / 2, 9 * p50_ms, missed
    )


def run(
    number: int,
    metrics: Mapping[str, MetricSummary],
    *,
    reference_ms: float | None = None,
    ticks: int = 600,
    was: Provenance = WAS,
    version: str = "py1x32",
) -> JudgedRun:
    """Give a run that started *number* minutes after the first."""
    cells: dict[tuple[str, str | None], MetricSummary] = {
        (name, None): of_one for name, of_one in metrics.items()
    }
    if reference_ms is not None:
        cells["reference", None] = summary(reference_ms, count=ticks)
    return JudgedRun(
        f"run_{number:03}",
        number * 60_000_000,
        was,
        {},
        cells,
        ticks,
        None if reference_ms is None else version,
    )


def of_medians(first: int, medians_ms: Iterable[float], *, step: int = 1) -> list[JudgedRun]:
    """Give runs of one metric type with these medians."""
    return [
        run(first + place * step, {KEY[0]: summary(median_ms)})
        for place, median_ms in enumerate(medians_ms)
    ]


def drifting(
    draw: random.Random,
    number: int,
    *,
    drift: float = 0.13,
    rest: float = 0.045,
    bursts: float = 0.0,
) -> list[JudgedRun]:
    """Draw unchanged runs: noise as measured on the demo's swarm, half of it carried over.

    A share of *bursts* of them meets other work on the machine, which is by 15 % of the
    median, and by twice that of what is above it, and which the reference doesn't see.
    """
    found = []
    level = draw.gauss(0, drift)
    for place in range(number):
        level = 0.5 * level + math.sqrt(0.75) * draw.gauss(0, drift)
        metrics = {}
        is_hit = draw.random() < bursts
        for name, base_ms in (("fault_detection", 0.02), ("agent_decision", 0.005)):
            burst = draw.expovariate(1 / 0.15) if is_hit else 0.0
            p50 = base_ms * math.exp(level + draw.gauss(0, rest) + burst)
            p95 = p50 * math.exp(0.4 + draw.gauss(0, 0.06) + burst)
            p99 = p95 * math.exp(0.6 + draw.gauss(0, 0.13))
            metrics[name] = MetricSummary(6_000, p50, p50, p95, p99, p50 / 2, p99 * 3)
        reference_ms = 0.03 * math.exp(level + draw.gauss(0, 0.015))
        found.append(run(place, metrics, reference_ms=reference_ms))
    return found


def slowed(one: JudgedRun, factor: float) -> JudgedRun:
    """Give the run with all latencies *factor* times as long, but not the reference."""
    cells = {
        key: of_one
        if key[0] == "reference"
        else of_one._replace(
            mean_ms=of_one.mean_ms * factor,
            p50_ms=None if of_one.p50_ms is None else of_one.p50_ms * factor,
            p95_ms=None if of_one.p95_ms is None else of_one.p95_ms * factor,
            p99_ms=None if of_one.p99_ms is None else of_one.p99_ms * factor,
        )
        for key, of_one in one.cells.items()
    }
    return one._replace(cells=cells)


def sides(
    baseline: Sequence[JudgedRun], candidate: Sequence[JudgedRun], *, reference: bool = True
) -> Sides:
    """Give both sides by their start."""
    name = "reference" if reference else None
    return Sides(by_start(baseline), by_start(candidate), reference=name)


def drawn(
    draw: random.Random,
    k: int,
    m: int,
    factor: float,
    *,
    reference: bool = True,
    bursts: float = 0.0,
) -> Sides:
    """Draw *k* runs and *m* others, slowed by *factor*, in turns at random."""
    pool = drifting(draw, k + m, bursts=bursts)
    chosen = set(draw.sample(range(k + m), m))
    return sides(
        [one for place, one in enumerate(pool) if place not in chosen],
        [slowed(one, factor) for place, one in enumerate(pool) if place in chosen],
        reference=reference,
    )
