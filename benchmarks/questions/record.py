"""What does recording one measurement cost the loop that is measured?"""

from __future__ import annotations

from functools import partial
from itertools import cycle
from time import perf_counter_ns
from typing import TYPE_CHECKING

from astraguard_store import LatencyCollector, LiveRun, RunRepository
from benchmarks import legacy
from benchmarks.harness import Side, interleave, section
from benchmarks.results import OURS, SEQUENTIAL
from benchmarks.workloads import latencies, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.harness import Bench
    from benchmarks.results import Section
    from benchmarks.workloads import Collector, Latency

    Record = Callable[[str, float, float], None]

MEASUREMENTS = 10_000
LIVE = "ours, with a journal"
# So that the thread that writes the journal is at work in most samples.
FLUSH_EVERY_S = 0.01
NOTHING = "nothing"
"""A call that does nothing: the slowest of these is the machine's own doing."""


def ask(bench: Bench) -> list[Section]:
    """Time 10,000 recordings into a fresh collector; both old variants share theirs."""
    call = partial(record, rows=latencies(MEASUREMENTS))
    return [
        bench.measure(
            "record",
            "record one measurement",
            [
                Side(OURS, call, LatencyCollector, operations=MEASUREMENTS),
                Side(SEQUENTIAL, call, legacy.LatencyCollector, operations=MEASUREMENTS),
            ],
            rounds=bench.size(100, 20),
            warm_up=3,
        ),
        ask_slowest(bench),
    ]


def ask_slowest(bench: Bench) -> Section:
    """Time each of 10,000 recordings by itself; a sample is the slowest of them.

    The mean of the other section can't show a pause: 1 ms in one of 10,000 calls is
    100 ns of it. Here it is the sample.

    A machine with other work stops any side for milliseconds, and a slower side more
    often. So the medians tell of the collectors only on a machine that does nothing else:
    there `nothing` takes microseconds.
    """
    title = f"record, the slowest of {MEASUREMENTS:,}"
    rounds = bench.size(60, 15)
    bench.progress.say(f"{title}: 4 sides, {rounds} rounds")
    rows = latencies(MEASUREMENTS)
    with (
        RunRepository.open(bench.folder / "slowest") as repository,
        repository.run("run", flush_every_s=FLUSH_EVERY_S) as run,
    ):
        samples = _slowest_of_sides(run, rows, rounds)
    return section("record.slowest", title, samples)


def _slowest_of_sides(run: LiveRun, rows: list[Latency], rounds: int) -> dict[str, list[float]]:
    def emptied() -> tuple[Record, ...]:
        run.reset()
        return _records(run)

    makers: dict[str, Callable[[], tuple[Record, ...]]] = {
        OURS: lambda: _records(LatencyCollector()),
        LIVE: emptied,
        SEQUENTIAL: lambda: _records(legacy.LatencyCollector()),
        NOTHING: lambda: (_nothing,),
    }
    samples: dict[str, list[float]] = {name: [] for name in makers}

    def sample(name: str, records: tuple[Record, ...]) -> None:
        samples[name].append(slowest_call(records, rows))

    # The sides' order and the garbage collector are the harness's, the times aren't.
    sides = [Side(name, partial(sample, name), make) for name, make in makers.items()]
    interleave(sides, rounds=rounds, warm_up=0)
    return samples


def slowest_call(records: Iterable[Record], rows: list[Latency]) -> float:
    """Call *records* in turn, each with the next of *rows*; return the slowest's seconds."""
    slowest = 0
    # Rows end it: the others go on for ever.
    for row, one in zip(rows, cycle(records), strict=False):
        start = perf_counter_ns()
        one(*row)
        slowest = max(slowest, perf_counter_ns() - start)
    return slowest / 1e9


def _records(collector: Collector) -> tuple[Record, ...]:
    return (
        collector.record_fault_detection,
        collector.record_agent_decision,
        collector.record_recovery_action,
    )


def _nothing(*_: object) -> None:
    return None
