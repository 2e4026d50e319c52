"""The old collector: one object a measurement."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

Statistics = dict[str, dict[str, float]]


@dataclass
class LatencyMeasurement:
    """One latency: when (epoch s), what, of which satellite, how long (ms), scenario time (s)."""

    timestamp: float
    metric_type: str
    satellite_id: str
    duration_ms: float
    scenario_time_s: float


class LatencyCollector:
    """Keeps measurements in a list and computes their statistics on demand."""

    def __init__(self) -> None:
        self.measurements: list[LatencyMeasurement] = []

    def __len__(self) -> int:
        return len(self.measurements)

    def record_fault_detection(
        self, sat_id: str, scenario_time_s: float, detection_delay_ms: float
    ) -> None:
        """Record how long a fault took to be detected (ms)."""
        self._check(sat_id, scenario_time_s, "detection_delay_ms", detection_delay_ms)
        self._append("fault_detection", sat_id, scenario_time_s, detection_delay_ms)

    def record_agent_decision(
        self, sat_id: str, scenario_time_s: float, decision_time_ms: float
    ) -> None:
        """Record how long an agent took to decide (ms)."""
        self._check(sat_id, scenario_time_s, "decision_time_ms", decision_time_ms)
        self._append("agent_decision", sat_id, scenario_time_s, decision_time_ms)

    def record_recovery_action(
        self, sat_id: str, scenario_time_s: float, action_time_ms: float
    ) -> None:
        """Record how long a recovery action took (ms)."""
        self._check(sat_id, scenario_time_s, "action_time_ms", action_time_ms)
        self._append("recovery_action", sat_id, scenario_time_s, action_time_ms)

    def get_stats(self) -> Statistics:
        """Return the statistics of each metric type."""
        by_type: defaultdict[str, list[float]] = defaultdict(list)
        for measurement in self.measurements:
            by_type[measurement.metric_type].append(measurement.duration_ms)
        return {
            metric_type: {
                "count": len(values),
                "mean_ms": sum(values) / len(values),
                "p50_ms": _percentile(ordered, 0.50),
                "p95_ms": _percentile(ordered, 0.95),
                "p99_ms": _percentile(ordered, 0.99),
                "max_ms": ordered[-1],
                "min_ms": ordered[0],
            }
            for metric_type, values in by_type.items()
            for ordered in [sorted(values)]
        }

    def get_stats_by_satellite(self) -> dict[str, Statistics]:
        """Return the statistics of each metric type of each satellite."""
        grouped: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for measurement in self.measurements:
            by_type = grouped[measurement.satellite_id]
            by_type[measurement.metric_type].append(measurement.duration_ms)
        return {
            satellite_id: {
                metric_type: {
                    "count": len(values),
                    "mean_ms": sum(values) / len(values),
                    "p50_ms": _percentile(ordered, 0.50),
                    "p95_ms": _percentile(ordered, 0.95),
                    "max_ms": ordered[-1],
                }
                for metric_type, values in by_type.items()
                for ordered in [sorted(values)]
            }
            for satellite_id, by_type in grouped.items()
        }

    def get_summary(self) -> dict[str, Any]:
        """Return total, counts and both statistics, computed anew."""
        if not self.measurements:
            return {"total_measurements": 0, "metrics": {}}
        return {
            "total_measurements": len(self.measurements),
            "measurement_types": dict(Counter(m.metric_type for m in self.measurements)),
            "stats": self.get_stats(),
            "stats_by_satellite": self.get_stats_by_satellite(),
        }

    def export_csv(self, filename: str) -> None:
        """Write the measurements, a dict a row.

        Raises:
            ValueError: There are no measurements, or the filename is empty.
        """
        if not filename:
            raise ValueError(f"Invalid filename: {filename!r}")
        if not self.measurements:
            raise ValueError("No measurements to export")
        with Path(filename).open("w", newline="", encoding="utf-8") as stream:
            names = [field.name for field in fields(LatencyMeasurement)]
            writer = csv.DictWriter(stream, fieldnames=names)
            writer.writeheader()
            for measurement in self.measurements:
                writer.writerow(asdict(measurement))

    def _check(
        self, sat_id: object, scenario_time_s: object, duration_name: str, duration_ms: object
    ) -> None:
        if not isinstance(sat_id, str) or not sat_id:
            raise ValueError(f"Invalid sat_id: {sat_id}")
        if not isinstance(scenario_time_s, (int, float)) or scenario_time_s < 0:
            raise ValueError(f"Invalid scenario_time_s: {scenario_time_s}")
        if not isinstance(duration_ms, (int, float)) or duration_ms < 0:
            raise ValueError(f"Invalid {duration_name}: {duration_ms}")

    def _append(
        self, metric_type: str, sat_id: str, scenario_time_s: float, duration_ms: float
    ) -> None:
        self.measurements.append(
            LatencyMeasurement(
                timestamp=time.time(),
                metric_type=metric_type,
                satellite_id=sat_id,
                duration_ms=float(duration_ms),
                scenario_time_s=float(scenario_time_s),
            )
        )


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]
