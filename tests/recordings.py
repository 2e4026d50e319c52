"""Collectors to save: the package's own, and the kind that runners bring along."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import reference

from astraguard_store import LatencyCollector, LatencyMeasurement, MetricsStorage


@dataclass
class OwnMeasurement:
    """A measurement as a runner may define it: the five attributes and no more."""

    timestamp: float
    metric_type: str
    satellite_id: str
    duration_ms: float
    scenario_time_s: float


@dataclass
class OwnCollector:
    """A runner's own collector: it has `.measurements` and no more."""

    measurements: list[OwnMeasurement] = field(default_factory=list)


def recorded(steps: int, *, scale: float = 1.0) -> LatencyCollector:
    """Record one measurement of each of the three kinds a step, in turn on two satellites."""
    collector = LatencyCollector()
    for i in range(steps):
        satellite = f"SAT00{1 + i % 2}"
        collector.record_fault_detection(satellite, float(i), scale * (1.0 + (i * 37) % 11))
        collector.record_agent_decision(satellite, float(i), scale * (0.1 + (i * 53) % 7))
        collector.record_recovery_action(satellite, float(i), scale * (20.3 + (i * 71) % 13))
    return collector


def own(rows: Iterable[reference.Row]) -> OwnCollector:
    """Give *rows* as a runner's own collector."""
    return OwnCollector([OwnMeasurement(*row) for row in rows])


def rows_of(collector: LatencyCollector) -> list[reference.Row]:
    """Give the measurements of *collector* as plain rows."""
    return [
        (m.timestamp, m.metric_type, m.satellite_id, m.duration_ms, m.scenario_time_s)
        for m in collector.measurements
    ]


def save(results: Path, run_id: str, collector: Any) -> MetricsStorage:
    """Save *collector* as a runner does, and return what it saved through."""
    storage = MetricsStorage(run_id, str(results))
    storage.save_latency_stats(collector)
    return storage


class Recorder(NamedTuple):
    """One of the methods that record, by name."""

    metric_type: str
    duration: str

    def record(self, collector: LatencyCollector, *values: Any) -> None:
        """Record a latency by it."""
        getattr(collector, f"record_{self.metric_type}")(*values)


RECORDERS = [
    Recorder("fault_detection", "detection_delay_ms"),
    Recorder("agent_decision", "decision_time_ms"),
    Recorder("recovery_action", "action_time_ms"),
]


def only(collector: LatencyCollector) -> LatencyMeasurement:
    """Give the only measurement of *collector*."""
    (measurement,) = collector.measurements
    return measurement
