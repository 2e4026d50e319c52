"""AsyncRunRepository: the store for those who await."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    NamedTuple,
    ParamSpec,
    Self,
    TypeVar,
)
from weakref import WeakSet

from astraguard_store.columns import Columns, MeasurementLike
from astraguard_store.exceptions import ClosedStoreError
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import RunSummary
from astraguard_store.repository import RunRepository
from astraguard_store.store.new_runs import Measured
from astraguard_store.system.forks import in_forked_child

if TYPE_CHECKING:
    from astraguard_store.store.live_run import LiveRun

logger = logging.getLogger("astraguard_store")

P = ParamSpec("P")
T = TypeVar("T")

# One saves, and the others answer: a second saver would wait for the ticket.
_WORKERS = 4


def _named(
    method: Callable[Concatenate[Any, P], object],
) -> Callable[[Callable[..., T]], Callable[Concatenate[AsyncRunRepository, P], T]]:
    """Return what gives a method here the name, parameters and docstring of *method*."""

    def named(call: Callable[..., T]) -> Callable[Concatenate[AsyncRunRepository, P], T]:
        functools.update_wrapper(call, method)
        call.__qualname__ = f"AsyncRunRepository.{method.__name__}"
        call.__module__ = __name__
        return call

    return named


def _awaited(
    method: Callable[Concatenate[RunRepository, P], T],
) -> Callable[Concatenate[AsyncRunRepository, P], Coroutine[Any, Any, T]]:
    @_named(method)
    async def call(self: AsyncRunRepository, /, *args: P.args, **keywords: P.kwargs) -> T:
        return await self._call(functools.partial(method, self._repository, *args, **keywords))

    return call


def _opening(open_repository: Callable[P, RunRepository]) -> Callable[P, OpeningRepository]:
    """Return *open_repository* with the same parameters, to be awaited or entered."""

    @functools.wraps(open_repository)
    def call(*args: P.args, **keywords: P.kwargs) -> OpeningRepository:
        return OpeningRepository(functools.partial(open_repository, *args, **keywords))

    call.__qualname__ = f"AsyncRunRepository.{open_repository.__name__}"
    call.__module__ = __name__
    return call


class AsyncRunRepository:
    """A `RunRepository` whose methods are awaited: the same ones, with the same parameters.

    ```python
    async with AsyncRunRepository.open("results") as repository:
        await repository.save("run_001", collector)
    ```

    They run on a few threads of the repository, so the event loop goes on
    meanwhile: beside saves of 20,000 measurements other tasks wait for 5 to
    20 ms at most. The first opening in a process also loads modules, 0.3 s in
    steps of up to 60 ms. All methods may be called at a time. A callback such
    as `progress` is called in such a thread.

    A collector is taken as it is at the call of `save`; what is recorded later
    isn't in the run.

    Cancelled, a call that waits for a thread is never made. One that has begun
    goes on to its end, whatever became of the task: a save is whole or not
    there, and an error of it goes to the log. `query` ends with its time limit.
    Closing waits for all that has begun. So does Ctrl-C under `asyncio.run`,
    which cancels the task: a save that runs is finished first.

    A forked child may go on with it, under an event loop of its own.

    Attributes:
        results_dir: The folder; None in memory and on a server.
        server: The URL of the server, without its password; None elsewhere.
        answers_from: As in `RunRepository`.
    """

    def __init__(
        self, repository: RunRepository, workers: ThreadPoolExecutor | None = None
    ) -> None:
        """Use `open` or `in_memory`."""
        if workers is None:
            raise TypeError(
                "a repository is opened: async with AsyncRunRepository.open(…), or "
                "AsyncRunRepository.in_memory()"
            )
        self._repository = repository
        self._workers = workers
        _repositories.add(self)
        self._closed = False
        self.results_dir: Path | None = repository.results_dir
        self.server: str | None = repository.server
        self.answers_from: Literal["database", "folders"] = repository.answers_from

    open = staticmethod(_opening(RunRepository.open))
    in_memory = staticmethod(_opening(RunRepository.in_memory))

    @_named(RunRepository.save)
    def save(
        self, run_id: str, collector: Measured, **keywords: Any
    ) -> Coroutine[Any, Any, RunSummary]:
        """Save a run as it is now; see `RunRepository.save`. It is on disk when this is done."""
        taken = _taken(collector)
        return self._call(functools.partial(self._repository.save, run_id, taken, **keywords))

    @_named(RunRepository.save_many)
    def save_many(
        self, runs: Iterable[tuple[str, Measured]], **keywords: Any
    ) -> Coroutine[Any, Any, list[RunSummary]]:
        """Save several runs as they are now, all or none; see `RunRepository.save_many`."""
        taken = [(run_id, _taken(collector)) for run_id, collector in runs]
        return self._call(functools.partial(self._repository.save_many, taken, **keywords))

    @_named(RunRepository.run)
    def run(self, run_id: str, **keywords: Any) -> LiveRun:
        """Return a run to be recorded in an ``async with``; see `RunRepository.run`."""
        return self._repository.run(run_id, **keywords)

    get = _awaited(RunRepository.get)
    recent = _awaited(RunRepository.recent)
    compare = _awaited(RunRepository.compare)
    percentiles = _awaited(RunRepository.percentiles)
    grouped_percentiles = _awaited(RunRepository.grouped_percentiles)
    history = _awaited(RunRepository.history)
    distribution = _awaited(RunRepository.distribution)
    gate = _awaited(RunRepository.gate)
    calibrate = _awaited(RunRepository.calibrate)
    percentile_intervals = _awaited(RunRepository.percentile_intervals)
    change_points = _awaited(RunRepository.change_points)
    set_baseline = _awaited(RunRepository.set_baseline)
    baseline = _awaited(RunRepository.baseline)
    baselines = _awaited(RunRepository.baselines)
    delete_baseline = _awaited(RunRepository.delete_baseline)
    record_verdict = _awaited(RunRepository.record_verdict)
    read_document = _awaited(RunRepository.read_document)
    query = _awaited(RunRepository.query)
    measurements = _awaited(RunRepository.measurements)
    export = _awaited(RunRepository.export)
    set_tags = _awaited(RunRepository.set_tags)
    purge_measurements = _awaited(RunRepository.purge_measurements)
    delete = _awaited(RunRepository.delete)
    prune = _awaited(RunRepository.prune)
    import_legacy = _awaited(RunRepository.import_legacy)
    import_runs = _awaited(RunRepository.import_runs)
    merge = _awaited(RunRepository.merge)
    push = _awaited(RunRepository.push)
    recover = _awaited(RunRepository.recover)
    check = _awaited(RunRepository.check)
    back_up = _awaited(RunRepository.back_up)
    cache_info = _awaited(RunRepository.cache_info)
    is_in_place = _awaited(RunRepository.is_in_place)

    @property
    def database_path(self) -> Path | None:
        """Where the database is, or would be; None in memory."""
        return self._repository.database_path

    async def close(self) -> None:
        """Wait for the calls that have begun, and let go of the store.

        Cancelled, it goes on in its thread.
        """
        self._closed = True
        # Not the pool's own threads: they may be the ones that are waited for.
        closing = asyncio.get_running_loop().run_in_executor(None, self._close)
        await asyncio.shield(closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._repository).removeprefix('<')}"

    async def _call(self, call: Callable[[], T]) -> T:
        if self._closed:
            where = self.server or self.results_dir
            raise ClosedStoreError(f"the repository of {where} is closed; open another")
        return await _result(self._workers.submit(call))

    def _close(self) -> None:
        self._workers.shutdown(wait=True)
        self._repository.close()


_repositories: WeakSet[AsyncRunRepository] = WeakSet()


def _new_workers() -> None:
    # The threads of the parent aren't there, and the pool would wait for them for ever.
    for repository in tuple(_repositories):
        repository._workers = _workers()


in_forked_child(_new_workers)


def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_WORKERS, "astraguard_store")


class OpeningRepository:
    """A repository about to be opened: await it, or enter it with ``async with``."""

    def __init__(self, open_repository: Callable[[], RunRepository]) -> None:
        self._open_repository = open_repository
        self._entered: AsyncRunRepository | None = None

    def __repr__(self) -> str:
        return "<OpeningRepository: await it, or enter it with async with>"

    def __await__(self) -> Generator[Any, None, AsyncRunRepository]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncRunRepository:
        self._entered = await self
        return self._entered

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            await self._entered.close()

    async def _open(self) -> AsyncRunRepository:
        workers = _workers()
        future = workers.submit(self._open_repository)
        try:
            return AsyncRunRepository(await asyncio.wrap_future(future), workers)
        except BaseException:
            future.add_done_callback(_close_unwanted)
            workers.shutdown(wait=False)
            raise


class _Stopped(LatencyCollector):
    """A collector as it was at one moment."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self._columns = columns

    def snapshot(self) -> Columns:
        return self._columns


class _Listed(NamedTuple):
    """The measurements of somebody else's collector as they were at one moment."""

    measurements: list[MeasurementLike]


def _taken(collector: Measured) -> Measured:
    """Return what *collector* holds now; what it lacks is complained of in the thread."""
    if hasattr(collector, "__arrow_c_stream__"):
        return collector
    if isinstance(collector, LatencyCollector):
        return _Stopped(collector.snapshot())
    measurements = getattr(collector, "measurements", None)
    # A list is copied in 0.1 ms; checking each of its items takes far longer.
    return collector if measurements is None else _Listed(list(measurements))


async def _result(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # What waited for a thread is cancelled with the task; what runs goes on unseen.
        future.add_done_callback(_log_failure)
        raise


def _log_failure(future: Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()):
        logger.warning("a call whose task was cancelled has failed: %s", error)


def _close_unwanted(future: Future[RunRepository]) -> None:
    if not future.cancelled() and not future.exception():
        future.result().close()
