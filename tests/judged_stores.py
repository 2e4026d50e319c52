"""Stores with runs to judge: small ones of known truth, with a machine that drifts."""

from __future__ import annotations

import random
from collections.abc import Iterable

from astraguard_store import LatencyCollector, Provenance, RunRepository

WAS = Provenance(scenario="swarm", rig="rig-7", firmware="4.1", git_commit="abc", git_dirty=False)
NEW = Provenance(scenario="swarm", rig="rig-7", firmware="4.2", git_commit="def", git_dirty=False)
SATELLITES = ("SAT001", "SAT002", "SAT003")


def flown(
    seed: str,
    *,
    factor: float = 1.0,
    ticks: int = 300,
    missed: float = 0.0,
    slow_satellite: float = 1.0,
    reference: bool = True,
) -> LatencyCollector:
    """Record a run whose machine has a speed of its own, which the reference shares."""
    draw = random.Random(seed)
    machine = draw.lognormvariate(0, 0.1)
    rest = draw.lognormvariate(0, 0.02)
    collector = LatencyCollector()
    for tick in range(ticks):
        for satellite in SATELLITES:
            extra = slow_satellite if satellite == SATELLITES[1] else 1.0
            latency_ms = 2.0 * machine * rest * factor * extra * draw.lognormvariate(0, 0.2)
            record = collector.record_missed if draw.random() < missed else collector.record
            record("fault_detection", satellite, tick / 10, latency_ms)
        if reference:
            collector.record_reference(0.03 * machine * draw.lognormvariate(0, 0.05), tick / 10)
    return collector


def saved(
    repository: RunRepository,
    names: Iterable[str],
    *,
    was: Provenance = WAS,
    **what: float,
) -> list[str]:
    """Save a run of each name, and give the names."""
    names = list(names)
    for name in names:
        repository.save(name, flown(name, **what), provenance=was)  # type: ignore[arg-type]
    return names


def with_both_sides(repository: RunRepository, *, factor: float = 1.3, **what: float) -> None:
    """Save ten runs and three slower ones in turns, the ten as the baseline ``nightly``."""
    for number in range(10):
        saved(repository, [f"old_{number}"])
        if number % 3 == 1:
            saved(repository, [f"new_{number}"], was=NEW, factor=factor, **what)
    repository.set_baseline("nightly", [f"old_{number}" for number in range(10)])
