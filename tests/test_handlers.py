"""A signal's handler that comes in the middle of a step, and records, reads, saves or raises."""

from __future__ import annotations

import pickle
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType

import pytest
from recordings import recorded
from stepping import where_handlers_run

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.columns import BLOCK_BYTES, ROW_BYTES
from astraguard_store.database.identity_map import IdentityMap

ROWS = BLOCK_BYTES // ROW_BYTES
Step = Callable[[], object]


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


def filled(limit: int) -> IdentityMap:
    """Return a map with as much as goes in."""
    identity_map = IdentityMap(limit)
    for number in range(limit - 1):
        identity_map.keep((number,), ("a", "b"), "kept", identity_map.mark())
    identity_map.keep("a", (), "kept", identity_map.mark())
    return identity_map


STEPS: dict[str, Callable[[IdentityMap], object]] = {
    "get": lambda identity_map: identity_map.get("a"),
    "keep": lambda identity_map: identity_map.keep("new", ("a", "b"), "old", identity_map.mark()),
    "forget": lambda identity_map: identity_map.forget(["a", "b"]),
}


@pytest.mark.parametrize("step", STEPS)
class TestIdentityMap:
    """Whenever a handler comes, what it or a later save forgets is forgotten."""

    @pytest.mark.parametrize("inner", STEPS)
    def test_a_handler_that_uses_it(self, step: str, inner: str) -> None:
        for point in count(1):
            identity_map = filled(4)

            with where_handlers_run(lambda m=identity_map: STEPS[inner](m), point) as reached:  # type: ignore[misc]
                STEPS[step](identity_map)
            if not reached:
                break

            if inner == "forget" and step != "keep":
                self.check_forgotten(identity_map)
            identity_map.forget(["b", "a"])
            self.check_forgotten(identity_map)

    def test_what_a_handler_forgets_is_not_kept(self, step: str) -> None:
        for point in count(1):
            identity_map = filled(4)
            mark = identity_map.mark()

            def keep(m: IdentityMap = identity_map, mark: tuple[int, int] = mark) -> None:
                m.keep("new", ("a", "b"), "old", mark)

            with where_handlers_run(lambda m=identity_map: m.forget(["a", "b"]), point) as reached:  # type: ignore[misc]
                keep()
                STEPS[step](identity_map)
            if not reached:
                break

            if step != "keep":
                self.check_forgotten(identity_map)

    def test_an_interrupt(self, step: str) -> None:
        for point in count(1):
            identity_map = filled(4)

            try:
                with where_handlers_run(raise_interrupt, point) as reached:
                    STEPS[step](identity_map)
            except KeyboardInterrupt:
                pass
            if not reached:
                break
            identity_map.forget(["b", "a"])

            self.check_forgotten(identity_map)
            identity_map.keep("new", ("a", "b"), "true", identity_map.mark())
            assert identity_map.get("new") == "true"

    @staticmethod
    def check_forgotten(identity_map: IdentityMap) -> None:
        for key in ["a", "new", *((number,) for number in range(4))]:
            assert identity_map.get(key) is None


class TestSaving:
    """SIGTERM as many use it: save what there is."""

    @pytest.fixture
    def repository(self) -> Iterator[RunRepository]:
        """Give a repository that a signal saves into."""
        with RunRepository.in_memory() as opened:
            yield opened

    def test_a_handler_saves_wherever_a_get_is(self, repository: RunRepository) -> None:
        def save(_number: int, _frame: FrameType | None) -> None:
            repository.save("run", recorded(3))

        repository.save("run", recorded(2))
        before = signal.signal(signal.SIGUSR1, save)
        try:
            for point in count(1):
                revision = repository.get("run").revision

                with where_handlers_run(lambda: signal.raise_signal(signal.SIGUSR1), point) as hit:
                    repository.get("run")
                if not hit:
                    break

                assert repository.get("run").revision == revision + 1
        finally:
            signal.signal(signal.SIGUSR1, before)
