"""What recording costs the loop that is measured: memory, pieces of it, and locks.

Counted, not timed: a slow machine fails none of this. The sizes are those that the
docstring of `LatencyCollector` announces, not the package's own constants.
"""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from astraguard_store import LatencyCollector, RunRepository

MANY = 100_000
THREADS = 8

ROWS_A_BLOCK = 4_096
BLOCK_BYTES = 128 * 1024
# A growing bytearray has an eighth of its size to spare.
LARGEST_PIECE = BLOCK_BYTES * 9 // 8 + 64
BYTES_A_MEASUREMENT = 36
# The collector itself, its lists of blocks and its labels.
APART_FROM_MEASUREMENTS = 10_000

SATELLITES = ("SAT001", "SAT002", "SAT003", "SAT004", "SAT005")
LABELS = 3 * len(SATELLITES)


def record(collector: LatencyCollector, count: int) -> None:
    """Record *count* measurements of 15 labels, each with numbers of its own."""
    records = (
        collector.record_fault_detection,
        collector.record_agent_decision,
        collector.record_recovery_action,
    )
    for i in range(count):
        records[i % 3](SATELLITES[i % 5], i * 0.1, i * 0.7)


def filled(count: int) -> LatencyCollector:
    """Return a collector with *count* measurements."""
    collector = LatencyCollector()
    record(collector, count)
    return collector


