"""AsyncRunRepository: the same methods, awaited, and an event loop that goes on."""

import asyncio
import inspect
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import reference
from recordings import own, recorded

from astraguard_store import (
    AsyncRunRepository,
    ClosedStoreError,
    InvalidRunError,
    LatencyCollector,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
)

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
# Python hands its lock over after 5 ms, and other programs have the machine too. The longest
# seen was 22 ms on two cores; a call that blocks takes 40 ms at least.
LONGEST_GAP_S = 0.1


def public_methods(owner: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(owner, inspect.isroutine)
        if not name.startswith("_")
    }


def parameters_of(method: Any) -> list[tuple[str, Any, Any, Any]]:
    return [
        (p.name, p.kind, p.default, p.annotation)
        for p in inspect.signature(method).parameters.values()
    ]


class TestMethods:
    """They are those of RunRepository."""

    @pytest.mark.parametrize("name", sorted(public_methods(RunRepository)))
    def test_a_method_of_the_repository_is_there_with_its_parameters(self, name: str) -> None:
        blocking = getattr(RunRepository, name)
        awaited = getattr(AsyncRunRepository, name)

        assert parameters_of(awaited) == parameters_of(blocking)

    def test_there_are_no_others(self) -> None:
        assert set(public_methods(AsyncRunRepository)) == set(public_methods(RunRepository))

    def test_attributes_and_properties_are_those_of_the_repository(self, results: Path) -> None:
        async def look() -> tuple[object, ...]:
            async with AsyncRunRepository.open(results) as repository:
                return (
                    repository.results_dir,
                    repository.database_path,
                    repository.answers_from,
                    repr(repository),
                )

        assert asyncio.run(look()) == (
            results,
            results / "astraguard.db",
            "database",
            f"<AsyncRunRepository {results}, answers from database>",
        )

    @pytest.mark.parametrize("name", sorted(public_methods(AsyncRunRepository)))
    def test_a_method_says_where_it_is(self, name: str) -> None:
        method = getattr(AsyncRunRepository, name)

        assert method.__doc__
        assert method.__qualname__ == f"AsyncRunRepository.{name}"
        assert method.__module__ == "astraguard_store.async_repository"


class TestUse:
    """Opened, awaited, closed."""

    def test_what_was_saved_is_answered(self, results: Path) -> None:
        async def use() -> tuple[object, ...]:
            async with AsyncRunRepository.open(results) as repository:
                saved = await repository.save("a", recorded(4))
                await repository.save_many([("b", recorded(5)), ("c", recorded(6))])
                return (
                    await repository.get("a") == saved,
                    [header.run_id for header in await repository.recent(limit=2)],
                    (await repository.compare("a", "b")).candidate,
                    (await repository.query("SELECT count(*) FROM runs")).rows,
                )

        assert asyncio.run(use()) == (True, ["c", "b"], "b", [(3,)])

    def test_opening_may_be_awaited(self, results: Path) -> None:
        async def use() -> None:
            repository = await AsyncRunRepository.open(results)
            await repository.save("a", recorded(1))
            await repository.close()

        asyncio.run(use())

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("a").total_measurements == 3

    def test_memory_is_opened_alike(self) -> None:
        async def use() -> int:
            async with AsyncRunRepository.in_memory() as repository:
                return (await repository.save("a", recorded(1))).total_measurements

        assert asyncio.run(use()) == 3

    def test_many_calls_at_a_time_are_answered(self, results: Path) -> None:
        async def use() -> list[int]:
            async with AsyncRunRepository.open(results) as repository:
                await asyncio.gather(
                    *(repository.save(f"run_{i}", recorded(1 + i)) for i in range(20))
                )
                runs = await asyncio.gather(*(repository.get(f"run_{i}") for i in range(20)))
                return [run.total_measurements for run in runs]

        assert asyncio.run(use()) == [3 * (1 + i) for i in range(20)]

    @pytest.mark.parametrize("collector", [recorded(2), own(reference.make_rows(6))])
    def test_a_collector_is_taken_at_the_call(self, collector: Any) -> None:
        async def use() -> int:
            async with AsyncRunRepository.in_memory() as repository:
                before = len(collector.measurements)
                saving = repository.save("a", collector)
                if isinstance(collector, LatencyCollector):
                    collector.record_fault_detection("SAT009", 0.0, 1.0)
                else:
                    collector.measurements.append(collector.measurements[0])
                return (await saving).total_measurements - before

        assert asyncio.run(use()) == 0

    def test_errors_are_raised_where_they_are_awaited(self, results: Path) -> None:
        async def use() -> None:
            with pytest.raises(StoreNotFoundError):
                await AsyncRunRepository.open(results, read_only=True)
            async with AsyncRunRepository.open(results) as repository:
                with pytest.raises(RunNotFoundError):
                    await repository.get("none")
                with pytest.raises(InvalidRunError):
                    await repository.save("..", recorded(1))
                with pytest.raises(InvalidRunError):
                    await repository.save("a", object())  # type: ignore[arg-type]

        asyncio.run(use())

    def test_a_closed_repository_says_so(self) -> None:
        async def use() -> None:
            async with AsyncRunRepository.in_memory() as repository:
                pass
            with pytest.raises(ClosedStoreError):
                await repository.recent()
            await repository.close()

        asyncio.run(use())

    def test_no_thread_is_left_after_closing(self, results: Path) -> None:
        async def use() -> None:
            async with AsyncRunRepository.open(results) as repository:
                await repository.save("a", recorded(1))

        asyncio.run(use())

        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith("astraguard_store")]


