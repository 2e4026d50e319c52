"""A signal's handler that comes while a measurement is recorded, and records, reads or raises."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import count

from stepping import where_handlers_run

from astraguard_store import LatencyCollector
from astraguard_store.columns import BLOCK_BYTES, ROW_BYTES

ROWS = BLOCK_BYTES // ROW_BYTES


def almost_full() -> LatencyCollector:
    """Return a collector whose next measurement fills its block."""
    collector = LatencyCollector()
    for _ in range(ROWS - 1):
        collector.record_fault_detection("SAT001", 0.0, 1.0)
    return collector


def record_new(collector: LatencyCollector) -> None:
    """Record what needs a block and two labels that aren't there."""
    collector.record_fault_detection("SAT002", 0.0, 1.0)
    collector.record_missed("link", "SAT002", 0.0, 1.0)


def labels(collector: LatencyCollector) -> Counter[tuple[str, str, bool]]:
    return Counter((m.metric_type, m.satellite_id, m.missed) for m in collector.measurements)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


class TestRecording:
    """Whenever a handler comes, no row is lost, doubled or mislabelled."""

    def test_a_handler_that_records_others(self) -> None:
        for point in count(1):
            collector = almost_full()

            def handler(collector: LatencyCollector = collector) -> None:
                collector.record_missed("battery", "SAT003", 0.0, 1.0)
                record_new(collector)

            with where_handlers_run(handler, point) as reached:
                record_new(collector)
            if not reached:
                break

            assert labels(collector) == {
                ("fault_detection", "SAT001", False): ROWS - 1,
                ("fault_detection", "SAT002", False): 2,
                ("link", "SAT002", True): 2,
                ("battery", "SAT003", True): 1,
            }
            assert labels(pickle.loads(pickle.dumps(collector))) == labels(collector)

    def test_a_handler_that_reads(self) -> None:
        for point in count(1):
            collector = almost_full()
            read: list[set[int]] = []

            def handler(
                collector: LatencyCollector = collector, read: list[set[int]] = read
            ) -> None:
                copy = pickle.loads(pickle.dumps(collector))
                read.append({len(collector), collector.snapshot().rows, len(copy)})

            with where_handlers_run(handler, point) as reached:
                record_new(collector)
            if not reached:
                break

            assert read in [[{ROWS - 1}], [{ROWS}], [{ROWS + 1}]]

    def test_an_interrupt(self) -> None:
        for point in count(1):
            collector = almost_full()

            try:
                with where_handlers_run(raise_interrupt, point) as reached:
                    record_new(collector)
            except KeyboardInterrupt:
                pass
            if not reached:
                break
            before = len(collector)
            record_new(collector)

            assert before in {ROWS - 1, ROWS, ROWS + 1}
            assert len(collector) == before + 2
            assert labels(collector)["fault_detection", "SAT001", False] == ROWS - 1
