"""The measurements that every side records, and the run ids they are stored under."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

SATELLITES = ("SAT001", "SAT002", "SAT003", "SAT004", "SAT005")
METRIC_TYPES = ("fault_detection", "agent_decision", "recovery_action")
STATISTICS_ROWS = len(METRIC_TYPES) * (1 + len(SATELLITES))
"""18: a row a metric type, and one a metric type of each satellite."""

SMALLEST = len(METRIC_TYPES) * len(SATELLITES)
"""Measurements of the smallest run that has all the statistics rows."""

Latency = tuple[str, float, float]
"""Satellite, scenario time (s), duration (ms): the arguments of a `record_*` call."""


class Collector(Protocol):
    """What the old collector and ours have in common."""

    def record_fault_detection(
        self, sat_id: str, scenario_time_s: float, detection_delay_ms: float
    ) -> None:
        """Record a fault's detection."""

    def record_agent_decision(
        self, sat_id: str, scenario_time_s: float, decision_time_ms: float
    ) -> None:
        """Record an agent's decision."""

    def record_recovery_action(
        self, sat_id: str, scenario_time_s: float, action_time_ms: float
    ) -> None:
        """Record a recovery action."""


def latencies(count: int, seed: int = 1) -> list[Latency]:
    """Return *count* latencies of a 10 Hz loop: five satellites, right-skewed durations."""
    rng = random.Random(seed)
    return [
        (
            SATELLITES[i % len(SATELLITES)],
            i // SMALLEST * 0.1,
            rng.lognormvariate(3.0, 0.5),
        )
        for i in range(count)
    ]


def record(collector: Collector, rows: list[Latency]) -> None:
    """Record *rows*, the metric type changing after each turn of the satellites."""
    records: tuple[Callable[[str, float, float], None], ...] = (
        collector.record_fault_detection,
        collector.record_agent_decision,
        collector.record_recovery_action,
    )
    turn = len(SATELLITES)
    for start in range(0, len(rows), turn):
        one = records[start // turn % len(records)]
        for satellite_id, scenario_time_s, duration_ms in rows[start : start + turn]:
            one(satellite_id, scenario_time_s, duration_ms)


def run_id(number: int) -> str:
    """Return the id of the stored run of that number: `run_0000042`."""
    return f"run_{number:07d}"


def shuffled_ids(count: int) -> list[str]:
    """Return the ids of the stored runs 0 to *count* - 1 in an order that repeats."""
    ids = [run_id(number) for number in range(count)]
    random.Random(count).shuffle(ids)
    return ids
