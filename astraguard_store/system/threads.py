"""Threads beside the caller's: many that wait for the disk, two that render a CSV.

They are kept: handing them work takes 40 µs, starting one 100. And there are many,
since file systems commit syncs together that come at the same time: 200 files take
0.5 s one after the other, 60 ms with 4 threads and 30 ms with 16.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from typing import TypeVar

__all__ = ["RenderedAhead", "begin_all", "in_background", "run_all", "wait_for_all"]

T = TypeVar("T")

_WAITING, _RENDERING = "astraguard-store", "astraguard-store-csv"
_SHARES = 16
_THREADS = {_WAITING: _SHARES, _RENDERING: 2}
# What is rendered before it is asked for: 1 MB each, of text.
_AHEAD = 4

_pools: dict[str, ThreadPoolExecutor] = {}


def in_background(work: Callable[[], T], pool: str = _WAITING) -> Future[T]:
    """Begin *work* in a thread; the future tells when it is over, and what came of it.

    Nothing that is begun may wait for something else that is begun in the same pool.
    """
    future: Future[T] = Future()
    once = threading.Lock()

    def run() -> None:
        if not once.acquire(blocking=False):
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            future.set_exception(error)

    try:
        # Two threads that come here first may make two: one of them is dropped, unharmed.
        executor = _pools.get(pool) or _pools.setdefault(
            pool, ThreadPoolExecutor(_THREADS[pool], pool)
        )
        executor.submit(run)
    except RuntimeError:
        # No new threads while the interpreter exits, while another thread forks, or for want
        # of memory. Then the work may have been queued all the same, for a thread that is
        # there already.
        run()
    return future


class RenderedAhead:
    """The chunks that *parts* return, in their order; threads make some before they are asked for.

    Iterate over it once, in one thread. It begins with the first `begin`, or when it is
    iterated over; what is under way when nobody asks any more is dropped.
    """

    def __init__(self, parts: Iterator[Callable[[], bytes]]) -> None:
        self._parts = parts
        self._begun: deque[Future[bytes]] = deque()

    def begin(self) -> None:
        """Let threads begin."""
        for part in islice(self._parts, _AHEAD - len(self._begun)):
            self._begun.append(in_background(part, _RENDERING))

    def __iter__(self) -> Iterator[bytes]:
        self.begin()
        while self._begun:
            chunk = self._begun.popleft().result()
            self.begin()
            yield chunk


def begin_all(works: Sequence[Callable[[], None]]) -> list[Future[None]]:
    """Begin all *works*, as many at a time as there are threads: each thread takes a share.

    Of a share in which one work fails the rest isn't done.
    """
    # Handing a thread one work takes as long as a sync that has others beside it.
    shares = [works[first::_SHARES] for first in range(min(_SHARES, len(works)))]
    return [in_background(partial(_do_in_turn, share)) for share in shares]


def run_all(works: Sequence[Callable[[], None]]) -> None:
    """Do all *works* at the same time, the first in this thread.

    Raises what the first of them raised, when all are over.
    """
    futures = begin_all(works[1:])
    try:
        _do_in_turn(works[:1])
    finally:
        wait_for_all(futures)
    for future in futures:
        future.result()


def _do_in_turn(works: Iterable[Callable[[], None]]) -> None:
    for work in works:
        work()


def wait_for_all(futures: Iterable[Future[T]]) -> None:
    """Wait until all are over, also if an interrupt strikes meanwhile, which is raised then."""
    raised: BaseException | None = None
    waited_for = list(futures)
    while waited_for:
        try:
            waited_for = list(wait(waited_for).not_done)
        except BaseException as error:  # noqa: BLE001 - raised when they are over
            raised = error
    if raised is not None:
        raise raised


def _before_fork() -> None:
    """Let the threads end: a child has none of them, and Python 3.12 warns of them."""
    while _pools:
        _, pool = _pools.popitem()
        pool.shutdown()


# Whoever wants a thread meanwhile makes a pool anew, or does the work itself.
os.register_at_fork(before=_before_fork, after_in_child=_pools.clear)
