"""Ctrl-C, SIGTERM and the like wait for a write to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["interrupts_held_back"]


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Run Python's signal handlers after the block instead of in its middle; 10 µs.

    An exception out of a handler may strike between any two steps, and leave a
    lock or a file that nobody knows of. A second signal of the same number
    doesn't wait: somebody means it. Only the main thread runs handlers, so
    elsewhere there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    came: dict[int, FrameType | None] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        if number in came:
            handlers[number](number, frame)
        came[number] = frame

    for held in signal.valid_signals():
        handler = signal.getsignal(held)
        if callable(handler):
            handlers[held] = handler
            signal.signal(held, wait)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in came.items():
            handlers[number](number, frame)
