"""Threads beside the caller's: many that write files and wait for the disk, two that render.

They are kept: handing them work takes 40 µs, starting one 100. And there are many,
since file systems commit syncs together that come at the same time: 200 files take
0.5 s one after the other, 60 ms with 4 threads and 30 ms with 16.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from typing import TypeVar

from astraguard_store.system.forks import before_forks, in_forked_child

T = TypeVar("T")

_WRITING, _RENDERING = "astraguard-store", "astraguard-store-csv"
_SHARES = 16
_THREADS = {_WRITING: _SHARES, _RENDERING: 2}
# What is rendered before it is asked for: 1 MB each, of text.
_AHEAD = 4

_pools: dict[str, ThreadPoolExecutor] = {}


def in_background(work: Callable[[], T], pool: str = _WRITING) -> Future[T]:
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

    if sys.is_finalizing():
        # Python 3.11 waits for ever for a thread that begins now.
        run()
        return future
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


def made_ahead(parts: Iterator[Callable[[], bytes]]) -> Iterator[bytes]:
    """Yield what *parts* return, in their order; two threads make some before they are asked for.

    Who writes a CSV of 100,000 rows so is done in 0.7 of the time.
    """
    begun = deque(in_background(part, _RENDERING) for part in islice(parts, _AHEAD))
    while begun:
        chunk = begun.popleft().result()
        begun.extend(in_background(part, _RENDERING) for part in islice(parts, 1))
        yield chunk


def begin_all(works: Sequence[Callable[[], None]], at_once: int = _SHARES) -> list[Future[None]]:
    """Begin all *works*, as many *at_once* as there are threads: each takes a share.

    Of a share in which one work fails the rest isn't done.
    """
    # Handing a thread one work takes as long as a sync that has others beside it.
    at_once = min(at_once, _SHARES, len(works))
    shares = [works[first::at_once] for first in range(at_once)]
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


def _end_threads() -> None:
    """Let the threads end: a child has none of them, and Python 3.12 warns of them."""
    while _pools:
        _, pool = _pools.popitem()
        pool.shutdown()


# Whoever wants a thread meanwhile makes a pool anew, or does the work itself.
before_forks(_end_threads)
in_forked_child(_pools.clear)
