"""Ctrl-C, SIGTERM, SIGALRM and SIGHUP wait for a write to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

Handler = Callable[[int, FrameType | None], Any]

# Those whose handlers usually raise: Ctrl-C, a stop, a time limit, a terminal that is gone.
_HELD_BACK: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Run Python's handlers of these signals after the block instead of in its middle.

    An exception out of a handler may strike between any two steps, and leave a
    lock or a file that nobody knows of: also between the call that locks a file and
    the `try` that would unlock it, and within the `finally` itself. A second signal
    of the same number doesn't wait: somebody means it. Only the main thread runs handlers, so
    elsewhere there is nothing to hold back. Handlers of other signals run as
    they come: they may set a flag, and must neither raise nor use a store.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Handler] = {}
    came: dict[int, FrameType | None] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        if number in came:
            handlers[number](number, frame)
        came[number] = frame

    try:
        # In here: a handler that isn't held back yet may strike between the two.
        for held in _HELD_BACK:
            handler = signal.getsignal(held)
            if callable(handler):
                handlers[held] = handler
                signal.signal(held, wait)
        yield
    finally:
        _put_back(handlers)
        for number, frame in came.items():
            handlers[number](number, frame)


def _put_back(handlers: Mapping[int, Handler]) -> None:
    """Install all *handlers* again; one that strikes meanwhile raises after that."""
    raised: BaseException | None = None
    for number, handler in handlers.items():
        is_back = False
        while not is_back:
            try:
                signal.signal(number, handler)
                is_back = True
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
    if raised is not None:
        raise raised


@contextmanager
def ctrl_c_blocked() -> Iterator[None]:
    """Start processes inside that Ctrl-C doesn't reach: who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
