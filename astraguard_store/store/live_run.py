"""LiveRun: a run that is in the store while it is recorded."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from astraguard_store.checks import check_number
from astraguard_store.exceptions import (
    ArtifactWriteError,
    ClosedStoreError,
    InvalidRunError,
    StoreError,
)
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import Attachment, RunState, RunSummary
from astraguard_store.store.recorder import Recorder
from astraguard_store.store.recording import Ending, Recording
from astraguard_store.system.interrupts import interrupts_held_back

logger = logging.getLogger("astraguard_store")

_LONGEST_ERROR_CHARACTERS = 1_000


class LiveRun(LatencyCollector):
    """A run that is recorded in a ``with``, and is in the store from its beginning on.

    ```python
    with repository.run("run_042") as run:
        run.record("thermal_recovery", "SAT001", 12.5, 830.0)
    ```

    It is a `LatencyCollector`. What is recorded is on its way to the disk while it is
    recorded: `RunRepository.run` says how. At the end of the block the run is saved, its
    state ``finished``, or ``failed`` where an exception leaves the block. If the process
    dies before, the next who looks finds the run ``interrupted``, with what it had.

    Recording takes no lock and waits for no disk; see `LatencyCollector`. Threads may
    record at the same time. In a forked child it records into the child's memory only, and
    its end does nothing there: the run is the parent's.

    ``async with`` works too: what waits for the disk is then done in a thread.

    Attributes:
        run_id: The run.
        saved: The run as it was saved; None before the end.
    """

    def __init__(self, run_id: str, begin: Callable[[], Recording], flush_every_s: float) -> None:
        """Use `RunRepository.run`."""
        super().__init__()
        self.run_id = run_id
        self.saved: RunSummary | None = None
        self._begin = begin
        self._flush_every_s = flush_every_s
        self._recording: Recording | None = None
        self._recorder: Recorder | None = None
        self._attachments: dict[str, Attachment] = {}
        self._is_over = False

    def missed(
        self, metric_type: str, satellite_id: str, scenario_time_s: float, waited_ms: float
    ) -> None:
        """Record an event that never came; see `LatencyCollector.record_missed`."""
        self.record_missed(metric_type, satellite_id, scenario_time_s, waited_ms)

    def time(self, metric_type: str, satellite_id: str, scenario_time_s: float) -> Stopwatch:
        """Return what records how long a ``with`` block took, by `time.perf_counter`.

        If an exception leaves the block, an event is recorded that was missed after so
        long, and the exception goes on.

        Args:
            metric_type: What is measured, such as ``agent_decision``.
            satellite_id: On which satellite.
            scenario_time_s: Seconds since the scenario's start.
        """
        return Stopwatch(self, metric_type, satellite_id, scenario_time_s)

    def attach(self, path: str | os.PathLike[str], *, name: str | None = None) -> Attachment:
        """Copy a file to the run, as it is now; one that was attached by that name is replaced.

        Args:
            path: The file.
            name: Its name in the run's folder ``attachments``; None for its own.

        Raises:
            ArtifactReadError: It can't be read.
            ArtifactWriteError: The copy can't be written.
            InvalidRunError: It can't have that name.
            StoreNotFoundError: The store is in memory, and has no folder.
            ClosedStoreError: The run isn't being recorded, or not by this process.
        """
        recorder = self._at_work()
        recorder.check_place()
        attached = recorder.recording.attach(Path(path), name)
        try:
            recorder.note_attachment(attached)
        except OSError as error:
            why = error.strerror or error
            raise ArtifactWriteError(
                f"attachment {attached.name!r} can't be noted in the journal: {why}"
            ) from error
        self._attachments[attached.name] = attached
        return attached

    def __enter__(self) -> Self:
        if self._recording is not None:
            raise ClosedStoreError(f"run {self.run_id!r} was begun already; make another")
        try:
            with interrupts_held_back():
                self._recording = self._begin()
                self._recorder = Recorder(self, self._recording, self._flush_every_s)
                self._recorder.start()
        except BaseException as error:
            # Such as a Ctrl-C that was held back: the block isn't entered, so nothing leaves it.
            self._give_up(error)
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder = self._at_work()
        if recorder.pid != os.getpid():
            logger.info("run %r goes on in the process that began it", self.run_id)
            return
        state: RunState = "finished" if exception is None else "failed"
        error = None if exception is None else _told(exception)
        self._end_beside(exception, recorder, state, error)

    async def __aenter__(self) -> Self:
        # The second to take it, the thread that has begun or who is cancelled, ends the run.
        first = threading.Lock()

        def begin() -> None:
            self.__enter__()
            if not first.acquire(blocking=False):
                self._give_up(asyncio.CancelledError())

        try:
            await asyncio.to_thread(begin)
        except asyncio.CancelledError as error:
            if not first.acquire(blocking=False):
                await asyncio.shield(asyncio.to_thread(self._give_up, error))
            raise
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ending = asyncio.to_thread(self.__exit__, exception_type, exception, traceback)
        await asyncio.shield(ending)

    def __repr__(self) -> str:
        how = "over" if self._is_over else "running" if self._recording else "not begun"
        return f"<LiveRun {self.run_id!r}, {how}, measurements: {len(self)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run that is being recorded can't be pickled; its measurements can")

    def _at_work(self) -> Recorder:
        if self._recorder is None or self._is_over:
            raise ClosedStoreError(
                f"run {self.run_id!r} is not being recorded; use it inside its `with`"
            )
        return self._recorder

    def _give_up(self, exception: BaseException) -> None:
        """End a run, if it has begun, whose block is never entered."""
        if self._recording is not None:
            recorder = self._recorder or Recorder(self, self._recording, self._flush_every_s)
            self._end_beside(exception, recorder, "interrupted", None)

    def _end_beside(
        self,
        exception: BaseException | None,
        recorder: Recorder,
        state: RunState,
        error: str | None,
    ) -> None:
        """Save the run; if that fails, an exception that is under way is the one to know."""
        try:
            with interrupts_held_back():
                self.saved = self._end(recorder, state, error)
        except StoreError as failure:
            if exception is None:
                raise
            exception.add_note(f"Besides, the run could not be saved: {failure}")
            logger.warning("run %r could not be saved: %s", self.run_id, failure)

    def _end(self, recorder: Recorder, state: RunState, error: str | None) -> RunSummary:
        self._is_over = True
        # From now on a label is looked for in vain, and `_new_code` refuses.
        self._codes, self._missed_codes = {}, {}
        self._fault_codes, self._decision_codes, self._recovery_codes = {}, {}, {}
        noise, is_journalled = recorder.finish(state, error)
        attachments = tuple(sorted(self._attachments.values()))
        return recorder.recording.end(
            Ending(state, error, self.snapshot(), attachments, noise, is_journalled)
        )

    def _new_code(self, *arguments: Any, **keywords: Any) -> int:
        if self._is_over:
            raise ClosedStoreError(f"run {self.run_id!r} is over; nothing more can be recorded")
        return super()._new_code(*arguments, **keywords)


class Stopwatch:
    """Records how long a block took; see `LiveRun.time`. Each is used once at a time."""

    __slots__ = ("_began_s", "_metric_type", "_run", "_satellite_id", "_scenario_time_s")

    def __init__(
        self, run: LiveRun, metric_type: str, satellite_id: str, scenario_time_s: float
    ) -> None:
        self._run = run
        self._metric_type = metric_type
        self._satellite_id = satellite_id
        self._scenario_time_s = scenario_time_s
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.perf_counter()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        took_ms = (time.perf_counter() - self._began_s) * 1000
        record = self._run.record if exception is None else self._run.record_missed
        record(self._metric_type, self._satellite_id, self._scenario_time_s, took_ms)


def check_flush_every(value: float) -> float:
    """Return how often a journal is written, seconds.

    Raises:
        InvalidRunError: It isn't a number above 0.
    """
    number = check_number(value, "flush_every_s")
    if not (isfinite(number) and number > 0):
        raise InvalidRunError(f"Invalid flush_every_s {value!r}: a number above 0 is needed")
    return number


def _told(exception: BaseException) -> str:
    """Return an exception's type and message, as the last line of a traceback has them."""
    message = str(exception)
    kind = type(exception).__name__
    text = f"{kind}: {message}" if message else kind
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_ERROR_CHARACTERS]