@contextmanager
def recording_threads(collector: LatencyCollector, count: int) -> Iterator[list[threading.Thread]]:
    """Let eight threads record *count* measurements together; leave when all have."""
    start = threading.Barrier(THREADS)

    def work() -> None:
        start.wait()
        record(collector, count // THREADS)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.join()


def save_while_alive(
    repository: RunRepository, collector: LatencyCollector, threads: list[threading.Thread]
) -> None:
    """Save what there is, again and again until the threads are done; once at least."""
    while True:
        if len(collector):
            repository.save("run", collector)
        if not any(thread.is_alive() for thread in threads):
            return


@contextmanager
def traced() -> Iterator[None]:
    """Count what is allocated from now on."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def bytes_held_after(recording: Callable[[LatencyCollector], object]) -> int:
    """Return how much *recording*, its collector and what it returns hold when it is over."""
    with traced():
        collector = LatencyCollector()
        kept = recording(collector)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        del kept
    return held


class TestMemory:
    """At most 36 bytes a measurement."""

    @staticmethod
    def most(count: int) -> int:
        return BYTES_A_MEASUREMENT * count + APART_FROM_MEASUREMENTS

    @pytest.mark.parametrize("count", [1_000, ROWS_A_BLOCK + 1, MANY])
    def test_a_measurement_takes_36_bytes_at_most(self, count: int) -> None:
        held = bytes_held_after(lambda collector: record(collector, count))

        assert 32 * count <= held <= self.most(count)

    def test_missed_events_take_no_more(self) -> None:
        def recording(collector: LatencyCollector) -> None:
            for i in range(20_000):
                collector.record_missed("fault_detection", "SAT001", i, i * 0.7)

        assert bytes_held_after(recording) <= self.most(20_000)

    def test_nor_does_what_several_threads_record(self) -> None:
        def recording(collector: LatencyCollector) -> None:
            with recording_threads(collector, MANY):
                pass

        assert 32 * MANY <= bytes_held_after(recording) <= self.most(MANY)

    def test_nor_does_what_is_recorded_beside_snapshots(self) -> None:
        def recording(collector: LatencyCollector) -> object:
            snapshots = []
            for _ in range(4):
                record(collector, MANY // 4)
                snapshots.append(collector.snapshot())
            return snapshots

        assert bytes_held_after(recording) <= self.most(MANY)

    def test_nor_does_what_is_recorded_beside_saves(self, results: Path) -> None:
        def recording(collector: LatencyCollector) -> None:
            with recording_threads(collector, MANY) as threads:
                save_while_alive(repository, collector, threads)

        with RunRepository.open(results) as repository:
            # What the store and its libraries keep from their first time isn't meant.
            repository.save("run", filled(5_000))
            held = bytes_held_after(recording)

        assert held <= self.most(MANY)

    def test_a_snapshot_copies_no_measurement(self) -> None:
        collector = filled(MANY)

        with traced():
            snapshot = collector.snapshot()
            _, peak = tracemalloc.get_traced_memory()

        assert snapshot.rows == MANY
        assert peak <= APART_FROM_MEASUREMENTS


class TestSpikes:
    """No recording allocates more than a block, however much is recorded already."""

    def test_no_piece_is_larger_than_a_block(self) -> None:
        with traced():
            collector = filled(MANY)
            pieces = [trace.size for trace in tracemalloc.take_snapshot().traces]

        assert len(collector) == MANY
        assert max(pieces) <= LARGEST_PIECE

    def test_no_call_takes_more_than_a_block_at_once(self) -> None:
        most = 0
        collector = LatencyCollector()

        with traced():
            for i in range(MANY):
                before, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                collector.record_fault_detection("SAT001", i * 0.1, i * 0.7)
                _, peak = tracemalloc.get_traced_memory()
                most = max(most, peak - before)

        assert most <= LARGEST_PIECE


# The real one, for a CountingLock takes the place of both kinds.
reentrant = threading.RLock


class CountingLock:
    """A lock that knows how often each thread took it."""

    def __init__(self) -> None:
        self._lock = reentrant()
        self.taken: Counter[str] = Counter()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        acquired = self._lock.acquire(blocking, timeout)
        if acquired:
            self.taken[threading.current_thread().name] += 1
        return acquired

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class TestLocks:
    """Recorders take a lock for a new block or a new label, never for a measurement."""

    @pytest.fixture
    def locks(self) -> list[CountingLock]:
        """List the locks of `collector`."""
        return []

    @pytest.fixture
    def collector(
        self, locks: list[CountingLock], monkeypatch: pytest.MonkeyPatch
    ) -> LatencyCollector:
        """Give a collector whose locks, whatever it calls them, count."""

        def make() -> CountingLock:
            locks.append(CountingLock())
            return locks[-1]

        with monkeypatch.context() as patched:
            patched.setattr(threading, "Lock", make)
            patched.setattr(threading, "RLock", make)
            collector = LatencyCollector()
        assert locks
        return collector

    @staticmethod
    def most_by_a_thread(locks: list[CountingLock]) -> int:
        """Return how often the busiest thread but this one took a lock."""
        taken = sum((lock.taken for lock in locks), Counter[str]())
        del taken[threading.current_thread().name]
        return max(taken.values())

    def test_a_lock_is_taken_once_a_block_and_once_a_label(
        self, collector: LatencyCollector, locks: list[CountingLock]
    ) -> None:
        record(collector, MANY)

        taken = sum(lock.taken.total() for lock in locks)
        assert taken == LABELS + MANY // ROWS_A_BLOCK

    def test_each_of_several_threads_takes_it_no_more_often(
        self, collector: LatencyCollector, locks: list[CountingLock]
    ) -> None:
        with recording_threads(collector, MANY):
            pass

        assert len(collector) == MANY
        assert self.most_by_a_thread(locks) <= LABELS + MANY // ROWS_A_BLOCK

    def test_nor_while_the_run_is_saved(
        self, collector: LatencyCollector, locks: list[CountingLock], results: Path
    ) -> None:
        with (
            RunRepository.open(results) as repository,
            recording_threads(collector, MANY) as threads,
        ):
            save_while_alive(repository, collector, threads)

        assert len(collector) == MANY
        assert self.most_by_a_thread(locks) <= LABELS + MANY // ROWS_A_BLOCK

    def test_a_recorder_does_not_wait_for_who_holds_it(
        self, collector: LatencyCollector, locks: list[CountingLock]
    ) -> None:
        record(collector, LABELS)
        recorder = threading.Thread(target=record, args=(collector, 1_000))

        with ExitStack() as held:
            for lock in locks:
                held.enter_context(lock)
            recorder.start()
            recorder.join(10)
            waits = recorder.is_alive()
        recorder.join()

        assert not waits
        assert len(collector) == LABELS + 1_000