async def begun(task: asyncio.Task[Any]) -> None:
    """Let *task* go as far as its first wait, and its thread a little further."""
    await asyncio.sleep(0.005)
    assert not task.done()


class TestCancellation:
    """A call that has begun goes on; one that waits for a thread is never made."""

    def test_a_save_that_has_begun_is_finished(self, results: Path) -> None:
        async def use() -> None:
            async with AsyncRunRepository.open(results) as repository:
                task = asyncio.create_task(repository.save("a", recorded(3_000)))
                # Its thread writes: on a busy machine it takes long to begin.
                while not list(results.glob(".staging/a~*")) and not task.done():
                    await asyncio.sleep(0.001)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(use())

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("a").total_measurements == 9_000
            assert repository.check().is_sound

    def test_a_save_that_waits_for_a_thread_is_never_made(self, results: Path) -> None:
        async def use() -> None:
            async with AsyncRunRepository.open(results) as repository:
                occupying = [
                    asyncio.create_task(repository.query(ENDLESS, time_limit_s=0.5))
                    for _ in range(4)
                ]
                await begun(occupying[0])
                task = asyncio.create_task(repository.save("a", recorded(1)))
                await begun(task)
                task.cancel()
                await asyncio.gather(*occupying, return_exceptions=True)

        asyncio.run(use())

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.recent() == []

    def test_a_timeout_does_not_wait_for_the_call(self) -> None:
        async def use() -> float:
            async with AsyncRunRepository.in_memory() as repository:
                start = time.perf_counter()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(repository.query(ENDLESS, time_limit_s=1.0), 0.05)
                return time.perf_counter() - start

        assert asyncio.run(use()) < 0.5

    def test_an_error_that_nobody_awaits_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async def use() -> None:
            async with AsyncRunRepository.in_memory() as repository:
                task = asyncio.create_task(repository.query(ENDLESS, time_limit_s=1.0))
                # A call whose thread hasn't begun yet would never be made.
                await asyncio.sleep(0.2)
                task.cancel()

        with caplog.at_level(logging.WARNING, "astraguard_store"):
            asyncio.run(use())

        assert "time limit of 1 s" in caplog.text

    def test_a_cancelled_opening_leaves_nothing_open(self, results: Path) -> None:
        async def use() -> None:
            async def enter() -> None:
                async with AsyncRunRepository.open(results):
                    await asyncio.sleep(60)

            task = asyncio.create_task(enter())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(use())
        while any(t.name.startswith("astraguard_store") for t in threading.enumerate()):
            time.sleep(0.01)

        # The last to close moves the log into the file.
        assert not (results / "astraguard.db-wal").exists()

    def test_ctrl_c_finishes_the_save_and_ends_the_program(self, results: Path) -> None:
        program = (
            "import asyncio, sys\n"
            "from recordings import recorded\n"
            "from astraguard_store import AsyncRunRepository\n"
            "async def use():\n"
            f"    async with AsyncRunRepository.open({str(results)!r}) as repository:\n"
            "        saving = asyncio.create_task(repository.save('a', recorded(20_000)))\n"
            "        await asyncio.sleep(0.02)\n"
            "        print('saving', flush=True)\n"
            "        await saving\n"
            "        await asyncio.sleep(60)\n"
            "asyncio.run(use())\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout
            child.stdout.readline()
            child.send_signal(signal.SIGINT)
            _, complaint = child.communicate(timeout=30)

        assert complaint.rstrip().endswith("KeyboardInterrupt")
        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("a").total_measurements == 60_000
            assert repository.check().is_sound


@asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """Give a list that a task that sleeps 1 ms at a time fills with its gaps, seconds."""
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            gaps.append((now := time.perf_counter()) - last)
            last = now

    task = asyncio.create_task(beat())
    await asyncio.sleep(0.02)
    gaps.clear()
    yield gaps
    await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def longest_gap(
    results: Path, work: Callable[[AsyncRunRepository], Coroutine[Any, Any, None]]
) -> float:
    """Return the longest that a task beside *work* had to wait, seconds."""

    async def measure() -> float:
        async with AsyncRunRepository.open(results) as repository:
            await repository.save("warm", recorded(7_000))
            async with heartbeat() as gaps:
                await work(repository)
            return max(gaps)

    return asyncio.run(measure())


class TestHeartbeat:
    """What a task beside notices of 20,000 measurements."""

    def test_the_loop_goes_on_while_saving_listing_and_comparing(
        self, results: Path, record_property: Callable[[str, object], None]
    ) -> None:
        measured = recorded(6_667)

        async def work(repository: AsyncRunRepository) -> None:
            saves: list[Awaitable[object]] = [
                repository.save(f"run_{i}", measured) for i in range(4)
            ]
            questions: list[Awaitable[object]] = [
                *(repository.recent(100) for _ in range(50)),
                *(repository.compare("warm", "warm", by_satellite=True) for _ in range(20)),
            ]
            await asyncio.gather(*saves, *questions)

        # The least of three: what else runs on the machine only adds to it.
        gap = min(longest_gap(results, work) for _ in range(3))

        record_property("longest_gap_ms", round(gap * 1000, 1))
        assert gap < LONGEST_GAP_S

    def test_a_blocking_save_would_have_stopped_it(self, results: Path) -> None:
        measured = recorded(6_667)
        took: list[float] = []

        async def work(_: AsyncRunRepository) -> None:
            with RunRepository.open(results) as blocking:
                start = time.perf_counter()
                blocking.save("run", measured)
                took.append(time.perf_counter() - start)

        gap = longest_gap(results, work)

        assert gap >= took[0]
