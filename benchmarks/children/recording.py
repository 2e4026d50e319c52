"""Records without keeping anything else, so that memory and imports are the store's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astraguard_store import LatencyCollector


def record_steadily(collector: LatencyCollector, count: int) -> None:
    """Record *count* measurements of five satellites and three metric types."""
    records = (
        collector.record_fault_detection,
        collector.record_agent_decision,
        collector.record_recovery_action,
    )
    satellites = ("SAT001", "SAT002", "SAT003", "SAT004", "SAT005")
    for i in range(count):
        duration_ms = 5.0 + i * 7919 % 10007 / 97.0
        records[i // 5 % 3](satellites[i % 5], i // 15 * 0.1, duration_ms)
